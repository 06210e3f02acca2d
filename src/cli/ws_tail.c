/* mockforge ws tail: the last messages of a recording, and those that come. */
#include "cli/ws_tail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/ui.h"

#define LAST_DEFAULT 10u
#define OUTPUT_CHUNK 65536u
#define GATEWAY_DEFAULT "http://127.0.0.1:3000"

void tail_say(const char *fmt, ...) {
    va_list ap;
    fputs("mockforge ws tail: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void tail_flush(struct tail *t) {
    int failed = ui_write(&t->out);
    t->write_error = failed ? failed : t->write_error;
}

/* ---- what is kept ---- */

/* The oldest one's place in the ring. */
static struct buf *oldest(struct tail *t) {
    return &t->kept[(t->kept_next + (size_t)t->last - t->kept_count) % (size_t)t->last];
}

static void drop_oldest(struct tail *t) {
    struct buf *b = oldest(t);
    t->kept_bytes -= b->len;
    t->kept_count--;
    buf_fini(b);
}

static struct buf *room_for_one(struct tail *t) {
    if (t->kept_count == t->last)
        drop_oldest(t);
    struct buf *b = &t->kept[t->kept_next];
    t->kept_next = (t->kept_next + 1) % (size_t)t->last;
    t->kept_count++;
    return b;
}

void tail_forget(struct tail *t) {
    while (t->kept_count)
        drop_oldest(t);
    t->kept_next = 0;
}

void tail_go_live(struct tail *t) {
    while (t->kept_count) {
        struct buf *b = oldest(t);
        buf_append(&t->out, b->data, b->len);
        drop_oldest(t);
        if (t->out.len >= OUTPUT_CHUNK)
            tail_flush(t);
    }
    t->live = true;
    tail_flush(t);
}

/* ---- what passes ---- */

static int put_selection(struct tail *t, struct buf *out, const struct session_event *e, const struct buf *selected) {
    const char *json = (const char *)selected->data, *end = json + selected->len;
    int rc = MF_OK;
    for (; json < end && rc == MF_OK; json += strlen(json) + 1) {
        if (t->json)
            rc = show_selected_json(out, e, json);
        else
            show_selected(out, e, json, &t->style);
    }
    return rc;
}

static int put_events(struct tail *t, struct buf *out, const struct session_event *events, size_t count) {
    int rc = MF_OK;
    for (size_t i = 0; i < count && rc == MF_OK; i++) {
        if (t->json)
            rc = event_write_line(out, &events[i]);
        else
            show_line(out, &events[i], &t->style);
    }
    return rc;
}

static int on_message(const struct session_event *events, size_t count, const struct buf *selected, void *arg,
                      struct err *err) {
    struct tail *t = arg;
    if (!t->live && (!t->last || events->type == EVENT_RECORDING))
        return MF_OK;
    struct buf *out = t->live ? &t->out : room_for_one(t);
    int rc = selected ? put_selection(t, out, &events[count - 1], selected) : put_events(t, out, events, count);
    if (rc < 0 || out->failed)
        return err_set(err, MF_ENOMEM, "out of memory");
    if (!t->live) {
        t->kept_bytes += out->len;
        while (t->kept_bytes > TAIL_KEPT_MAX && t->kept_count > 1)
            drop_oldest(t);
    } else if (t->out.len >= OUTPUT_CHUNK) {
        tail_flush(t);
    }
    return MF_OK;
}

int tail_add(struct tail *t, const struct session_event *e, struct err *err) {
    return ws_sieve_add(&t->sieve, e, err);
}

/* ---- the command ---- */

static int follow(struct tail *t) {
    const char *file = cli_operand(t->args, 0), *gateway = cli_value(t->args, "gateway");
    const char *token = cli_value(t->args, "token");
    if (file && (gateway || token))
        return cli_usage_error(t->args, "give a FILE, or --gateway and --token");
    if (file)
        return tail_file(t, file);
    if (cli_value(t->args, "last"))
        return cli_usage_error(t->args, "--last is for a FILE: a gateway tells what comes, and nothing that was");
    return tail_gateway(t, gateway ? gateway : GATEWAY_DEFAULT, token ? token : getenv("MOCKFORGE_ADMIN_TOKEN"));
}

static int run(const struct cli_args *args) {
    struct tail t = {.args = args, .last = LAST_DEFAULT, .json = cli_flag(args, "json")};
    const char *last = cli_value(args, "last");
    t.sieve = (struct ws_sieve){.filter = &t.filter, .fn = on_message, .arg = &t};
    t.style = (struct show_style){.colour = cli_colour(STDOUT_FILENO),
                                  .full = !isatty(STDOUT_FILENO) || cli_flag(args, "full"),
                                  .width = ui_width(STDOUT_FILENO)};
    int code = EXIT_USAGE;
    if (ws_filter_read(args, &t.filter) && (!last || cli_number(args, "--last", last, 0, TAIL_LAST_MAX, &t.last))) {
        t.kept = calloc((size_t)t.last + 1, sizeof *t.kept);
        code = t.kept ? follow(&t) : EXIT_IO;
    }
    tail_forget(&t);
    free(t.kept);
    ws_sieve_fini(&t.sieve);
    ws_filter_fini(&t.filter);
    buf_fini(&t.out);
    return code;
}

/* clang-format off */
static const struct cli_option options[] = {
    {.name = "last", .letter = 'n', .argument = "N", .help = "Begin with the last N messages of the file (default: 10)"},
    {.name = "gateway", .argument = "URL", .help = "The admin side of a running gateway (default: " GATEWAY_DEFAULT ")"},
    {.name = "token", .argument = "TOKEN", .help = "Its admin.token (default: $MOCKFORGE_ADMIN_TOKEN)"},
    WS_FILTER_PLACE_OPTIONS,
    {.name = "path", .letter = 'p', .argument = "GLOB", .help = "Of a gateway: only connections to a path that matches this glob"},
    WS_FILTER_PAYLOAD_OPTIONS,
    {.name = "full", .help = "Whole messages, however long"},
    {.name = "json", .help = "The native form's JSON lines"},
    {0},
};
/* clang-format on */

const struct cli_command cli_ws_tail = {
    .name = "ws tail",
    .arguments = "[FILE]",
    .min_arguments = 0,
    .max_arguments = 1,
    .summary = "follow a recording while it is made",
    .details =
        "Shows the last messages of a session file and then what is added to it, until interrupted. When the recording "
        "goes on in a further file (NAME.2.jsonl.zst), or the file is replaced or truncated, that is said and "
        "followed. "
        "The filters are those of ws show.\n"
        "\n"
        "Without FILE it follows a running gateway through its admin side (GET /__mockforge/ws/tail): what is recorded "
        "there, on all routes that are recorded, as it is written, secrets redacted. Routes without recording cannot "
        "be "
        "seen. A gateway never waits for who looks on: what is too much is left out, and a gap line says how much.\n"
        "\n"
        "  mockforge ws tail recordings/today.jsonl.zst\n"
        "  mockforge ws tail --last 100 --json-path type=error recordings/today.jsonl.zst\n"
        "  mockforge ws tail --gateway http://127.0.0.1:3000 --direction incoming\n"
        "  mockforge ws tail --json | jq -r .data",
    .options = options,
    .run = run,
};
