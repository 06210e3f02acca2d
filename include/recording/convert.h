/* From one session file form to another, through the reader; the output's form is told by its extension
 * (.jsonl.zst, .jsonl, .json, .json.zst). Written beside the target, fsynced and renamed; the target appears whole or
 * not at all. Memory is bounded. Blocks: the writer thread and the command line call it. */
#ifndef MF_RECORDING_CONVERT_H
#define MF_RECORDING_CONVERT_H

#include "base/err.h"
#include "recording/event.h"

enum session_form { SESSION_NATIVE, SESSION_JSONL, SESSION_DOCUMENT, SESSION_DOCUMENT_ZST };

/* The form for this file name; MF_EINVAL with err naming the known extensions. */
MF_MUSTCHECK int session_form_of(const char *path, enum session_form *out, struct err *err);

struct convert_options {
    int level;          /* zstd, 0: 1 */
    bool overwrite;     /* the target may exist */
    bool recover;       /* go on behind damage, leaving a gap (reader_recover()) */
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* bytes of input; may be NULL */
    void *arg;
};
struct convert_result {
    uint64_t messages, connections;
    bool truncated; /* the input ended early (a crash); everything readable was converted */
};
MF_MUSTCHECK int session_convert(const char *from, const char *to, const struct convert_options *options,
                                 struct convert_result *out, struct err *err);

#endif
