/* mockforge ws diff: where two recordings of the same conversations differ. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/ws_options.h"
#include "replay/diff.h"

#define LIST_MAX 256

struct list {
    const char *items[LIST_MAX];
    size_t count;
};

struct request {
    const struct cli_args *args;
    struct list ignore, unordered, connections;
    struct diff_options diff;
    const char *junit;
    bool json;
};

/* clang-format off */
static const struct cli_option options[] = {
    {.name = "ignore", .letter = 'i', .argument = "PATH", .repeated = true,
     .help = "Values at this path and below it do not count: /payload/ts, items.*.id, /**/createdAt"},
    {.name = "unordered", .letter = 'u', .argument = "PATH", .repeated = true,
     .help = "The elements of this array may come in any order; / for the messages themselves"},
    {.name = "tolerance", .argument = "N|N%", .help = "Numbers may differ by so much"},
    {.name = "allow-extra", .help = "B may have more messages, connections and members of objects than A"},
    {.name = "types-only", .help = "Compare paths and kinds of values, not the values"},
    {.name = "connection", .letter = 'c', .argument = "NAME", .repeated = true, .help = "Only this connection"},
    {.name = "direction", .letter = 'd', .argument = "WHICH", .help = "Only messages that are incoming (from the client) or outgoing"},
    {.name = "no-correlate", .help = "Values that were made up anew in each recording must be equal too"},
    {.name = "junit", .argument = "FILE", .help = "Write the result as JUnit XML to this file as well"},
    {.name = "json", .help = "Print the result as JSON"},
    {.name = "recover", .help = "Go on behind what is damaged in the files"},
    {0},
};
/* clang-format on */

/* ---- what is asked for ---- */

static bool read_list(const struct cli_args *args, const char *name, struct list *l) {
    const char *value;
    while ((value = cli_value_at(args, name, l->count))) {
        if (l->count == LIST_MAX) {
            cli_usage_error(args, "--%s: at most %d of them", name, LIST_MAX);
            return false;
        }
        l->items[l->count++] = value;
    }
    return true;
}

/* "" and "/" would ignore everything. */
static bool check_ignored(const struct cli_args *args, const struct list *l) {
    for (size_t i = 0; i < l->count; i++)
        if (!*l->items[i] || !strcmp(l->items[i], "/")) {
            cli_usage_error(args, "--ignore: \"%s\" would ignore everything; expected a path such as /payload/ts",
                            l->items[i]);
            return false;
        }
    return true;
}

static void report_progress(uint64_t done, uint64_t total, void *arg) {
    (void)arg;
    cli_status("comparing connection %llu of %llu", (unsigned long long)done + 1, (unsigned long long)total);
}

static bool read_request(const struct cli_args *args, struct request *r) {
    *r = (struct request){.args = args, .junit = cli_value(args, "junit"), .json = cli_flag(args, "json")};
    if (!read_list(args, "ignore", &r->ignore) || !read_list(args, "unordered", &r->unordered) ||
        !read_list(args, "connection", &r->connections) || !check_ignored(args, &r->ignore) ||
        !ws_option_tolerance(args, &r->diff.compare) ||
        !ws_option_direction(args, &r->diff.one_direction, &r->diff.direction))
        return false;
    struct compare_options *o = &r->diff.compare;
    o->ignore = r->ignore.items;
    o->ignore_count = r->ignore.count;
    o->unordered = r->unordered.items;
    o->unordered_count = r->unordered.count;
    o->allow_extra = cli_flag(args, "allow-extra");
    o->types_only = cli_flag(args, "types-only");
    r->diff.no_correlate = cli_flag(args, "no-correlate");
    r->diff.progress = report_progress;
    return true;
}

/* ---- reading ---- */

static void reading(uint64_t done, uint64_t total, void *arg) {
    if (total)
        cli_status("reading %s: %u %%", (const char *)arg, (unsigned)(done * 100 / total));
}

static int load(const struct request *r, size_t operand, struct replay_source **out, struct err *err) {
    const char *path = cli_operand(r->args, operand);
    const struct replay_source_options how = {.connections = r->connections.count ? r->connections.items : NULL,
                                              .connections_count = r->connections.count,
                                              .recover = cli_flag(r->args, "recover"),
                                              .progress = reading,
                                              .arg = (void *)(uintptr_t)path};
    int rc = replay_source_load(path, &how, out, err);
    cli_status(NULL);
    return rc;
}

/* What makes a comparison less than it seems. */
static void warn(const struct replay_source *s) {
    uint64_t gaps = 0;
    for (size_t i = 0; i < s->count; i++)
        gaps += s->connections[i].gaps;
    if (s->truncated)
        fprintf(stderr, "mockforge ws diff: %s ends early: it is being written, or was recovered\n", s->file);
    if (gaps)
        fprintf(stderr, "mockforge ws diff: %s: %llu frames are missing in it\n", s->file, (unsigned long long)gaps);
}

/* ---- the result ---- */

static int write_all(int fd, const struct buf *b, const char *name, struct err *err) {
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno != EINTR)
            return err_set_at(err, MF_EIO, name, 0, 0, "cannot be written: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    return MF_OK;
}

static int write_junit(const struct request *r, const struct report_case *cases, size_t count, struct err *err) {
    struct buf out = BUF_INIT, suite = BUF_INIT;
    int fd = open(r->junit, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set_at(err, MF_EIO, r->junit, 0, 0, "cannot be written: %s", strerror(errno));
    buf_printf(&suite, "mockforge ws diff %s %s", cli_operand(r->args, 0), cli_operand(r->args, 1));
    report_junit(&out, buf_cstr(&suite), cases, count);
    int rc = out.failed ? err_set(err, MF_ENOMEM, "out of memory") : write_all(fd, &out, r->junit, err);
    if (close(fd) < 0 && rc == MF_OK)
        rc = err_set_at(err, MF_EIO, r->junit, 0, 0, "cannot be written: %s", strerror(errno));
    buf_fini(&out);
    buf_fini(&suite);
    return rc;
}

static int print(const struct request *r, const struct report_case *cases, size_t count, struct err *err) {
    struct buf out = BUF_INIT;
    if (r->json)
        report_json(&out, cases, count);
    else
        report_text(&out, cases, count, cli_colour(STDOUT_FILENO));
    int rc = out.failed ? err_set(err, MF_ENOMEM, "out of memory") : write_all(STDOUT_FILENO, &out, "stdout", err);
    buf_fini(&out);
    return rc == MF_EIO && errno == EPIPE ? MF_OK : rc; /* whoever read it has seen enough */
}

static bool is_different(const struct diff *d) {
    for (size_t i = 0; i < d->count; i++)
        if (d->cases[i].comparison.total)
            return true;
    return false;
}

static int tell(const struct request *r, const struct diff *d, struct err *err) {
    struct report_case *cases = calloc(d->count + 1, sizeof *cases);
    if (!cases)
        return err_set(err, MF_ENOMEM, "out of memory");
    for (size_t i = 0; i < d->count; i++)
        cases[i] = (struct report_case){.name = d->cases[i].name, .comparison = &d->cases[i].comparison};
    int rc = r->junit ? write_junit(r, cases, d->count, err) : MF_OK;
    if (rc == MF_OK)
        rc = print(r, cases, d->count, err);
    free(cases);
    return rc;
}

static void tell_unpaired(const struct diff *d) {
    if (!d->by_name)
        fprintf(stderr, "mockforge ws diff: the names of the connections are not the same: paired in their order\n");
    if (d->only_a || d->only_b)
        fprintf(stderr, "mockforge ws diff: %zu connection%s of %s without a partner\n", d->only_a + d->only_b,
                d->only_a + d->only_b == 1 ? "" : "s", d->only_a ? "the first recording" : "the second recording");
}

static int run(const struct cli_args *args) {
    struct request r;
    struct replay_source *a = NULL, *b = NULL;
    struct diff d = {0};
    struct err err;
    if (!read_request(args, &r))
        return EXIT_USAGE;
    int rc = load(&r, 0, &a, &err);
    if (rc == MF_OK)
        rc = load(&r, 1, &b, &err);
    if (rc == MF_OK) {
        warn(a);
        warn(b);
        rc = diff_recordings(a, b, &r.diff, &d, &err);
        cli_status(NULL);
    }
    if (rc == MF_OK) {
        tell_unpaired(&d);
        rc = tell(&r, &d, &err);
    }
    int code = rc < 0 ? cli_fail(EXIT_IO, &err) : is_different(&d) ? EXIT_CHECK_FAILED : EXIT_FINE;
    diff_fini(&d);
    replay_source_unref(a);
    replay_source_unref(b);
    return code;
}

const struct cli_command cli_ws_diff = {
    .name = "ws diff",
    .arguments = "A B",
    .min_arguments = 2,
    .max_arguments = 2,
    .summary = "compare two session files",
    .details =
        "Compares what was said in two recordings; A is what is expected. Connections are paired by name, or in their "
        "order when the names are not the same. Messages are aligned, so that one more or one less is one difference, "
        "and compared by structure: the order of members, white space, escapes and the way in which a number is "
        "written do not count. Paths, queries, subprotocols and close codes count, times do not.\n"
        "\n"
        "Ids and other values that were made up anew in each recording (as correlation finds them) need not be equal: "
        "what stands for another once must do so everywhere. --no-correlate wants them equal.\n"
        "\n"
        "Exits with 0 when nothing differs, 1 when something does, 3 when a file cannot be read.\n"
        "\n"
        "  mockforge ws diff before.jsonl.zst after.jsonl.zst\n"
        "  mockforge ws diff --ignore '/**/timestamp' --tolerance 1% a.jsonl b.jsonl\n"
        "  mockforge ws diff --direction outgoing --unordered items --junit diff.xml a.json b.json\n"
        "  mockforge ws diff --json a.jsonl b.jsonl | jq '.cases[].differences[].path'",
    .options = options,
    .run = run,
};
