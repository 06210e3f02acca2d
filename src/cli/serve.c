/* `mockforge serve`: the gateway of a configuration file. */
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/settings.h"
#include "gateway/gateway.h"
#include "net/tls.h"
#include "recording/convert.h"
#include "template/template.h"

/* A flag or option that stands for one key of the configuration. */
static const struct {
    const char *option, *key, *value; /* value NULL: the option's own */
} shortcuts[] = {
    {"websocket", "websocket.enabled", "true"},
    {"ws-path", "websocket.path", NULL},
    {"ws-port", "websocket.port", NULL},
    {"ws-host", "websocket.host", NULL},
    {"ws-tls", "websocket.tls.enabled", "true"},
    {"workers", "websocket.workers", NULL},
    {"log-level", "log.level", NULL},
};

static int add_shortcuts(struct settings *s, const struct cli_args *args) {
    for (size_t i = 0; i < ARRAY_LEN(shortcuts); i++) {
        const char *value = shortcuts[i].value ? shortcuts[i].value : cli_value(args, shortcuts[i].option);
        if (cli_flag(args, shortcuts[i].option) && settings_add(s, shortcuts[i].key, value) < 0)
            return EXIT_IO;
    }
    return EXIT_FINE;
}

/* The route that a newcomer should try first: the main job, if there is one. */
static const struct route_config *route_to_try(const struct config *c) {
    const struct route_config *best = NULL;
    for (size_t i = 0; i < c->websocket.routes_count; i++) {
        const struct route_config *r = &c->websocket.routes[i];
        if (!strchr(r->path, '*') && (!best || (r->record.enabled && !best->record.enabled)))
            best = r;
    }
    return best;
}

/* A document is written when its recording has ended: what can be followed until then is its journal. */
static void name_what_grows(struct buf *file) {
    enum session_form form;
    if (session_form_of(buf_cstr(file), &form, NULL) < 0 || (form != SESSION_DOCUMENT && form != SESSION_DOCUMENT_ZST))
        return;
    file->len -= strlen(form == SESSION_DOCUMENT ? ".json" : ".json.zst");
    buf_puts(file, ".journal.jsonl.zst");
}

/* The file that the route records to now; as its template stands where each connection has a file of its own. */
static void recording_to_show(const struct route_config *route, struct buf *out) {
    const struct template_context ctx = {0};
    struct template *path = NULL;
    struct err ignored;
    if (template_compile(route->record.path.text, &path, &ignored) == MF_OK && !template_uses(path, "connection.") &&
        !template_uses(path, "uuid") && !template_uses(path, "header.") && !template_uses(path, "query.")) {
        if (template_render(path, &ctx, out) < 0)
            buf_reset(out);
    }
    if (out->len == 0)
        buf_puts(out, route->record.path.text);
    template_free(path);
    name_what_grows(out);
}

/* Clients know nothing of a certificate that we made ourselves: they are told where it is. */
static void print_first_hint(const struct server_tls_config *tls, const char *url) {
    char *dir = tls->enabled && !tls->cert_path ? tls_state_dir() : NULL;
    if (dir)
        printf("Talk to it:       SSL_CERT_FILE=%s/cert.pem python3 -m websockets %s   (or: npx wscat --no-check -c …)\n",
               dir, url);
    else
        printf("Talk to it:       python3 -m websockets %s   (or: npx wscat -c …)\n", url);
    free(dir);
}

/* What to try next, in three lines, for a person in front of a terminal. */
static void print_hints(const struct config *c, const char *address) {
    const struct route_config *route = route_to_try(c);
    const char *scheme = c->websocket.tls.enabled ? "wss" : "ws", *path = route ? route->path : c->websocket.path;
    const char *port = strrchr(address, ':') + 1, *self = program_invocation_name;
    bool anywhere = !strncmp(address, "0.0.0.0:", 8) || !strncmp(address, "[::]:", 5);
    struct buf file = BUF_INIT, url = BUF_INIT;
    buf_printf(&url, "%s://%s%s%s", scheme, anywhere ? "127.0.0.1:" : "", anywhere ? port : address, path);
    print_first_hint(&c->websocket.tls, buf_cstr(&url));
    if (route && route->record.enabled) {
        recording_to_show(route, &file);
        printf("See what passed:  %s ws show --follow %s\n", self, buf_cstr(&file));
    } else {
        printf("Look at the file: %s config print%s%s\n", self, c->source ? " " : "", c->source ? c->source : "");
    }
    /* On a port of its own: this gateway has the usual one. */
    printf("Record your API:  %s ws record --listen :0 --upstream wss://api.example.com/ws --output session.jsonl.zst\n",
           self);
    if (fflush(stdout) != 0) { /* nobody to try anything: no failure of the gateway */
        __fpurge(stdout);
        clearerr(stdout);
    }
    buf_fini(&file);
    buf_fini(&url);
}

static int serve(const struct config_input *input, struct config *config, bool quiet) {
    const struct gateway_options options = {.input = input};
    struct gateway *gateway;
    struct err err;
    log_set_level(config->log_level);
    int rc = gateway_new(config, &options, &gateway, &err);
    if (rc < 0)
        return cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err);
    if (!quiet)
        print_hints(config, gateway_address(gateway));
    return gateway_run(gateway) < 0 ? EXIT_IO : EXIT_FINE;
}

static int run(const struct cli_args *args) {
    struct settings settings = {0};
    struct config *config = NULL;
    settings_choose_file(&settings, cli_value(args, "config"));
    int rc = add_shortcuts(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_add_sets(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_load(&settings, &config);
    if (rc == EXIT_FINE && !config->websocket.enabled)
        rc = cli_usage_error(args, "nothing to serve: there is no websocket section in %s; --websocket opens the port",
                             config->source ? config->source : "a " SETTINGS_DEFAULT_FILE " here");
    else if (rc == EXIT_FINE)
        rc = serve(&settings.input, config, cli_flag(args, "quiet"));
    config_unref(config);
    settings_fini(&settings);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "config", .letter = 'c', .argument = "FILE", .help = "The configuration (default: mockforge.yaml, when there is one)"},
    {.name = "websocket", .help = "Open the WebSocket port, whatever the file says"},
    {.name = "ws-path", .argument = "PATH", .help = "Path of the default endpoint (/ws)"},
    {.name = "ws-port", .letter = 'p', .argument = "PORT", .help = "Port (8080); 0 takes a free one"},
    {.name = "ws-host", .argument = "ADDRESS", .help = "Address to listen on"},
    {.name = "ws-tls", .help = "Speak TLS; without a certificate a self-signed one is made and kept"},
    {.name = "workers", .argument = "N", .help = "Worker threads (default: one a core)"},
    {.name = "log-level", .argument = "LEVEL", .help = "debug, info, warn or error"},
    {.name = "quiet", .letter = 'q', .help = "Do not print what to try next"},
    SETTINGS_SET_OPTION,
    {0},
};

const struct cli_command cli_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "run the gateway: relay, record and mock",
    .details =
        "Runs until SIGTERM or SIGINT: clients are then closed with 1001 and recordings are finished; a second\n"
        "signal hurries. SIGHUP reads the configuration again and drops no connection.\n"
        "\n"
        "    mockforge serve --websocket\n"
        "    mockforge serve --websocket --ws-path /api/realtime\n"
        "    mockforge serve --config mockforge.yaml --ws-tls\n"
        "    mockforge serve -c conf/mockforge.yaml --set 'websocket.handlers[/proxy].upstream=wss://api.example.com/ws'\n",
    .options = options,
    .run = run,
};
