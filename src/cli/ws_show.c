/* mockforge ws show: what a session file holds, one line an event. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/ui.h"
#include "cli/ws_filter.h"
#include "cli/ws_show_line.h"
#include "recording/reader.h"

#define OUTPUT_CHUNK 65536
#define FOLLOW_EVERY_NS 100000000L /* a recorder flushes every 100 ms */

struct show {
    const struct cli_args *args;
    struct ws_filter filter;
    struct ws_sieve sieve;
    struct reader *reader;
    struct session_event event; /* the last one that was read */
    uint64_t limit;
    struct show_style style;
    bool json, follow;
    struct buf out;
    int write_error; /* errno of stdout; EPIPE: whoever read it has seen enough */
    uint64_t shown;
};

/* clang-format off */
static const struct cli_option options[] = {
    WS_FILTER_PLACE_OPTIONS,
    {.name = "from", .argument = "SECONDS", .help = "From this time of the recording on"},
    {.name = "to", .argument = "SECONDS", .help = "Up to this time of the recording"},
    WS_FILTER_PAYLOAD_OPTIONS,
    {.name = "limit", .letter = 'n', .argument = "N", .help = "At most this many events"},
    {.name = "full", .help = "Whole messages, however long"},
    {.name = "json", .help = "The native form's JSON lines"},
    {.name = "recover", .help = "Go on behind what is damaged in the file; a gap stands in its place"},
    {.name = "follow", .letter = 'f', .help = "Go on while the file grows, until interrupted; wait for it when there is none yet"},
    {0},
};
/* clang-format on */

/* --- showing --- */

static void flush(struct show *s) {
    int failed = ui_write(&s->out);
    s->write_error = failed ? failed : s->write_error;
}

static int show_selection(struct show *s, const struct session_event *e, const struct buf *selected, struct err *err) {
    const char *json = (const char *)selected->data, *end = json + selected->len;
    for (; json < end; json += strlen(json) + 1) {
        if (!s->json)
            show_selected(&s->out, e, json, &s->style);
        else if (show_selected_json(&s->out, e, json) < 0)
            return err_set(err, MF_ENOMEM, "out of memory");
    }
    return MF_OK;
}

static int show_event(struct show *s, const struct session_event *e, struct err *err) {
    struct event_bytes line;
    if (!s->json) {
        show_line(&s->out, e, &s->style);
    } else if (e == &s->event && reader_line(s->reader, &line)) {
        buf_append(&s->out, line.data, line.len);
        buf_putc(&s->out, '\n');
    } else if (event_write_line(&s->out, e) < 0) {
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    return MF_OK;
}

static bool is_done(const struct show *s) {
    return s->write_error || s->shown >= s->limit;
}

/* What has passed the filter. */
static int show_message(const struct session_event *events, size_t count, const struct buf *selected, void *arg,
                        struct err *err) {
    struct show *s = arg;
    int rc = MF_OK;
    if (selected) {
        s->shown++;
        rc = show_selection(s, &events[count - 1], selected, err);
    }
    for (size_t i = 0; !selected && i < count && rc == MF_OK && !is_done(s); i++) {
        rc = show_event(s, &events[i], err);
        s->shown += events[i].type != EVENT_RECORDING;
    }
    if (s->out.len >= OUTPUT_CHUNK)
        flush(s);
    return rc;
}

static void wait_a_little(void) {
    struct timespec pause = {0, FOLLOW_EVERY_NS};
    nanosleep(&pause, NULL);
}

/* A recording has no file before its first connection; who follows it may come earlier. */
static void wait_for_file(const char *path) {
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return;
    fprintf(stderr, "mockforge ws show: waiting for %s\n", path);
    while (access(path, F_OK) < 0 && errno == ENOENT)
        wait_a_little();
}

/* Up to the file's end as it is now, or to what was asked for. */
static int show_events(struct show *s, struct reader *r, bool *done, struct err *err) {
    struct session_event *e = &s->event;
    int rc = 0;
    s->reader = r;
    while (!(*done = is_done(s)) && (rc = reader_next(r, e, err)) > 0) {
        if (ws_filter_past(&s->filter, e)) {
            *done = true;
            rc = 0;
            break;
        }
        if ((rc = ws_sieve_add(&s->sieve, e, err)) < 0)
            break;
    }
    if (rc >= 0 && !is_done(s) && !s->follow)
        rc = ws_sieve_end(&s->sieve, err);
    flush(s);
    if (rc >= 0 && s->write_error && s->write_error != EPIPE)
        return err_set(err, MF_EIO, "cannot write to stdout: %s", strerror(s->write_error));
    return rc < 0 ? rc : MF_OK;
}

static int show_all(struct show *s, struct reader *r, struct err *err) {
    bool done = false;
    int rc = show_events(s, r, &done, err);
    while (rc == MF_OK && s->follow && !done) {
        if (reader_more(r)) {
            rc = show_events(s, r, &done, err);
        } else {
            wait_a_little();
        }
    }
    if (rc == MF_OK && !done && reader_ended(r) == READER_END_TRUNCATED)
        fprintf(stderr, "mockforge ws show: %s %s\n", cli_operand(s->args, 0),
                reader_being_written(cli_operand(s->args, 0)) ? "is being written: it goes on"
                                                              : "is cut off: this is what could be read of it");
    if (s->sieve.cut)
        fprintf(stderr, "mockforge ws show: of %llu message%s larger than %u MiB only the beginning was searched\n",
                (unsigned long long)s->sieve.cut, s->sieve.cut == 1 ? "" : "s", WS_WHOLE_MAX >> 20);
    return rc;
}

static int show_file(struct show *s, const char *path) {
    struct reader *r = NULL;
    struct err err;
    if (s->follow)
        wait_for_file(path);
    int rc = reader_open(path, &r, &err);
    if (rc == MF_OK && s->follow && reader_form(r) != READER_NATIVE && reader_form(r) != READER_JSONL) {
        reader_close(r);
        return cli_usage_error(s->args,
                               "--follow: a document is written when its recording has ended; follow its journal");
    }
    if (rc == MF_OK) {
        reader_recover(r, cli_flag(s->args, "recover"));
        reader_run_ahead(r);
        reader_growing(r, s->follow);
    }
    if (rc == MF_OK && s->filter.from_us)
        rc = reader_seek(r, s->filter.from_us, &err);
    if (rc == MF_OK)
        rc = show_all(s, r, &err);
    reader_close(r);
    return rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}

static int run(const struct cli_args *args) {
    struct show s = {
        .args = args, .limit = UINT64_MAX, .json = cli_flag(args, "json"), .follow = cli_flag(args, "follow")};
    const char *limit = cli_value(args, "limit");
    bool terminal = isatty(STDOUT_FILENO);
    s.sieve = (struct ws_sieve){.filter = &s.filter, .fn = show_message, .arg = &s};
    s.style = (struct show_style){.colour = cli_colour(STDOUT_FILENO),
                                  .full = !terminal || cli_flag(args, "full"),
                                  .width = ui_width(STDOUT_FILENO)};
    bool good =
        ws_filter_read(args, &s.filter) && (!limit || cli_number(args, "--limit", limit, 0, UINT64_MAX, &s.limit));
    int code = good ? show_file(&s, cli_operand(args, 0)) : EXIT_USAGE;
    ws_sieve_fini(&s.sieve);
    ws_filter_fini(&s.filter);
    buf_fini(&s.out);
    return code;
}

const struct cli_command cli_ws_show = {
    .name = "ws show",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "show what a session file holds",
    .details =
        "Prints one line for each event: seconds since the recording began, connection, direction (-> from the client, "
        "<- to it), type, size and payload. Binary payloads are in hexadecimal. On a terminal lines are cut to its "
        "width "
        "unless --full is given. Characters that would control a terminal are escaped.\n"
        "\n"
        "Reads every form (.jsonl.zst, .jsonl, .json, .json.zst), told by the content; also a file that is being "
        "written. --from uses the seek table and is fast in large files.\n"
        "\n"
        "Filters that look at payloads (--grep, --regex, --json-path, --select) see messages whole: one in several "
        "frames or pieces is shown with its last one. A regular expression has a budget of steps, beyond which it does "
        "not match; of a message only the first 16 MiB are searched.\n"
        "\n"
        "  mockforge ws show recordings/sample.jsonl.zst\n"
        "  mockforge ws show --connection conn-3 --type text --from 60 --to 90 session.jsonl.zst\n"
        "  mockforge ws show --follow --grep error recordings/today.jsonl.zst\n"
        "  mockforge ws show --json-path type=trade --json-path 'items.*.price' session.jsonl.zst\n"
        "  mockforge ws show --json-path /method=subscribe --select /params/channel session.jsonl.zst\n"
        "  mockforge ws show --json session.json | jq -r .data",
    .options = options,
    .run = run,
};
