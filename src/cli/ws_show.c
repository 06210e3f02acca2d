/* mockforge ws show: what a session file holds, one line an event. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/ui.h"
#include "cli/ws_show_line.h"
#include "recording/reader.h"

#define OUTPUT_CHUNK 65536
#define FOLLOW_EVERY_NS 100000000L /* a recorder flushes every 100 ms */
#define LATE_US 5000000u /* lines of several connections may step back in time a little: --to looks this far on */
#define CONNECTIONS_MAX 64
#define ALL_TYPES UINT_MAX

struct filter {
    const char *connections[CONNECTIONS_MAX];
    size_t connection_count;
    bool has_direction;
    enum event_direction direction;
    unsigned types; /* bit by enum event_type */
    uint64_t from_us, to_us;
    const char *grep;
    uint64_t limit;
};

struct show {
    const struct cli_args *args;
    struct filter filter;
    struct show_style style;
    bool json, follow;
    struct buf out;
    int write_error; /* errno of stdout; EPIPE: whoever read it has seen enough */
    uint64_t shown;
};

/* clang-format off */
static const struct cli_option options[] = {
    {.name = "connection", .letter = 'c', .argument = "NAME", .repeated = true, .help = "Only this connection"},
    {.name = "direction", .letter = 'd', .argument = "WHICH", .help = "Only frames that are incoming (from the client) or outgoing"},
    {.name = "type", .letter = 't', .argument = "LIST",
     .help = "Only these types: text, binary, continuation, ping, pong, close, open, end, gap, fault; a list with commas"},
    {.name = "from", .argument = "SECONDS", .help = "From this time of the recording on"},
    {.name = "to", .argument = "SECONDS", .help = "Up to this time of the recording"},
    {.name = "grep", .letter = 'g', .argument = "TEXT", .help = "Only frames whose payload holds this text"},
    {.name = "limit", .letter = 'n', .argument = "N", .help = "At most this many events"},
    {.name = "full", .help = "Whole messages, however long"},
    {.name = "json", .help = "The native form's JSON lines"},
    {.name = "recover", .help = "Go on behind what is damaged in the file; a gap stands in its place"},
    {.name = "follow", .letter = 'f', .help = "Go on while the file grows, until interrupted; wait for it when there is none yet"},
    {0},
};
/* clang-format on */

/* --- what is asked for --- */

static bool read_seconds(const struct cli_args *args, const char *name, uint64_t *out_us) {
    const char *text = cli_value(args, name);
    char *end;
    if (!text)
        return true;
    double seconds = strtod(text, &end);
    if (end == text || *end || *text == '-' || !(seconds <= 1e12)) {
        cli_usage_error(args, "--%s: \"%s\" is not a number of seconds", name, text);
        return false;
    }
    *out_us = (uint64_t)(seconds * 1e6 + 0.5);
    return true;
}

static bool add_type(const struct cli_args *args, struct filter *f, const char *name, size_t len) {
    for (unsigned i = 0; i <= EVENT_FAULT; i++)
        if (strlen(event_type_names[i]) == len && !memcmp(event_type_names[i], name, len)) {
            f->types |= 1u << i;
            return true;
        }
    cli_usage_error(args,
                    "--type: \"%.*s\" is none of text, binary, continuation, ping, pong, close, open, end, gap, fault",
                    (int)len, name);
    return false;
}

static bool read_types(const struct cli_args *args, struct filter *f) {
    const char *list = cli_value(args, "type");
    f->types = list ? 0 : ALL_TYPES;
    while (list && *list) {
        size_t len = strcspn(list, ",");
        if (len && !add_type(args, f, list, len))
            return false;
        list += len + (list[len] == ',');
    }
    return true;
}

static bool read_direction(const struct cli_args *args, struct filter *f) {
    const char *direction = cli_value(args, "direction");
    if (!direction)
        return true;
    f->has_direction = true;
    f->direction = strcmp(direction, "outgoing") ? EVENT_INCOMING : EVENT_OUTGOING;
    if (f->direction == EVENT_OUTGOING || !strcmp(direction, "incoming"))
        return true;
    cli_usage_error(args, "--direction: \"%s\" is neither incoming nor outgoing", direction);
    return false;
}

static bool read_filter(const struct cli_args *args, struct filter *f) {
    const char *limit = cli_value(args, "limit"), *name;
    *f = (struct filter){.to_us = UINT64_MAX - LATE_US, .limit = UINT64_MAX, .grep = cli_value(args, "grep")};
    while ((name = cli_value_at(args, "connection", f->connection_count))) {
        if (f->connection_count == CONNECTIONS_MAX) {
            cli_usage_error(args, "--connection: at most %d of them", CONNECTIONS_MAX);
            return false;
        }
        f->connections[f->connection_count++] = name;
    }
    return read_types(args, f) && read_direction(args, f) && read_seconds(args, "from", &f->from_us) &&
           read_seconds(args, "to", &f->to_us) &&
           (!limit || cli_number(args, "--limit", limit, 0, UINT64_MAX, &f->limit));
}

static bool is_named(const struct filter *f, const char *connection) {
    for (size_t i = 0; i < f->connection_count; i++)
        if (!strcmp(f->connections[i], connection))
            return true;
    return f->connection_count == 0;
}

/* Bytes that are none may have no address, which memmem(3) must not be given. */
static bool holds(const struct event_bytes *b, const char *text) {
    return b->len && memmem(b->data, b->len, text, strlen(text));
}

static bool passes(const struct filter *f, const struct session_event *e) {
    if (!(f->types & 1u << e->type))
        return false;
    bool frame = event_is_frame(e->type);
    if ((f->grep || f->has_direction) && (!frame || (f->has_direction && e->direction != f->direction)))
        return false;
    if (f->grep && !holds(&e->data, f->grep) && !holds(&e->reason, f->grep))
        return false;
    if (e->type == EVENT_RECORDING)
        return f->from_us == 0;
    return e->timestamp_us >= f->from_us && e->timestamp_us <= f->to_us && is_named(f, e->connection);
}

/* --- showing --- */

static void flush(struct show *s) {
    size_t done = 0;
    while (done < s->out.len && !s->write_error) {
        ssize_t n = write(STDOUT_FILENO, s->out.data + done, s->out.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            s->write_error = errno;
        else
            done += (size_t)n;
    }
    buf_reset(&s->out);
}

static int show_event(struct show *s, const struct session_event *e, struct err *err) {
    if (s->json) {
        if (event_write_line(&s->out, e) < 0)
            return err_set(err, MF_ENOMEM, "out of memory");
    } else {
        show_line(&s->out, e, &s->style);
    }
    s->shown += e->type != EVENT_RECORDING;
    if (s->out.len >= OUTPUT_CHUNK)
        flush(s);
    return MF_OK;
}

static bool is_done(const struct show *s) {
    return s->write_error || s->shown >= s->filter.limit;
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
    struct session_event e;
    int rc = 0;
    while (!(*done = is_done(s)) && (rc = reader_next(r, &e, err)) > 0) {
        if (e.type != EVENT_RECORDING && e.timestamp_us > s->filter.to_us + LATE_US) {
            *done = true;
            rc = 0;
            break;
        }
        if (passes(&s->filter, &e) && (rc = show_event(s, &e, err)) < 0)
            break;
    }
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
        fprintf(stderr,
                "mockforge ws show: %s ends in the middle of a %s: it is being written, or its writer was killed\n",
                cli_operand(s->args, 0), reader_form(r) == READER_NATIVE ? "frame" : "message");
    return rc;
}

static int run(const struct cli_args *args) {
    struct show s = {.args = args, .json = cli_flag(args, "json"), .follow = cli_flag(args, "follow")};
    struct reader *r = NULL;
    struct err err;
    if (!read_filter(args, &s.filter))
        return EXIT_USAGE;
    bool terminal = isatty(STDOUT_FILENO);
    s.style = (struct show_style){.colour = cli_colour(STDOUT_FILENO),
                                  .full = !terminal || cli_flag(args, "full"),
                                  .width = ui_width(STDOUT_FILENO)};
    if (s.follow)
        wait_for_file(cli_operand(args, 0));
    int rc = reader_open(cli_operand(args, 0), &r, &err);
    if (rc == MF_OK && s.follow && (reader_form(r) == READER_DOCUMENT || reader_form(r) == READER_DOCUMENT_ZST)) {
        reader_close(r);
        return cli_usage_error(args,
                               "--follow: a document is written when its recording has ended; follow its journal");
    }
    if (rc == MF_OK)
        reader_recover(r, cli_flag(args, "recover"));
    if (rc == MF_OK && s.filter.from_us)
        rc = reader_seek(r, s.filter.from_us, &err);
    if (rc == MF_OK)
        rc = show_all(&s, r, &err);
    reader_close(r);
    buf_fini(&s.out);
    return rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}

const struct cli_command cli_ws_show = {
    .name = "ws show",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "show what a session file holds",
    .details =
        "Prints one line for each event: seconds since the recording began, connection, direction (-> from the client, "
        "<- to it), type, size and payload. Binary payloads are in hexadecimal. On a terminal lines are cut to its width "
        "unless --full is given. Characters that would control a terminal are escaped.\n"
        "\n"
        "Reads every form (.jsonl.zst, .jsonl, .json, .json.zst), told by the content; also a file that is being "
        "written. --from uses the seek table and is fast in large files.\n"
        "\n"
        "  mockforge ws show recordings/sample.jsonl.zst\n"
        "  mockforge ws show --connection conn-3 --type text --from 60 --to 90 session.jsonl.zst\n"
        "  mockforge ws show --follow --grep error recordings/today.jsonl.zst\n"
        "  mockforge ws show --json session.json | jq -r .data",
    .options = options,
    .run = run,
};
