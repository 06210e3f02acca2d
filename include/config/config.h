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

enum handler_type { HANDLER_DEFAULT, HANDLER_ECHO, HANDLER_PROXY };
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
    struct config_text upstream; /* ws:// or wss:// URL; required for proxy */
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

/* A value from the command line or a test: "websocket.port" = "9000". The path's segments are the file's keys. A handler
 * is named by its number, "websocket.handlers[0].upstream", or by its path, "websocket.handlers[/proxy].upstream", which
 * adds one when there is none; "[*]" means all of them. A section's short form works ("websocket.record" = "true"), and
 * so do single headers ("….on_connect.headers.Authorization"); a list is given with commas ("a, b"). Only `enabled`
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
