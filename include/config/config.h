/* The configuration: an immutable counted snapshot of everything that file, environment and command line said.
 *
 * Built by config_load() off to the side and never changed after; any thread may hold a reference. Strings and arrays
 * belong to the snapshot. Each field below is one row of the option table (src/config), from which the defaults, the
 * checks, the JSON Schema and the reference page come. Precedence: command line, environment (MOCKFORGE_WS_*), file,
 * default. */
#ifndef MF_CONFIG_CONFIG_H
#define MF_CONFIG_CONFIG_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/log.h"

/* A string that is looked at again later (template, script, URL): its place is kept for the error. */
struct config_text {
    char *text;       /* NULL: not given */
    int line, column; /* of its first character in the file; 0: not from the file */
};

/* Any value of the file, as it stands there: what a match, a response or a message is made of. Owned by the snapshot. */
enum config_value_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };
struct config_value {
    enum config_value_kind kind;
    char *key;        /* in a mapping: its name there; else NULL */
    char *text;       /* of a scalar; NUL-terminated, holds no NUL */
    bool plain;       /* a scalar without quotes: it may be a number, a truth value or null */
    int line, column; /* of its first character; 0: not from the file */
    const struct config_value *first, *next; /* children in the file's order; the next sibling */
    size_t count;                            /* of children */
};

/* What a scalar is by YAML 1.2's core schema, which is JSON's idea of it: null, true, false, numbers that JSON could hold;
 * all else, and whatever stands in quotes, is a text. */
enum config_scalar_type { CONFIG_NULL, CONFIG_BOOLEAN, CONFIG_INTEGER, CONFIG_REAL, CONFIG_STRING };
enum config_scalar_type config_scalar_type(const struct config_value *v);
/* The child of a mapping with that key, or NULL. */
const struct config_value *config_value_get(const struct config_value *map, const char *key);
/* A value from YAML text of its own (a command line's, a test's); freed by config_value_free(). MF_EINVAL: err has line
 * and column within the text. */
MF_MUSTCHECK int config_value_parse(const char *text, const struct config_value **out, struct err *err);
void config_value_free(const struct config_value *v);

struct config_header {
    char *name;
    struct config_text value; /* a template */
};

enum record_on_full { RECORD_FULL_PAUSE, RECORD_FULL_DROP, RECORD_FULL_CLOSE };
enum record_on_error { RECORD_ERROR_CONTINUE, RECORD_ERROR_CLOSE };
enum record_fsync { RECORD_FSYNC_NEVER, RECORD_FSYNC_INTERVAL, RECORD_FSYNC_ALWAYS_CLOSE };
enum record_leg { RECORD_LEG_CLIENT, RECORD_LEG_UPSTREAM, RECORD_LEG_BOTH };

/* `record: true`, or `record: {…}`, with `record_path` beside it; `websocket.record` holds the defaults for routes. */
struct record_config {
    bool enabled;
    struct config_text path;      /* template; default "recordings/ws-{{date}}.jsonl.zst" */
    unsigned flush_ms;            /* 1..60000; default 100: at most this much is lost to kill -9 */
    enum record_fsync fsync;      /* never | interval (with each flush) | close; default never */
    enum record_on_full on_full;  /* pause | drop | close */
    enum record_on_error on_error; /* continue | close */
    enum record_leg leg;          /* client | upstream | both */
    bool exclude_ping;            /* leave ping and pong out */
    char *path_filter;            /* glob on the request path: record only these; NULL: all */
    uint64_t rotate_size;         /* bytes of file; 0: never */
    unsigned rotate_seconds;      /* 0: never */
    unsigned keep_files;          /* retention, in the directory of the path, for names the path could make; 0: no limit */
    unsigned keep_seconds;
    uint64_t keep_bytes;
    int level;                    /* zstd level, -5..19; default 1 */
    bool redact_defaults;         /* Authorization, Cookie, …token…: default true */
    char **redact_headers;        /* further header names; count beside it */
    size_t redact_headers_count;
    char **redact_query;          /* further query parameter names */
    size_t redact_query_count;
    char **redact_json;           /* paths in messages: "password", "user.token", "items.*.secret" */
    size_t redact_json_count;
};

/* ---- mocks ---- */

/* A close frame of ours; RFC 6455 section 7.4 says which codes an endpoint may send. */
struct close_config {
    bool given;
    unsigned code;             /* 1000..1003, 1007..1014, 3000..4999; default 1000 */
    struct config_text reason; /* a template; at most 123 bytes (RFC 6455 section 5.5) once it is rendered */
};

/* One step of an answer: what is sent, who hears it, and what follows. At least one of response, handler and close is
 * there, and never both of the first two. */
struct step_config {
    const struct config_value *response;
    struct config_text handler;    /* Lua text, or a path that ends in .lua */
    unsigned delay_ms;             /* before all of it; 0..86400000 */
    struct close_config close;     /* after the response */
    struct config_text respond_to; /* "sender" (default), "room" (each that the sender is in), "route", "all",
                                    * "room:TEMPLATE", "route:/path" */
    struct step_config *then;      /* in order, after this one */
    size_t then_count;
    int line, column; /* of its mapping, or of the response itself; 0: not from the file */
};

struct rule_config {
    const struct config_value *match; /* NULL: every message */
    struct config_text when;          /* a Lua expression; NULL: always */
    struct step_config step;
};

struct method_config {
    char *name; /* "*": all that no other has */
    const struct config_value *response, *error; /* exactly one of these and the handler */
    struct config_text handler;
    unsigned delay_ms;
    int line, column;
};

struct schedule_config {
    unsigned interval_ms;               /* 10..86400000; 0 in route_config.broadcast: none */
    unsigned delay_ms;                  /* before the first; default interval_ms */
    unsigned count;                     /* 0: for ever */
    const struct config_value *message; /* this or the handler */
    struct config_text handler;
    int line, column;
};

/* One item of `messages`; at least one is there. */
struct static_config {
    const struct config_value *on_connect, *on_message, *on_close;
};

/* At most one of send, expect, go_to and close; a step of none of them only waits, or is a place to go to. */
struct scenario_step_config {
    char *label; /* NULL: none; never "close" or "continue" */
    const struct config_value *send, *expect;
    unsigned timeout_ms; /* for what is expected; 0: as long as the connection lives */
    unsigned delay_ms;   /* before the step */
    char *on_timeout;    /* "close" (default), "continue", or the label of a step of the same scenario */
    char *go_to;         /* such a label, or NULL */
    struct close_config close;
    int line, column;
};

/* ---- replay ---- */

enum replay_mode { REPLAY_MODE_AUTO, REPLAY_MODE_TIMED, REPLAY_MODE_REACTIVE };
enum replay_pick {
    REPLAY_PICK_AUTO, /* the request's path, then the subprotocol, then in turn */
    REPLAY_PICK_TURN,
    REPLAY_PICK_PATH,
    REPLAY_PICK_SUBPROTOCOL,
    REPLAY_PICK_FIRST_MESSAGE,
};
enum replay_on_timeout { REPLAY_TIMEOUT_CLOSE, REPLAY_TIMEOUT_CONTINUE };
enum replay_on_miss { REPLAY_MISS_NOT_GIVEN, REPLAY_MISS_RECORD, REPLAY_MISS_CLOSE, REPLAY_MISS_IGNORE };

/* How a recording is served. */
struct replay_config {
    bool given;
    enum replay_mode mode;
    char *speed_text, *from_text, *to_text; /* as they were written */
    double speed;                           /* > 0; 0: no waiting ("max") */
    uint64_t from_us, to_us;                /* since the recording's begin; to_us 0: its end */
    bool loop, refresh_time, recover;
    char **connections; /* names; none: all */
    size_t connections_count;
    enum replay_pick pick;
    unsigned timeout_ms; /* 0: for ever */
    enum replay_on_timeout on_timeout;
    const struct config_value *correlate; /* true, false, or a list of rules; NULL: true */
    bool correlate_off;
    const char **rules; /* of correlate */
    size_t rules_count;
    char **no_correlate, **exact, **any; /* paths in messages */
    size_t no_correlate_count, exact_count, any_count;
};

/* What answers on a route. It says which keys the route must have at least: the keys of all mocks go together. */
enum handler_type {
    HANDLER_DEFAULT,
    HANDLER_ECHO,
    HANDLER_PROXY,
    HANDLER_STATIC,
    HANDLER_PATTERN,
    HANDLER_JSONRPC,
    HANDLER_SCRIPT,
    HANDLER_ROOMS,
    HANDLER_SCENARIO,
    HANDLER_REPLAY,
    HANDLER_PUSH, /* no type given, and only scheduled, broadcast or state */
    HANDLER_TYPES /* how many there are */
};
enum transform_on_error { TRANSFORM_FORWARD, TRANSFORM_DROP };

struct transform_config {
    struct config_text incoming; /* Lua text, or a path that ends in .lua; from the client */
    struct config_text outgoing; /* to the client */
    enum transform_on_error on_error;
};

struct upstream_tls_config {
    char *ca, *cert, *key; /* PEM files; NULL: the system store, no client certificate */
    char *server_name;     /* SNI and the name to verify; NULL: the URL's host */
    bool verify;           /* default true */
};

struct route_config {
    char *path; /* exact, "*" one segment, "**" the rest */
    int line, column;
    enum handler_type type;
    struct config_text upstream; /* ws:// or wss:// URL; required for proxy, possible for replay */
    struct upstream_tls_config upstream_tls;
    struct config_header *headers; /* on_connect.headers */
    size_t headers_count;
    struct transform_config transform;
    struct record_config record;
    uint64_t max_message_size;     /* bytes; 0: not set here */
    unsigned connect_timeout_ms;   /* TCP and TLS to the upstream; default 10000 */
    unsigned handshake_timeout_ms; /* the upstream's answer to the opening handshake; default 10000 */
    char **subprotocols;           /* that a mock agrees to; none given: the first that the client offers */
    size_t subprotocols_count;
    struct config_text input;    /* a session file: required for replay */
    struct replay_config replay; /* of replay */
    enum replay_on_miss on_miss; /* of replay with upstream */
    /* mocks; with upstream or input, none of them */
    struct static_config *messages; /* each counts, in order */
    size_t messages_count;
    struct rule_config *rules; /* first match wins */
    size_t rules_count;
    struct method_config *methods; /* names differ */
    size_t methods_count;
    bool has_fallback;
    struct step_config fallback; /* key `default`: for what no rule matched and no method has */
    struct config_text script;   /* Lua text, or a path that ends in .lua; never with script_file */
    char *script_file;
    struct schedule_config *scheduled; /* for each connection */
    size_t scheduled_count;
    struct schedule_config broadcast;         /* for all connections of the route; interval_ms 0: none */
    const struct config_value *state_initial; /* a mapping, or NULL */
    struct scenario_step_config *steps;
    size_t steps_count;
};

struct server_tls_config {
    bool enabled;
    char *cert_path, *key_path; /* PEM; neither: a self-signed certificate is made and kept (state_dir) */
};

struct script_config {
    uint64_t max_memory;       /* bytes for a worker's Lua state; default 32 MiB */
    uint64_t max_instructions; /* for one call; default 10,000,000 */
    unsigned max_ms;           /* wall clock for one call; default 40 */
};

/* `shared.*` of scripts, and what several gateways share. */
struct shared_state_config {
    bool enabled;
    char *redis_url;     /* NULL: in memory, for this gateway alone; may hold a password; config/redis_url.h reads it */
    char *prefix;        /* of every key and channel there; default "mockforge:" */
    unsigned timeout_ms; /* for one command, and for connecting; 1..60000; default 1000 */
};

enum send_queue_policy { SEND_QUEUE_CLOSE, SEND_QUEUE_DROP_OLDEST };
/* What may wait for a client that is slower than what a mock, a room or a broadcast sends it. */
struct send_queue_config {
    uint64_t bytes; /* default 1 MiB */
    enum send_queue_policy policy;
};

struct websocket_config {
    bool enabled;
    char *host;                /* address to listen on; default "0.0.0.0"; "::" for both families */
    uint16_t port;             /* default 8080; 0: any free one (printed) */
    char *path;                /* default "/ws" */
    unsigned workers;          /* 0: one a core; at most 64 */
    unsigned max_connections;  /* default 10000 */
    uint64_t max_message_size; /* default 65536 */
    unsigned ping_interval;    /* seconds; default 30; 0: no heartbeat */
    bool hot_reload;
    unsigned head_timeout_ms;  /* TLS handshake and request head, in all; default 10000 */
    unsigned close_timeout_ms; /* for the peer's close frame after ours; default 5000 */
    unsigned send_timeout_ms;  /* a peer that takes nothing for so long is dropped; default 30000 */
    uint64_t seed;             /* 0: random */
    struct server_tls_config tls;
    struct record_config record;
    struct script_config script;
    struct shared_state_config shared_state;
    struct send_queue_config send_queue;
    unsigned unmatched_keep;     /* messages that no rule matched, for the admin side; 0..10000; default 100 */
    struct route_config *routes; /* handlers[] in the file's order; first match wins */
    size_t routes_count;
};

struct admin_config {
    bool enabled;
    char *host;    /* default 127.0.0.1 */
    uint16_t port; /* default 3000; 0: any free one */
    char *token;
};

struct config {
    atomic_int refs;
    char *source; /* the file's name as given, or NULL */
    enum log_level log_level;
    struct websocket_config websocket;
    struct admin_config admin;
};

/* A value from the command line or a test: "websocket.port" = "9000". The path's segments are the file's keys. A
 * handler is named by its number, "websocket.handlers[0].upstream", or by its path,
 * "websocket.handlers[/proxy].upstream", which adds one when there is none; "[*]" means all of them. A section's short
 * form works ("websocket.record" = "true"), and so do single headers ("….on_connect.headers.Authorization"); a list is
 * given with commas ("a, b"), and a value of any shape as YAML ("….rules[0].response" = "{type: pong}"). Only `enabled`
 * itself enables a section here: other keys of it do not, as they would in the file. */
struct config_override {
    const char *key, *value;
};

struct config_input {
    const char *file; /* NULL: none */
    const char *text; /* with it: this text instead of the file's content; file then only names it in errors */
    const struct config_override *overrides;
    size_t overrides_count;
    bool ignore_environment; /* for tests */
};

/* Builds a snapshot with one reference. On failure nothing is left behind and err says file:line:column, what was
 * expected and the nearest known key. */
MF_MUSTCHECK int config_load(const struct config_input *in, struct config **out, struct err *err);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

#endif
