/* Which events of a session are asked for: the options that ws show, ws tail and ws stats share, and the sieve that
 * puts messages together where a filter looks at payloads. Main thread. */
#ifndef MF_CLI_WS_FILTER_H
#define MF_CLI_WS_FILTER_H

#include "cli/command.h"
#include "match/json_path.h"
#include "match/pattern.h"
#include "recording/event.h"

#define WS_FILTER_LATE_US                                                                                              \
    5000000u /* lines of several connections may step back in time a little: --to looks this far on */
#define WS_FILTER_CONNECTIONS_MAX 64
#define WS_FILTER_WISHES_MAX 16
#define WS_WHOLE_MAX (16u << 20) /* bytes of a message that is looked at; what is behind them is not searched */
#define WS_HELD_MAX (64u << 20)  /* of all unfinished messages */
#define WS_LANE_BUCKETS 1024u

/* clang-format off */
/* Rows for a table of options; --limit, --from and --to are each command's own. */
#define WS_FILTER_PLACE_OPTIONS \
    {.name = "connection", .letter = 'c', .argument = "NAME", .repeated = true, .help = "Only this connection"}, \
    {.name = "direction", .letter = 'd', .argument = "WHICH", .help = "Only frames that are incoming (from the client) or outgoing"}
#define WS_FILTER_PAYLOAD_OPTIONS \
    {.name = "type", .letter = 't', .argument = "LIST", \
     .help = "Only these types: text, binary, continuation, ping, pong, close, open, end, gap, fault; a list with commas"}, \
    {.name = "grep", .letter = 'g', .argument = "TEXT", .help = "Only messages whose payload holds this text"}, \
    {.name = "regex", .letter = 'e', .argument = "PATTERN", .help = "Only messages whose payload matches this regular expression (PCRE2)"}, \
    {.name = "ignore-case", .letter = 'i', .help = "Letter case does not matter to --grep and --regex"}, \
    {.name = "json-path", .letter = 'j', .argument = "PATH[=VALUE]", .repeated = true, \
     .help = "Only messages that have a value at PATH (a.b.0 or /a/b/0; * is any name, ** any number of them); with VALUE, a value that is equal or matches it as a glob"}, \
    {.name = "select", .letter = 's', .argument = "PATH", .help = "Print the value at this path in place of the payload, and only messages that have it"}
/* clang-format on */

/* "--json-path PATH=VALUE" */
struct ws_wish {
    struct json_path *path;
    const char *value; /* NULL: any */
    struct glob *glob; /* of value */
    bool string;       /* VALUE stood in quotes: a string and nothing else */
    char *unquoted;    /* what stood in them */
    size_t plain;      /* VALUE's length, if it can stand in JSON text in no other way than as it is, but for \u; else 0 */
};

struct ws_filter {
    const char *connections[WS_FILTER_CONNECTIONS_MAX];
    size_t connection_count;
    bool has_direction;
    enum event_direction direction;
    unsigned types; /* bit by enum event_type */
    uint64_t from_us, to_us;

    /* payloads */
    const char *grep;     /* as it is */
    struct regex *regex;  /* --regex */
    struct regex *nocase; /* --grep without its letter case */
    struct ws_wish wishes[WS_FILTER_WISHES_MAX];
    size_t wish_count;
    struct json_path *select;

    /* working memory */
    struct json_tape tape;
    struct buf scratch, copy;
    struct buf selected; /* JSON texts at --select, a NUL behind each */
};

/* Zeroed memory and ws_filter_fini() in any case. False: a usage error was printed. Options that the command does not
 * have count as not given. */
bool ws_filter_read(const struct cli_args *args, struct ws_filter *f);
void ws_filter_fini(struct ws_filter *f);
/* Does it look at payloads? Then messages must be whole. */
bool ws_filter_looks(const struct ws_filter *f);
/* Is the connection, and for frames the direction, one of those asked for? */
bool ws_filter_place(const struct ws_filter *f, const struct session_event *e);
/* Has what the file tells come so far behind --to that nothing asked for can follow? */
static inline bool ws_filter_past(const struct ws_filter *f, const struct session_event *e) {
    return e->type != EVENT_RECORDING && e->timestamp_us > f->to_us + WS_FILTER_LATE_US;
}

/* ---- the sieve ---- */

/* One message, or one event that is none, that passed: its events in their order (borrowed). selected: what stands at
 * --select, JSON texts with a NUL behind each; NULL without --select. 0, or negative with err. */
typedef int (*ws_sieve_fn)(const struct session_event *events, size_t count, const struct buf *selected, void *arg,
                           struct err *err);

struct ws_sieve {
    struct ws_filter *filter;
    ws_sieve_fn fn;
    void *arg;
    struct ws_lane *lanes[WS_LANE_BUCKETS]; /* unfinished messages, by connection */
    size_t lane_count, held;
    uint64_t cut; /* messages that were not looked at to their end */
};

/* The next event of the session. A message in several frames or pieces passes with its last one. */
MF_MUSTCHECK int ws_sieve_add(struct ws_sieve *s, const struct session_event *e, struct err *err);
/* No more events: unfinished messages are looked at as far as they came. */
MF_MUSTCHECK int ws_sieve_end(struct ws_sieve *s, struct err *err);
/* Drops what is unfinished. */
void ws_sieve_fini(struct ws_sieve *s);

#endif
