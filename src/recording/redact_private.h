/* What redact.c and redact_json.c share. */
#ifndef MF_RECORDING_REDACT_PRIVATE_H
#define MF_RECORDING_REDACT_PRIVATE_H

#include <stdatomic.h>

#include "recording/redact.h"

struct redact_segment {
    enum { SEGMENT_NAME, SEGMENT_ANY, SEGMENT_DEEP } kind; /* name or index; "*"; "**" */
    char *name;
    size_t len;
};
struct redact_path {
    struct redact_segment *segments;
    size_t count;
};

struct redactor {
    atomic_uint refs;
    bool defaults;
    char **headers, **query;
    size_t headers_count, query_count;
    struct redact_path *paths;
    size_t paths_count;
};

MF_MUSTCHECK int redact_path_add(struct redactor *r, const char *text, struct err *err);
void redact_paths_free(struct redactor *r);

#endif
