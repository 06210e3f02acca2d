/* What the two sources of `ws tail` share: the filter, and lines on their way to stdout. Main thread. */
#ifndef MF_CLI_WS_TAIL_H
#define MF_CLI_WS_TAIL_H

#include "cli/ws_filter.h"
#include "cli/ws_show_line.h"

#define TAIL_LAST_MAX 100000u
#define TAIL_KEPT_MAX (64u << 20) /* bytes of the last messages while they are looked for */

struct tail {
    const struct cli_args *args;
    struct ws_filter filter;
    struct ws_sieve sieve;
    struct show_style style;
    bool json;
    struct buf out;  /* on its way to stdout */
    int write_error; /* errno; EPIPE: whoever read it has seen enough */

    /* the last messages of what is there already */
    bool live; /* they were shown: what comes is shown at once */
    uint64_t last;
    struct buf *kept; /* a ring of `last` */
    size_t kept_count, kept_next, kept_bytes;
};

/* The next event: kept or shown when it passes. */
MF_MUSTCHECK int tail_add(struct tail *t, const struct session_event *e, struct err *err);
/* Drops what was kept: it is looked for again from further back. */
void tail_forget(struct tail *t);
/* Shows what was kept; from now on events are shown at once. */
void tail_go_live(struct tail *t);
void tail_flush(struct tail *t);
/* A line of our own on stderr: "mockforge ws tail: …". */
void tail_say(const char *fmt, ...) MF_PRINTF(1, 2);

/* ws_tail_file.c, ws_tail_gateway.c: follow until interrupted; an exit code. */
int tail_file(struct tail *t, const char *path);
int tail_gateway(struct tail *t, const char *url, const char *token);

#endif
