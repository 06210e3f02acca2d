/* The report for people, and what all reports count. */
#include <string.h>

#include "protocol/printable.h"
#include "replay/report_private.h"

#define DETAILED_MAX 100u /* cases whose differences are shown; of others only how many they have */
#define SAME_MAX 50u      /* cases that are alright and are named */

enum report_outcome report_outcome(const struct report_case *c) {
    if (c->error)
        return REPORT_ERROR;
    return c->comparison && c->comparison->total ? REPORT_DIFFERENT : REPORT_SAME;
}

struct report_totals report_totals(const struct report_case *cases, size_t count) {
    struct report_totals t = {.cases = count};
    for (size_t i = 0; i < count; i++) {
        const struct comparison *c = cases[i].comparison;
        t.outcome[report_outcome(&cases[i])]++;
        t.time_us += cases[i].time_us;
        t.compared += c ? c->compared : 0;
        t.missing += c ? c->missing : 0;
        t.extra += c ? c->extra : 0;
        t.differences += c ? c->total : 0;
    }
    return t;
}

void report_count(struct buf *out, uint64_t n, const char *one) {
    buf_printf(out, "%llu %s%s", (unsigned long long)n, one, n == 1 ? "" : "s");
}

/* ---- colours ---- */

enum paint { PLAIN, DIM, BOLD, RED, GREEN };
static const char *const paints[] = {[PLAIN] = "0", [DIM] = "2", [BOLD] = "1", [RED] = "31", [GREEN] = "32"};

static void paint(struct buf *out, bool colour, enum paint p) {
    if (colour)
        buf_printf(out, "\033[%sm", paints[p]);
}

static void put_painted(struct buf *out, bool colour, enum paint p, const char *text) {
    paint(out, colour, p);
    printable_append(out, text, strlen(text));
    paint(out, colour, PLAIN);
}

/* ---- one difference ---- */

static void put_side(struct buf *out, bool colour, char sign, const char *text) {
    if (!text)
        return;
    buf_puts(out, "    ");
    paint(out, colour, sign == '-' ? RED : GREEN);
    buf_putc(out, sign);
    buf_putc(out, ' ');
    printable_append(out, text, strlen(text));
    paint(out, colour, PLAIN);
    buf_putc(out, '\n');
}

static void put_sides(struct buf *out, const struct difference *d, bool colour) {
    put_side(out, colour, '-', d->expected);
    put_side(out, colour, '+', d->got);
}

/* "message 3 at 1.250 s from the server" */
static void put_message(struct buf *out, const struct difference *d) {
    buf_printf(out, "message %zu", d->message + 1);
    if (d->direction >= 0)
        buf_printf(out, " at %llu.%03u s from the %s", (unsigned long long)(d->time_us / 1000000),
                   (unsigned)(d->time_us / 1000 % 1000), d->direction == EVENT_INCOMING ? "client" : "server");
}

static const char *const what_is[] = {
    [DIFFERENT_VALUE] = "",
    [DIFFERENT_TYPE] = " is of another type",
    [MISSING_VALUE] = " is missing",
    [EXTRA_VALUE] = " is not expected",
    [MISSING_MESSAGE] = " is missing",
    [EXTRA_MESSAGE] = " is not expected",
    [DIFFERENT_CLOSE] = "",
    [DIFFERENT_FORM] = " is of another form",
    [DIFFERENT_HANDSHAKE] = "",
    [DIFFERENT_ORDER] = " came out of its turn",
};

static void put_one(struct buf *out, const struct difference *d, bool colour) {
    buf_puts(out, "  ");
    if (d->message != COMPARE_CONNECTION)
        put_message(out, d);
    if (*d->path) {
        buf_puts(out, d->message != COMPARE_CONNECTION ? ": " : "");
        put_painted(out, colour, BOLD, d->path);
    }
    buf_puts(out, what_is[d->kind]);
    buf_putc(out, '\n');
    put_sides(out, d, colour);
}

/* "12 messages are missing (3, 5-9, …)" */
static void put_group_of_messages(struct buf *out, const struct difference *d, size_t size, const char *numbers) {
    static const char *const are[] = {
        [DIFFERENT_VALUE] = " differ",
        [DIFFERENT_TYPE] = " are of another type",
        [MISSING_MESSAGE] = " are missing",
        [EXTRA_MESSAGE] = " are not expected",
        [DIFFERENT_FORM] = " are of another form",
        [DIFFERENT_ORDER] = " came out of their turn",
    };
    const char *what = d->kind < ARRAY_LEN(are) && are[d->kind] ? are[d->kind] : are[DIFFERENT_VALUE];
    report_count(out, size, "message");
    buf_printf(out, "%s (%s)", what, numbers);
}

/* "/items/ * /price: 50 differences in 20 messages (3, 5-9, …)" */
static void put_group_of_values(struct buf *out, const char *path, const struct difference *d, size_t size,
                                size_t message_count, const char *numbers, bool colour) {
    put_painted(out, colour, BOLD, path);
    buf_printf(out, "%s: ", what_is[d->kind]);
    if (size != message_count) {
        report_count(out, size, "difference");
        buf_puts(out, " in ");
    }
    report_count(out, message_count, "message");
    buf_printf(out, " (%s)", numbers);
}

static void put_group(struct buf *out, const struct report_fold *f, const struct comparison *c, size_t first,
                      bool colour) {
    const struct difference *d = &c->items[first];
    struct buf path = BUF_INIT, numbers = BUF_INIT;
    size_t message_count;
    report_fold_path(f, c, first, &path);
    report_fold_messages(f, c, first, &numbers, &message_count);
    buf_puts(out, "  ");
    if (path.len)
        put_group_of_values(out, buf_cstr(&path), d, f->size[first], message_count, buf_cstr(&numbers), colour);
    else
        put_group_of_messages(out, d, f->size[first], buf_cstr(&numbers));
    buf_puts(out, "; the first: ");
    put_message(out, d);
    if (strcmp(buf_cstr(&path), d->path) != 0) {
        buf_puts(out, ": ");
        printable_append(out, d->path, strlen(d->path));
    }
    buf_putc(out, '\n');
    put_sides(out, d, colour);
    buf_fini(&path);
    buf_fini(&numbers);
}

void report_differences(struct buf *out, const struct comparison *c, bool colour) {
    struct report_fold f;
    bool folded = report_fold(&f, c);
    for (size_t i = 0; i < c->count; i++)
        if (!folded || f.size[i] == 1)
            put_one(out, &c->items[i], colour);
        else if (f.size[i] > 1)
            put_group(out, &f, c, i, colour);
    report_fold_fini(&f);
    if (c->total > c->count) {
        buf_puts(out, "  … and ");
        report_count(out, c->total - c->count, "further difference");
        buf_putc(out, '\n');
    }
    if (c->in_order) {
        buf_puts(out, "  (");
        report_count(out, c->in_order, "unordered array");
        buf_puts(out, " too large to be paired by similarity: compared as they stand)\n");
    }
}

/* ---- one case ---- */

static void put_time(struct buf *out, uint64_t us) {
    buf_printf(out, "%llu.%03u s", (unsigned long long)(us / 1000000), (unsigned)(us / 1000 % 1000));
}

static void put_numbers(struct buf *out, const struct comparison *c) {
    if (c->total) {
        report_count(out, c->total, "difference");
        buf_puts(out, "; ");
    }
    report_count(out, c->compared, "message");
    buf_puts(out, " compared");
    if (c->missing)
        buf_printf(out, ", %llu missing", (unsigned long long)c->missing);
    if (c->extra)
        buf_printf(out, ", %llu not expected", (unsigned long long)c->extra);
}

static void put_header(struct buf *out, const struct report_case *c, bool colour) {
    static const char *const words[] = {
        [REPORT_SAME] = "same ", [REPORT_DIFFERENT] = "DIFF ", [REPORT_ERROR] = "ERROR "};
    enum report_outcome outcome = report_outcome(c);
    put_painted(out, colour, outcome == REPORT_SAME ? GREEN : RED, words[outcome]);
    put_painted(out, colour, BOLD, c->name);
    if (c->error) {
        buf_puts(out, ": ");
        printable_append(out, c->error, strlen(c->error));
    } else if (c->comparison) {
        buf_puts(out, ": ");
        put_numbers(out, c->comparison);
    }
    if (c->time_us) {
        buf_puts(out, " (");
        put_time(out, c->time_us);
        buf_putc(out, ')');
    }
    buf_putc(out, '\n');
}

static void put_totals(struct buf *out, const struct report_case *cases, size_t count) {
    struct report_totals t = report_totals(cases, count);
    report_count(out, t.cases, "conversation");
    buf_printf(out, ": %llu same, %llu different", (unsigned long long)t.outcome[REPORT_SAME],
               (unsigned long long)t.outcome[REPORT_DIFFERENT]);
    if (t.outcome[REPORT_ERROR])
        buf_printf(out, ", %llu failed", (unsigned long long)t.outcome[REPORT_ERROR]);
    buf_puts(out, "; ");
    report_count(out, t.compared, "message");
    buf_puts(out, " compared, ");
    report_count(out, t.differences, "difference");
    buf_putc(out, '\n');
}

void report_text(struct buf *out, const struct report_case *cases, size_t count, bool colour) {
    size_t same = 0, detailed = 0;
    for (size_t i = 0; i < count; i++) {
        if (report_outcome(&cases[i]) == REPORT_SAME) {
            if (same++ < SAME_MAX)
                put_header(out, &cases[i], colour);
            continue;
        }
        put_header(out, &cases[i], colour);
        if (cases[i].comparison && detailed++ < DETAILED_MAX)
            report_differences(out, cases[i].comparison, colour);
    }
    if (same > SAME_MAX)
        buf_printf(out, "… and %zu more that are the same\n", same - SAME_MAX);
    put_totals(out, cases, count);
}
