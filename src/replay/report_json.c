/* The report for programs. */
#include <string.h>

#include "protocol/text.h"
#include "replay/report_private.h"

static const char *const kind_names[] = {
    [DIFFERENT_VALUE] = "value",           [DIFFERENT_TYPE] = "type",
    [MISSING_VALUE] = "missing_value",     [EXTRA_VALUE] = "extra_value",
    [MISSING_MESSAGE] = "missing_message", [EXTRA_MESSAGE] = "extra_message",
    [DIFFERENT_CLOSE] = "close",           [DIFFERENT_FORM] = "form",
    [DIFFERENT_HANDSHAKE] = "handshake",   [DIFFERENT_ORDER] = "order",
};
static const char *const outcome_names[] = {
    [REPORT_SAME] = "same",
    [REPORT_DIFFERENT] = "different",
    [REPORT_ERROR] = "error",
};

static void put_name(struct buf *out, const char *name) {
    buf_printf(out, ",\"%s\":", name);
}

static void put_text(struct buf *out, const char *name, const char *text) {
    put_name(out, name);
    if (text)
        json_quote(out, text, strlen(text));
    else
        buf_puts(out, "null");
}

static void put_number(struct buf *out, const char *name, uint64_t n) {
    put_name(out, name);
    text_u64(out, n);
}

static void put_place(struct buf *out, const struct difference *d) {
    if (d->message != COMPARE_CONNECTION)
        put_number(out, "message", d->message + 1);
    if (d->direction < 0)
        return;
    put_name(out, "time_ms");
    text_ms(out, d->time_us);
    put_text(out, "direction", event_direction_names[d->direction]);
}

static void put_difference(struct buf *out, const struct difference *d) {
    buf_printf(out, "{\"kind\":\"%s\"", kind_names[d->kind]);
    put_place(out, d);
    put_text(out, "path", d->path);
    put_text(out, "expected", d->expected);
    put_text(out, "got", d->got);
    buf_putc(out, '}');
}

static void put_comparison(struct buf *out, const struct comparison *c) {
    put_number(out, "compared", c->compared);
    put_number(out, "missing", c->missing);
    put_number(out, "extra", c->extra);
    put_number(out, "compared_in_order", c->in_order);
    put_number(out, "difference_count", c->total);
    put_name(out, "differences");
    for (size_t i = 0; i < c->count; i++) {
        buf_puts(out, i ? ",\n   " : "[\n   ");
        put_difference(out, &c->items[i]);
    }
    buf_puts(out, c->count ? "]" : "[]");
}

static void put_case(struct buf *out, const struct report_case *c) {
    static const struct comparison nothing;
    buf_puts(out, "{\"name\":");
    json_quote(out, c->name, strlen(c->name));
    put_text(out, "outcome", outcome_names[report_outcome(c)]);
    put_text(out, "error", c->error);
    put_name(out, "time_ms");
    text_ms(out, c->time_us);
    put_comparison(out, c->comparison ? c->comparison : &nothing);
    buf_putc(out, '}');
}

void report_json(struct buf *out, const struct report_case *cases, size_t count) {
    struct report_totals t = report_totals(cases, count);
    buf_puts(out, "{\"totals\":{\"cases\":");
    text_u64(out, t.cases);
    put_number(out, "same", t.outcome[REPORT_SAME]);
    put_number(out, "different", t.outcome[REPORT_DIFFERENT]);
    put_number(out, "errors", t.outcome[REPORT_ERROR]);
    put_number(out, "compared", t.compared);
    put_number(out, "missing", t.missing);
    put_number(out, "extra", t.extra);
    put_number(out, "differences", t.differences);
    buf_puts(out, "},\n \"cases\":");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? ",\n  " : "[\n  ");
        put_case(out, &cases[i]);
    }
    buf_puts(out, count ? "]}\n" : "[]}\n");
}
