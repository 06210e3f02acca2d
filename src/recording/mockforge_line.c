#include "recording/mockforge_line.h"

#include <math.h>
#include <stdlib.h>

#include "protocol/text.h"
#include "recording/parse_json.h"

#define TS_MAX_MS 1e15 /* 30,000 years: sums do not overflow */

struct line {
    bool has_ts, has_data, is_in, is_binary;
    uint64_t ts_us;
    struct event_bytes data, awaited;
};

void mockforge_lines_fini(struct mockforge_lines *m) {
    buf_fini(&m->awaited);
    *m = (struct mockforge_lines){0};
}

static bool take_ts(struct parse *p, struct line *l) {
    const uint8_t *at = p->at;
    const char *text;
    size_t len;
    if (!json_number(p, &text, &len))
        return false;
    double ms = strtod(text, NULL);
    if (!(ms >= 0 && ms <= TS_MAX_MS))
        return parse_fail(p, at, "expected milliseconds from 0 on for \"ts\"");
    l->ts_us = (uint64_t)llround(ms * 1000);
    return l->has_ts = true;
}

static bool take_dir(struct parse *p, struct line *l) {
    const uint8_t *at = p->at;
    const char *dir = NULL;
    if (!parse_json_text(p, "dir", &dir))
        return false;
    l->is_in = !strcmp(dir, "in");
    return l->is_in || !strcmp(dir, "out") || parse_fail(p, at, "expected \"in\" or \"out\" for \"dir\"");
}

static bool take_binary(struct parse *p, struct line *l) {
    const uint8_t *at = p->at;
    if (!parse_json_string(p, &l->data))
        return false;
    int rc = parse_base64(p, &l->data);
    l->has_data = l->is_binary = rc == MF_OK;
    return l->has_data || (rc == MF_EINVAL && parse_fail(p, at, "expected canonical base64 for \"binary\""));
}

static bool take_member(struct parse *p, const struct event_bytes *name, void *arg) {
    struct line *l = arg;
    if (parse_json_null(p))
        return true;
    if (parse_named(name, "ts"))
        return take_ts(p, l);
    if (parse_named(name, "dir"))
        return take_dir(p, l);
    if (parse_named(name, "text"))
        return l->has_data = parse_json_string(p, &l->data);
    if (parse_named(name, "binary"))
        return take_binary(p, l);
    if (parse_named(name, "waitFor") || parse_named(name, "wait_for"))
        return parse_json_string(p, &l->awaited);
    return json_skip(p);
}

/* "$.user.id" to {"user":{"id":null}}: the least message that it holds for. False: it is no such path. */
static bool write_path(struct buf *out, const char *path, size_t len) {
    size_t depth = 0;
    if (len < 3 || path[0] != '$' || path[1] != '.')
        return false;
    for (size_t at = 2; at <= len; depth++) {
        size_t end = at;
        while (end < len && path[end] != '.')
            end++;
        if (end == at || memchr(path + at, '[', end - at))
            return false;
        buf_putc(out, '{');
        json_quote(out, path + at, end - at);
        buf_putc(out, ':');
        at = end + 1;
    }
    buf_puts(out, "null");
    while (depth--)
        buf_putc(out, '}');
    return true;
}

/* The text that a regular expression is about, when it is about one: "^ACK$", "\{\"a\":1\}". */
static bool write_literal(struct buf *out, const char *pattern, size_t len) {
    size_t at = len && pattern[0] == '^', end = len;
    if (end > at && pattern[end - 1] == '$' && !(end > at + 1 && pattern[end - 2] == '\\'))
        end--;
    for (; at < end; at++) {
        if (pattern[at] == '\\' && at + 1 < end && !memchr("dDwWsSbBAzZnrtpPxuQE0123456789", pattern[at + 1], 30))
            at++;
        else if (memchr(".*+?()[]{}|^$\\", pattern[at], 14))
            return false;
        buf_putc(out, pattern[at]);
    }
    return true;
}

/* A pattern that stands for many messages stands for itself: nobody sent a message that could be shown. */
static void write_awaited(struct buf *out, const struct event_bytes *pattern) {
    const char *text = (const char *)pattern->data;
    buf_reset(out);
    if (write_path(out, text, pattern->len))
        return;
    buf_reset(out);
    if (write_literal(out, text, pattern->len))
        return;
    buf_reset(out);
    buf_append(out, text, pattern->len);
}

static bool read_line(struct parse *p, struct line *l) {
    json_space(p);
    const uint8_t *first = p->at;
    if (!json_members(p, take_member, l))
        return false;
    json_space(p);
    if (p->at < p->end)
        return parse_fail(p, p->at, "expected nothing after the object");
    if (!l->has_data && !l->awaited.data && !l->has_ts)
        return parse_fail(p, first, "expected a line with \"ts\", \"text\" or \"waitFor\"");
    return true;
}

static struct session_event event(const struct mockforge_lines *m, enum event_direction direction) {
    return (struct session_event){.type = EVENT_TEXT, .fin = true, .timestamp_us = m->time_us, .direction = direction};
}

int mockforge_line(struct mockforge_lines *m, struct parse *p, const uint8_t *text, size_t len,
                   struct session_event e[2], struct err *err) {
    struct line l = {0};
    int count = 0, rc = parse_begin(p, text, len, err);
    if (rc < 0)
        return rc;
    if (!read_line(p, &l))
        return (int)err->code;
    m->line_us = l.has_ts ? l.ts_us : m->time_us;
    if (l.has_ts) /* a step that others go back to may have an earlier time: the order of the lines is what counts */
        m->time_us = MAX(m->time_us, l.ts_us);
    if (l.awaited.data && !m->client_spoke) {
        write_awaited(&m->awaited, &l.awaited);
        if (m->awaited.failed)
            return err_set(err, MF_ENOMEM, "out of memory");
        e[count] = event(m, EVENT_INCOMING);
        e[count++].data = (struct event_bytes){(const uint8_t *)buf_cstr(&m->awaited), m->awaited.len};
    }
    m->client_spoke = l.has_data ? l.is_in : m->client_spoke;
    if (l.has_data) {
        e[count] = event(m, l.is_in ? EVENT_INCOMING : EVENT_OUTGOING);
        e[count].type = l.is_binary ? EVENT_BINARY : EVENT_TEXT;
        e[count++].data = l.data;
    }
    return count;
}
