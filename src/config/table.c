/* The option table itself: what mockforge.yaml may say, row by row. */
#include "config/table.h"
#include "config/check.h"

#define KIB ((int64_t)1 << 10)
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define TIB ((int64_t)1 << 40)
#define HOUR_MS 3600000
#define YEAR_SECONDS (366 * 86400)

/* ---- record ---------------------------------------------------------------------------------------------------- */

static const struct option_choice fsync_choices[] = {
    {"never", RECORD_FSYNC_NEVER, false},
    {"interval", RECORD_FSYNC_INTERVAL, false},
    {"close", RECORD_FSYNC_ALWAYS_CLOSE, false},
    {0},
};
static const struct option_choice on_full_choices[] = {
    {"pause", RECORD_FULL_PAUSE, false},
    {"drop", RECORD_FULL_DROP, false},
    {"close", RECORD_FULL_CLOSE, false},
    {0},
};
static const struct option_choice record_on_error_choices[] = {
    {"continue", RECORD_ERROR_CONTINUE, false},
    {"close", RECORD_ERROR_CLOSE, false},
    {0},
};
static const struct option_choice leg_choices[] = {
    {"client", RECORD_LEG_CLIENT, false},
    {"upstream", RECORD_LEG_UPSTREAM, false},
    {"both", RECORD_LEG_BOTH, false},
    {0},
};

static const struct option redact_rows[] = {
    {"defaults", OPTION_BOOL, ROW(record_config, redact_defaults), "true",
     .help = "Redact Authorization, Cookie, Set-Cookie, Proxy-Authorization, and each header and query parameter named "
             "like token, key, secret, password or signature."},
    {"headers", OPTION_STRINGS, ROW(record_config, redact_headers), COUNT(record_config, redact_headers_count),
     .wrong = check_token, .help = "Further header names, compared without case."},
    {"query", OPTION_STRINGS, ROW(record_config, redact_query), COUNT(record_config, redact_query_count),
     .wrong = check_not_empty, .help = "Further query parameters."},
    {"json", OPTION_STRINGS, ROW(record_config, redact_json), COUNT(record_config, redact_json_count),
     .wrong = check_not_empty, .help = "Paths in messages that are JSON: `password`, `user.token`, `items.*.secret`."},
};
static const struct option_table redact_table = {
    .name = "redact",
    ROWS(redact_rows),
    .shorthand = "defaults",
    .finish = check_redact,
    .help = "What never reaches the disk. `redact: false` records everything as it is.",
};

static const struct option record_rows[] = {
    {"enabled", OPTION_BOOL, ROW(record_config, enabled), "false",
     .help = "Record this. A `record:` mapping without it means `true`."},
    {"path", OPTION_TEXT, ROW(record_config, path), "recordings/ws-{{date}}.jsonl.zst", .wrong = check_not_empty,
     .help = "The file; templates are expanded. The extension says the form: `.jsonl.zst` (native), `.jsonl`, `.json` "
             "and `.json.zst` (the guide's document). Connections whose path comes out the same share the file."},
    {"flush_ms", OPTION_UINT, ROW(record_config, flush_ms), "100", RANGE(1, 60000),
     .help = "Milliseconds between writes to the file: what a killed process loses at most."},
    {"fsync", OPTION_ENUM, ROW(record_config, fsync), "never", .choices = fsync_choices,
     .help = "When the file is forced to the disk: `never`, at each flush (`interval`), or at its end (`close`)."},
    {"on_full", OPTION_ENUM, ROW(record_config, on_full), "pause", .choices = on_full_choices,
     .help = "When the disk is slower than the traffic: `pause` reading (nothing is lost), `drop` messages from the "
             "recording (counted, and the file says so), or `close` the session."},
    {"on_error", OPTION_ENUM, ROW(record_config, on_error), "continue", .choices = record_on_error_choices,
     .help = "When the file cannot be written: `continue` to relay, or `close` the session."},
    {"leg", OPTION_ENUM, ROW(record_config, leg), "client", .choices = leg_choices,
     .help = "Messages as the `client` saw them, as the `upstream` did (before and after transforms), or `both`."},
    {"exclude_ping", OPTION_BOOL, ROW(record_config, exclude_ping), "false", .help = "Leave ping and pong out."},
    {"only_path", OPTION_STRING, ROW(record_config, path_filter), .wrong = check_path_filter,
     .help = "Record only connections whose request path matches this glob, such as `/api/**`."},
    {"rotate_size", OPTION_SIZE, ROW(record_config, rotate_size), "0", RANGE(0, 1024 * TIB),
     .help = "Begin a new file when this one has grown so large; 0: never."},
    {"rotate_interval", OPTION_DURATION, ROW(record_config, rotate_seconds), "0", RANGE(0, YEAR_SECONDS),
     .help = "Begin a new file after this time; 0: never."},
    {"keep_files", OPTION_UINT, ROW(record_config, keep_files), "0", RANGE(0, 1000000),
     .help = "Delete the oldest recordings that this path made beyond so many; 0: keep all."},
    {"keep_age", OPTION_DURATION, ROW(record_config, keep_seconds), "0", RANGE(0, 10 * YEAR_SECONDS),
     .help = "Delete recordings that this path made when they are older; 0: keep all."},
    {"keep_bytes", OPTION_SIZE, ROW(record_config, keep_bytes), "0", RANGE(0, 1024 * TIB),
     .help = "Delete the oldest recordings that this path made when they are larger together; 0: keep all."},
    {"level", OPTION_INT, ROW(record_config, level), "1", RANGE(-5, 19),
     .help = "zstd's compression level: lower is faster, higher is smaller."},
    {"redact", OPTION_SECTION, 0, .table = &redact_table, .help = "What never reaches the disk."},
};
static const struct option_table record_table = {
    .name = "record",
    ROWS(record_rows),
    .shorthand = "enabled",
    .implied = true,
    .help = "Recording. `record: true` is short for `record: {enabled: true}`. What `websocket.record` says holds for "
            "every route; a route's own `record` overrides it key by key.",
};

/* ---- routes ---------------------------------------------------------------------------------------------------- */

static const struct option upstream_tls_rows[] = {
    {"ca", OPTION_STRING, ROW(upstream_tls_config, ca), .wrong = check_not_empty,
     .help = "PEM file of the certificate authorities to trust instead of the system's."},
    {"cert", OPTION_STRING, ROW(upstream_tls_config, cert), .wrong = check_not_empty,
     .help = "PEM file of our client certificate and its chain; with `key`."},
    {"key", OPTION_STRING, ROW(upstream_tls_config, key), .wrong = check_not_empty,
     .help = "PEM file of the client certificate's private key."},
    {"verify", OPTION_BOOL, ROW(upstream_tls_config, verify), "true",
     .help = "Check the upstream's certificate: its chain and its name."},
    {"server_name", OPTION_STRING, ROW(upstream_tls_config, server_name), .wrong = check_host,
     .help = "The name to ask for (SNI) and to check, when it is not the host of `upstream`."},
};
static const struct option_table upstream_tls_table = {
    .name = "upstream_tls",
    ROWS(upstream_tls_rows),
    .finish = check_upstream_tls,
    .help = "TLS to a `wss://` upstream.",
};

static const struct option on_connect_rows[] = {
    {"headers", OPTION_HEADERS, ROW(route_config, headers), COUNT(route_config, headers_count), RANGE(0, 256),
     .wrong = check_upstream_header,
     .help = "Header fields for the upstream's opening handshake, in place of the client's of the same name. Values "
             "are templates: `\"Bearer {{env.API_TOKEN}}\"`."},
};
static const struct option_table on_connect_table = {
    .name = "on_connect",
    ROWS(on_connect_rows),
    .help = "What happens when a client connects.",
};

static const struct option_choice transform_on_error_choices[] = {
    {"forward", TRANSFORM_FORWARD, false},
    {"drop", TRANSFORM_DROP, false},
    {0},
};
static const struct option transform_rows[] = {
    {"incoming", OPTION_TEXT, ROW(route_config, transform.incoming), .wrong = check_not_empty,
     .help = "Lua for messages from the client, inline or the name of a `.lua` file."},
    {"outgoing", OPTION_TEXT, ROW(route_config, transform.outgoing), .wrong = check_not_empty,
     .help = "Lua for messages to the client, inline or the name of a `.lua` file."},
    {"on_error", OPTION_ENUM, ROW(route_config, transform.on_error), "forward", .choices = transform_on_error_choices,
     .help = "When the script fails: `forward` the message unchanged, or `drop` it."},
};
static const struct option_table transform_table = {
    .name = "transform",
    ROWS(transform_rows),
    .help = "Lua that changes messages on their way.",
};

static const struct option_choice handler_types[] = {
    {"echo", HANDLER_ECHO, false},       {"proxy", HANDLER_PROXY, false},
    {"static", HANDLER_STATIC, false},   {"pattern", HANDLER_PATTERN, false},
    {"jsonrpc", HANDLER_JSONRPC, false}, {"script", HANDLER_SCRIPT, false},
    {"rooms", HANDLER_ROOMS, false},     {"scenario", HANDLER_SCENARIO, false},
    {"replay", HANDLER_REPLAY, false},   {0},
};
static const struct option_choice on_miss_choices[] = {
    {"record", REPLAY_MISS_RECORD, false},
    {"close", REPLAY_MISS_CLOSE, false},
    {"ignore", REPLAY_MISS_IGNORE, false},
    {0},
};
static const struct option route_rows[] = {
    {"path", OPTION_STRING, ROW(route_config, path), .wrong = check_route_path,
     .help = "The request path: exact, `*` for one segment, `**` at the end for all the rest. First match wins."},
    {"type", OPTION_ENUM, ROW(route_config, type), .choices = handler_types,
     .help =
         "`echo` sends every message back; `proxy` relays to `upstream`. Each other type says which key must be "
         "there: `static` needs `messages`, `pattern` and `rooms` need `rules` or `default`, `jsonrpc` needs "
         "`methods` or `default`, `script` needs `script` or `script_file`, `scenario` needs `steps`. The keys of "
         "mocks go together on one route, whatever the type, but not with `upstream`. `replay` plays the recording "
         "`input`, and asks `upstream`, where one is given, about what is not in it. Without a type, the first that "
         "is there of `input`, `upstream`, `rules`, `methods`, `script`, `script_file`, `messages`, `steps` and "
         "`default` "
         "decides; with `scheduled`, `broadcast` or `state` alone the route only sends; with none, "
         "`{\"type\":\"ping\"}` is answered with `{\"type\":\"pong\"}` and all else is echoed."},
    {"upstream", OPTION_TEXT, ROW(route_config, upstream), .wrong = check_upstream, .sensitive = true,
     .help = "Where a proxy relays to, and where a replay finds what its recording does not answer: a `ws://` or "
             "`wss://` URL."},
    {"upstream_tls", OPTION_SECTION, ROW(route_config, upstream_tls), .table = &upstream_tls_table,
     .help = "TLS to the upstream."},
    {"on_connect", OPTION_SECTION, 0, .table = &on_connect_table, .help = "What happens when a client connects."},
    {"transform", OPTION_SECTION, 0, .table = &transform_table, .help = "Lua that changes messages on their way."},
    {"record", OPTION_SECTION, ROW(route_config, record), .table = &record_table,
     .help = "Recording of this route; what is not given here is as in `websocket.record`."},
    {"record_path", OPTION_ALIAS, 0, .alias = "record.path", .help = "Another way to write `record.path`."},
    {"max_message_size", OPTION_SIZE, ROW(route_config, max_message_size), RANGE(1, GIB),
     .help = "The largest whole message here; close code 1009 beyond it. Not set, a relay passes any size (16 MiB "
             "in a direction with a transform) and the "
             "others take `websocket.max_message_size`; a replay at least twice the recorded client's largest."},
    {"connect_timeout_ms", OPTION_UINT, ROW(route_config, connect_timeout_ms), "10000", RANGE(1, HOUR_MS),
     .help = "For TCP and TLS to the upstream, in milliseconds."},
    {"handshake_timeout_ms", OPTION_UINT, ROW(route_config, handshake_timeout_ms), "10000", RANGE(1, HOUR_MS),
     .help = "For the upstream's answer to the opening handshake, in milliseconds."},
    {"subprotocols", OPTION_STRINGS, ROW(route_config, subprotocols), COUNT(route_config, subprotocols_count),
     .wrong = check_token,
     .help = "What this route agrees to of the client's subprotocols; none given: the first that the client offers. "
             "A proxy leaves the choice to its upstream."},
    {"input", OPTION_TEXT, ROW(route_config, input), .wrong = check_not_empty,
     .help = "The recording that is played: a session file of any form."},
    {"replay", OPTION_SECTION, ROW(route_config, replay), GIVEN(route_config, replay.given), .table = &table_replay,
     .help = "How the recording is played."},
    {"on_miss", OPTION_ENUM, ROW(route_config, on_miss), .choices = on_miss_choices,
     .help = "When the recording has no answer to a message and `upstream` is given: `record` (the default) asks the "
             "upstream and adds message and answer to the recording, `close` closes the connection with 1008, `ignore` "
             "sends nothing."},
    {"messages", OPTION_LIST, ITEMS(route_config, messages, static_config), RANGE(0, 1000), .table = &table_static,
     .help = "Fixed messages, when a client connects, for each message of it, and when it closes."},
    {"rules", OPTION_LIST, ITEMS(route_config, rules, rule_config), RANGE(0, 10000), .table = &table_rule,
     .help = "What answers which message. The first that matches answers."},
    {"methods", OPTION_LIST, ITEMS(route_config, methods, method_config), RANGE(0, 1000), .table = &table_method,
     .help = "JSON-RPC 2.0 methods."},
    {"default", OPTION_SECTION, ROW(route_config, fallback), GIVEN(route_config, has_fallback), .table = &table_default,
     .help = "What answers the messages that no rule matches and the calls of methods that are not there."},
    {"script", OPTION_TEXT, ROW(route_config, script), .wrong = check_not_empty,
     .help = "Lua that is called for each message, inline or the name of a `.lua` file. What it returns is sent."},
    {"script_file", OPTION_STRING, ROW(route_config, script_file), .wrong = check_not_empty,
     .help = "Lua in a file, called likewise; it may return a table of `on_connect`, `on_message` and `on_close`."},
    {"scheduled", OPTION_LIST, ITEMS(route_config, scheduled, schedule_config), RANGE(0, 1000),
     .table = &table_schedule, .help = "Messages at intervals, to each connection by itself."},
    {"broadcast", OPTION_SECTION, ROW(route_config, broadcast), .table = &table_broadcast,
     .help = "A message at intervals, one for all connections of the route."},
    {"state", OPTION_SECTION, 0, .table = &table_state, .help = "The state of each connection."},
    {"steps", OPTION_LIST, ITEMS(route_config, steps, scenario_step_config), RANGE(0, 1000), .table = &table_scenario,
     .help = "A conversation, step by step."},
    LATER("chaos"),
};
static const struct option_table route_table = {
    .name = "handler",
    ROWS(route_rows),
    .required = "path",
    .begin = check_route_begin,
    .finish = check_route,
    .help = "One route: a request path and what answers there.",
};

/* ---- websocket ------------------------------------------------------------------------------------------------- */

static const struct option tls_rows[] = {
    {"enabled", OPTION_BOOL, ROW(server_tls_config, enabled), "false",
     .help = "Listen with TLS. A `tls:` mapping without it means `true`."},
    {"cert_path", OPTION_STRING, ROW(server_tls_config, cert_path), .wrong = check_not_empty,
     .help = "PEM file of the certificate and its chain; with `key_path`. Neither: a self-signed certificate is made "
             "on first use, kept, and its fingerprint printed."},
    {"key_path", OPTION_STRING, ROW(server_tls_config, key_path), .wrong = check_not_empty,
     .help = "PEM file of the private key."},
};
static const struct option_table tls_table = {
    .name = "tls",
    ROWS(tls_rows),
    .shorthand = "enabled",
    .implied = true,
    .finish = check_server_tls,
    .help = "TLS 1.2 and up on the WebSocket port.",
};

static const struct option script_rows[] = {
    {"max_memory", OPTION_SIZE, ROW(script_config, max_memory), "32MiB", RANGE(MIB, 64 * GIB),
     .help = "For one worker's Lua state."},
    {"max_instructions", OPTION_UINT64, ROW(script_config, max_instructions), "10000000", RANGE(1000, 1000000000000),
     .help = "For one call."},
    {"max_ms", OPTION_UINT, ROW(script_config, max_ms), "40", RANGE(1, 60000),
     .help = "Wall clock for one call, in milliseconds."},
};
static const struct option_table script_table = {
    .name = "script",
    ROWS(script_rows),
    .help = "What Lua may use. A call beyond a limit ends with an error.",
};

static const struct option shared_state_rows[] = {
    {"enabled", OPTION_BOOL, ROW(shared_state_config, enabled), "false",
     .help = "Let scripts use `shared.*`. A `shared_state:` mapping without it means `true`."},
    {"redis_url", OPTION_STRING, ROW(shared_state_config, redis_url), .wrong = check_redis_url, .sensitive = true,
     .help = "`redis://[[user][:password]@]host[:port][/db]`: keep it in Redis, where every gateway with the same URL "
             "and prefix sees it, and where rooms and broadcasts reach all of them. Without it, it is in memory and "
             "this gateway's own. TLS (`rediss://`) is not supported yet."},
    {"prefix", OPTION_STRING, ROW(shared_state_config, prefix), "mockforge:", .wrong = check_prefix,
     .help = "What the names of our keys and channels in Redis begin with."},
    {"timeout_ms", OPTION_UINT, ROW(shared_state_config, timeout_ms), "1000", RANGE(1, 60000),
     .help = "For one command and for connecting, in milliseconds; beyond it the script gets an error."},
};
static const struct option_table shared_state_table = {
    .name = "shared_state",
    ROWS(shared_state_rows),
    .shorthand = "enabled",
    .implied = true,
    .help = "State that all connections share.",
};

static const struct option_choice send_queue_policies[] = {
    {"close", SEND_QUEUE_CLOSE, false},
    {"drop_oldest", SEND_QUEUE_DROP_OLDEST, false},
    {0},
};
static const struct option send_queue_rows[] = {
    {"bytes", OPTION_SIZE, ROW(send_queue_config, bytes), "1MiB", RANGE(KIB, GIB),
     .help = "How much may wait for one client."},
    {"policy", OPTION_ENUM, ROW(send_queue_config, policy), "close", .choices = send_queue_policies,
     .help = "Beyond that: `close` the connection, or `drop_oldest` of what waits."},
};
static const struct option_table send_queue_table = {
    .name = "send_queue",
    ROWS(send_queue_rows),
    .help = "What rooms, broadcasts and schedules send to a client that reads more slowly than that.",
};

static const struct option websocket_rows[] = {
    {"enabled", OPTION_BOOL, ROW(websocket_config, enabled), "false",
     .help = "Open the WebSocket port. A `websocket:` section without it means `true`."},
    {"host", OPTION_STRING, ROW(websocket_config, host), "0.0.0.0", .wrong = check_host,
     .help = "Address to listen on: `127.0.0.1` for this machine only, `::` for IPv4 and IPv6."},
    {"port", OPTION_PORT, ROW(websocket_config, port), "8080", RANGE(0, 65535),
     .help = "Port to listen on; 0: any free one, which is printed."},
    {"path", OPTION_STRING, ROW(websocket_config, path), "/ws", .wrong = check_endpoint_path,
     .help =
         "The default endpoint: answers `{\"type\":\"ping\"}` with `{\"type\":\"pong\"}` and echoes all else, unless "
         "a handler has this path."},
    {"workers", OPTION_UINT, ROW(websocket_config, workers), "0", RANGE(0, 64),
     .help = "Threads that serve connections; 0: one for each core."},
    {"max_connections", OPTION_UINT, ROW(websocket_config, max_connections), "10000", RANGE(1, 10000000),
     .help = "More than so many at a time are answered with 503."},
    {"max_message_size", OPTION_SIZE, ROW(websocket_config, max_message_size), "65536", RANGE(1, GIB),
     .help = "The largest whole message that is taken; close code 1009 beyond it. A proxy passes any size unless its "
             "route sets a limit."},
    {"ping_interval", OPTION_UINT, ROW(websocket_config, ping_interval), "30", RANGE(0, 86400),
     .help = "Seconds between pings to a silent client, which is dropped when it does not answer; 0: no pings."},
    {"hot_reload", OPTION_BOOL, ROW(websocket_config, hot_reload), "false", .env = "HOTRELOAD",
     .help = "Load this file again when it changes, or a script or a recording that it names."},
    {"head_timeout_ms", OPTION_UINT, ROW(websocket_config, head_timeout_ms), "10000", RANGE(1, HOUR_MS),
     .help = "For a client's TLS handshake and request head together, in milliseconds."},
    {"close_timeout_ms", OPTION_UINT, ROW(websocket_config, close_timeout_ms), "5000", RANGE(1, HOUR_MS),
     .help = "For a peer's close frame after ours, in milliseconds."},
    {"send_timeout_ms", OPTION_UINT, ROW(websocket_config, send_timeout_ms), "30000", RANGE(1, HOUR_MS),
     .help = "A peer that takes nothing for so long while something waits for it is dropped, in milliseconds."},
    {"seed", OPTION_UINT64, ROW(websocket_config, seed), "0", RANGE(0, INT64_MAX),
     .help = "Makes random values in templates repeatable; 0: they are not."},
    {"tls", OPTION_SECTION, ROW(websocket_config, tls), .table = &tls_table, .help = "TLS on the WebSocket port."},
    {"record", OPTION_SECTION, ROW(websocket_config, record), .table = &record_table,
     .help = "Recording, for every route that does not say otherwise."},
    {"record_path", OPTION_ALIAS, 0, .alias = "record.path", .help = "Another way to write `record.path`."},
    {"script", OPTION_SECTION, ROW(websocket_config, script), .table = &script_table, .help = "What Lua may use."},
    {"shared_state", OPTION_SECTION, ROW(websocket_config, shared_state), .table = &shared_state_table,
     .help = "State that all connections share."},
    {"send_queue", OPTION_SECTION, ROW(websocket_config, send_queue), .table = &send_queue_table,
     .help = "What may wait for a slow client."},
    {"unmatched_keep", OPTION_UINT, ROW(websocket_config, unmatched_keep), "100", RANGE(0, 10000),
     .help = "How many of the latest messages that no rule matched are kept for the admin side."},
    {"handlers", OPTION_LIST, ROW(websocket_config, routes), COUNT(websocket_config, routes_count),
     .item_size = sizeof(struct route_config), RANGE(0, 10000), .table = &route_table,
     .help = "The routes, first match wins."},
    LATER("chaos"),
};
static const struct option_table websocket_table = {
    .name = "websocket",
    ROWS(websocket_rows),
    .shorthand = "enabled",
    .implied = true,
    .finish = check_websocket,
    .help = "The WebSocket side.",
};

/* ---- the rest -------------------------------------------------------------------------------------------------- */

static const struct option admin_rows[] = {
    {"enabled", OPTION_BOOL, ROW(admin_config, enabled), "true", .help = "Open the admin port."},
    {"host", OPTION_STRING, ROW(admin_config, host), "127.0.0.1", .wrong = check_host,
     .help = "Address to listen on. One that others can reach needs `token`."},
    {"port", OPTION_PORT, ROW(admin_config, port), "3000", RANGE(0, 65535),
     .help = "Port to listen on; 0: any free one, which is printed."},
    {"token", OPTION_STRING, ROW(admin_config, token), .wrong = check_bearer, .secret = true,
     .help = "What clients must send as `Authorization: Bearer …`. Better in MOCKFORGE_ADMIN_TOKEN than in a file."},
};
static const struct option_table admin_table = {
    .name = "admin",
    ROWS(admin_rows),
    .shorthand = "enabled",
    .finish = check_admin,
    .help = "The admin side: HTTP for people, scripts and metrics.",
};

static const struct option http_rows[] = {
    {"port", OPTION_ALIAS, 0, .alias = "/admin.port", .help = "Another way to write `admin.port`."},
};
static const struct option_table http_table = {
    .name = "http",
    ROWS(http_rows),
    .help = "Accepted from MockForge configurations.",
};

static const struct option_choice log_levels[] = {
    {"debug", LOG_DEBUG, false}, {"info", LOG_INFO, false}, {"warn", LOG_WARN, false}, {"error", LOG_ERROR, false}, {0},
};
static const struct option log_rows[] = {
    {"level", OPTION_ENUM, ROW(config, log_level), "info", .choices = log_levels,
     .help = "Log lines below this are left out. Only `debug` shows message contents."},
};
static const struct option_table log_table = {
    .name = "log",
    ROWS(log_rows),
    .shorthand = "level",
    .help = "The log, on stderr.",
};

static const struct option root_rows[] = {
    {"websocket", OPTION_SECTION, ROW(config, websocket), .table = &websocket_table, .env = "WS",
     .help = "The WebSocket side."},
    {"admin", OPTION_SECTION, ROW(config, admin), .table = &admin_table, .help = "The admin side."},
    {"http", OPTION_SECTION, 0, .table = &http_table, .help = "Accepted from MockForge configurations."},
    {"log", OPTION_SECTION, 0, .table = &log_table, .help = "The log."},
    {"log_level", OPTION_ALIAS, 0, .alias = "log.level", .help = "Another way to write `log.level`."},
};
const struct option_table option_root = {
    .name = "mockforge",
    ROWS(root_rows),
    .help = "mockforge.yaml",
};
