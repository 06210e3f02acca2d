/* ws stats --json: one object; times in milliseconds, sizes in bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/stats_print.h"
#include "protocol/json.h"
#include "protocol/text.h"

static void number(struct buf *out, const char *name, uint64_t n) {
    buf_printf(out, "\"%s\":%llu", name, (unsigned long long)n);
}

static void string(struct buf *out, const char *name, const char *s) {
    buf_printf(out, "\"%s\":", name);
    json_write_string(out, s, strlen(s));
}

static void time_ms(struct buf *out, const char *name, uint64_t us) {
    buf_printf(out, "\"%s\":", name);
    text_ms(out, us);
}

static void put_bytes(struct buf *out, const char *name, const struct histogram *h) {
    buf_printf(out, "\"%s\":{\"count\":%llu,\"min\":%llu,\"median\":%llu,\"p99\":%llu,\"max\":%llu}", name,
               (unsigned long long)h->count, (unsigned long long)h->least, (unsigned long long)histogram_at(h, 0.5),
               (unsigned long long)histogram_at(h, 0.99), (unsigned long long)h->most);
}

static void put_times(struct buf *out, const char *name, const struct histogram *h) {
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"median", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    buf_printf(out, "\"%s\":{\"count\":%llu,\"min\":", name, (unsigned long long)h->count);
    text_ms(out, h->least);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_putc(out, ',');
        time_ms(out, parts[i].name, histogram_at(h, parts[i].part));
    }
    buf_puts(out, ",\"max\":");
    text_ms(out, h->most);
    buf_putc(out, '}');
}

static void put_flow(struct buf *out, const char *name, const struct stats *s, const struct stats_flow *f) {
    buf_printf(out, "\"%s\":{", name);
    number(out, "messages", f->messages);
    buf_putc(out, ',');
    number(out, "frames", f->frames);
    buf_putc(out, ',');
    number(out, "payload_bytes", f->bytes);
    buf_puts(out, ",\"rate\":{\"mean\":");
    if (s->last_us > s->first_us)
        json_write_double(out, (double)f->messages * 1e6 / (double)(s->last_us - s->first_us));
    else
        buf_puts(out, "null");
    buf_printf(out, ",\"peak\":%llu,\"peak_second\":%llu},", (unsigned long long)f->peak,
               (unsigned long long)f->peak_second);
    put_bytes(out, "size_bytes", &f->sizes);
    buf_putc(out, ',');
    put_times(out, "gap_ms", &f->gaps);
    buf_putc(out, '}');
}

static void put_types(struct buf *out, const struct stats *s) {
    buf_puts(out, "\"types\":{");
    const char *comma = "";
    for (unsigned type = EVENT_OPEN; type <= EVENT_FAULT; type++) {
        uint64_t n = s->types[event_is_frame(type) ? stats_leg(s) : EVENT_LEG_CLIENT][type];
        if (!n)
            continue;
        buf_puts(out, comma);
        number(out, event_type_names[type], n);
        comma = ",";
    }
    buf_putc(out, '}');
}

static void put_codes(struct buf *out, const struct stats *s) {
    buf_puts(out, "\"close_codes\":[");
    const char *comma = "";
    for (unsigned code = 0; code < STATS_CODES; code++) {
        uint64_t in = s->codes[EVENT_INCOMING][code], to = s->codes[EVENT_OUTGOING][code];
        if (!in && !to)
            continue;
        buf_printf(out, "%s{\"code\":%u,\"incoming\":%llu,\"outgoing\":%llu}", comma, code, (unsigned long long)in,
                   (unsigned long long)to);
        comma = ",";
    }
    buf_printf(out, "],\"ended_by\":{\"client\":%llu,\"upstream\":%llu,\"gateway\":%llu}",
               (unsigned long long)s->ended_by[0], (unsigned long long)s->ended_by[1],
               (unsigned long long)s->ended_by[2]);
}

static void put_kind(struct buf *out, const struct stats_kind *k) {
    buf_printf(out, "\"incoming\":%llu,\"outgoing\":%llu,\"payload_bytes\":%llu}",
               (unsigned long long)k->count[EVENT_INCOMING], (unsigned long long)k->count[EVENT_OUTGOING],
               (unsigned long long)k->bytes);
}

static void put_kinds(struct buf *out, const struct stats *s) {
    const struct stats_kind **sorted = stats_sorted_kinds(s);
    buf_puts(out, "\"kinds\":[");
    for (size_t i = 0; sorted && i < s->kind_count; i++) {
        buf_puts(out, i ? ",{" : "{");
        string(out, "name", sorted[i]->name);
        buf_putc(out, ',');
        put_kind(out, sorted[i]);
    }
    out->failed |= !sorted;
    buf_puts(out, "],\"other_kinds\":{");
    put_kind(out, &s->other_kinds);
    free(sorted);
}

static void put_connections(struct buf *out, const struct stats *s) {
    buf_puts(out, "\"top_connections\":[");
    for (size_t i = 0; i < s->top_count; i++) {
        const struct stats_connection_row *row = &s->top[i];
        buf_puts(out, i ? ",{" : "{");
        string(out, "name", row->name);
        buf_printf(out, ",\"messages\":%llu,\"payload_bytes\":%llu,", (unsigned long long)row->messages,
                   (unsigned long long)row->bytes);
        time_ms(out, "from_ms", row->from_us);
        buf_putc(out, ',');
        time_ms(out, "to_ms", row->to_us);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void put_file(struct buf *out, const struct stats *s, const struct stats_file *file) {
    char when[CLOCK_RFC3339_LEN];
    string(out, "file", file->path);
    buf_printf(out, ",\"form\":\"%s\",\"file_bytes\":%llu,\"truncated\":%s,\"recorded_at\":", file->form,
               (unsigned long long)file->bytes, file->truncated ? "true" : "false");
    if (s->recorded_at_us)
        buf_printf(out, "\"%s\",", clock_rfc3339(s->recorded_at_us, when));
    else
        buf_puts(out, "null,");
    time_ms(out, "from_ms", s->first_us);
    buf_putc(out, ',');
    time_ms(out, "to_ms", s->last_us);
    buf_printf(out, ",\"connections\":%llu,\"open_at_end\":%llu,\"leg\":\"%s\"", (unsigned long long)s->connections,
               (unsigned long long)s->open_at_end, stats_leg(s) == EVENT_LEG_CLIENT ? "client" : "upstream");
    buf_printf(out, ",\"gaps\":{\"frames\":%llu,\"bytes\":%llu}", (unsigned long long)s->gap_frames,
               (unsigned long long)s->gap_bytes);
}

void stats_print_json(struct buf *out, const struct stats *s, const struct stats_file *file) {
    const struct stats_flow *f = s->flows[stats_leg(s)];
    buf_putc(out, '{');
    put_file(out, s, file);
    buf_puts(out, ",\"messages\":{");
    put_flow(out, "incoming", s, &f[STATS_INCOMING]);
    buf_putc(out, ',');
    put_flow(out, "outgoing", s, &f[STATS_OUTGOING]);
    buf_putc(out, ',');
    put_flow(out, "both", s, &f[STATS_BOTH]);
    buf_puts(out, "},");
    put_types(out, s);
    buf_putc(out, ',');
    put_times(out, "answer_ms", &s->first_answers);
    buf_putc(out, ',');
    put_times(out, "answer_by_id_ms", &s->id_answers);
    buf_putc(out, ',');
    put_times(out, "connection_ms", &s->lifetimes);
    buf_putc(out, ',');
    put_codes(out, s);
    buf_putc(out, ',');
    put_kinds(out, s);
    buf_putc(out, ',');
    put_connections(out, s);
    buf_puts(out, "}\n");
}
