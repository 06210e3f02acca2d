#include "recording/har_write.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"
#include "protocol/frame.h"
#include "protocol/text.h"
#include "protocol/utf8.h"
#include "recording/assembly.h"
#include "recording/har_private.h"
#include "recording/har_spool.h"
#include "recording/names.h"

/* One connection: an entry. */
struct channel {
    struct named named; /* by the recording's name, while it is open */
    struct spooled text;
    struct assembly directions[2];
    uint64_t begin_us, last_us; /* since recorded_at */
    bool comma;
};

/* A name that some entry has. */
struct taken {
    struct named named;
};

struct har_writer {
    struct spool spool;
    struct names open, taken;
    struct channel **channels; /* in the order in which they came */
    size_t count, cap;
    bool has_recording;
    int64_t recorded_at_us;
    struct buf recording; /* its line, for the way back */
    struct buf scratch;
    struct har_losses losses;
};

static int no_memory(struct err *err) {
    (void)err_set(err, MF_ENOMEM, "out of memory");
    return MF_ENOMEM;
}

static void free_taken(struct named *item) {
    free((struct taken *)item);
}

static void quote(struct buf *out, const char *text) {
    json_quote(out, text, strlen(text));
}

/* --- what stands in front of the messages --- */

static void put_started(struct har_writer *w, struct buf *out, uint64_t timestamp_us) {
    char when[CLOCK_RFC3339_LEN];
    buf_puts(out, "\"startedDateTime\":\"");
    buf_puts(out, clock_rfc3339(w->recorded_at_us + (int64_t)timestamp_us, when));
    buf_puts(out, "\"");
}

/* `subprotocol`, when there is one: the field that tells other programs, where a session file has a member of its own.
 * It is marked, as it is none of the fields that are recorded. */
static void put_headers(struct buf *out, const struct headers *h, const char *subprotocol) {
    bool comma = false;
    buf_puts(out, "\"headers\":[");
    for (size_t i = 0; h && i < h->count; i++, comma = true) {
        buf_puts(out, comma ? ",{\"name\":" : "{\"name\":");
        quote(out, h->items[i].name);
        buf_puts(out, ",\"value\":");
        quote(out, h->items[i].value);
        buf_putc(out, '}');
    }
    if (subprotocol && (!h || !headers_get(h, "Sec-WebSocket-Protocol"))) {
        buf_puts(out, comma ? ",{" : "{");
        buf_puts(out, "\"name\":\"Sec-WebSocket-Protocol\",\"_mockforge\":true,\"value\":");
        quote(out, subprotocol);
        buf_putc(out, '}');
    }
    buf_puts(out, "],\"cookies\":[],\"headersSize\":-1,");
}

static void put_query(struct buf *out, const char *query) {
    buf_puts(out, "\"queryString\":[");
    for (bool comma = false; query && *query; comma = true) {
        size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        size_t name = equals ? (size_t)(equals - query) : len;
        buf_puts(out, comma ? ",{\"name\":" : "{\"name\":");
        json_quote(out, query, name);
        buf_puts(out, ",\"value\":");
        json_quote(out, query + name + (equals != NULL), len - name - (equals != NULL));
        buf_putc(out, '}');
        query += len + (query[len] == '&');
    }
    buf_puts(out, "],");
}

/* What the client called: the host of its request; the upstream's scheme, when that is the same host. */
static void put_url(struct har_writer *w, struct buf *out, const struct session_event *e) {
    const char *host = e->request_headers ? headers_get(e->request_headers, "Host") : NULL;
    const char *upstream = e->upstream ? e->upstream : "", *authority = strstr(upstream, "://");
    authority = authority ? authority + 3 : "";
    const char *user_end = strchr(authority, '@');
    size_t len = strcspn(authority, "/?#");
    if (user_end && user_end < authority + len) {
        len -= (size_t)(user_end + 1 - authority);
        authority = user_end + 1;
    }
    bool same = !host || (strlen(host) == len && !memcmp(host, authority, len));
    buf_reset(&w->scratch);
    buf_puts(&w->scratch, same && !strncmp(upstream, "wss:", 4) ? "wss://" : "ws://");
    if (host)
        buf_puts(&w->scratch, host);
    else if (len)
        buf_append(&w->scratch, authority, len);
    else
        buf_puts(&w->scratch, "localhost");
    buf_puts(&w->scratch, e->path ? e->path : "/");
    if (e->query) {
        buf_putc(&w->scratch, '?');
        buf_puts(&w->scratch, e->query);
    }
    buf_puts(out, "\"url\":");
    quote(out, buf_cstr(&w->scratch));
    buf_putc(out, ',');
}

/* The open line, without what the entry says itself. */
static void put_own(struct buf *out, const struct session_event *e, const char *name) {
    struct session_event own = *e;
    own.connection = name;
    own.path = own.query = NULL;
    own.request_headers = own.response_headers = NULL;
    buf_puts(out, "\"_mockforge\":");
    if (event_write_line(out, &own) < 0)
        out->failed = true;
    else
        out->len--; /* the newline */
    buf_putc(out, ',');
}

static void put_head(struct har_writer *w, struct buf *out, const struct session_event *e, const char *name) {
    buf_puts(out, "{\"_resourceType\":\"websocket\",");
    put_started(w, out, e->timestamp_us);
    buf_puts(out, ",\"connection\":");
    quote(out, name);
    buf_putc(out, ',');
    put_own(out, e, name);
    buf_puts(out, "\"request\":{\"method\":\"GET\",");
    put_url(w, out, e);
    buf_puts(out, "\"httpVersion\":\"HTTP/1.1\",");
    put_headers(out, e->request_headers, NULL);
    put_query(out, e->query);
    buf_puts(out, "\"bodySize\":0},\"response\":{\"status\":101,\"statusText\":\"Switching Protocols\","
                  "\"httpVersion\":\"HTTP/1.1\",");
    put_headers(out, e->response_headers, e->subprotocol);
    buf_puts(out, "\"content\":{\"size\":0,\"mimeType\":\"x-unknown\"},\"redirectURL\":\"\",\"bodySize\":-1,"
                  "\"_transferSize\":0,\"_error\":null},\"cache\":{},\"timings\":{\"blocked\":-1,\"dns\":-1,"
                  "\"connect\":-1,\"ssl\":-1,\"send\":0,\"wait\":0,\"receive\":0},\"_webSocketMessages\":[");
}

/* --- connections --- */

static int add_channel(struct har_writer *w, const char *name, struct channel **out, struct err *err) {
    if (w->count == HAR_ENTRIES_MAX) {
        (void)err_set(err, MF_ELIMIT, "expected at most %u connections in a HAR file", HAR_ENTRIES_MAX);
        return MF_ELIMIT;
    }
    if (!ARRAY_ROOM(w->channels, w->count, w->cap, 16))
        return no_memory(err);
    struct channel *c = calloc(1, sizeof *c);
    if (!c || names_add(&w->open, &c->named, name) < 0) {
        free(c);
        return no_memory(err);
    }
    *out = w->channels[w->count++] = c;
    return MF_OK;
}

/* Names come again in a file that a later run went on with: entries have them once. */
static int take_name(struct har_writer *w, const char *name, struct buf *out, struct err *err) {
    names_make_unique(&w->taken, name, out);
    struct taken *t = calloc(1, sizeof *t);
    if (!t || out->failed || names_add(&w->taken, &t->named, buf_cstr(out)) < 0) {
        free(t);
        return no_memory(err);
    }
    return MF_OK;
}

static int open_channel(struct har_writer *w, const struct session_event *e, struct channel **out, struct err *err) {
    struct buf name = BUF_INIT;
    int rc = take_name(w, e->connection, &name, err);
    if (rc == MF_OK)
        rc = add_channel(w, e->connection, out, err);
    if (rc == MF_OK) {
        (*out)->begin_us = (*out)->last_us = e->timestamp_us;
        put_head(w, &(*out)->text.tail, e, buf_cstr(&name));
        rc = spool_added(&w->spool, &(*out)->text, err);
    }
    buf_fini(&name);
    return rc;
}

/* The connection that this is about; one that nothing opened is opened by its first line. */
static int find_channel(struct har_writer *w, const struct session_event *e, struct channel **out, struct err *err) {
    *out = (struct channel *)names_find(&w->open, e->connection);
    if (*out)
        return MF_OK;
    struct session_event open = {.type = EVENT_OPEN, .connection = e->connection, .timestamp_us = e->timestamp_us};
    return open_channel(w, &open, out, err);
}

static void close_channel(struct har_writer *w, struct channel *c, const struct session_event *end) {
    struct buf *out = &c->text.tail;
    buf_puts(out, "],\"time\":");
    text_ms(out, c->last_us > c->begin_us ? c->last_us - c->begin_us : 0);
    if (end) {
        buf_puts(out, ",\"_mockforgeEnd\":");
        if (event_write_line(out, end) < 0)
            out->failed = true;
        else
            out->len--;
    }
    buf_putc(out, '}');
    for (size_t i = 0; i < 2; i++) {
        assembly_drop(&c->directions[i]);
        w->losses.incomplete += c->directions[i].lost;
        assembly_fini(&c->directions[i]);
    }
    names_remove(&w->open, &c->named);
}

static int close_all(struct har_writer *w, struct err *err) {
    int rc = MF_OK;
    for (struct named *item = names_next(&w->open, NULL), *next; rc == MF_OK && item; item = next) {
        struct channel *c = (struct channel *)item;
        next = names_next(&w->open, item);
        close_channel(w, c, NULL);
        rc = spool_added(&w->spool, &c->text, err);
    }
    return rc;
}

/* --- messages --- */

static void put_message(struct har_writer *w, struct channel *c, const struct session_event *e, unsigned opcode,
                        uint8_t rsv, struct event_bytes data) {
    struct buf *out = &c->text.tail;
    int64_t us = MAX(w->recorded_at_us + (int64_t)e->timestamp_us, 0);
    bool as_text = opcode == WS_TEXT && utf8_valid(data.data, data.len);
    buf_puts(out, c->comma ? ",\n" : "\n");
    c->comma = true;
    buf_printf(out, "{\"type\":\"%s\",\"time\":%lld.%06lld,\"opcode\":%u,",
               e->direction == EVENT_INCOMING ? "send" : "receive", (long long)(us / 1000000),
               (long long)(us % 1000000), opcode);
    if (rsv)
        buf_printf(out, "\"_rsv\":%u,", rsv);
    if (opcode == WS_TEXT && !as_text)
        buf_puts(out, "\"_encoding\":\"base64\",");
    buf_puts(out, "\"data\":\"");
    if (as_text)
        json_escape(out, data.data, data.len);
    else
        base64_append(out, data.data, data.len);
    buf_puts(out, "\"}");
}

/* A close frame's payload: nothing for 1005, one byte for none. */
static void put_close(struct har_writer *w, struct channel *c, const struct session_event *e) {
    struct buf *payload = &w->scratch;
    buf_reset(payload);
    if (e->code && e->code != WS_CLOSE_NO_STATUS) {
        buf_putc(payload, (char)(e->code >> 8));
        buf_putc(payload, (char)e->code);
        buf_append(payload, e->reason.data, e->reason.len);
    } else if (!e->code) {
        buf_putc(payload, 0);
    }
    if (payload->failed)
        c->text.tail.failed = true;
    put_message(w, c, e, WS_CLOSE, 0, (struct event_bytes){payload->data, payload->len});
}

static int add_frame(struct har_writer *w, struct channel *c, const struct session_event *e, struct err *err) {
    struct assembled message;
    if (e->leg == EVENT_LEG_UPSTREAM) {
        w->losses.upstream_leg++;
        return MF_OK;
    }
    if (e->type == EVENT_CLOSE)
        put_close(w, c, e);
    if (e->type == EVENT_PING || e->type == EVENT_PONG)
        put_message(w, c, e, e->type == EVENT_PING ? WS_PING : WS_PONG, e->rsv, e->data);
    if (e->type >= EVENT_PING)
        return MF_OK;
    int rc = assembly_add(&c->directions[e->direction], e, &message, err);
    if (rc > 0) {
        w->losses.joined += message.joined;
        put_message(w, c, e, message.type == EVENT_TEXT ? WS_TEXT : WS_BINARY, message.rsv, message.data);
    }
    return rc < 0 ? rc : MF_OK;
}

static int add_recording(struct har_writer *w, const struct session_event *e, struct err *err) {
    int rc = close_all(w, err); /* connections before it have ended */
    if (rc < 0 || w->has_recording)
        return rc;
    w->has_recording = true;
    w->recorded_at_us = e->recorded_at_us;
    return event_write_line(&w->recording, e) < 0 ? no_memory(err) : MF_OK;
}

static void count_gap(struct har_writer *w, struct channel *c, const struct session_event *e) {
    w->losses.gaps += MAX(e->gap_frames, (uint64_t)1);
    if (c)
        for (size_t i = 0; i < 2; i++)
            assembly_drop(&c->directions[i]);
}

int har_writer_add(struct har_writer *w, const struct session_event *e, struct err *err) {
    struct channel *c = NULL;
    int rc = MF_OK;
    if (e->type == EVENT_RECORDING)
        return add_recording(w, e, err);
    if (e->type == EVENT_GAP) {
        count_gap(w, (struct channel *)names_find(&w->open, e->connection), e);
        return MF_OK;
    }
    w->losses.faults += e->type == EVENT_FAULT;
    if (e->type == EVENT_FAULT)
        return MF_OK;
    c = e->type == EVENT_OPEN ? (struct channel *)names_find(&w->open, e->connection) : NULL;
    if (c && e->continued) /* of a part that was appended to the one before it */
        return MF_OK;
    if (c) {
        close_channel(w, c, NULL);
        rc = spool_added(&w->spool, &c->text, err);
    }
    if (rc == MF_OK)
        rc = e->type == EVENT_OPEN ? open_channel(w, e, &c, err) : find_channel(w, e, &c, err);
    if (rc < 0 || e->type == EVENT_OPEN)
        return rc;
    c->last_us = MAX(c->last_us, e->timestamp_us);
    if (e->type == EVENT_END)
        close_channel(w, c, e);
    else
        rc = add_frame(w, c, e, err);
    return rc < 0 ? rc : spool_added(&w->spool, &c->text, err);
}

/* --- all of it --- */

int har_writer_new(const char *target, struct har_writer **out, struct err *err) {
    struct har_writer *w = calloc(1, sizeof *w);
    if (!w)
        return no_memory(err);
    int rc = spool_open(&w->spool, target, err);
    if (rc < 0)
        har_writer_free(w);
    else
        *out = w;
    return rc;
}

void har_writer_free(struct har_writer *w) {
    if (!w)
        return;
    names_fini(&w->open, NULL);
    names_fini(&w->taken, free_taken);
    for (size_t i = 0; i < w->count; i++) {
        spooled_fini(&w->channels[i]->text);
        assembly_fini(&w->channels[i]->directions[0]);
        assembly_fini(&w->channels[i]->directions[1]);
        free(w->channels[i]);
    }
    free(w->channels);
    spool_close(&w->spool);
    buf_fini(&w->recording);
    buf_fini(&w->scratch);
    free(w);
}

int har_writer_finish(struct har_writer *w, struct output *out, struct err *err) {
    int rc = close_all(w, err);
    buf_puts(&out->pending,
             "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"mockforge\",\"version\":\"" MF_VERSION "\"},\n");
    if (w->recording.len) {
        buf_puts(&out->pending, "\"_mockforge\":");
        buf_append(&out->pending, w->recording.data, w->recording.len - 1);
        buf_puts(&out->pending, ",\n");
    }
    buf_puts(&out->pending, "\"pages\":[],\"entries\":[");
    for (size_t i = 0; rc == MF_OK && i < w->count; i++) {
        buf_puts(&out->pending, i ? ",\n" : "\n");
        rc = spool_write(&w->spool, &w->channels[i]->text, out, err);
    }
    buf_puts(&out->pending, "\n]}}\n");
    return rc;
}

const struct har_losses *har_writer_losses(const struct har_writer *w) {
    return &w->losses;
}
