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

#define JOURNAL ".journal.jsonl.zst"
#define DOCUMENT ".json"

static const struct cli_option options[] = {
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
        buf_printf(&out, ",\"messages\":%llu,\"connections\":%llu,\"truncated\":%s}",
                   (unsigned long long)result->messages, (unsigned long long)result->connections,
                   result->truncated ? "true" : "false");
        puts(buf_cstr(&out));
        buf_fini(&out);
        return;
    }
    fprintf(stderr, "%s: %llu message%s of %llu connection%s\n", to, (unsigned long long)result->messages,
            result->messages == 1 ? "" : "s", (unsigned long long)result->connections,
            result->connections == 1 ? "" : "s");
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

static int run(const struct cli_args *args) {
    const char *from = cli_operand(args, 0), *to = cli_operand_count(args) > 1 ? cli_operand(args, 1) : NULL;
    const char *level = cli_value(args, "level");
    uint64_t number = 0;
    enum session_form form;
    struct err err;
    if (level && !cli_number(args, "--level", level, 1, 19, &number))
        return EXIT_USAGE;
    bool finish = !to && is_journal(from);
    if (!to && !finish)
        return cli_usage_error(args, "say where to: only a journal (NAME" JOURNAL ") has a document of its own");
    if (to && session_form_of(to, &form, &err) < 0)
        return cli_usage_error(args, "%s: %s", to, err.text);
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
        "The form of OUT is told by its extension: .jsonl.zst (native), .jsonl (plain lines), .json (one document) or "
        ".json.zst; that of IN by its content. Nothing is lost on the way there and back. OUT appears whole or not at "
        "all.\n"
        "\n"
        "A recorder that was killed leaves NAME.journal.jsonl.zst beside the document that it would have written. "
        "Given "
        "such a journal and no OUT, this writes NAME.json and removes the journal.\n"
        "\n"
        "  mockforge ws convert session.jsonl.zst session.json\n"
        "  mockforge ws convert recordings/ws-2024-01-15.journal.jsonl.zst\n"
        "  mockforge ws convert --level 9 big.jsonl archive.jsonl.zst",
    .options = options,
    .run = run,
};
