/* mockforge ws ls: the session files in a directory, and what is in each. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/ws_show_line.h"
#include "protocol/text.h"
#include "recording/convert.h"
#include "recording/reader.h"

#define DEFAULT_DIRECTORY "recordings"

enum state { STATE_WHOLE, STATE_BEING_WRITTEN, STATE_TRUNCATED, STATE_DAMAGED, STATE_UNREADABLE };
static const char *const state_names[] = {
    [STATE_WHOLE] = "whole",     [STATE_BEING_WRITTEN] = "being written", [STATE_TRUNCATED] = "truncated",
    [STATE_DAMAGED] = "damaged", [STATE_UNREADABLE] = "unreadable",
};

struct entry {
    const char *name;
    struct session_summary summary;
    enum state state;
    struct err err; /* when truncated, damaged or unreadable */
};

static void look_at(struct entry *e, const char *path, const char *name) {
    *e = (struct entry){.name = name};
    cli_status("reading %s", name);
    if (reader_summary(path, &e->summary, &e->err) < 0)
        e->state = STATE_UNREADABLE;
    else if (reader_being_written(path))
        e->state = STATE_BEING_WRITTEN;
    else if (e->summary.damage.code) {
        e->state = e->summary.end == READER_END_TRUNCATED ? STATE_TRUNCATED : STATE_DAMAGED;
        e->err = e->summary.damage;
    }
    cli_status(NULL);
}

/* --- output --- */

static void put_size(struct buf *out, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double n = (double)bytes;
    while (n >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        n /= 1024;
        unit++;
    }
    buf_printf(out, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void put_duration(struct buf *out, uint64_t us) {
    uint64_t s = us / 1000000;
    if (s < 60)
        buf_printf(out, "%.3f s", (double)us / 1e6);
    else
        buf_printf(out, "%llu:%02u:%02u", (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

#define ROW "%-24s  %12s  %11s  %10s  %10s  %-13s  "

static void put_row(struct buf *out, const struct entry *e) {
    struct buf duration = BUF_INIT, size = BUF_INIT;
    char when[CLOCK_RFC3339_LEN] = "-", connections[24], messages[24];
    const struct session_summary *s = &e->summary;
    if (s->recorded_at_us)
        clock_rfc3339(s->recorded_at_us, when);
    put_duration(&duration, s->duration_us);
    put_size(&size, s->file_bytes);
    snprintf(connections, sizeof connections, "%llu", (unsigned long long)s->connections);
    snprintf(messages, sizeof messages, "%llu", (unsigned long long)s->messages);
    buf_printf(out, ROW, when, buf_cstr(&duration), connections, messages, buf_cstr(&size), state_names[e->state]);
    show_escape(out, e->name, strlen(e->name));
    buf_putc(out, '\n');
    buf_fini(&duration);
    buf_fini(&size);
}

static void put_number(struct buf *out, const char *name, uint64_t n) {
    buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void put_json(struct buf *out, const struct entry *e) {
    char when[CLOCK_RFC3339_LEN];
    const struct session_summary *s = &e->summary;
    buf_puts(out, "{\"name\":");
    json_quote(out, e->name, strlen(e->name));
    buf_printf(out, ",\"state\":\"%s\"", state_names[e->state]);
    if (e->state == STATE_UNREADABLE) {
        buf_puts(out, ",\"error\":");
        json_quote(out, e->err.text, strlen(e->err.text));
        buf_putc(out, '}');
        return;
    }
    buf_printf(out, ",\"form\":\"%s\",\"recorded_at\":", reader_form_names[s->form]);
    if (s->recorded_at_us)
        buf_printf(out, "\"%s\"", clock_rfc3339(s->recorded_at_us, when));
    else
        buf_puts(out, "null");
    put_number(out, "duration_ms", s->duration_us / 1000);
    put_number(out, "connections", s->connections);
    put_number(out, "messages", s->messages);
    put_number(out, "frames", s->frames);
    put_number(out, "payload_bytes", s->payload_bytes);
    put_number(out, "file_bytes", s->file_bytes);
    buf_putc(out, '}');
}

struct listing {
    bool json, damaged;
    size_t count;
};

/* One file; printed at once, because reading a large one takes a while. */
static void list(struct listing *l, const char *path, const char *name) {
    struct buf out = BUF_INIT;
    struct entry e;
    look_at(&e, path, name);
    if (l->json) {
        buf_puts(&out, l->count ? ",\n " : "[");
        put_json(&out, &e);
    } else {
        if (!l->count)
            buf_printf(&out, ROW "NAME\n", "RECORDED AT", "DURATION", "CONNECTIONS", "MESSAGES", "SIZE", "STATE");
        put_row(&out, &e);
    }
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_fini(&out);
    l->count++;
    if (e.state != STATE_WHOLE && e.state != STATE_BEING_WRITTEN) {
        l->damaged = true;
        e.err.damaged = false; /* there is no --recover here */
        cli_fail(EXIT_IO, &e.err);
    }
}

/* --- the directory --- */

static int is_session_name(const struct dirent *d) {
    enum session_form form;
    return d->d_name[0] != '.' && session_form_of(d->d_name, &form, NULL) == MF_OK;
}

static int list_directory(struct listing *l, const char *directory, struct err *err) {
    struct dirent **names;
    int n = scandir(directory, &names, is_session_name, alphasort);
    if (n < 0)
        return err_set_at(err, MF_EIO, directory, 0, 0, "cannot be listed: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct buf path = BUF_INIT;
        struct stat st;
        buf_printf(&path, "%s/%s", directory, names[i]->d_name);
        if (stat(buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode))
            list(l, buf_cstr(&path), names[i]->d_name);
        buf_fini(&path);
        free(names[i]);
    }
    free(names);
    return MF_OK;
}

static int run(const struct cli_args *args) {
    struct listing l = {.json = cli_flag(args, "json")};
    const char *where = cli_operand_count(args) ? cli_operand(args, 0) : DEFAULT_DIRECTORY;
    struct stat st;
    struct err err;
    int rc = MF_OK;
    if (stat(where, &st) == 0 && S_ISREG(st.st_mode))
        list(&l, where, where);
    else
        rc = list_directory(&l, where, &err);
    if (rc < 0)
        return cli_fail(EXIT_IO, &err);
    if (l.json)
        puts(l.count ? "]" : "[]");
    else if (!l.count)
        fprintf(stderr, "no session files in %s\n", where);
    return l.damaged ? EXIT_IO : EXIT_FINE;
}

static const struct cli_option options[] = {
    {.name = "json", .help = "A JSON array"},
    {0},
};

const struct cli_command cli_ws_ls = {
    .name = "ws ls",
    .arguments = "[DIR]",
    .min_arguments = 0,
    .max_arguments = 1,
    .summary = "list session files",
    .details =
        "Lists the session files in DIR (default: " DEFAULT_DIRECTORY
        "), or one file: when it was recorded, for how long, "
        "how many connections and messages it holds, its size, and whether it is whole, being written, truncated (its "
        "writer was killed; all that it flushed is there) or damaged (its seek table lies). Each file is read through. "
        "One that is not whole makes the exit "
        "code 3.\n"
        "\n"
        "  mockforge ws ls\n"
        "  mockforge ws ls --json recordings | jq '.[] | select(.state != \"whole\") | .name'",
    .options = options,
    .run = run,
};
