/* mockforge ws convert: from one form of session file to another; finishes the journals of recordings that crashed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "protocol/text.h"
#include "recording/convert.h"
#include "recording/convert_text.h"
#include "replay/mock_export.h"

#define JOURNAL ".journal.jsonl.zst"
#define DOCUMENT ".json"

static const struct cli_option options[] = {
    {.name = "to",
     .argument = "native|jsonl|json|json.zst|har|mockforge|mock",
     .help = "The form of OUT, where its name does not tell"},
    {.name = "connection", .argument = "NAME", .help = "With --to mockforge or mock: this connection"},
    {.name = "force", .letter = 'f', .help = "Replace OUT if it exists"},
    {.name = "level", .argument = "N", .help = "zstd level of .zst output, 1 to 19 (default: 1)"},
    {.name = "recover", .help = "Go on behind what is damaged in IN; a gap stands in its place"},
    {.name = "keep", .help = "Keep the journal after its document is written"},
    {.name = "json", .help = "Print the result as JSON"},
    {0},
};

/* "X.journal.jsonl.zst" */
static bool is_journal(const char *path) {
    size_t len = strlen(path), n = strlen(JOURNAL);
    return len > n && !strcmp(path + len - n, JOURNAL);
}

/* "X.json" for it; free() it. NULL without memory. */
static char *document_of(const char *journal) {
    struct buf path = BUF_INIT;
    buf_append(&path, journal, strlen(journal) - strlen(JOURNAL));
    buf_puts(&path, DOCUMENT);
    return buf_steal(&path);
}

static void report_progress(uint64_t done, uint64_t total, void *arg) {
    const char *name = arg;
    if (total)
        cli_status("converting %s: %u %%", name, (unsigned)(done * 100 / total));
}

/* Takes the lock that a recorder holds on its journal (docs/session-file.md): MF_EINVAL when one does. */
static int lock_journal(const char *path, int *fd, struct err *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return err_set_at(err, MF_EIO, path, 0, 0, "cannot be opened: %s", strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return MF_OK;
    return err_set_at(err, MF_EINVAL, path, 0, 0, "is being written; its document comes when the recording ends");
}

static void print_result(const struct cli_args *args, const char *to, const struct convert_result *result) {
    if (cli_flag(args, "json")) {
        struct buf out = BUF_INIT;
        buf_puts(&out, "{\"output\":");
        json_quote(&out, to, strlen(to));
        buf_printf(&out, ",\"messages\":%llu,\"connections\":%llu,\"joined\":%llu,\"left_out\":%llu,\"truncated\":%s}",
                   (unsigned long long)result->messages, (unsigned long long)result->connections,
                   (unsigned long long)result->joined, (unsigned long long)result->left_out,
                   result->truncated ? "true" : "false");
        puts(buf_cstr(&out));
        buf_fini(&out);
        return;
    }
    fprintf(stderr, "%s: %llu message%s of %llu connection%s\n", to, (unsigned long long)result->messages,
            result->messages == 1 ? "" : "s", (unsigned long long)result->connections,
            result->connections == 1 ? "" : "s");
    if (result->joined)
        fprintf(stderr, "%llu message%s came in fragments and stand%s there as one\n",
                (unsigned long long)result->joined, result->joined == 1 ? "" : "s", result->joined == 1 ? "s" : "");
    if (result->left_out)
        fprintf(stderr, "%llu frame%s or line%s had no place there and %s left out\n",
                (unsigned long long)result->left_out, result->left_out == 1 ? "" : "s",
                result->left_out == 1 ? "" : "s", result->left_out == 1 ? "is" : "are");
    if (result->truncated)
        fprintf(stderr, "the input ends in the middle of a frame or message: everything before that was converted\n");
}

static int convert(const struct cli_args *args, const char *from, const char *to, const struct convert_options *how,
                   bool finish) {
    struct convert_result result = {0};
    struct err err;
    int lock = -1, rc = MF_OK;
    if (finish)
        rc = lock_journal(from, &lock, &err);
    if (rc == MF_OK)
        rc = session_convert(from, to, how, &result, &err);
    cli_status(NULL);
    if (rc == MF_OK && finish && !cli_flag(args, "keep") && unlink(from) < 0)
        rc = err_set_at(&err, MF_EIO, from, 0, 0, "cannot be removed: %s", strerror(errno));
    if (lock >= 0)
        close(lock);
    if (rc < 0)
        return cli_fail(EXIT_IO, &err);
    print_result(args, to, &result);
    return EXIT_FINE;
}

/* --- a rules file --- */

static int load(const struct cli_args *args, const char *from, struct replay_source **out, struct err *err) {
    const char *connection = cli_value(args, "connection");
    struct replay_source_options how = {.connections = connection ? &connection : NULL,
                                        .connections_count = connection != NULL,
                                        .recover = cli_flag(args, "recover"),
                                        .progress = report_progress,
                                        .arg = (void *)(uintptr_t)from};
    return replay_source_load(from, &how, out, err);
}

static int write_mock(const struct cli_args *args, const char *to, struct buf *text, struct err *err) {
    if (to)
        return session_write_text(to, text, cli_flag(args, "force"), err);
    if (fwrite(text->data, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
        return err_set(err, MF_EIO, "cannot write to stdout: %s", strerror(errno));
    return MF_OK;
}

static int to_mock(const struct cli_args *args, const char *from, const char *to) {
    struct replay_source *source = NULL;
    struct mock_export_result result = {0};
    struct buf text = BUF_INIT;
    struct err err;
    struct stat st;
    if (to && !cli_flag(args, "force") && lstat(to, &st) == 0)
        return cli_usage_error(args, "%s exists; --force replaces it", to);
    int rc = load(args, from, &source, &err);
    if (rc == MF_OK)
        rc = mock_export(source, &text, &result, &err);
    cli_status(NULL);
    if (rc == MF_OK)
        rc = write_mock(args, to, &text, &err);
    replay_source_unref(source);
    buf_fini(&text);
    if (rc < 0)
        return cli_fail(EXIT_IO, &err);
    fprintf(stderr, "%llu rule%s on %llu path%s, from %llu messages of clients\n", (unsigned long long)result.rules,
            result.rules == 1 ? "" : "s", (unsigned long long)result.routes, result.routes == 1 ? "" : "s",
            (unsigned long long)result.exchanges);
    if (result.varying)
        fprintf(stderr, "%llu of them were answered now so and now otherwise: the first answer was taken\n",
                (unsigned long long)result.varying);
    if (result.left_out)
        fprintf(stderr, "%llu messages had no place in a configuration and are left out\n",
                (unsigned long long)result.left_out);
    return EXIT_FINE;
}

static int run(const struct cli_args *args) {
    const char *from = cli_operand(args, 0), *to = cli_operand_count(args) > 1 ? cli_operand(args, 1) : NULL;
    const char *level = cli_value(args, "level");
    uint64_t number = 0;
    enum session_form form;
    struct err err;
    if (level && !cli_number(args, "--level", level, 1, 19, &number))
        return EXIT_USAGE;
    const char *named = cli_value(args, "to");
    if (named && !strcmp(named, "mock"))
        return to_mock(args, from, to);
    bool finish = !to && is_journal(from);
    if (!to && !finish)
        return cli_usage_error(args, "say where to: only a journal (NAME" JOURNAL ") has a document of its own");
    if (named && session_form_named(named, &form, &err) < 0)
        return cli_usage_error(args, "--to: %s", err.text);
    if (to && !named && session_target_of(to, &form, &err) < 0)
        return cli_usage_error(args, "%s: %s; --to says it otherwise", to, err.text);
    if (named && finish)
        return cli_usage_error(args, "--to: say where to as well");
    if (cli_value(args, "connection") && (!named || form != SESSION_MOCKFORGE))
        return cli_usage_error(args,
                               "--connection is for --to mockforge and mock; 'mockforge ws cut' takes connections out");
    char *document = finish ? document_of(from) : NULL;
    to = to ? to : document;
    if (!to)
        return EXIT_IO;
    bool force = cli_flag(args, "force");
    struct stat st;
    int code;
    if (!force && lstat(to, &st) == 0) {
        code = cli_usage_error(args, "%s exists; --force replaces it", to);
    } else {
        struct convert_options how = {.level = (int)number,
                                      .overwrite = force,
                                      .recover = cli_flag(args, "recover"),
                                      .form = named ? &form : NULL,
                                      .connection = cli_value(args, "connection"),
                                      .progress = report_progress,
                                      .arg = (void *)(uintptr_t)from};
        code = convert(args, from, to, &how, finish);
    }
    free(document);
    return code;
}

const struct cli_command cli_ws_convert = {
    .name = "ws convert",
    .arguments = "IN [OUT]",
    .min_arguments = 1,
    .max_arguments = 2,
    .summary = "convert a session file to another form",
    .details =
        "The form of OUT is told by its extension: .jsonl.zst (native), .jsonl (plain lines), .json (one document), "
        ".json.zst or .har, or by --to; that of IN by its content. OUT appears whole or not at all, and is mode 0600.\n"
        "\n"
        "Between the first four forms nothing is lost. A HAR file (an HTTP archive with _webSocketMessages, as Chrome, "
        "Playwright and mitmproxy write it) has whole messages, pings and closes, but no fragments, gaps or faults. "
        "MockForge's replay lines (--to mockforge) have the messages of one connection.\n"
        "\n"
        "--to mock writes a mockforge.yaml in which pattern rules answer as the recorded server did, to OUT or "
        "stdout.\n"
        "\n"
        "A recorder that was killed leaves NAME.journal.jsonl.zst beside the document that it would have written. "
        "Given "
        "such a journal and no OUT, this writes NAME.json and removes the journal.\n"
        "\n"
        "  mockforge ws convert session.jsonl.zst session.json\n"
        "  mockforge ws convert recordings/ws-2024-01-15.journal.jsonl.zst\n"
        "  mockforge ws convert --level 9 big.jsonl archive.jsonl.zst\n"
        "  mockforge ws convert devtools.har session.jsonl.zst\n"
        "  mockforge ws convert session.jsonl.zst session.har\n"
        "  mockforge ws convert --to mockforge --connection conn-2 session.jsonl.zst replay.jsonl\n"
        "  mockforge ws convert --to mock session.jsonl.zst mockforge.yaml",
    .options = options,
    .run = run,
};
