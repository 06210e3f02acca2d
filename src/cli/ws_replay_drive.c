/* `mockforge ws replay --target URL`: the client's half of a recording against a live server. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/ws_options.h"
#include "cli/ws_replay.h"
#include "cli/ws_replay_result.h"
#include "net/tls.h"
#include "protocol/http_head.h"

#define TIMEOUT_US 5000000u
#define CONNECT_TIMEOUT_MS 10000u /* without --timeout */
#define SCRIPT_MAX (1u << 20)

struct driving {
    const struct cli_args *args;
    struct ws_replay_input input;
    struct drive_options options;
    struct compare_options compare;
    struct url url;
    struct upstream_tls_config tls;
    struct headers headers;
    struct buf script;
    char *target; /* as it is shown: without its query, which may hold a secret */
    const char **ignore, **unordered;
};

/* ---- the command line ---- */

/* What means something only while serving, or only with --verify. */
static int check_company(const struct cli_args *args) {
    static const char *const serving[] = {"listen", "port", "ws-tls", "path", "pick", "upstream", "on-miss", "record"};
    static const char *const verifying[] = {"ignore", "unordered", "tolerance", "allow-extra", "types-only", "junit"};
    for (size_t i = 0; i < ARRAY_LEN(serving); i++)
        if (cli_flag(args, serving[i]))
            return cli_usage_error(args, "--%s is for serving a recording, and means nothing with --target",
                                   serving[i]);
    for (size_t i = 0; i < ARRAY_LEN(verifying); i++)
        if (cli_flag(args, verifying[i]) && !cli_flag(args, "verify"))
            return cli_usage_error(args, "--%s says how to compare: it needs --verify", verifying[i]);
    return EXIT_FINE;
}

static int add_header(struct driving *d, const char *text) {
    size_t len = strcspn(text, ":");
    const char *value = text + len + (text[len] == ':');
    if (text[len] != ':' || !http_name_is_valid(text, len) || !http_value_is_valid(value, strlen(value)))
        return cli_usage_error(d->args, "--header takes \"Name: value\"; found %s", log_quote(text));
    value += strspn(value, " \t");
    size_t value_len = strlen(value);
    while (value_len && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--;
    if (headers_add_n(&d->headers, text, len, value, value_len) < 0)
        return EXIT_IO;
    const char *name = d->headers.items[d->headers.count - 1].name;
    if (!drive_header_allowed(name))
        return cli_usage_error(d->args, "--header: %s belongs to the WebSocket handshake itself", name);
    return EXIT_FINE;
}

static int read_headers(struct driving *d) {
    const char *text;
    int rc = EXIT_FINE;
    for (size_t i = 0; rc == EXIT_FINE && (text = cli_value_at(d->args, "header", i)); i++)
        rc = add_header(d, text);
    return rc;
}

static int read_mode(struct driving *d) {
    static const char *const names[] = {
        [PLAYER_AUTO] = "auto", [PLAYER_TIMED] = "timed", [PLAYER_REACTIVE] = "reactive"};
    const char *text = cli_value(d->args, "mode");
    for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
        if (!strcmp(text, names[i])) {
            d->options.mode = (enum player_mode)i;
            return EXIT_FINE;
        }
    return text ? cli_usage_error(d->args, "--mode takes auto, timed or reactive; found %s", log_quote(text))
                : EXIT_FINE;
}

static int read_verify(struct driving *d) {
    const struct cli_args *args = d->args;
    if (!cli_flag(args, "verify"))
        return EXIT_FINE;
    d->ignore = cli_values(args, "ignore", &d->compare.ignore_count);
    d->unordered = cli_values(args, "unordered", &d->compare.unordered_count);
    if (!d->ignore || !d->unordered)
        return EXIT_IO;
    d->compare.ignore = d->ignore;
    d->compare.unordered = d->unordered;
    d->compare.allow_extra = cli_flag(args, "allow-extra");
    d->compare.types_only = cli_flag(args, "types-only");
    d->options.verify = &d->compare;
    return ws_option_tolerance(args, &d->compare) ? EXIT_FINE : EXIT_USAGE;
}

static int read_numbers(struct driving *d) {
    const struct cli_args *args = d->args;
    const char *clients = cli_value(args, "clients"), *level = cli_value(args, "log-level");
    enum log_level parsed;
    uint64_t n = 0;
    if (clients && !cli_number(args, "--clients", clients, 1, DRIVE_CLIENTS_MAX, &n))
        return EXIT_USAGE;
    d->options.clients = (size_t)n;
    d->options.loop = cli_flag(args, "loop");
    if (!ws_replay_speed(args, &d->options.speed) ||
        !ws_replay_time(args, "timeout", TIMEOUT_US, &d->options.timeout_us) ||
        !ws_replay_time(args, "duration", 0, &d->options.duration_us))
        return EXIT_USAGE;
    if (level && !log_level_parse(level, &parsed))
        return cli_usage_error(args, "--log-level takes debug, info, warn or error; found %s", log_quote(level));
    if (level)
        log_set_level(parsed);
    bool bounded = cli_value(args, "timeout") && d->options.timeout_us;
    d->options.connect_timeout_ms =
        bounded ? (unsigned)MIN((d->options.timeout_us + 999) / 1000, UINT_MAX) : CONNECT_TIMEOUT_MS;
    return EXIT_FINE;
}

static int read_target(struct driving *d) {
    struct err err;
    const char *text = cli_value(d->args, "target");
    if (url_parse(&d->url, text, &err) < 0)
        return cli_usage_error(d->args, "--target: %s", err.text);
    struct buf shown = BUF_INIT;
    char *authority = url_authority(&d->url);
    buf_printf(&shown, "%s://%s%s", d->url.tls ? "wss" : "ws", authority ? authority : "", d->url.path);
    free(authority);
    d->target = buf_steal(&shown);
    d->options.target = &d->url;
    return d->target ? EXIT_FINE : EXIT_IO;
}

static int read_options(struct driving *d) {
    static int (*const steps[])(struct driving * d) = {read_target, read_headers, read_mode, read_verify, read_numbers};
    int rc = check_company(d->args);
    for (size_t i = 0; rc == EXIT_FINE && i < ARRAY_LEN(steps); i++)
        rc = steps[i](d);
    d->options.headers = &d->headers;
    return rc;
}

/* ---- files ---- */

static int fail_file(const char *what, const char *path, const char *why) {
    struct err err;
    err_set(&err, MF_EIO, "%s \"%s\": %s", what, path, why);
    return cli_fail(EXIT_IO, &err);
}

static int load_script(struct driving *d) {
    const char *path = cli_value(d->args, "transform");
    if (!path)
        return EXIT_FINE;
    FILE *f = fopen(path, "re");
    if (!f)
        return fail_file("cannot read the Lua file", path, strerror(errno));
    bool ok = buf_reserve(&d->script, SCRIPT_MAX + 1) == MF_OK;
    size_t n = ok ? fread(d->script.data, 1, SCRIPT_MAX + 1, f) : 0;
    ok = ok && !ferror(f);
    fclose(f);
    if (!ok || n > SCRIPT_MAX)
        return fail_file("cannot read the Lua file", path,
                         n > SCRIPT_MAX ? "it is larger than 1 MiB" : strerror(errno));
    d->script.len = n;
    d->options.script = buf_cstr(&d->script);
    d->options.script_len = n;
    d->options.script_name = path;
    return EXIT_FINE;
}

static int load_tls(struct driving *d) {
    struct err err;
    d->tls = (struct upstream_tls_config){.ca = (char *)(uintptr_t)cli_value(d->args, "target-ca"),
                                          .verify = !cli_flag(d->args, "insecure")};
    d->options.tls_config = &d->tls;
    if (!d->url.tls || tls_client_context(&d->tls, &d->options.tls, &err) == MF_OK)
        return EXIT_FINE;
    err_place_to_text(&err);
    err_prefix(&err, "--target-ca");
    return cli_fail(EXIT_USAGE, &err);
}

static bool write_all(FILE *f, const struct buf *text) {
    return f && !text->failed && fwrite(text->data, 1, text->len, f) == text->len && fflush(f) == 0;
}

static int write_file(const char *path, const struct buf *text) {
    FILE *f = fopen(path, "we");
    bool ok = write_all(f, text);
    int error = errno;
    if (f && fclose(f) != 0) {
        error = ok ? errno : error;
        ok = false;
    }
    return ok ? EXIT_FINE : fail_file("cannot write", path, strerror(error));
}

/* ---- the run ---- */

static void on_status(const struct drive_numbers *n, void *arg) {
    const struct driving *d = arg;
    struct buf time = BUF_INIT;
    drive_put_time(&time, n->elapsed_us);
    cli_status("%s  %s  %" PRIu64 " open, %" PRIu64 " done, %" PRIu64 " failed  %" PRIu64 " messages sent, %" PRIu64
               " received",
               d->target, buf_cstr(&time), n->open, n->finished, n->unreachable + n->broken, n->sent, n->received);
    buf_fini(&time);
}

static void print_failure(const struct driving *d, const char *why, uint64_t count, const char *what) {
    if (!why)
        return;
    fprintf(stderr, "mockforge: %s: %s", d->target, why);
    if (count > 1)
        fprintf(stderr, " (and %" PRIu64 " more %s)", count - 1, what);
    fputc('\n', stderr);
}

static int write_results(const struct driving *d, const struct drive_result *r) {
    const struct cli_args *args = d->args;
    const char *junit = cli_value(args, "junit"), *report = cli_value(args, "report");
    bool verify = d->options.verify;
    struct buf text = BUF_INIT, json = BUF_INIT, xml = BUF_INIT;
    int rc = EXIT_FINE;
    drive_result_json(&json, r, d->target, verify);
    if (!cli_flag(args, "json"))
        drive_result_text(&text, r, d->target, verify, cli_colour(STDOUT_FILENO));
    if (!write_all(stdout, cli_flag(args, "json") ? &json : &text))
        rc = EXIT_IO;
    if (report && write_file(report, &json) != EXIT_FINE)
        rc = EXIT_IO;
    if (junit) {
        drive_result_junit(&xml, r, d->target);
        if (write_file(junit, &xml) != EXIT_FINE)
            rc = EXIT_IO;
    }
    buf_fini(&text);
    buf_fini(&json);
    buf_fini(&xml);
    return rc;
}

static int judge(const struct drive_result *r) {
    if (r->numbers.unreachable)
        return EXIT_IO;
    if (drive_result_differs(r))
        return EXIT_CHECK_FAILED;
    return r->numbers.broken ? EXIT_IO : EXIT_FINE;
}

static int run_driver(struct driving *d) {
    struct drive_result result;
    struct err err;
    d->options.hints = &d->input.hints;
    d->options.on_status = on_status;
    d->options.arg = d;
    int rc = drive(d->input.source, d->input.correlation, &d->options, &result, &err);
    cli_status(NULL);
    if (rc < 0) {
        rc = cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err);
    } else {
        print_failure(d, result.unreachable, result.numbers.unreachable, "that were not opened");
        print_failure(d, result.broken, result.numbers.broken, "that broke");
        print_failure(d, result.closed_early, result.numbers.closed_early, "that were closed early");
        rc = write_results(d, &result);
        rc = rc == EXIT_FINE ? judge(&result) : rc;
    }
    drive_result_fini(&result);
    return rc;
}

int ws_replay_drive(const struct cli_args *args) {
    struct driving d = {.args = args};
    int rc = read_options(&d);
    if (rc == EXIT_FINE)
        rc = load_script(&d);
    if (rc == EXIT_FINE)
        rc = load_tls(&d);
    if (rc == EXIT_FINE)
        rc = ws_replay_input_load(args, &d.input);
    if (rc == EXIT_FINE)
        rc = run_driver(&d);
    ws_replay_input_fini(&d.input);
    SSL_CTX_free(d.options.tls);
    url_fini(&d.url);
    headers_fini(&d.headers);
    buf_fini(&d.script);
    free(d.target);
    free(d.ignore);
    free(d.unordered);
    return rc;
}
