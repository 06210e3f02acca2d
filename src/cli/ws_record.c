/* `mockforge ws record`: record what passes, with no configuration file at all or with recording switched on in one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/settings.h"
#include "gateway/gateway.h"
#include "recording/convert.h"

#define LISTEN_DEFAULT "127.0.0.1:8080"

struct progress {
    const char *output;
    uint64_t last_ms, last_frames, rate;
    struct gateway_status last;
};

static void print_size(char *out, size_t size, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        n /= 1024;
        unit++;
    }
    snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void on_status(const struct gateway_status *status, void *arg) {
    struct progress *p = arg;
    const uint64_t *m = status->metrics;
    uint64_t frames = m[METRIC_RECORDED_FRAMES], ms = status->up_ms - p->last_ms;
    if (ms)
        p->rate = (frames - p->last_frames) * 1000 / ms;
    p->last_ms = status->up_ms;
    p->last_frames = frames;
    p->last = *status;
    char payload[32], file[32];
    print_size(payload, sizeof payload, m[METRIC_RECORDED_BYTES]);
    print_size(file, sizeof file, m[METRIC_RECORDED_FILE_BYTES]);
    cli_status("%" PRIu64 " connections (%" PRIu64 " open)  %" PRIu64 " frames  %s  file %s  %" PRIu64 "/s%s",
               m[METRIC_CONNECTIONS_TOTAL], m[METRIC_CONNECTIONS_ACTIVE], frames, payload, file, p->rate,
               m[METRIC_ERRORS_RECORDING] ? "  RECORDING ERRORS, see the log" : "");
}

/* ---- the configuration ---- */

struct key_value {
    const char *key, *value;
};

static int add_all(struct settings *s, const struct key_value *pairs, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (pairs[i].value && settings_add(s, pairs[i].key, pairs[i].value) < 0)
            return EXIT_IO;
    return EXIT_FINE;
}

/* Every route is recorded to the one file; only_path and exclude_ping filter. */
static int add_record(struct settings *s, const struct cli_args *args, const char *where) {
    static const struct {
        const char *key, *option, *value;
    } keys[] = {
        {"record.enabled", "output", "true"},
        {"record.path", "output", NULL},
        {"record.only_path", "path", NULL},
        {"record.exclude_ping", "exclude-ping", "true"},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char key[96];
        snprintf(key, sizeof key, "%s.%s", where, keys[i].key);
        const char *value = keys[i].value ? keys[i].value : cli_value(args, keys[i].option);
        if (cli_flag(args, keys[i].option) && settings_add(s, key, value) < 0)
            return EXIT_IO;
    }
    return EXIT_FINE;
}

static int add_upstream(struct settings *s, const struct cli_args *args) {
    const struct key_value pairs[] = {
        {"websocket.enabled", "true"},
        {"admin.enabled", "false"}, /* its port is for a gateway that stays */
        {"websocket.handlers[/**].type", "proxy"},
        {"websocket.handlers[/**].upstream", cli_value(args, "upstream")},
        {"websocket.handlers[/**].upstream_tls.ca", cli_value(args, "upstream-ca")},
        {"websocket.handlers[/**].upstream_tls.verify", cli_flag(args, "insecure") ? "false" : NULL},
    };
    return add_all(s, pairs, ARRAY_LEN(pairs));
}

static int build_settings(struct settings *s, const struct cli_args *args) {
    bool relay = cli_flag(args, "upstream");
    const char *listen = cli_value(args, "listen"), *level = cli_value(args, "log-level");
    const struct key_value general[] = {{"websocket.enabled", "true"}, {"log.level", level}};
    if (!relay || cli_flag(args, "config"))
        settings_choose_file(s, cli_value(args, "config"));
    int rc = relay ? add_upstream(s, args) : EXIT_FINE;
    if (rc == EXIT_FINE)
        rc = add_all(s, general, ARRAY_LEN(general));
    if (rc == EXIT_FINE && (listen || relay))
        rc = settings_add_listen(s, args, listen ? listen : LISTEN_DEFAULT);
    if (rc == EXIT_FINE)
        rc = add_record(s, args, "websocket");
    if (rc == EXIT_FINE)
        rc = add_record(s, args, "websocket.handlers[*]");
    return rc == EXIT_FINE ? settings_add_sets(s, args) : rc;
}

/* ---- the run ---- */

static void print_result(const struct progress *p) {
    const uint64_t *m = p->last.metrics;
    char file[32];
    print_size(file, sizeof file, m[METRIC_RECORDED_FILE_BYTES]);
    cli_status(NULL);
    if (!m[METRIC_RECORDED_FILE_BYTES]) {
        fprintf(stderr, "nothing was recorded, there is no new file\n");
        return;
    }
    uint64_t frames = m[METRIC_RECORDED_FRAMES], connections = m[METRIC_CONNECTIONS_TOTAL];
    fprintf(stderr, "%" PRIu64 " frame%s of %" PRIu64 " connection%s recorded to %s\n", frames, frames == 1 ? "" : "s",
            connections, connections == 1 ? "" : "s", p->output);
    if (m[METRIC_RECORD_DROPPED])
        fprintf(stderr, "%" PRIu64 " frames could not be recorded; the log says why\n", m[METRIC_RECORD_DROPPED]);
}

static int record(const struct config_input *input, struct config *config, struct progress *progress) {
    const struct gateway_options options = {.input = input, .on_status = on_status, .arg = progress};
    struct gateway *gateway;
    struct err err;
    log_set_level(config->log_level);
    int rc = gateway_new(config, &options, &gateway, &err);
    if (rc < 0)
        return cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err);
    printf("Recording %s://%s to %s; Ctrl-C ends it.\n", config->websocket.tls.enabled ? "wss" : "ws",
           gateway_address(gateway), progress->output);
    fflush(stdout);
    rc = gateway_run(gateway);
    print_result(progress);
    return rc < 0 ? EXIT_IO : EXIT_FINE;
}

static int run(const struct cli_args *args) {
    struct progress progress = {.output = cli_value(args, "output")};
    struct settings settings = {0};
    struct config *config = NULL;
    enum session_form form;
    struct err err;
    if (!progress.output)
        return cli_usage_error(args, "--output FILE is missing: where should the session go?");
    if (session_form_of(progress.output, &form, &err) < 0)
        return cli_fail(EXIT_USAGE, &err);
    int rc = build_settings(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_load(&settings, &config);
    if (rc == EXIT_FINE)
        rc = record(&settings.input, config, &progress);
    config_unref(config);
    settings_fini(&settings);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "output", .letter = 'o', .argument = "FILE",
     .help = "The session file: .jsonl.zst (native), .jsonl, .json or .json.zst; may hold {{date}} and other templates"},
    {.name = "upstream", .letter = 'u', .argument = "URL", .help = "Relay everything to this ws:// or wss:// server"},
    {.name = "config", .letter = 'c', .argument = "FILE",
     .help = "Without --upstream: the gateway's configuration (default: mockforge.yaml, when there is one)"},
    {.name = "path", .argument = "GLOB", .help = "Record only connections whose path matches; the others are relayed"},
    {.name = "exclude-ping", .help = "Leave ping and pong frames out"},
    {.name = "listen", .letter = 'l', .argument = "ADDRESS:PORT",
     .help = "Where clients connect (with --upstream: 127.0.0.1:8080); port 0 takes a free one"},
    {.name = "upstream-ca", .argument = "FILE", .help = "Verify the upstream's certificate with this CA (PEM)"},
    {.name = "insecure", .help = "Do not verify the upstream's certificate"},
    {.name = "log-level", .argument = "LEVEL", .help = "debug, info, warn or error"},
    SETTINGS_SET_OPTION,
    {0},
};

const struct cli_command cli_ws_record = {
    .name = "ws record",
    .arguments = "",
    .summary = "record WebSocket traffic to a session file",
    .details =
        "With --upstream, a recording reverse proxy that needs no configuration. Without, the gateway of\n"
        "mockforge.yaml with recording switched on for all its routes. Ctrl-C ends it and finishes the file.\n"
        "An existing file is never overwritten: native files are continued, documents get the next free name.\n"
        "\n"
        "    mockforge ws record --output session.json\n"
        "    mockforge ws record --output session.json --path '/api*' --exclude-ping\n"
        "    mockforge ws record -o session.jsonl.zst -u wss://api.example.com/ws -l 127.0.0.1:9000\n",
    .options = options,
    .run = run,
};
