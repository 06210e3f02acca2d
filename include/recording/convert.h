/* From one session file form to another, through the reader; the output's form is told by its extension
 * (.jsonl.zst, .jsonl, .json, .json.zst, .har), or by name. Written beside the target, fsynced and renamed; the target
 * appears whole or not at all. Memory is bounded. Blocks: the writer thread and the command line call it. */
#ifndef MF_RECORDING_CONVERT_H
#define MF_RECORDING_CONVERT_H

#include "base/err.h"
#include "recording/event.h"

enum session_form {
    SESSION_NATIVE,
    SESSION_JSONL,
    SESSION_DOCUMENT,
    SESSION_DOCUMENT_ZST,
    /* Converted to, not recorded in: */
    SESSION_HAR,
    SESSION_MOCKFORGE, /* one connection's messages; no extension means it */
};

/* The form for this file name, of those that are recorded; MF_EINVAL with err naming the known extensions. */
MF_MUSTCHECK int session_form_of(const char *path, enum session_form *out, struct err *err);
/* The same for all that can be converted to. */
MF_MUSTCHECK int session_target_of(const char *path, enum session_form *out, struct err *err);
/* By its name: "native", "jsonl", "json", "json.zst", "har", "mockforge"; MF_EINVAL with err naming them. */
MF_MUSTCHECK int session_form_named(const char *name, enum session_form *out, struct err *err);

/* A recording that rotates goes on in further files: part 2 of "X.jsonl.zst" is "X.2.jsonl.zst". malloc'd; NULL: out of
 * memory, or a name without one of the four extensions. */
char *session_part(const char *path, unsigned part);
/* Which part of what this name is: 1 and *first a copy of it where it does not say. *first is to be freed; NULL as above. */
unsigned session_part_of(const char *path, char **first);

struct convert_options {
    int level;                     /* zstd, 0: 1 */
    bool overwrite;                /* the target may exist */
    const enum session_form *form; /* NULL: by the target's extension */
    const char *connection;        /* SESSION_MOCKFORGE: this one; NULL: the only one */
    bool recover;                  /* go on behind damage, leaving a gap (reader_recover()) */
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* bytes of input; may be NULL */
    void *arg;
};
struct convert_result {
    uint64_t messages, connections;
    /* What the form cannot hold; only SESSION_HAR and SESSION_MOCKFORGE lose anything */
    uint64_t joined; /* messages whose fragments were put together */
    uint64_t
        left_out;   /* lines: gaps, faults, the upstream's leg; of SESSION_MOCKFORGE pings, pongs and closes as well */
    bool truncated; /* the input ended early (a crash); everything readable was converted */
};
MF_MUSTCHECK int session_convert(const char *from, const char *to, const struct convert_options *options,
                                 struct convert_result *out, struct err *err);

#endif
