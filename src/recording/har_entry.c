/* One entry of an HTTP archive: its handshake as an open line, its messages as frames, and how it ended. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/frame.h"
#include "recording/har_private.h"
#include "recording/parse_json.h"

#define HEADERS_MAX 1024
/* Chrome and mitmproxy count seconds, Playwright milliseconds: what would be a second after the year 5138 is one. */
#define SECONDS_MAX 1e11
#define YEAR_10000_US 253402300800e6

/* --- numbers --- */

/* Microseconds since 1970 of a "time"; below zero stands for not known (Playwright's omitTiming). */
static bool take_time(struct parse *p, int64_t *out) {
    const uint8_t *at = p->at;
    const char *text;
    size_t len;
    if (!json_number(p, &text, &len))
        return false;
    double time = strtod(text, NULL); /* the text ends: it is in an object */
    *out = HAR_NO_TIME;
    if (time < 0)
        return true;
    double us = time * (time > SECONDS_MAX ? 1e3 : 1e6);
    if (!(us < YEAR_10000_US))
        return parse_fail(p, at, "expected seconds since 1970 for \"time\"");
    *out = llround(us);
    return true;
}

static bool take_opcode(struct parse *p, int *out) {
    const uint8_t *at = p->at;
    const char *text;
    size_t len;
    if (!json_number(p, &text, &len))
        return false;
    double n = strtod(text, NULL);
    *out = n >= -1 && n <= 15 ? (int)n : 16;
    if (*out != n)
        return parse_fail(p, at, "expected an opcode (1 text, 2 binary, 8 close, 9 ping, 10 pong)");
    return true;
}

/* --- a message --- */

struct message {
    const char *type;
    int64_t time_us;
    int opcode;
    unsigned code;
    uint8_t rsv;
    struct event_bytes data;
    bool has_data, has_code, base64;
};

static bool take_code(struct parse *p, struct message *m) {
    uint64_t code = 0;
    m->has_code = json_whole(p, "code", UINT16_MAX, &code);
    m->code = (unsigned)code;
    return m->has_code;
}

static bool take_rsv(struct parse *p, struct message *m) {
    uint64_t rsv = 0;
    bool ok = json_whole(p, "_rsv", 7, &rsv);
    m->rsv = (uint8_t)rsv;
    return ok;
}

static bool take_message_member(struct parse *p, const struct event_bytes *name, void *arg) {
    struct message *m = arg;
    const char *encoding = NULL;
    if (parse_json_null(p))
        return true;
    if (parse_named(name, "type"))
        return parse_json_text(p, "type", &m->type);
    if (parse_named(name, "time"))
        return take_time(p, &m->time_us);
    if (parse_named(name, "opcode"))
        return take_opcode(p, &m->opcode);
    if (parse_named(name, "data"))
        return m->has_data = parse_json_string(p, &m->data);
    if (parse_named(name, "code") || parse_named(name, "_code"))
        return take_code(p, m);
    if (parse_named(name, "_rsv"))
        return take_rsv(p, m);
    if (!parse_named(name, "_encoding"))
        return json_skip(p);
    if (!parse_json_text(p, "_encoding", &encoding))
        return false;
    m->base64 = !strcmp(encoding, "base64");
    return m->base64 || parse_fail(p, p->at, "expected \"base64\" for \"_encoding\"");
}

static bool read_message(struct parse *p, struct message *m) {
    *m = (struct message){.time_us = HAR_NO_TIME, .opcode = WS_TEXT};
    return json_members(p, take_message_member, m);
}

int har_message_time(struct parse *p, const uint8_t *text, size_t len, int64_t *out, struct err *err) {
    struct message m;
    *out = HAR_NO_TIME;
    int rc = parse_begin(p, text, len, err);
    if (rc < 0)
        return rc;
    if (!read_message(p, &m))
        return (int)err->code;
    *out = m.time_us;
    return MF_OK;
}

/* What a close frame holds: a code and a reason (RFC 6455 section 5.5.1). */
static void close_payload(struct session_event *e, const struct message *m) {
    e->reason = m->data;
    if (m->has_code) {
        e->code = m->code;
    } else if (m->data.len < 2) {
        e->code = m->data.len ? 0 : WS_CLOSE_NO_STATUS;
        e->reason = (struct event_bytes){m->data.data, 0};
    } else {
        e->code = (unsigned)m->data.data[0] << 8 | m->data.data[1];
        e->reason = (struct event_bytes){m->data.data + 2, m->data.len - 2};
    }
}

/* Whatever is not text is in base64; but who writes control frames at all may write them as they are. */
static bool decode(struct parse *p, struct message *m) {
    if (m->opcode == WS_TEXT && !m->base64)
        return true;
    if (m->opcode == WS_CLOSE && m->has_code && !m->base64)
        return true;
    int rc = parse_base64(p, &m->data);
    if (rc == MF_OK || (rc == MF_EINVAL && ws_is_control((unsigned)m->opcode)))
        return true;
    return rc == MF_EINVAL && parse_fail(p, p->begin, "expected base64 in the \"data\" of a message that is not text");
}

static bool message_event(struct parse *p, struct message *m, struct session_event *e) {
    static const enum event_type types[16] = {[WS_TEXT] = EVENT_TEXT,
                                              [WS_BINARY] = EVENT_BINARY,
                                              [WS_CLOSE] = EVENT_CLOSE,
                                              [WS_PING] = EVENT_PING,
                                              [WS_PONG] = EVENT_PONG};
    bool send = m->type && !strcmp(m->type, "send");
    if (!send && (!m->type || strcmp(m->type, "receive") != 0))
        return parse_fail(p, p->begin, "expected \"send\" or \"receive\" for a message's \"type\"");
    if (m->opcode < 0 || m->opcode > 15 || !types[m->opcode])
        return parse_fail(p, p->begin, "expected opcode 1, 2, 8, 9 or 10, found %d", m->opcode);
    if (!m->has_data)
        m->data = (struct event_bytes){(const uint8_t *)"", 0};
    if (!decode(p, m))
        return false;
    e->type = types[m->opcode];
    e->direction = send ? EVENT_INCOMING : EVENT_OUTGOING;
    e->data = m->data;
    e->rsv = m->rsv;
    if (e->type == EVENT_CLOSE)
        close_payload(e, m);
    return true;
}

/* --- the handshake --- */

struct handshake {
    struct headers *headers;
    const char *url, *name, *value, *file;
    bool is_own; /* the field that our own export adds, for other programs */
};

static bool take_field_member(struct parse *p, const struct event_bytes *name, void *arg) {
    struct handshake *h = arg;
    if (parse_named(name, "name"))
        return parse_json_text(p, "name", &h->name);
    if (parse_named(name, "value"))
        return parse_json_text(p, "value", &h->value);
    if (parse_named(name, "_mockforge"))
        h->is_own = true;
    return json_skip(p);
}

static bool take_field(struct parse *p, const struct event_bytes *none, void *arg) {
    (void)none;
    struct handshake *h = arg;
    h->name = h->value = NULL;
    h->is_own = false;
    const uint8_t *at = p->at;
    if (!json_members(p, take_field_member, h))
        return false;
    /* HTTP/2's ":authority" and its like are no fields. */
    if (!h->name || !*h->name || *h->name == ':' || h->is_own)
        return true;
    if (h->headers->count == HEADERS_MAX)
        return parse_fail(p, at, "expected at most %d headers", HEADERS_MAX);
    if (headers_add(h->headers, h->name, h->value ? h->value : "") == MF_OK)
        return true;
    err_set(p->err, MF_ENOMEM, "out of memory");
    return false;
}

static bool take_content_member(struct parse *p, const struct event_bytes *name, void *arg) {
    struct handshake *h = arg;
    if (parse_json_null(p))
        return true;
    return parse_named(name, "_file") ? parse_json_text(p, "_file", &h->file) : json_skip(p);
}

static bool take_handshake_member(struct parse *p, const struct event_bytes *name, void *arg) {
    struct handshake *h = arg;
    if (parse_json_null(p))
        return true;
    if (parse_named(name, "url"))
        return parse_json_text(p, "url", &h->url);
    if (parse_named(name, "headers"))
        return json_elements(p, take_field, h);
    if (parse_named(name, "content") && *p->at == '{')
        return json_members(p, take_content_member, h);
    return json_skip(p);
}

/* A "request" or "response": the value at the cursor. `h` has the headers to be filled. */
static int take_handshake(struct cursor *c, struct parse *p, struct handshake *h, struct err *err) {
    const uint8_t *text;
    size_t len;
    headers_fini(h->headers);
    int rc = cursor_take(c, &text, &len, err);
    if (rc <= 0)
        return rc;
    rc = parse_begin(p, text, len, err);
    if (rc < 0)
        return rc;
    if (!json_members(p, take_handshake_member, h)) {
        cursor_place(c, err);
        return (int)err->code;
    }
    cursor_taken(c, len);
    return 1;
}

/* "wss://host:1/path?query#fragment" to the open's path and query, and its upstream if that is not known better. */
static void split_url(struct har_slot *s, const char *url, struct session_event *e) {
    const char *rest = strstr(url, "://");
    bool tls = !strncmp(url, "wss:", 4) || !strncmp(url, "https:", 6);
    rest = rest ? rest + 3 : url;
    size_t host = strcspn(rest, "/?#"), path = strcspn(rest + host, "?#");
    const char *query = rest[host + path] == '?' ? rest + host + path + 1 : NULL;
    size_t query_len = query ? strcspn(query, "#") : 0, path_at, query_at;
    buf_reset(&s->url);
    buf_puts(&s->url, tls ? "wss://" : "ws://");
    buf_append(&s->url, rest, host + path + (query ? query_len + 1 : 0));
    buf_putc(&s->url, '\0');
    path_at = s->url.len;
    if (!path)
        buf_putc(&s->url, '/');
    buf_append(&s->url, rest + host, path);
    buf_putc(&s->url, '\0');
    query_at = s->url.len;
    buf_append(&s->url, query, query_len);
    buf_putc(&s->url, '\0');
    if (s->url.failed)
        return;
    e->path = (const char *)s->url.data + path_at;
    e->query = query ? (const char *)s->url.data + query_at : NULL;
    if (!e->upstream)
        e->upstream = (const char *)s->url.data;
}

/* What our own export keeps beside the entry. */
static int take_own(struct har_slot *s, enum event_type type, struct session_event *out, struct err *err) {
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(&s->cursor, &text, &len, err);
    if (rc <= 0)
        return rc;
    rc = parse_event(&s->parse, text, len, out, err);
    if (rc < 0)
        cursor_place(&s->cursor, err);
    else if (out->type != type)
        rc = cursor_fail(&s->cursor, err, "expected a line of type \"%s\"", event_type_names[type]);
    if (rc < 0)
        return rc;
    cursor_taken(&s->cursor, len);
    return 1;
}

static int name_connection(struct har_entry *e, struct har_slot *s, const char *own, struct err *err) {
    buf_reset(&s->owned);
    if (own)
        buf_puts(&s->owned, own);
    if (s->owned.failed)
        return err_set(err, MF_ENOMEM, "out of memory");
    snprintf(s->name, sizeof s->name, "conn-%u", e->number);
    return MF_OK;
}

static const char *connection_name(struct har_slot *s) {
    return s->owned.len ? buf_cstr(&s->owned) : s->name;
}

/* Where the messages are, if they are not in the archive. */
static void note_file(struct har_entry *e, struct har_slot *s, const char *file) {
    e->attached = file && !e->any;
    if (!e->attached)
        return;
    buf_reset(&s->file);
    buf_puts(&s->file, file);
    if (e->stage == HAR_OPEN)
        e->place = (struct cursor_place){.line = 1};
}

static int load_open(struct har_entry *e, struct har_slot *s, struct err *err) {
    struct session_event own = {.type = EVENT_OPEN, .fin = true};
    bool first = true, more, is_own = false;
    struct headers *request = &s->request.request_headers, *response = &s->response.request_headers;
    struct handshake asked = {.headers = request}, answered = {.headers = response};
    headers_fini(request);
    headers_fini(response);
    int rc = cursor_seek(&s->cursor, e->entry, err);
    if (rc == MF_OK)
        rc = cursor_enter(&s->cursor, '{', err);
    while (rc > 0 && (rc = cursor_next(&s->cursor, '}', &first, &more, err)) > 0 && more) {
        char name[40];
        uint8_t value;
        if ((rc = cursor_name(&s->cursor, name, sizeof name, err)) <= 0 ||
            (rc = cursor_peek(&s->cursor, &value, err)) <= 0)
            break;
        if (!strcmp(name, "request") && value == '{')
            rc = take_handshake(&s->cursor, &s->request, &asked, err);
        else if (!strcmp(name, "response") && value == '{')
            rc = take_handshake(&s->cursor, &s->response, &answered, err);
        else if (!strcmp(name, "_mockforge") && value == '{' && (is_own = true))
            rc = take_own(s, EVENT_OPEN, &own, err);
        else if (cursor_here(&s->cursor).offset + 1 == e->messages.offset && e->behind.offset)
            rc = cursor_seek(&s->cursor, e->behind, err) < 0 ? MF_EIO : 1;
        else
            rc = cursor_skip(&s->cursor, err);
    }
    if (rc < 0) /* an entry that was cut has what came before */
        return rc;
    rc = name_connection(e, s, is_own ? own.connection : NULL, err);
    if (rc < 0)
        return rc;
    s->event = own;
    s->event.type = EVENT_OPEN;
    s->event.connection = connection_name(s);
    s->event.timestamp_us = is_own ? own.timestamp_us : e->time_us;
    s->event.request_headers = request;
    s->event.response_headers = response;
    if (asked.url)
        split_url(s, asked.url, &s->event);
    if (is_own)
        s->event.upstream = own.upstream;
    else
        s->event.subprotocol = headers_get(response, "Sec-WebSocket-Protocol");
    note_file(e, s, answered.file);
    return s->url.failed || s->file.failed ? err_set(err, MF_ENOMEM, "out of memory") : 1;
}

/* --- what follows --- */

/* The names of an entry whose slot was given to another one are read again. */
static int recall_name(struct har *h, struct har_entry *e, struct har_slot *s, struct err *err) {
    if (s->name[0])
        return 1;
    if (h->is_ours || e->attached)
        return load_open(e, s, err);
    return name_connection(e, s, NULL, err) < 0 ? MF_ENOMEM : 1;
}

static void give_gap(struct har_slot *s, size_t bytes) {
    s->event = (struct session_event){.type = EVENT_GAP, .fin = true, .gap_bytes = bytes};
}

/* The message at the cursor. 2: one that is none, to be passed over. */
static int load_message(struct har *h, struct har_slot *s, struct cursor *c, int64_t *wall_us, struct err *err) {
    struct message m;
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(c, &text, &len, err);
    if (rc <= 0)
        return rc;
    s->event = (struct session_event){.fin = true};
    rc = parse_begin(&s->parse, text, len, err);
    bool good = rc == MF_OK && read_message(&s->parse, &m);
    /* Chrome's remark that the connection has failed */
    bool remark = good && m.type && !strcmp(m.type, "error");
    if (good && !remark)
        good = message_event(&s->parse, &m, &s->event);
    if (!good && (err->code == MF_ENOMEM || !h->recover)) {
        cursor_place(c, err);
        return (int)err->code;
    }
    if (!good)
        give_gap(s, len);
    *wall_us = good ? m.time_us : HAR_NO_TIME;
    cursor_taken(c, len);
    return remark ? 2 : 1;
}

/* To the next message in the archive's array, or in the entry's own file: 1, with *more false when that was all. */
static int go_to_message(const struct har *h, const struct har_entry *e, struct har_slot *s, bool *first, bool *more,
                         struct err *err) {
    uint8_t byte;
    if (!e->attached)
        return cursor_next(&s->cursor, ']', first, more, err);
    int rc = s->attached_open ? 1 : har_attached_open(h, e, s, err);
    if (rc > 0)
        rc = cursor_peek(&s->attached, &byte, err);
    *more = rc > 0;
    return rc < 0 ? rc : 1;
}

static int load_next_message(struct har *h, struct har_entry *e, struct har_slot *s, struct err *err) {
    struct cursor *c = e->attached ? &s->attached : &s->cursor;
    bool first = e->first, more;
    int64_t wall_us = HAR_NO_TIME;
    int rc = MF_OK;
    if (!e->attached && cursor_here(c).offset != e->place.offset)
        rc = cursor_seek(c, e->place, err);
    do {
        if (rc >= 0)
            rc = go_to_message(h, e, s, &first, &more, err);
        if (rc <= 0 || !more) {
            h->truncated |= rc == 0;
            return MIN(rc, 0);
        }
        rc = load_message(h, s, c, &wall_us, err);
    } while (rc == 2);
    if (rc <= 0) {
        h->truncated |= rc == 0;
        return rc;
    }
    s->after = cursor_here(c);
    s->event.connection = connection_name(s);
    /* A clock that was set back does not change the order. */
    int64_t us = wall_us == HAR_NO_TIME ? 0 : wall_us - h->recorded_at_us;
    s->event.timestamp_us = us > 0 ? MAX((uint64_t)us, e->last_us) : e->last_us;
    if (wall_us != HAR_NO_TIME && us < (int64_t)e->last_us)
        step_back_count(&h->step_back, e->last_us, (uint64_t)MAX(us, 0), s->cursor.line);
    return 1;
}

static int load_end(struct har_entry *e, struct har_slot *s, struct err *err) {
    if (!e->has_end)
        return 0;
    int rc = cursor_seek(&s->cursor, e->end, err);
    if (rc == MF_OK)
        rc = take_own(s, EVENT_END, &s->event, err);
    if (rc <= 0)
        return rc;
    s->event.connection = connection_name(s);
    s->event.timestamp_us = MAX(s->event.timestamp_us, e->last_us);
    return 1;
}

int har_load(struct har *h, struct har_entry *e, struct har_slot *s, struct err *err) {
    int rc = 0;
    if (e->stage == HAR_OPEN)
        return load_open(e, s, err);
    rc = recall_name(h, e, s, err);
    if (rc > 0 && e->stage == HAR_MESSAGES)
        rc = e->has_messages || e->attached ? load_next_message(h, e, s, err) : 0;
    else if (rc > 0)
        rc = load_end(e, s, err);
    return rc;
}
