#include "cli/ws_replay_result.h"

#include <inttypes.h>
#include <stdlib.h>

#include "protocol/text.h"

#define HINT_PATTERNS_MAX 6u

void drive_put_time(struct buf *out, uint64_t us) {
    if (us < 1000)
        buf_printf(out, "%" PRIu64 " us", us);
    else if (us < 1000000)
        buf_printf(out, "%.3g ms", (double)us / 1e3);
    else
        buf_printf(out, "%.2f s", (double)us / 1e6);
}

bool drive_result_differs(const struct drive_result *r) {
    for (size_t i = 0; i < r->cases_count; i++)
        if (r->cases[i].error || r->cases[i].comparison.total)
            return true;
    return false;
}

/* As the reports want them; NULL: no memory. The caller frees the array. */
static struct report_case *cases_of(const struct drive_result *r) {
    struct report_case *cases = calloc(r->cases_count + 1, sizeof *cases);
    for (size_t i = 0; cases && i < r->cases_count; i++) {
        const struct drive_case *c = &r->cases[i];
        cases[i] = (struct report_case){
            .name = c->name, .comparison = &c->comparison, .error = c->error, .time_us = c->time_us};
    }
    return cases;
}

/* ---- for people ---- */

static void put_latency(struct buf *out, const struct drive_latency *l) {
    const struct {
        const char *name;
        uint64_t us;
    } parts[] = {{"p50", l->p50_us}, {"p90", l->p90_us}, {"p99", l->p99_us}, {"max", l->max_us}};
    if (!l->count)
        return;
    buf_puts(out, "  answers      ");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_printf(out, "%s%s ", i ? ", " : "", parts[i].name);
        drive_put_time(out, parts[i].us);
    }
    buf_printf(out, " (%" PRIu64 " of them)\n", l->count);
}

static void put_numbers(struct buf *out, const struct drive_result *r, const char *target) {
    const struct drive_numbers *n = &r->numbers;
    buf_printf(out, "Driven: %s in ", target);
    drive_put_time(out, n->elapsed_us);
    buf_printf(out, "%s\n", r->interrupted ? ", interrupted" : "");
    buf_printf(out, "  connections  %" PRIu64 " opened, %" PRIu64 " played to the end", n->opened, n->finished);
    if (n->unreachable)
        buf_printf(out, ", %" PRIu64 " not opened", n->unreachable);
    if (n->broken)
        buf_printf(out, ", %" PRIu64 " broken", n->broken);
    if (n->closed_early)
        buf_printf(out, ", %" PRIu64 " closed early by the server", n->closed_early);
    buf_printf(out, "\n  messages     %" PRIu64 " sent, %" PRIu64 " received", n->sent, n->received);
    if (n->unmatched)
        buf_printf(out, ", %" PRIu64 " of them not as in the recording", n->unmatched);
    if (n->missing)
        buf_printf(out, ", %" PRIu64 " missing", n->missing);
    buf_puts(out, "\n");
    put_latency(out, &r->latency);
}

void drive_result_text(struct buf *out, const struct drive_result *r, const char *target, bool verify, bool colour) {
    struct report_case *cases = cases_of(r);
    if (verify && cases) {
        struct buf hint = BUF_INIT;
        report_text(out, cases, r->cases_count, colour);
        drive_hint(&hint, r->cases, r->cases_count, HINT_PATTERNS_MAX);
        if (hint.len)
            buf_printf(out, "These differences would not count with: %s\n", buf_cstr(&hint));
        buf_fini(&hint);
    }
    free(cases);
    put_numbers(out, r, target);
}

/* ---- for programs ---- */

static void put_string(struct buf *out, const char *name, const char *value) {
    buf_printf(out, ",\"%s\":", name);
    if (value)
        json_quote(out, value, strlen(value));
    else
        buf_puts(out, "null");
}

static void put_ms(struct buf *out, const char *name, uint64_t us) {
    buf_printf(out, "\"%s\":", name);
    text_ms(out, us);
}

static void put_counts(struct buf *out, const struct drive_numbers *n) {
    const struct {
        const char *before, *name;
        uint64_t value;
    } counts[] = {
        {",\"connections\":{", "started", n->started},
        {",", "opened", n->opened},
        {",", "finished", n->finished},
        {",", "unreachable", n->unreachable},
        {",", "broken", n->broken},
        {",", "closed_early", n->closed_early},
        {"},\"messages\":{", "sent", n->sent},
        {",", "received", n->received},
        {",", "sent_bytes", n->sent_bytes},
        {",", "received_bytes", n->received_bytes},
        {",", "matched", n->matched},
        {",", "unmatched", n->unmatched},
        {",", "missing", n->missing},
    };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        buf_printf(out, "%s\"%s\":%" PRIu64, counts[i].before, counts[i].name, counts[i].value);
    buf_putc(out, '}');
}

static void put_latency_json(struct buf *out, const struct drive_latency *l) {
    const struct {
        const char *name;
        uint64_t us;
    } parts[] = {{"p50", l->p50_us}, {"p90", l->p90_us}, {"p99", l->p99_us}, {"max", l->max_us}};
    if (!l->count) {
        buf_puts(out, ",\"latency_ms\":null");
        return;
    }
    buf_printf(out, ",\"latency_ms\":{\"count\":%" PRIu64, l->count);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_putc(out, ',');
        put_ms(out, parts[i].name, parts[i].us);
    }
    buf_putc(out, '}');
}

void drive_result_json(struct buf *out, const struct drive_result *r, const char *target, bool verify) {
    buf_puts(out, "{\"target\":");
    json_quote(out, target, strlen(target));
    buf_putc(out, ',');
    put_ms(out, "elapsed_ms", r->numbers.elapsed_us);
    buf_printf(out, ",\"interrupted\":%s", r->interrupted ? "true" : "false");
    put_counts(out, &r->numbers);
    put_latency_json(out, &r->latency);
    put_string(out, "unreachable", r->unreachable);
    put_string(out, "broken", r->broken);
    put_string(out, "closed_early", r->closed_early);
    struct report_case *cases = cases_of(r);
    buf_puts(out, ",\"verify\":");
    if (verify && cases) {
        report_json(out, cases, r->cases_count);
        while (out->len && out->data[out->len - 1] == '\n')
            out->len--;
    } else {
        buf_puts(out, "null");
    }
    free(cases);
    buf_puts(out, "}\n");
}

void drive_result_junit(struct buf *out, const struct drive_result *r, const char *target) {
    struct report_case *cases = cases_of(r);
    struct buf suite = BUF_INIT;
    buf_printf(&suite, "mockforge ws replay --target %s", target);
    if (cases)
        report_junit(out, buf_cstr(&suite), cases, r->cases_count);
    else
        out->failed = true;
    buf_fini(&suite);
    free(cases);
}
