#include "cli/ws_show_line.h"

#include "base/clock.h"
#include "cli/ui.h"
#include "protocol/json.h"
#include "protocol/printable.h"
#include "protocol/text.h"

#define BYTES_A_COLUMN 4 /* of UTF-8, at most: what is beyond the line's width is not even escaped */

static const struct {
    unsigned code;
    const char *name;
} close_names[] = {
    {1000, "normal closure"},  {1001, "going away"},        {1002, "protocol error"},       {1003, "unsupported data"},
    {1005, "no status"},       {1006, "abnormal closure"},  {1007, "invalid data"},         {1008, "policy violation"},
    {1009, "message too big"}, {1010, "extension missing"}, {1011, "internal error"},       {1012, "service restart"},
    {1013, "try again later"}, {1014, "bad gateway"},       {1015, "TLS handshake failed"},
};

const char *show_close_name(unsigned code) {
    for (size_t i = 0; i < ARRAY_LEN(close_names); i++)
        if (close_names[i].code == code)
            return close_names[i].name;
    return NULL;
}

/* --- colours --- */

enum paint { PLAIN, DIM, BOLD, RED, GREEN, YELLOW, CYAN };
static const char *const paints[] = {
    [PLAIN] = "0", [DIM] = "2", [BOLD] = "1", [RED] = "31", [GREEN] = "32", [YELLOW] = "33", [CYAN] = "36",
};

static void paint(struct buf *out, const struct show_style *style, enum paint p) {
    if (style->colour)
        buf_printf(out, "\033[%sm", paints[p]);
}

/* --- text that may be hostile --- */

void show_escape(struct buf *out, const void *data, size_t len) {
    printable_append(out, data, len);
}

static void escape_string(struct buf *out, const char *s) {
    if (s)
        show_escape(out, s, strlen(s));
}

static void put_hex(struct buf *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        char two[3] = {digits[data[i] >> 4], digits[data[i] & 15], ' '};
        buf_append(out, two, i + 1 < len ? 3 : 2);
    }
}

/* --- the parts of a line --- */

static void put_payload(struct buf *out, const struct session_event *e, const struct show_style *style) {
    size_t len = e->data.len;
    if (!style->full)
        len = MIN(len, style->width * BYTES_A_COLUMN);
    if (e->type == EVENT_BINARY || e->rsv)
        put_hex(out, e->data.data, len);
    else
        show_escape(out, e->data.data, len);
}

/* What is unusual about the frame. */
static void put_notes(struct buf *out, const struct session_event *e, const struct show_style *style) {
    if (e->leg == EVENT_LEG_CLIENT && !e->rsv && e->fin && !e->frame_size)
        return;
    paint(out, style, DIM);
    if (e->leg == EVENT_LEG_UPSTREAM)
        buf_puts(out, "[upstream leg] ");
    if (e->rsv)
        buf_printf(out, "[rsv %u] ", e->rsv);
    if (!e->fin)
        buf_puts(out, "[more follows] ");
    if (e->frame_size)
        buf_printf(out, "[from %llu of %llu] ", (unsigned long long)e->frame_offset, (unsigned long long)e->frame_size);
    paint(out, style, PLAIN);
}

static void put_frame(struct buf *out, const struct session_event *e, const struct show_style *style) {
    const char *name = e->type == EVENT_CONTINUATION ? "cont" : event_type_names[e->type];
    buf_printf(out, "%-6s%8zu  ", name, e->data.len);
    put_notes(out, e, style);
    put_payload(out, e, style);
}

static void put_close(struct buf *out, const struct session_event *e, const struct show_style *style) {
    const char *name = show_close_name(e->code);
    paint(out, style, YELLOW);
    buf_puts(out, "close ");
    if (e->code)
        buf_printf(out, "%8u  %s", e->code, name ? name : "");
    else
        buf_puts(out, "       -  malformed");
    paint(out, style, PLAIN);
    if (e->reason.len) {
        buf_puts(out, name ? ": " : "");
        show_escape(out, e->reason.data, e->reason.len);
    }
}

static void put_open(struct buf *out, const struct session_event *e, const struct show_style *style) {
    paint(out, style, BOLD);
    buf_puts(out, "open");
    paint(out, style, PLAIN);
    buf_puts(out, e->continued ? " (continued) " : " ");
    escape_string(out, e->path ? e->path : "?");
    if (e->query) {
        buf_putc(out, '?');
        escape_string(out, e->query);
    }
    if (e->upstream) {
        buf_puts(out, " to ");
        escape_string(out, e->upstream);
    }
    if (e->remote_addr) {
        buf_puts(out, " from ");
        escape_string(out, e->remote_addr);
    }
    if (e->subprotocol) {
        buf_puts(out, " subprotocol ");
        escape_string(out, e->subprotocol);
    }
}

static void put_end(struct buf *out, const struct session_event *e, const struct show_style *style) {
    const char *name = show_close_name(e->code);
    paint(out, style, BOLD);
    buf_puts(out, "end");
    paint(out, style, PLAIN);
    if (e->by) {
        buf_puts(out, " by ");
        escape_string(out, e->by);
    }
    if (e->reason.len) {
        buf_puts(out, ": ");
        show_escape(out, e->reason.data, e->reason.len);
    }
    if (e->code)
        buf_printf(out, " (%u%s%s)", e->code, name ? " " : "", name ? name : "");
}

static void put_gap(struct buf *out, const struct session_event *e, const struct show_style *style) {
    paint(out, style, RED);
    if (e->gap_frames)
        buf_printf(out, "gap    %llu frames of %llu bytes are missing here", (unsigned long long)e->gap_frames,
                   (unsigned long long)e->gap_bytes);
    else
        buf_printf(out, "gap    %llu bytes of the file cannot be read here", (unsigned long long)e->gap_bytes);
    paint(out, style, PLAIN);
}

static void put_recording(struct buf *out, const struct session_event *e, const struct show_style *style) {
    char when[CLOCK_RFC3339_LEN];
    paint(out, style, BOLD);
    buf_printf(out, "recorded at %s", clock_rfc3339(e->recorded_at_us, when));
    paint(out, style, PLAIN);
    if (e->generator) {
        buf_puts(out, " by ");
        escape_string(out, e->generator);
    }
}

/* "   12.345678 conn-1  " */
static void put_place(struct buf *out, const struct session_event *e, const struct show_style *style) {
    paint(out, style, DIM);
    buf_printf(out, "%5llu.%06u ", (unsigned long long)(e->timestamp_us / 1000000),
               (unsigned)(e->timestamp_us % 1000000));
    paint(out, style, PLAIN);
    size_t before = out->len;
    escape_string(out, e->connection);
    for (size_t n = out->len - before; n < 8; n++)
        buf_putc(out, ' ');
    buf_putc(out, ' ');
}

static void put_arrow(struct buf *out, const struct session_event *e, const struct show_style *style) {
    bool in = e->direction == EVENT_INCOMING;
    paint(out, style, in ? GREEN : CYAN);
    buf_puts(out, in ? "-> " : "<- ");
    paint(out, style, PLAIN);
}

static void put_event(struct buf *out, const struct session_event *e, const struct show_style *style) {
    if (e->type == EVENT_RECORDING) {
        put_recording(out, e, style);
        return;
    }
    put_place(out, e, style);
    if (event_is_frame(e->type) || e->type == EVENT_FAULT)
        put_arrow(out, e, style);
    switch (e->type) {
    case EVENT_OPEN:
        put_open(out, e, style);
        break;
    case EVENT_CLOSE:
        put_close(out, e, style);
        break;
    case EVENT_END:
        put_end(out, e, style);
        break;
    case EVENT_GAP:
        put_gap(out, e, style);
        break;
    case EVENT_FAULT:
        paint(out, style, RED);
        buf_puts(out, "fault  ");
        escape_string(out, e->fault);
        paint(out, style, PLAIN);
        break;
    default:
        put_frame(out, e, style);
    }
}

/* Appends a line's text, cut to the width unless all of it is wanted. */
static void put_line(struct buf *out, struct buf *line, const struct show_style *style) {
    if (style->full)
        buf_append(out, line->data, line->len);
    else
        ui_fit(out, buf_cstr(line), style->width);
    buf_putc(out, '\n');
}

void show_line(struct buf *out, const struct session_event *e, const struct show_style *style) {
    if (style->full) {
        put_event(out, e, style);
        buf_putc(out, '\n');
        return;
    }
    struct buf line = BUF_INIT;
    put_event(&line, e, style);
    put_line(out, &line, style);
    buf_fini(&line);
}

void show_selected(struct buf *out, const struct session_event *e, const char *json, const struct show_style *style) {
    struct buf line = BUF_INIT, value = BUF_INIT;
    size_t len = strlen(json);
    if (*json == '"')
        json_unescape(&value, json + 1, len - 2);
    else
        buf_append(&value, json, len);
    put_place(&line, e, style);
    put_arrow(&line, e, style);
    show_escape(&line, value.data, style->full ? value.len : MIN(value.len, style->width * BYTES_A_COLUMN));
    put_line(out, &line, style);
    buf_fini(&line);
    buf_fini(&value);
}

int show_selected_json(struct buf *out, const struct session_event *e, const char *json) {
    size_t before = out->len;
    buf_puts(out, "{\"connection\":");
    json_quote(out, e->connection, strlen(e->connection));
    buf_puts(out, ",\"timestamp_ms\":");
    text_ms(out, e->timestamp_us);
    buf_printf(out, ",\"direction\":\"%s\",\"type\":\"%s\",\"value\":",
               event_direction_names[e->direction], event_type_names[e->type]);
    /* White space between tokens may hold line breaks. Inside strings there are none. */
    for (const char *p = json; *p; p++)
        buf_putc(out, *p == '\n' || *p == '\r' ? ' ' : *p);
    buf_puts(out, "}\n");
    if (!out->failed)
        return MF_OK;
    out->len = before;
    return MF_ENOMEM;
}
