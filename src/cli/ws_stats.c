/* mockforge ws stats: what a recording is made of, in numbers. */
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/stats_print.h"
#include "cli/ws_filter.h"
#include "recording/reader.h"

#define STATUS_EVERY 8192u /* events */

static void show_progress(const char *path, const struct reader *r) {
    uint64_t size = reader_size(r), at = reader_position(r);
    if (size)
        cli_status("reading %s: %u %%", path, (unsigned)(MIN(at, size) * 100 / size));
}

static int count(struct stats *s, struct reader *r, const char *path, struct err *err) {
    struct session_event e;
    int rc = MF_OK;
    for (uint64_t n = 0; (rc = reader_next(r, &e, err)) > 0; n++) {
        if (n % STATUS_EVERY == 0)
            show_progress(path, r);
        if (e.type != EVENT_RECORDING && e.timestamp_us > s->options.to_us &&
            e.timestamp_us - s->options.to_us > WS_FILTER_LATE_US) {
            rc = MF_OK;
            break;
        }
        rc = stats_add(s, &e);
        if (rc == MF_ELIMIT)
            return err_set_at(err, rc, path, 0, 0, "too many connections are open at once; --connection chooses some");
        if (rc < 0)
            return err_set(err, rc, "out of memory");
    }
    stats_end(s);
    return rc;
}

static int print(const struct cli_args *args, const struct stats *s, const struct stats_file *file, struct err *err) {
    struct buf out = BUF_INIT;
    if (cli_flag(args, "json"))
        stats_print_json(&out, s, file);
    else
        stats_print_text(&out, s, file, cli_colour(STDOUT_FILENO));
    int rc = out.failed ? err_set(err, MF_ENOMEM, "out of memory") : MF_OK;
    if (rc == MF_OK && (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
        rc = err_set(err, MF_EIO, "cannot write to stdout");
    buf_fini(&out);
    return rc;
}

static int stats_of(const struct cli_args *args, const struct stats_options *options) {
    const char *path = cli_operand(args, 0);
    struct stats *s = NULL;
    struct reader *r = NULL;
    struct err err;
    int rc = stats_new(options, &s) < 0 ? err_set(&err, MF_ENOMEM, "out of memory") : reader_open(path, &r, &err);
    if (rc == MF_OK) {
        reader_recover(r, cli_flag(args, "recover"));
        reader_run_ahead(r);
    }
    /* The open lines, which tell the paths, may be far in front. */
    if (rc == MF_OK && options->from_us && !options->path)
        rc = reader_seek(r, options->from_us, &err);
    if (rc == MF_OK)
        rc = count(s, r, path, &err);
    cli_status(NULL);
    if (rc == MF_OK) {
        const struct stats_file file = {.path = path,
                                        .form = reader_form_names[reader_form(r)],
                                        .bytes = reader_size(r),
                                        .truncated = reader_ended(r) == READER_END_TRUNCATED};
        rc = print(args, s, &file, &err);
    }
    reader_close(r);
    stats_free(s);
    return rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}

static bool read_options(const struct cli_args *args, const struct ws_filter *f, struct stats_options *o,
                         struct glob **path, struct json_path **by_path) {
    const char *glob = cli_value(args, "path"), *by = cli_value(args, "by-path"), *why = NULL;
    struct err err;
    if (glob && glob_compile(glob, path, &why) < 0) {
        cli_usage_error(args, "--path: \"%s\": %s", glob, why ? why : "out of memory");
        return false;
    }
    if (by && json_path_compile(by, by_path, &err) < 0) {
        cli_usage_error(args, "--by-path: \"%s\": %s", by, err.text);
        return false;
    }
    *o = (struct stats_options){.connections = f->connections,
                                .connections_count = f->connection_count,
                                .path = *path,
                                .from_us = f->from_us,
                                .to_us = f->to_us,
                                .by_path = *by_path};
    return true;
}

static int run(const struct cli_args *args) {
    struct ws_filter filter = {0};
    struct stats_options options;
    struct glob *path = NULL;
    struct json_path *by_path = NULL;
    bool good = ws_filter_read(args, &filter) && read_options(args, &filter, &options, &path, &by_path);
    int code = good ? stats_of(args, &options) : EXIT_USAGE;
    glob_free(path);
    json_path_free(by_path);
    ws_filter_fini(&filter);
    return code;
}

/* clang-format off */
static const struct cli_option options[] = {
    {.name = "connection", .letter = 'c', .argument = "NAME", .repeated = true, .help = "Only this connection"},
    {.name = "path", .letter = 'p', .argument = "GLOB", .help = "Only connections to a path that matches this glob (* is any text)"},
    {.name = "from", .argument = "SECONDS", .help = "From this time of the recording on"},
    {.name = "to", .argument = "SECONDS", .help = "Up to this time of the recording"},
    {.name = "by-path", .letter = 'b', .argument = "PATH", .help = "Count messages by the value at this JSON path (a.b.0 or /a/b/0)"},
    {.name = "recover", .help = "Go on behind what is damaged in the file"},
    {.name = "json", .help = "One JSON object"},
    {0},
};
/* clang-format on */

const struct cli_command cli_ws_stats = {
    .name = "ws stats",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "show what a session file holds, in numbers",
    .details =
        "Counts messages (text and binary, whole, however many frames they have), their rate (the mean, and the "
        "fullest "
        "second), sizes, the gaps between messages of a connection, frame types, close codes, kinds of messages, and "
        "the connections with the most of them. The file is read once; memory does not grow with it.\n"
        "\n"
        "Answers: the time from a client's message to the next message to it on the same connection (of several that "
        "the client sent meanwhile the first counts); where JSON messages have an \"id\" also to the first one with an "
        "equal id. Kinds: the value at --by-path, or of the outermost member type, op, event, action, method, command, "
        "cmd or kind; of an array its first text; of plain text its first word. Medians and 99th percentiles are exact "
        "to 1 %; the others are exact.\n"
        "\n"
        "  mockforge ws stats recordings/sample.jsonl.zst\n"
        "  mockforge ws stats --path '/ws/*' --from 60 --to 120 session.jsonl.zst\n"
        "  mockforge ws stats --by-path params.channel --json session.jsonl.zst | jq .kinds",
    .options = options,
    .run = run,
};
