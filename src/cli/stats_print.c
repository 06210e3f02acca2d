#include "cli/stats_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/ws_show_line.h"

#define KINDS_SHOWN 20u
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

struct page {
    struct buf *out;
    bool colour;
};

/* ---- pieces ---- */

static void title(struct page *p, const char *text) {
    buf_printf(p->out, "\n%s%s%s\n", p->colour ? BOLD : "", text, p->colour ? PLAIN : "");
}

static const char *size_text(char out[24], uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    double n = (double)bytes;
    for (; n >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        n /= 1024;
    snprintf(out, 24, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}

static const char *time_text(char out[24], uint64_t us) {
    uint64_t s = us / 1000000;
    if (us < 1000)
        snprintf(out, 24, "%u us", (unsigned)us);
    else if (us < 1000000)
        snprintf(out, 24, "%.3f ms", (double)us / 1e3);
    else if (s < 60)
        snprintf(out, 24, "%.3f s", (double)us / 1e6);
    else
        snprintf(out, 24, "%llu:%02u:%02u", (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    return out;
}

/* Messages a second; negative: no time has passed. */
static double mean_rate(const struct stats *s, uint64_t messages) {
    return s->last_us > s->first_us ? (double)messages * 1e6 / (double)(s->last_us - s->first_us) : -1;
}

static const char *rate_text(char out[24], double rate) {
    if (rate < 0)
        return "-";
    snprintf(out, 24, rate < 10 ? "%.2f" : "%.0f", rate);
    return out;
}

/* ---- tables ---- */

#define ROW_NAME "  %-16s"
#define CELL "  %14s"

static void count_row(struct page *p, const char *name, uint64_t a, uint64_t b, uint64_t c) {
    buf_printf(p->out, ROW_NAME "  %14llu  %14llu  %14llu\n", name, (unsigned long long)a, (unsigned long long)b,
               (unsigned long long)c);
}

typedef const char *(*text_fn)(char out[24], uint64_t n);

static void text_row(struct page *p, const char *name, text_fn text, uint64_t a, uint64_t b, uint64_t c) {
    char x[24], y[24], z[24];
    buf_printf(p->out, ROW_NAME CELL CELL CELL "\n", name, text(x, a), text(y, b), text(z, c));
}

static void part_rows(struct page *p, const char *name, text_fn text, const struct histogram *h[STATS_FLOWS]) {
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"median", 0.5}, {"p99", 0.99}};
    char label[32];
    const struct histogram *i = h[STATS_INCOMING], *o = h[STATS_OUTGOING], *b = h[STATS_BOTH];
    if (!b->count)
        return;
    snprintf(label, sizeof label, "%s, least", name);
    text_row(p, label, text, i->least, o->least, b->least);
    for (size_t n = 0; n < ARRAY_LEN(parts); n++) {
        snprintf(label, sizeof label, "%s, %s", name, parts[n].name);
        text_row(p, label, text, histogram_at(i, parts[n].part), histogram_at(o, parts[n].part),
                 histogram_at(b, parts[n].part));
    }
    snprintf(label, sizeof label, "%s, most", name);
    text_row(p, label, text, i->most, o->most, b->most);
}

static void print_flows(struct page *p, const struct stats *s) {
    const struct stats_flow *f = s->flows[stats_leg(s)];
    const struct stats_flow *i = &f[STATS_INCOMING], *o = &f[STATS_OUTGOING], *b = &f[STATS_BOTH];
    const struct histogram *sizes[] = {&i->sizes, &o->sizes, &b->sizes};
    const struct histogram *gaps[] = {&i->gaps, &o->gaps, &b->gaps};
    char x[24], y[24], z[24];
    title(p, stats_leg(s) == EVENT_LEG_CLIENT ? "MESSAGES               from client       to client            both"
                                              : "MESSAGES (upstream leg) from client      to client            both");
    count_row(p, "messages", i->messages, o->messages, b->messages);
    if (b->frames != b->messages)
        count_row(p, "in frames", i->frames, o->frames, b->frames);
    buf_printf(p->out, ROW_NAME CELL CELL CELL "\n", "a second, mean", rate_text(x, mean_rate(s, i->messages)),
               rate_text(y, mean_rate(s, o->messages)), rate_text(z, mean_rate(s, b->messages)));
    count_row(p, "a second, peak", i->peak, o->peak, b->peak);
    text_row(p, "payload", size_text, i->bytes, o->bytes, b->bytes);
    part_rows(p, "size", size_text, sizes);
    part_rows(p, "gap", time_text, gaps);
}

static void print_times(struct page *p, const char *name, const struct histogram *h) {
    char a[24], b[24], c[24], d[24];
    buf_printf(p->out, "  %-26s  %10llu  %12s  %12s  %12s  %12s\n", name, (unsigned long long)h->count,
               time_text(a, h->least), time_text(b, histogram_at(h, 0.5)), time_text(c, histogram_at(h, 0.99)),
               time_text(d, h->most));
}

static void print_answers(struct page *p, const struct stats *s) {
    if (!s->first_answers.count && !s->lifetimes.count)
        return;
    title(p, "TIMES                            count         least        median           p99          most");
    if (s->first_answers.count)
        print_times(p, "client's message to answer", &s->first_answers);
    if (s->id_answers.count)
        print_times(p, "  to that with its id", &s->id_answers);
    if (s->lifetimes.count)
        print_times(p, "connections, open to end", &s->lifetimes);
}

static uint64_t count_of(const struct stats *s, unsigned type) {
    return event_is_frame(type) ? s->types[stats_leg(s)][type] : s->types[EVENT_LEG_CLIENT][type];
}

static void print_types(struct page *p, const struct stats *s) {
    title(p, "TYPES");
    for (unsigned type = EVENT_OPEN; type <= EVENT_FAULT; type++)
        if (count_of(s, type))
            buf_printf(p->out, ROW_NAME "  %14llu\n", event_type_names[type], (unsigned long long)count_of(s, type));
}

static void print_codes(struct page *p, const struct stats *s) {
    bool begun = false;
    for (unsigned code = 0; code < STATS_CODES; code++) {
        uint64_t in = s->codes[EVENT_INCOMING][code], out = s->codes[EVENT_OUTGOING][code];
        const char *name = code ? show_close_name(code) : "malformed";
        if (!in && !out)
            continue;
        if (!begun)
            title(p, "CLOSE CODES            from client       to client");
        begun = true;
        buf_printf(p->out, "  %-16u  %14llu  %14llu  %s\n", code, (unsigned long long)in, (unsigned long long)out,
                   name ? name : "");
    }
    if (s->ended_by[0] || s->ended_by[1] || s->ended_by[2])
        buf_printf(p->out, "  ended by client %llu, upstream %llu, gateway %llu\n", (unsigned long long)s->ended_by[0],
                   (unsigned long long)s->ended_by[1], (unsigned long long)s->ended_by[2]);
}

static int by_count(const void *a, const void *b) {
    const struct stats_kind *x = *(const struct stats_kind *const *)a, *y = *(const struct stats_kind *const *)b;
    uint64_t m = x->count[0] + x->count[1], n = y->count[0] + y->count[1];
    return m != n ? (m < n ? 1 : -1) : strcmp(x->name, y->name);
}

const struct stats_kind **stats_sorted_kinds(const struct stats *s) {
    const struct stats_kind **sorted = calloc(s->kind_count + 1, sizeof(struct stats_kind *));
    if (!sorted)
        return NULL;
    for (size_t i = 0; i < s->kind_count; i++)
        sorted[i] = &s->kinds[i];
    qsort(sorted, s->kind_count, sizeof(struct stats_kind *), by_count);
    return sorted;
}

static void kind_row(struct page *p, uint64_t in, uint64_t out, uint64_t bytes, const char *name) {
    char size[24];
    buf_printf(p->out, "  %14llu  %14llu  %14s  ", (unsigned long long)in, (unsigned long long)out,
               size_text(size, bytes));
    show_escape(p->out, name, strlen(name));
    buf_putc(p->out, '\n');
}

static void print_kinds(struct page *p, const struct stats *s) {
    const struct stats_kind **sorted = stats_sorted_kinds(s);
    if (!sorted || !s->kind_count) {
        free(sorted);
        return;
    }
    title(p, s->options.by_path ? "     FROM CLIENT       TO CLIENT         PAYLOAD  VALUE"
                                : "     FROM CLIENT       TO CLIENT         PAYLOAD  KIND OF MESSAGE");
    struct stats_kind rest = s->other_kinds;
    for (size_t i = 0; i < s->kind_count; i++) {
        const struct stats_kind *k = sorted[i];
        if (i < KINDS_SHOWN) {
            kind_row(p, k->count[EVENT_INCOMING], k->count[EVENT_OUTGOING], k->bytes, k->name);
            continue;
        }
        rest.count[0] += k->count[0];
        rest.count[1] += k->count[1];
        rest.bytes += k->bytes;
    }
    if (rest.count[0] + rest.count[1]) {
        char label[64];
        bool more = s->other_kinds.count[0] + s->other_kinds.count[1];
        snprintf(label, sizeof label, "(%s%zu others)", more ? "more than " : "",
                 s->kind_count > KINDS_SHOWN ? s->kind_count - KINDS_SHOWN : (size_t)0);
        kind_row(p, rest.count[EVENT_INCOMING], rest.count[EVENT_OUTGOING], rest.bytes, label);
    }
    free(sorted);
}

static void print_connections(struct page *p, const struct stats *s) {
    if (s->connections < 2)
        return;
    title(p, "        MESSAGES         PAYLOAD            FROM              TO  CONNECTION");
    for (size_t i = 0; i < s->top_count; i++) {
        const struct stats_connection_row *row = &s->top[i];
        char size[24], from[24], to[24];
        buf_printf(p->out, "  %14llu  %14s  %14s  %14s  ", (unsigned long long)row->messages,
                   size_text(size, row->bytes), time_text(from, row->from_us), time_text(to, row->to_us));
        show_escape(p->out, row->name, strlen(row->name));
        buf_putc(p->out, '\n');
    }
    if (s->connections > s->top_count)
        buf_printf(p->out, "  %48llu others\n", (unsigned long long)(s->connections - s->top_count));
}

void stats_print_text(struct buf *out, const struct stats *s, const struct stats_file *file, bool colour) {
    struct page p = {out, colour};
    char when[CLOCK_RFC3339_LEN], a[24], b[24], c[24];
    buf_puts(out, colour ? BOLD : "");
    show_escape(out, file->path, strlen(file->path));
    buf_printf(out, "%s\n  %s, %s%s", colour ? PLAIN : "", file->form, size_text(a, file->bytes),
               file->truncated ? ", truncated or being written" : "");
    if (s->recorded_at_us)
        buf_printf(out, ", recorded at %s", clock_rfc3339(s->recorded_at_us, when));
    buf_printf(out, "\n  from %s to %s (%s)", time_text(a, s->first_us), time_text(b, s->last_us),
               time_text(c, s->last_us - s->first_us));
    buf_printf(out, ", %llu connection%s, %llu of them open at the end\n", (unsigned long long)s->connections,
               s->connections == 1 ? "" : "s", (unsigned long long)s->open_at_end);
    if (s->gap_frames || s->gap_bytes)
        buf_printf(out, "  %llu frames, %llu bytes are missing (gaps)\n", (unsigned long long)s->gap_frames,
                   (unsigned long long)s->gap_bytes);
    print_flows(&p, s);
    print_answers(&p, s);
    print_types(&p, s);
    print_codes(&p, s);
    print_kinds(&p, s);
    print_connections(&p, s);
}
