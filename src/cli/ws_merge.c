/* mockforge ws merge: one recording out of several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/ws_edit.h"
#include "protocol/printable.h"
#include "protocol/text.h"

static const struct cli_option options[] = {WS_EDIT_OUTPUT, WS_EDIT_OPTIONS, {0}};

#define RENAMED_SHOWN 20

static uint64_t renamed_count;

static void on_renamed(const char *file, const char *from, const char *to, void *arg) {
    (void)arg;
    if (renamed_count++ >= RENAMED_SHOWN)
        return;
    struct buf names = BUF_INIT;
    printable_append(&names, from, strlen(from));
    buf_puts(&names, " is ");
    printable_append(&names, to, strlen(to));
    cli_status(NULL);
    fprintf(stderr, "%s: %s\n", file, buf_cstr(&names));
    buf_fini(&names);
}

static void print_result(const struct cli_args *args, const char *to, const struct merge_result *r) {
    if (cli_flag(args, "json")) {
        struct buf out = BUF_INIT;
        buf_puts(&out, "{\"output\":");
        json_quote(&out, to, strlen(to));
        buf_printf(&out, ",\"messages\":%llu,\"connections\":%llu,\"renamed\":%llu,\"truncated\":%s}",
                   (unsigned long long)r->messages, (unsigned long long)r->connections, (unsigned long long)r->renamed,
                   r->truncated ? "true" : "false");
        puts(buf_cstr(&out));
        buf_fini(&out);
        return;
    }
    if (renamed_count > RENAMED_SHOWN)
        fprintf(stderr, "… and %llu more have new names\n", (unsigned long long)(renamed_count - RENAMED_SHOWN));
    fprintf(stderr, "%s: %llu message%s of %llu connection%s\n", to, (unsigned long long)r->messages,
            r->messages == 1 ? "" : "s", (unsigned long long)r->connections, r->connections == 1 ? "" : "s");
    if (r->undated)
        fprintf(stderr, "a file that does not say when it was recorded has the time at which it was written\n");
    if (r->truncated)
        fprintf(stderr, "an input ends in the middle of a frame or message\n");
}

static int run(const struct cli_args *args) {
    const char *to = cli_value(args, "output");
    size_t count = cli_operand_count(args);
    struct merge_result result;
    struct err err;
    if (!to)
        return cli_usage_error(args, "say where to: --output FILE");
    if (!ws_edit_target(args, to, cli_flag(args, "force")))
        return EXIT_USAGE;
    const char **from = calloc(count, sizeof *from);
    if (!from)
        return EXIT_IO;
    for (size_t i = 0; i < count; i++)
        from[i] = cli_operand(args, i);
    struct edit_options how = ws_edit_options(args, "merging");
    int rc = session_merge(from, count, to, &how, cli_flag(args, "json") ? NULL : on_renamed, &result, &err);
    free(from);
    cli_status(NULL);
    if (rc < 0)
        return cli_fail(EXIT_IO, &err);
    print_result(args, to, &result);
    return EXIT_FINE;
}

const struct cli_command cli_ws_merge = {
    .name = "ws merge",
    .arguments = "FILE FILE...",
    .min_arguments = 2,
    .max_arguments = UINT32_MAX,
    .summary = "put several session files together",
    .details =
        "Writes one recording with the events of all FILEs, in the order of the wall clock. A connection whose name "
        "another one has already gets a new one, conn-1-2, and stderr says so. The rotated parts of one recording "
        "become one again, with the connections that went on from part to part.\n"
        "\n"
        "Up to 256 files, of any form that can be read.\n"
        "\n"
        "  mockforge ws merge alice.jsonl.zst bob.jsonl.zst -o both.jsonl.zst\n"
        "  mockforge ws merge session.jsonl.zst session.2.jsonl.zst session.3.jsonl.zst -o whole.jsonl.zst",
    .options = options,
    .run = run,
};
