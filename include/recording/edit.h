/* Session files made of session files: secrets taken out, several put together, a part cut out.
 *
 * The target's form is told by its extension (recording/convert.h). It is written beside its place, synced and renamed:
 * it appears whole or not at all, mode 0600. Memory is bounded whatever the files hold, but for some hundred bytes for
 * each connection (merge) or each one open at a time (redact, cut). Thread: the caller's; blocks on the disk. */
#ifndef MF_RECORDING_EDIT_H
#define MF_RECORDING_EDIT_H

#include "base/err.h"
#include "recording/event.h"
#include "recording/redact.h"

struct edit_options {
    bool overwrite;                                             /* the target may exist */
    bool recover;                                               /* go on behind damage (reader_recover()) */
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* bytes of input; may be NULL */
    void *arg;
};

/* ---- redact ---- */

struct redact_counts {
    struct redact_header_count { /* replaced values of one header name; in the order in which they were met */
        char *name;
        uint64_t values;
    } * headers;
    size_t headers_count;
    uint64_t query;    /* handshakes whose query held some */
    uint64_t urls;     /* upstream URLs */
    uint64_t json;     /* messages with values at the JSON paths */
    uint64_t withheld; /* messages that could not be searched, and are not written */
    bool truncated;    /* the input ended early */
};
/* from may be to, with overwrite. Counts are added up; redact_counts_fini() frees. */
MF_MUSTCHECK int session_redact(const char *from, const char *to, const struct redactor *rules,
                                const struct edit_options *options, struct redact_counts *counts, struct err *err);
void redact_counts_fini(struct redact_counts *counts);

/* ---- merge ---- */

#define MERGE_MAX 256u /* files */

struct merge_result {
    uint64_t messages, connections, renamed;
    bool truncated; /* an input ended early */
    bool undated;   /* an input does not say when it was recorded: its file's time was taken */
};
/* By the wall clock: recorded_at and timestamp. Each connection's name is unique in the target: `renamed` (may be NULL)
 * hears of each one that had to be changed. Parts of one recording (the same recorded_at) keep their connections
 * together. */
typedef void merge_renamed_fn(const char *file, const char *from, const char *to, void *arg);
MF_MUSTCHECK int session_merge(const char *const *from, size_t count, const char *to,
                               const struct edit_options *options, merge_renamed_fn *renamed, struct merge_result *out,
                               struct err *err);

/* ---- cut ---- */

struct cut_rules {
    uint64_t from_us, to_us;        /* since recorded_at; to_us 0: to the end */
    const char *const *connections; /* names; NULL: all */
    size_t connections_count;
    const char *path; /* glob; NULL: any */
    unsigned types;   /* of frames: 1 << enum event_type; 0: all. Other lines are kept in any case */
    bool rebase;      /* times count from from_us, and recorded_at is moved accordingly */
};
struct cut_result {
    uint64_t messages, connections;
    uint64_t continued; /* connections that were open at from_us: their open lines are kept, as continued */
    bool truncated;
};
/* Frames whose message began before from_us are left out with it. */
MF_MUSTCHECK int session_cut(const char *from, const char *to, const struct cut_rules *rules,
                             const struct edit_options *options, struct cut_result *out, struct err *err);

#endif
