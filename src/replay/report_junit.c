/* JUnit XML, as Jenkins, GitLab, GitHub's actions and others read it: testsuites > testsuite > testcase > failure. */
#include <string.h>

#include "protocol/printable.h"
#include "replay/report_private.h"

/* XML 1.0 section 2.2: no control characters but tab and line ends, no U+FFFE and U+FFFF. What comes here is UTF-8 that
 * printable_append() wrote, and our own line ends. */
static void put_escaped(struct buf *out, const char *s, size_t len, bool attribute) {
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)s[i];
        if (c == '&')
            buf_puts(out, "&amp;");
        else if (c == '<')
            buf_puts(out, "&lt;");
        else if (c == '>')
            buf_puts(out, "&gt;");
        else if (c == '"' && attribute)
            buf_puts(out, "&quot;");
        else if (c == '\n' && attribute)
            buf_puts(out, "&#10;");
        else if (c == 0xef && len - i >= 3 && (uint8_t)s[i + 1] == 0xbf && (uint8_t)s[i + 2] >= 0xbe) {
            buf_puts(out, "\xef\xbf\xbd");
            i += 2;
        } else
            buf_putc(out, c < 0x20 && c != '\n' ? '?' : (char)c);
    }
}

static void put_attribute(struct buf *out, const char *name, const char *value) {
    struct buf text = BUF_INIT;
    printable_append(&text, value, strlen(value));
    buf_printf(out, " %s=\"", name);
    put_escaped(out, (const char *)text.data, text.len, true);
    buf_putc(out, '"');
    buf_fini(&text);
}

static void put_number(struct buf *out, const char *name, uint64_t n) {
    buf_printf(out, " %s=\"%llu\"", name, (unsigned long long)n);
}

/* Jenkins' schema (junit-10.xsd) wants three decimals at most. */
static void put_seconds(struct buf *out, uint64_t us) {
    buf_printf(out, " time=\"%llu.%03u\"", (unsigned long long)(us / 1000000), (unsigned)(us / 1000 % 1000));
}

static void put_counts(struct buf *out, const struct report_totals *t) {
    put_number(out, "tests", t->cases);
    put_number(out, "failures", t->outcome[REPORT_DIFFERENT]);
    put_number(out, "errors", t->outcome[REPORT_ERROR]);
    put_seconds(out, t->time_us);
}

/* "3 differences in 42 messages" */
static void put_failure(struct buf *out, const struct comparison *c) {
    struct buf text = BUF_INIT;
    report_count(&text, c->total, "difference");
    buf_puts(&text, "; ");
    report_count(&text, c->compared, "message");
    buf_puts(&text, " compared");
    buf_puts(out, "    <failure type=\"difference\"");
    put_attribute(out, "message", buf_cstr(&text));
    buf_puts(out, ">\n");
    buf_reset(&text);
    report_differences(&text, c, false);
    put_escaped(out, (const char *)text.data, text.len, false);
    buf_puts(out, "    </failure>\n");
    buf_fini(&text);
}

static void put_case(struct buf *out, const char *suite, const struct report_case *c) {
    buf_puts(out, "  <testcase");
    put_attribute(out, "classname", suite);
    put_attribute(out, "name", c->name);
    put_seconds(out, c->time_us);
    enum report_outcome outcome = report_outcome(c);
    if (outcome == REPORT_SAME) {
        buf_puts(out, "/>\n");
        return;
    }
    buf_puts(out, ">\n");
    if (outcome == REPORT_ERROR) {
        buf_puts(out, "    <error type=\"error\"");
        put_attribute(out, "message", c->error);
        buf_puts(out, "/>\n");
    } else {
        put_failure(out, c->comparison);
    }
    buf_puts(out, "  </testcase>\n");
}

void report_junit(struct buf *out, const char *suite, const struct report_case *cases, size_t count) {
    struct report_totals t = report_totals(cases, count);
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    put_counts(out, &t);
    buf_puts(out, ">\n<testsuite");
    put_attribute(out, "name", suite);
    put_counts(out, &t);
    buf_puts(out, ">\n");
    for (size_t i = 0; i < count; i++)
        put_case(out, suite, &cases[i]);
    buf_puts(out, "</testsuite>\n</testsuites>\n");
}
