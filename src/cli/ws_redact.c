/* mockforge ws redact: takes secrets out of session files that exist already. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/ws_edit.h"
#include "protocol/printable.h"
#include "protocol/text.h"
#include "recording/reader.h"

/* clang-format off */
static const struct cli_option options[] = {
    WS_EDIT_OUTPUT,
    {.name = "in-place", .letter = 'i', .help = "Replace each FILE by what is left of it"},
    {.name = "header", .argument = "NAME", .repeated = true, .help = "Redact this header too"},
    {.name = "query", .argument = "NAME", .repeated = true, .help = "Redact this query parameter too"},
    {.name = "json-path", .argument = "PATH", .repeated = true, .help = "Redact the value at this path of each message: user.password, items.*.secret, **.token"},
    {.name = "no-defaults", .help = "Only what was asked for: not Authorization, Cookie, …token… and the like"},
    WS_EDIT_OPTIONS,
    {0},
};
/* clang-format on */

static int make_redactor(const struct cli_args *args, struct redactor **out, struct err *err) {
    struct redact_rules rules = {.defaults = !cli_flag(args, "no-defaults")};
    const char **headers = cli_values(args, "header", &rules.headers_count);
    const char **query = cli_values(args, "query", &rules.query_count);
    const char **json = cli_values(args, "json-path", &rules.json_count);
    rules.headers = (char *const *)headers;
    rules.query = (char *const *)query;
    rules.json = (char *const *)json;
    int rc = headers && query && json ? redactor_new(&rules, out, err) : err_set(err, MF_ENOMEM, "out of memory");
    free(headers);
    free(query);
    free(json);
    return rc;
}

static void print_line(uint64_t count, const char *what) {
    if (count)
        fprintf(stderr, "  %llu %s%s\n", (unsigned long long)count, what, count == 1 ? "" : "s");
}

static void print_header(uint64_t values, const char *name) {
    struct buf shown = BUF_INIT;
    printable_append(&shown, name, strlen(name));
    fprintf(stderr, "  %llu value%s of the header %s\n", (unsigned long long)values, values == 1 ? "" : "s",
            buf_cstr(&shown));
    buf_fini(&shown);
}

static void print_text(const char *from, const char *to, const struct redact_counts *c) {
    fprintf(stderr, "%s: %s\n", to,
            c->headers_count || c->query || c->urls || c->json || c->withheld ? "replaced" : "nothing to replace");
    for (size_t i = 0; i < c->headers_count; i++)
        print_header(c->headers[i].values, c->headers[i].name);
    print_line(c->query, "handshake's query");
    print_line(c->urls, "upstream's URL");
    print_line(c->json, "message");
    print_line(c->withheld, "message that could not be searched");
    if (c->truncated)
        fprintf(stderr, "%s ends in the middle of a frame or message\n", from);
}

static void print_json(const char *to, const struct redact_counts *c) {
    struct buf out = BUF_INIT;
    buf_puts(&out, "{\"output\":");
    json_quote(&out, to, strlen(to));
    buf_puts(&out, ",\"headers\":{");
    for (size_t i = 0; i < c->headers_count; i++) {
        buf_puts(&out, i ? "," : "");
        json_quote(&out, c->headers[i].name, strlen(c->headers[i].name));
        buf_printf(&out, ":%llu", (unsigned long long)c->headers[i].values);
    }
    buf_printf(&out, "},\"query\":%llu,\"urls\":%llu,\"messages\":%llu,\"withheld\":%llu,\"truncated\":%s}",
               (unsigned long long)c->query, (unsigned long long)c->urls, (unsigned long long)c->json,
               (unsigned long long)c->withheld, c->truncated ? "true" : "false");
    puts(buf_cstr(&out));
    buf_fini(&out);
}

/* In place, a file keeps its form: that of others has more in it than we would write again. */
static bool can_stay(const char *path, struct err *err) {
    struct reader *r;
    if (reader_open(path, &r, err) < 0)
        return false;
    bool foreign = reader_form(r) == READER_HAR || reader_form(r) == READER_MOCKFORGE;
    reader_close(r);
    if (foreign)
        err_set_at(err, MF_EINVAL, path, 0, 0,
                   "expected one of mockforge's own forms for --in-place; write another file with --output");
    return !foreign;
}

static int redact(const struct cli_args *args, const struct redactor *rules, const char *from, const char *to) {
    struct edit_options how = ws_edit_options(args, "redacting");
    struct redact_counts counts = {0};
    struct err err;
    bool in_place = cli_flag(args, "in-place");
    how.overwrite |= in_place;
    int rc = in_place && !can_stay(from, &err) ? -1 : session_redact(from, to, rules, &how, &counts, &err);
    cli_status(NULL);
    if (rc == MF_OK && cli_flag(args, "json"))
        print_json(to, &counts);
    else if (rc == MF_OK)
        print_text(from, to, &counts);
    redact_counts_fini(&counts);
    return rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}

static int run(const struct cli_args *args) {
    const char *to = cli_value(args, "output");
    size_t files = cli_operand_count(args);
    struct redactor *rules = NULL;
    struct err err;
    if (!to == !cli_flag(args, "in-place"))
        return cli_usage_error(args, "say where to: --output FILE, or --in-place");
    if (to && files != 1)
        return cli_usage_error(args, "--output is for one file; --in-place takes several");
    if (to && !ws_edit_target(args, to, cli_flag(args, "force")))
        return EXIT_USAGE;
    for (size_t i = 0; !to && i < files; i++)
        if (!ws_edit_target(args, cli_operand(args, i), true))
            return EXIT_USAGE;
    if (make_redactor(args, &rules, &err) < 0)
        return cli_usage_error(args, "%s", err.text);
    int code = EXIT_FINE;
    for (size_t i = 0; i < files && code == EXIT_FINE; i++)
        code = redact(args, rules, cli_operand(args, i), to ? to : cli_operand(args, i));
    redactor_unref(rules);
    return code;
}

const struct cli_command cli_ws_redact = {
    .name = "ws redact",
    .arguments = "FILE...",
    .min_arguments = 1,
    .max_arguments = UINT32_MAX,
    .summary = "take secrets out of session files",
    .details =
        "Does what the recorder does (record.redact) to files that exist already: values of headers, query parameters "
        "and JSON paths become [redacted], and user information in an upstream's URL. Without further options these "
        "are the names that are secret by themselves: Authorization, Proxy-Authorization, Cookie, Set-Cookie, and what "
        "has token, key, secret, password or signature in its name.\n"
        "\n"
        "A text message under --json-path that cannot be searched (more than 1 MiB, without its end, not quite JSON) "
        "is "
        "left out, and a sentence says so. The result appears whole or not at all, and is mode 0600. What was replaced "
        "is counted on stderr.\n"
        "\n"
        "  mockforge ws redact session.jsonl.zst -o clean.jsonl.zst\n"
        "  mockforge ws redact --in-place --header X-Customer --json-path '**.email' recordings/*.jsonl.zst\n"
        "  mockforge ws redact devtools.har -o clean.har",
    .options = options,
    .run = run,
};
