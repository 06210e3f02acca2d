/* `mockforge ws replay`: a recording as a server for live clients, or (--target) as a client of a live server. */
#include "cli/ws_replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "gateway/gateway.h"

#define LISTEN_DEFAULT "127.0.0.1:8080"
#define KEY_MAX 4096

/* ---- serving: the options as a configuration ---- */

/* An option that stands for one key of the handler. */
static const struct {
    const char *option, *key, *value; /* value NULL: the option's own */
} shortcuts[] = {
    {"input", "input", NULL},
    {"mode", "replay.mode", NULL},
    {"speed", "replay.speed", NULL},
    {"loop", "replay.loop", "true"},
    {"from", "replay.from", NULL},
    {"to", "replay.to", NULL},
    {"pick", "replay.pick", NULL},
    {"refresh-time", "replay.refresh_time", "true"},
    {"recover", "replay.recover", "true"},
    {"upstream", "upstream", NULL},
    {"on-miss", "on_miss", NULL},
    {"transform", "transform.incoming", NULL},
    {"transform", "transform.outgoing", NULL},
    {"record", "record.enabled", "true"},
    {"record", "record.path", NULL},
};

static int add(struct settings *s, const char *where, const char *key, const char *value) {
    char text[KEY_MAX + 64];
    snprintf(text, sizeof text, "websocket.handlers[%s].%s", where, key);
    return settings_add(s, text, value) < 0 ? EXIT_IO : EXIT_FINE;
}

/* Lists on the command line are parted by commas. */
static int add_list(struct settings *s, const struct cli_args *args, const char *where, const char *option,
                    const char *key) {
    struct buf list = BUF_INIT;
    const char *value;
    for (size_t i = 0; (value = cli_value_at(args, option, i)); i++) {
        if (strchr(value, ',')) {
            buf_fini(&list);
            return cli_usage_error(
                args, "--%s: a comma parts values here; write \"%s\" in a configuration file instead", option, key);
        }
        buf_printf(&list, "%s%s", i ? "," : "", value);
    }
    int rc = list.len == 0 ? EXIT_FINE : list.failed ? EXIT_IO : add(s, where, key, buf_cstr(&list));
    buf_fini(&list);
    return rc;
}

static void put_rule(struct buf *yaml, const char *rule) {
    buf_puts(yaml, ", \"");
    for (; *rule; rule++) {
        if (*rule == '"' || *rule == '\\')
            buf_putc(yaml, '\\');
        buf_putc(yaml, *rule);
    }
    buf_putc(yaml, '"');
}

/* As YAML: [true, rules…] infers as well, [false, rules…] does not. */
static int add_correlate(struct settings *s, const struct cli_args *args, const char *where) {
    struct buf yaml = BUF_INIT;
    const char *rule;
    if (!cli_flag(args, "correlate") && !cli_flag(args, "no-correlate"))
        return EXIT_FINE;
    buf_printf(&yaml, "[%s", cli_flag(args, "no-correlate") ? "false" : "true");
    for (size_t i = 0; (rule = cli_value_at(args, "correlate", i)); i++)
        put_rule(&yaml, rule);
    buf_putc(&yaml, ']');
    int rc = yaml.failed ? EXIT_IO : add(s, where, "replay.correlate", buf_cstr(&yaml));
    buf_fini(&yaml);
    return rc;
}

static int add_timeout(struct settings *s, const struct cli_args *args, const char *where) {
    uint64_t us;
    char ms[32];
    if (!ws_replay_time(args, "timeout", 0, &us))
        return EXIT_USAGE;
    snprintf(ms, sizeof ms, "%" PRIu64, (us + 999) / 1000);
    return cli_flag(args, "timeout") ? add(s, where, "replay.timeout_ms", ms) : EXIT_FINE;
}

static int add_handler(struct settings *s, const struct cli_args *args) {
    static const char *const lists[][2] = {
        {"connection", "replay.connection"},
        {"correlate-except", "replay.no_correlate"},
        {"exact", "replay.exact"},
        {"any", "replay.any"},
    };
    const char *where = cli_value(args, "path");
    where = where ? where : "/**";
    if (strlen(where) > KEY_MAX)
        return cli_usage_error(args, "--path is too long");
    int rc = EXIT_FINE;
    for (size_t i = 0; i < ARRAY_LEN(shortcuts) && rc == EXIT_FINE; i++)
        if (cli_flag(args, shortcuts[i].option))
            rc = add(s, where, shortcuts[i].key,
                     shortcuts[i].value ? shortcuts[i].value : cli_value(args, shortcuts[i].option));
    for (size_t i = 0; i < ARRAY_LEN(lists) && rc == EXIT_FINE; i++)
        rc = add_list(s, args, where, lists[i][0], lists[i][1]);
    if (rc == EXIT_FINE)
        rc = add_correlate(s, args, where);
    return rc == EXIT_FINE ? add_timeout(s, args, where) : rc;
}

static int add_general(struct settings *s, const struct cli_args *args) {
    const char *listen = cli_value(args, "listen"), *port = cli_value(args, "port"), *path = cli_value(args, "path");
    const struct {
        const char *key, *value;
    } pairs[] = {
        {"websocket.enabled", "true"},
        {"admin.enabled", "false"},                                   /* its port is for a gateway that stays */
        {"websocket.path", path && !strchr(path, '*') ? path : NULL}, /* no other endpoint */
        {"websocket.tls.enabled", cli_flag(args, "ws-tls") ? "true" : NULL},
        {"websocket.hot_reload", cli_flag(args, "upstream") ? "true" : NULL}, /* what was missed is known then */
        {"log.level", cli_value(args, "log-level")},
    };
    if (listen && port)
        return cli_usage_error(args, "--listen has a port already; --port is for 127.0.0.1");
    int rc = settings_add_listen(s, args, listen ? listen : port ? port : LISTEN_DEFAULT);
    for (size_t i = 0; i < ARRAY_LEN(pairs) && rc == EXIT_FINE; i++)
        if (pairs[i].value && settings_add(s, pairs[i].key, pairs[i].value) < 0)
            rc = EXIT_IO;
    return rc;
}

/* What means something only with --target. */
static int check_company(const struct cli_args *args) {
    static const char *const driving[] = {"target-ca",  "insecure", "header",    "clients",   "duration",
                                          "verify",     "ignore",   "unordered", "tolerance", "allow-extra",
                                          "types-only", "junit",    "report"};
    for (size_t i = 0; i < ARRAY_LEN(driving); i++)
        if (cli_flag(args, driving[i]))
            return cli_usage_error(args, "--%s is for a live server: --target URL says which", driving[i]);
    return EXIT_FINE;
}

static int check_options(const struct cli_args *args) {
    double speed;
    uint64_t from, to;
    if (!ws_replay_speed(args, &speed) || !ws_replay_time(args, "from", 0, &from) ||
        !ws_replay_time(args, "to", UINT64_MAX, &to))
        return EXIT_USAGE;
    const char *record = cli_value(args, "record");
    if (record && !strcmp(record, cli_value(args, "input")))
        return cli_usage_error(args, "--record %s is the recording that is played; give it another name", record);
    if (to <= from)
        return cli_usage_error(args, "nothing is left: --to must be later than %s", from ? "--from" : "0");
    return EXIT_FINE;
}

/* ---- the run ---- */

struct progress {
    struct gateway_status last;
    uint64_t last_sent, rate;
};

static void on_status(const struct gateway_status *status, void *arg) {
    struct progress *p = arg;
    const uint64_t *m = status->metrics;
    uint64_t ms = status->up_ms - p->last.up_ms;
    if (ms)
        p->rate = (m[METRIC_MESSAGES_SENT] - p->last_sent) * 1000 / ms;
    p->last_sent = m[METRIC_MESSAGES_SENT];
    p->last = *status;
    cli_status("%" PRIu64 " connections (%" PRIu64 " open)  %" PRIu64 " messages sent, %" PRIu64 "/s  %" PRIu64
               " received  %" PRIu64 " unmatched",
               m[METRIC_CONNECTIONS_TOTAL], m[METRIC_CONNECTIONS_ACTIVE], m[METRIC_MESSAGES_SENT], p->rate,
               m[METRIC_MESSAGES_RECEIVED], m[METRIC_UNMATCHED]);
}

static void print_result(const struct progress *p) {
    const uint64_t *m = p->last.metrics;
    cli_status(NULL);
    uint64_t connections = m[METRIC_CONNECTIONS_TOTAL], sent = m[METRIC_MESSAGES_SENT];
    fprintf(stderr,
            "%" PRIu64 " connection%s, %" PRIu64 " message%s sent, %" PRIu64 " received, %" PRIu64 " unmatched\n",
            connections, connections == 1 ? "" : "s", sent, sent == 1 ? "" : "s", m[METRIC_MESSAGES_RECEIVED],
            m[METRIC_UNMATCHED]);
}

/* The route was made of the command line: where it stands in a configuration helps nobody. */
static void forget_route(struct err *err) {
    static const char *const places[] = {"websocket.handlers[0].input: ", "websocket.handlers[0]."};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        size_t len = strlen(places[i]);
        if (!strncmp(err->text, places[i], len))
            memmove(err->text, err->text + len, strlen(err->text + len) + 1);
    }
}

static int serve(const struct cli_args *args, const struct config_input *input, struct config *config) {
    struct progress progress = {0};
    const struct gateway_options options = {.input = input, .on_status = on_status, .arg = &progress};
    const char *path = cli_value(args, "path");
    struct gateway *gateway;
    struct err err;
    log_set_level(config->log_level);
    cli_status("reading %s", cli_value(args, "input"));
    int rc = gateway_new(config, &options, &gateway, &err);
    cli_status(NULL);
    if (rc < 0) {
        forget_route(&err);
        return cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err);
    }
    printf("Replaying %s at %s://%s%s; Ctrl-C ends it.\n", cli_value(args, "input"),
           config->websocket.tls.enabled ? "wss" : "ws", gateway_address(gateway), path ? path : "");
    fflush(stdout);
    rc = gateway_run(gateway);
    print_result(&progress);
    return rc < 0 ? EXIT_IO : EXIT_FINE;
}

static int run_server(const struct cli_args *args) {
    struct settings settings = {0};
    struct config *config = NULL;
    int rc = check_options(args);
    if (rc == EXIT_FINE)
        rc = add_general(&settings, args);
    if (rc == EXIT_FINE)
        rc = add_handler(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_add_sets(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_load(&settings, &config);
    if (rc == EXIT_FINE)
        rc = serve(args, &settings.input, config);
    config_unref(config);
    settings_fini(&settings);
    return rc;
}

static int explain(const struct cli_args *args) {
    struct ws_replay_input in;
    struct buf text = BUF_INIT;
    int rc = check_options(args);
    if (rc == EXIT_FINE)
        rc = ws_replay_input_load(args, &in);
    if (rc != EXIT_FINE)
        return rc;
    correlation_explain(in.correlation, &text, cli_flag(args, "json"));
    ws_replay_input_fini(&in);
    bool ok = !text.failed && fwrite(text.data, 1, text.len, stdout) == text.len;
    buf_fini(&text);
    return ok ? EXIT_FINE : EXIT_IO;
}

static int run(const struct cli_args *args) {
    if (cli_operand_count(args))
        return cli_usage_error(args, "unexpected %s; the recording is named with --input FILE",
                               log_quote(cli_operand(args, 0)));
    if (!cli_value(args, "input"))
        return cli_usage_error(args, "--input FILE is missing: which recording is to be replayed?");
    if (cli_flag(args, "json") && !cli_flag(args, "explain") && !cli_flag(args, "target"))
        return cli_usage_error(args, "--json is for --explain and --target");
    if (cli_flag(args, "explain"))
        return explain(args);
    if (cli_flag(args, "target"))
        return ws_replay_drive(args);
    int rc = check_company(args);
    return rc == EXIT_FINE ? run_server(args) : rc;
}

static const struct cli_option options[] = {
    {.name = "input",
     .letter = 'i',
     .argument = "FILE",
     .help = "The recording, of any form: .jsonl.zst (native), .jsonl, .json, .json.zst, .har, MockForge's lines"},
    /* which part of it */
    {.name = "connection",
     .argument = "NAME",
     .help = "Only this recorded connection, such as conn-1",
     .repeated = true},
    {.name = "from", .argument = "SECONDS", .help = "Leave out what was recorded before this time (or 250ms, 10m, 2h)"},
    {.name = "to", .argument = "SECONDS", .help = "Leave out what was recorded after this time"},
    {.name = "recover", .help = "Use what can be read of a damaged file"},
    /* how it is played */
    {.name = "mode",
     .argument = "auto|timed|reactive",
     .help =
         "timed: by the recorded times; reactive: once the other side has sent what came before; auto: likewise, but "
         "goes on without what stays missing (auto)"},
    {.name = "speed", .argument = "N", .help = "2 is twice as fast, 0.5 half as fast, max waits for nothing"},
    {.name = "loop", .help = "Begin again at the end of the recording"},
    {.name = "timeout",
     .argument = "SECONDS",
     .help =
         "How long a message that the recording expects may be late (30; with --target 5); 0: for ever. With --target "
         "a connection and its handshake have as long (without it 10)"},
    {.name = "refresh-time", .help = "Move points in time in messages to now, and let counters grow on"},
    {.name = "correlate",
     .argument = "RULE",
     .help = "Carry a value over, such as 'incoming /id = outgoing /id'; beside what is found in the recording",
     .repeated = true},
    {.name = "no-correlate", .help = "Carry over only what --correlate says"},
    {.name = "correlate-except",
     .argument = "PATH",
     .help = "Never carry over what stands at this path",
     .repeated = true},
    {.name = "exact", .argument = "PATH", .help = "What stands at this path must be as recorded", .repeated = true},
    {.name = "any", .argument = "PATH", .help = "What stands at this path does not matter", .repeated = true},
    {.name = "explain", .help = "Print which values are carried over, with proof, and exit"},
    {.name = "json", .help = "With --explain and --target: as JSON"},
    /* serving */
    {.name = "listen",
     .letter = 'l',
     .argument = "ADDRESS:PORT",
     .help = "Where clients connect (127.0.0.1:8080); port 0 takes a free one"},
    {.name = "port", .letter = 'p', .argument = "PORT", .help = "The port of it"},
    {.name = "ws-tls", .help = "Speak TLS; without a certificate a self-signed one is made and kept"},
    {.name = "path", .argument = "PATH", .help = "Serve on this path alone (default: on all)"},
    {.name = "pick",
     .argument = "auto|turn|path|subprotocol|first_message",
     .help =
         "How a client is given one of several recorded connections (auto: by path, subprotocol and first message)"},
    {.name = "transform",
     .argument = "FILE",
     .help = "Lua that changes messages in both directions; it sees msg, direction and timestamp_ms"},
    {.name = "upstream", .argument = "URL", .help = "Ask this server about what the recording does not answer"},
    {.name = "on-miss",
     .argument = "record|close|ignore",
     .help = "With --upstream: what happens to what the recording does not answer (record)"},
    {.name = "record", .argument = "FILE", .help = "Record what is replayed"},
    /* driving */
    {.name = "target",
     .letter = 't',
     .argument = "URL",
     .help = "Play the client's half against this ws:// or wss:// server, in place of serving"},
    {.name = "target-ca", .argument = "FILE", .help = "Verify the target's certificate with this CA (PEM)"},
    {.name = "insecure", .help = "Do not verify the target's certificate"},
    {.name = "header",
     .argument = "NAME:VALUE",
     .help = "A header for the target, in place of the recorded one",
     .repeated = true},
    {.name = "clients",
     .letter = 'n',
     .argument = "N",
     .help = "So many clients at once (default: one for each recorded connection, begun when it began)"},
    {.name = "duration",
     .argument = "SECONDS",
     .help = "End after this time; with --loop clients begin again until then"},
    {.name = "verify", .help = "Compare what comes back with the recording; exit code 1 when it differs"},
    {.name = "ignore",
     .argument = "PATH",
     .help = "With --verify: what stands at this path does not count",
     .repeated = true},
    {.name = "unordered",
     .argument = "PATH",
     .help = "With --verify: the elements at this path may come in any order; /: the messages",
     .repeated = true},
    {.name = "tolerance", .argument = "N", .help = "With --verify: numbers may differ by N, or by N%"},
    {.name = "allow-extra", .help = "With --verify: more messages and more members of objects are fine"},
    {.name = "types-only", .help = "With --verify: compare only what there is and of which type it is"},
    {.name = "junit", .argument = "FILE", .help = "With --verify: write the result as JUnit XML"},
    {.name = "report", .argument = "FILE", .help = "Write the result as JSON"},
    /* both */
    {.name = "log-level", .argument = "LEVEL", .help = "debug, info, warn or error"},
    SETTINGS_SET_OPTION,
    {0},
};

const struct cli_command cli_ws_replay = {
    .name = "ws replay",
    .arguments = "",
    .max_arguments = 1, /* to say what was meant */
    .summary = "replay a recording to clients, or against a server",
    .details =
        "Serves the recorded server's half to each client that connects: by the recorded times, or as answers to what\n"
        "the client sends, whose own ids and tokens are carried over. With --target it plays the recorded client's\n"
        "half against a live server, and with --verify compares what comes back: exit code 1 when it differs, 3 when\n"
        "the recording cannot be read or the server not be reached.\n"
        "\n"
        "    mockforge ws replay --input session.jsonl.zst\n"
        "    mockforge ws replay --input session.json --mode timed --speed 2 --loop --port 9000\n"
        "    mockforge ws replay --input session.jsonl.zst --explain\n"
        "    mockforge ws replay --input session.jsonl.zst --upstream wss://api.example.com/ws --on-miss record\n"
        "    mockforge ws replay --input session.jsonl.zst --target ws://localhost:3000/ws --verify --ignore /time\n"
        "    mockforge ws replay -i session.jsonl.zst -t ws://localhost:3000 --clients 500 --loop --duration 60\n",
    .options = options,
    .run = run,
};
