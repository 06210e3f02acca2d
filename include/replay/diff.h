/* Two recordings of what should be the same conversations: where do they differ? For `ws diff`.
 *
 * Connections are paired by name when both recordings have the same names, else in their order. Within a connection the
 * messages of each direction are aligned, so that one more or one less is one difference and not a cascade; then each
 * pair is compared (compare.h). Values that correlation shows to be made up in both recordings need not be equal, but
 * one stands for the other everywhere ("a7" here is always "b3" there). Times of the recordings do not count; paths,
 * queries, subprotocols and close codes do. Thread: the caller's; CPU only. */
#ifndef MF_REPLAY_DIFF_H
#define MF_REPLAY_DIFF_H

#include "replay/compare.h"

struct diff_options {
    struct compare_options compare; /* unordered "" or "/": messages may come in any order too */
    bool no_correlate;
    bool one_direction; /* only messages of this one */
    enum event_direction direction;
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* connections; may be NULL */
    void *arg;
};

struct diff_case {
    char *name; /* "conn-1", or "conn-1 and conn-7" */
    struct comparison comparison;
};
struct diff {
    struct diff_case *cases; /* a connection each; the ones that have no partner come last */
    size_t count;
    bool by_name;          /* how they were paired */
    size_t only_a, only_b; /* connections that have no partner */
};

/* The first is what is expected. MF_ENOMEM. */
MF_MUSTCHECK int diff_recordings(struct replay_source *a, struct replay_source *b, const struct diff_options *options,
                                 struct diff *out, struct err *err);
void diff_fini(struct diff *d);

#endif
