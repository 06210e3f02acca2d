/* What `ws stats` counts: rates, sizes, gaps, answers, close codes, kinds of messages. One pass, event by event; memory
 * does not grow with the file: connections are forgotten when they end, and of the tables' rows there is a largest
 * number. Main thread. */
#ifndef MF_CLI_STATS_H
#define MF_CLI_STATS_H

#include "cli/histogram.h"
#include "match/json_path.h"
#include "match/pattern.h"
#include "recording/event.h"

#define STATS_KINDS_MAX 1024u /* kinds of messages counted apart; those that come later are counted together */
#define STATS_KIND_LEN 63u
#define STATS_TOP_CONNECTIONS 10u
#define STATS_CODES 65536u

/* Messages of one direction, or of both. */
struct stats_flow {
    uint64_t messages, frames, bytes; /* frames: text, binary and continuation */
    uint64_t peak;                    /* messages in the fullest second (a whole one of the recording's time) */
    uint64_t peak_second;
    struct histogram sizes; /* bytes of a message */
    struct histogram gaps;  /* us from one message to the next of the same connection */
};
enum stats_flow_of { STATS_INCOMING, STATS_OUTGOING, STATS_BOTH, STATS_FLOWS };

/* Messages that are alike: the value at --by-path, or of their member "type" or the like. */
struct stats_kind {
    char name[STATS_KIND_LEN + 1];
    uint64_t count[2], bytes; /* count: by enum event_direction */
};

struct stats_connection_row {
    char name[STATS_KIND_LEN + 1];
    uint64_t messages, bytes, from_us, to_us;
};

struct stats_options {
    const char *const *connections; /* only these; NULL: all */
    size_t connections_count;
    const struct glob *path;         /* only connections whose open line has such a path; NULL: all */
    uint64_t from_us, to_us;         /* events of this time */
    const struct json_path *by_path; /* NULL: the usual names */
};

struct stats {
    struct stats_options options;
    int64_t recorded_at_us;
    uint64_t first_us, last_us; /* of the events that count */
    uint64_t events;
    struct stats_flow flows[2][STATS_FLOWS]; /* by enum event_leg */
    uint64_t types[2][EVENT_FAULT + 1];      /* by enum event_leg; what is no frame is of the client's */
    uint64_t connections, open_at_end;       /* those that count */
    uint64_t gap_frames, gap_bytes;
    struct histogram lifetimes;     /* us from open to end */
    struct histogram first_answers; /* us from a client's message to the next message to it */
    struct histogram id_answers;    /* us from a client's message to the first one to it with the same "id" */
    uint64_t *codes[2];             /* [STATS_CODES] close frames, by direction */
    uint64_t ended_by[3];           /* client, upstream, gateway */
    struct stats_kind *kinds;
    size_t kind_count;
    struct stats_kind other_kinds;
    struct stats_connection_row top[STATS_TOP_CONNECTIONS]; /* most messages first */
    size_t top_count;

    /* the inside of stats.c */
    struct stats_seconds *seconds;
    struct stats_table *open;
    uint16_t *kind_index;
    struct json_tape tape;
    struct buf scratch, label;
    size_t held; /* bytes of unfinished messages */
};

MF_MUSTCHECK int stats_new(const struct stats_options *options, struct stats **out);
void stats_free(struct stats *s);
/* The next event of the file. MF_ENOMEM; MF_ELIMIT: more connections are open at once than can be kept apart. */
MF_MUSTCHECK int stats_add(struct stats *s, const struct session_event *e);
/* No more events. */
void stats_end(struct stats *s);
/* The leg whose messages count: the client's, unless only the upstream's was recorded. */
enum event_leg stats_leg(const struct stats *s);

#endif
