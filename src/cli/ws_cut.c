/* mockforge ws cut: a part of a recording. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/ws_edit.h"
#include "cli/ws_options.h"
#include "protocol/text.h"

/* clang-format off */
static const struct cli_option options[] = {
    WS_EDIT_OUTPUT,
    {.name = "from", .argument = "SECONDS", .help = "From this time of the recording on"},
    {.name = "to", .argument = "SECONDS", .help = "Up to this time of the recording"},
    {.name = "connection", .letter = 'c', .argument = "NAME", .repeated = true, .help = "Only this connection"},
    {.name = "path", .argument = "GLOB", .help = "Only connections to a path like this: '/api/*'"},
    {.name = "type", .letter = 't', .argument = "LIST", .help = "Only frames of these types: text, binary, continuation, ping, pong, close; a list with commas"},
    {.name = "rebase", .help = "Count times from --from on"},
    WS_EDIT_OPTIONS,
    {0},
};
/* clang-format on */

static void print_result(const struct cli_args *args, const char *to, const struct cut_result *r) {
    if (cli_flag(args, "json")) {
        struct buf out = BUF_INIT;
        buf_puts(&out, "{\"output\":");
        json_quote(&out, to, strlen(to));
        buf_printf(&out, ",\"messages\":%llu,\"connections\":%llu,\"continued\":%llu,\"truncated\":%s}",
                   (unsigned long long)r->messages, (unsigned long long)r->connections,
                   (unsigned long long)r->continued, r->truncated ? "true" : "false");
        puts(buf_cstr(&out));
        buf_fini(&out);
        return;
    }
    fprintf(stderr, "%s: %llu message%s of %llu connection%s", to, (unsigned long long)r->messages,
            r->messages == 1 ? "" : "s", (unsigned long long)r->connections, r->connections == 1 ? "" : "s");
    if (r->continued)
        fprintf(stderr, " (%llu %s open already)", (unsigned long long)r->continued,
                r->continued == 1 ? "was" : "were");
    fputc('\n', stderr);
    if (r->truncated)
        fprintf(stderr, "the input ends in the middle of a frame or message\n");
}

static int run(const struct cli_args *args) {
    const char *to = cli_value(args, "output");
    struct cut_rules rules = {.path = cli_value(args, "path"), .rebase = cli_flag(args, "rebase")};
    struct cut_result result;
    struct err err;
    if (!to)
        return cli_usage_error(args, "say where to: --output FILE");
    if (!ws_option_seconds(args, "from", &rules.from_us) || !ws_option_seconds(args, "to", &rules.to_us) ||
        !ws_option_types(args, EVENT_TEXT, EVENT_CLOSE, &rules.types) ||
        !ws_edit_target(args, to, cli_flag(args, "force")))
        return EXIT_USAGE;
    if (cli_value(args, "to") && rules.to_us <= rules.from_us)
        return cli_usage_error(args, "--to: a time after --from was expected");
    const char **names = cli_values(args, "connection", &rules.connections_count);
    if (!names)
        return EXIT_IO;
    rules.connections = names;
    struct edit_options how = ws_edit_options(args, "cutting");
    int rc = session_cut(cli_operand(args, 0), to, &rules, &how, &result, &err);
    free(names);
    cli_status(NULL);
    if (rc < 0)
        return cli_fail(EXIT_IO, &err);
    print_result(args, to, &result);
    return EXIT_FINE;
}

const struct cli_command cli_ws_cut = {
    .name = "ws cut",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "take a part out of a session file",
    .details =
        "Writes the events between --from and --to, of some connections or paths, or frames of some types. "
        "Connections that were open at --from keep their open line, with \"continued\":true; a message that began "
        "before it is left out. Times stay what they were unless --rebase is given; the wall clock stays the same "
        "in any case.\n"
        "\n"
        "  mockforge ws cut --from 60 --to 90 session.jsonl.zst -o part.jsonl.zst\n"
        "  mockforge ws cut --connection conn-3 session.jsonl.zst -o one.json\n"
        "  mockforge ws cut --path '/api/*' --type text,binary --rebase --from 600 day.jsonl.zst -o api.jsonl.zst",
    .options = options,
    .run = run,
};
