#include "recording/event.h"

#include <strings.h>

#include "base/clock.h"
#include "protocol/text.h"
#include "protocol/utf8.h"

const char *const event_type_names[] = {
    [EVENT_RECORDING] = "recording",
    [EVENT_OPEN] = "open",
    [EVENT_TEXT] = "text",
    [EVENT_BINARY] = "binary",
    [EVENT_CONTINUATION] = "continuation",
    [EVENT_PING] = "ping",
    [EVENT_PONG] = "pong",
    [EVENT_CLOSE] = "close",
    [EVENT_END] = "end",
    [EVENT_GAP] = "gap",
    [EVENT_FAULT] = "fault",
};

const char *const event_direction_names[] = {[EVENT_INCOMING] = "incoming", [EVENT_OUTGOING] = "outgoing"};

bool event_direction_named(const char *name, enum event_direction *out) {
    *out = strcmp(name, event_direction_names[EVENT_OUTGOING]) ? EVENT_INCOMING : EVENT_OUTGOING;
    return !strcmp(name, event_direction_names[*out]);
}

bool event_is_frame(enum event_type type) {
    return type >= EVENT_TEXT && type <= EVENT_CLOSE;
}

static void member_string(struct buf *out, const char *name, const char *value) {
    buf_puts(out, ",\"");
    buf_puts(out, name);
    buf_puts(out, "\":");
    if (value)
        json_quote(out, value, strlen(value));
    else
        buf_puts(out, "null");
}

static void member_u64(struct buf *out, const char *name, uint64_t value) {
    buf_puts(out, ",\"");
    buf_puts(out, name);
    buf_puts(out, "\":");
    text_u64(out, value);
}

/* Of a text whose length the compiler knows: millions of lines are converted, and most of each is this. */
#define put_literal(out, text) buf_append(out, text, sizeof(text) - 1)

static void write_type(struct buf *out, const struct session_event *e) {
    if (e->type == EVENT_TEXT) {
        put_literal(out, "\"type\":\"text\"");
        return;
    }
    put_literal(out, "\"type\":\"");
    buf_puts(out, event_type_names[e->type]);
    put_literal(out, "\"");
}

/* Names such as "conn-1", which nothing has to be escaped in. */
static bool is_plain_name(const char *name, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (name[i] != '-' && (name[i] < '0' || name[i] > '9') && (name[i] < 'a' || name[i] > 'z'))
            return false;
    return true;
}

/* `"connection":"conn-1","timestamp_ms":0.412` */
static void write_place(struct buf *out, const struct session_event *e) {
    size_t len = e->connection ? strlen(e->connection) : 0;
    if (e->connection && is_plain_name(e->connection, len)) {
        put_literal(out, "\"connection\":\"");
        buf_append(out, e->connection, len);
        put_literal(out, "\",\"timestamp_ms\":");
    } else {
        if (e->connection) {
            put_literal(out, "\"connection\":");
            json_quote(out, e->connection, len);
            put_literal(out, ",");
        }
        put_literal(out, "\"timestamp_ms\":");
    }
    text_ms(out, e->timestamp_us);
}

static void write_direction(struct buf *out, const struct session_event *e) {
    if (e->direction == EVENT_INCOMING)
        put_literal(out, ",\"direction\":\"incoming\"");
    else
        put_literal(out, ",\"direction\":\"outgoing\"");
    if (e->leg == EVENT_LEG_UPSTREAM)
        put_literal(out, ",\"leg\":\"upstream\"");
    put_literal(out, ",");
}

static void write_recording(struct buf *out, const struct session_event *e) {
    char when[CLOCK_RFC3339_LEN];
    write_type(out, e);
    member_u64(out, "version", e->version);
    member_string(out, "recorded_at", clock_rfc3339(e->recorded_at_us, when));
    member_string(out, "generator", e->generator);
}

static bool is_first_of_name(const struct headers *h, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (!strcasecmp(h->items[i].name, h->items[at].name))
            return false;
    return true;
}

/* A JSON object has each name once: fields of the same name become an array in the first one's place. */
static void member_headers(struct buf *out, const char *name, const struct headers *h) {
    buf_puts(out, ",\"");
    buf_puts(out, name);
    buf_puts(out, "\":{");
    bool comma = false;
    for (size_t i = 0; h && i < h->count; i++) {
        const struct header *field = &h->items[i];
        if (!is_first_of_name(h, i))
            continue;
        if (comma)
            buf_putc(out, ',');
        comma = true;
        json_quote(out, field->name, strlen(field->name));
        buf_putc(out, ':');
        if (headers_count(h, field->name) == 1) {
            json_quote(out, field->value, strlen(field->value));
            continue;
        }
        char before = '[';
        for (size_t k = i; k < h->count; k++)
            if (!strcasecmp(h->items[k].name, field->name)) {
                buf_putc(out, before);
                json_quote(out, h->items[k].value, strlen(h->items[k].value));
                before = ',';
            }
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void write_open(struct buf *out, const struct session_event *e) {
    write_type(out, e);
    buf_putc(out, ',');
    write_place(out, e);
    member_string(out, "path", e->path);
    member_string(out, "query", e->query);
    member_string(out, "remote_addr", e->remote_addr);
    member_string(out, "upstream", e->upstream);
    member_headers(out, "request_headers", e->request_headers);
    member_headers(out, "response_headers", e->response_headers);
    member_string(out, "subprotocol", e->subprotocol);
    if (e->continued)
        buf_puts(out, ",\"continued\":true");
}

static void write_data(struct buf *out, const struct session_event *e) {
    bool as_text = e->type != EVENT_BINARY && utf8_valid(e->data.data, e->data.len);
    if (as_text) {
        put_literal(out, ",\"data\":\"");
        json_escape(out, e->data.data, e->data.len);
    } else {
        put_literal(out, ",\"encoding\":\"base64\",\"data\":\"");
        base64_append(out, e->data.data, e->data.len);
    }
    put_literal(out, "\"");
}

static void write_frame(struct buf *out, const struct session_event *e) {
    write_place(out, e);
    write_direction(out, e);
    write_type(out, e);
    if (e->type == EVENT_CLOSE) {
        if (e->code)
            member_u64(out, "code", e->code);
        buf_puts(out, ",\"reason\":");
        json_quote(out, (const char *)e->reason.data, e->reason.len);
        return;
    }
    if (!e->fin)
        buf_puts(out, ",\"fin\":false");
    if (e->rsv)
        member_u64(out, "rsv", e->rsv);
    if (e->frame_size) {
        member_u64(out, "frame_offset", e->frame_offset);
        member_u64(out, "frame_size", e->frame_size);
    }
    write_data(out, e);
}

static void write_end(struct buf *out, const struct session_event *e) {
    write_place(out, e);
    buf_putc(out, ',');
    write_type(out, e);
    member_string(out, "by", e->by);
    buf_puts(out, ",\"reason\":");
    json_quote(out, (const char *)e->reason.data, e->reason.len);
    if (e->code)
        member_u64(out, "code", e->code);
}

static void write_gap(struct buf *out, const struct session_event *e) {
    write_place(out, e);
    buf_putc(out, ',');
    write_type(out, e);
    member_u64(out, "frames", e->gap_frames);
    member_u64(out, "bytes", e->gap_bytes);
}

static void write_fault(struct buf *out, const struct session_event *e) {
    write_place(out, e);
    write_direction(out, e);
    write_type(out, e);
    member_string(out, "fault", e->fault);
}

int event_write_line(struct buf *out, const struct session_event *e) {
    size_t before = out->len;
    put_literal(out, "{");
    if (e->type == EVENT_RECORDING)
        write_recording(out, e);
    else if (e->type == EVENT_OPEN)
        write_open(out, e);
    else if (event_is_frame(e->type))
        write_frame(out, e);
    else if (e->type == EVENT_END)
        write_end(out, e);
    else if (e->type == EVENT_GAP)
        write_gap(out, e);
    else
        write_fault(out, e);
    put_literal(out, "}\n");
    if (!out->failed)
        return MF_OK;
    /* Half a line would spoil the lines before it. */
    out->len = before;
    return MF_ENOMEM;
}
