#include "protocol/frame.h"

#include <pthread.h>
#include <wslay/wslay.h>

#include "base/rng.h"

bool ws_close_code_valid(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static int refuse(const char **why, const char *reason) {
    *why = reason;
    return MF_EPROTO;
}

/* Section 5.5: control frames carry at most 125 bytes, are not fragmented, and may come inside a message. */
static int check_control(const struct frame_header *h, const char **why) {
    if (!h->fin)
        return refuse(why, "fragmented control frame");
    if (h->length > FRAME_CONTROL_MAX)
        return refuse(why, "control frame over 125 bytes");
    /* Extensions that transform messages leave control frames alone (RFC 7692 section 6.1). */
    if (h->rsv)
        return refuse(why, "reserved bit in a control frame");
    return MF_OK;
}

int frame_rules_check(struct frame_rules *r, const struct frame_header *h, const char **why) {
    if (MF_UNLIKELY(h->masked != r->masked))
        return refuse(why, r->masked ? "unmasked frame from a client" : "masked frame from a server");
    if (MF_UNLIKELY(h->rsv & ~r->rsv_allowed))
        return refuse(why, "reserved bit without an extension");
    switch (h->opcode) {
    case WS_TEXT:
    case WS_BINARY:
        if (r->in_message)
            return refuse(why, "new message inside a fragmented one");
        r->in_message = !h->fin;
        r->message_opcode = h->fin ? 0 : h->opcode;
        return MF_OK;
    case WS_CONTINUATION:
        if (!r->in_message)
            return refuse(why, "continuation without a message");
        /* Per-message extensions mark the first frame only (RFC 7692 section 6.1). */
        if (h->rsv)
            return refuse(why, "reserved bit in a continuation");
        if (h->fin) {
            r->in_message = false;
            r->message_opcode = 0;
        }
        return MF_OK;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return check_control(h, why);
    default:
        return refuse(why, "reserved opcode");
    }
}

int frame_close_parse(const uint8_t *payload, size_t len, unsigned *code, const char **reason, size_t *reason_len) {
    *code = WS_CLOSE_NO_STATUS;
    *reason = (const char *)payload + MIN(len, 2);
    *reason_len = len > 2 ? len - 2 : 0;
    if (len == 0)
        return MF_OK;
    if (len == 1)
        return -WS_CLOSE_PROTOCOL;
    unsigned sent = (unsigned)payload[0] << 8 | payload[1];
    if (!ws_close_code_valid(sent))
        return -WS_CLOSE_PROTOCOL;
    if (!utf8_valid(*reason, *reason_len))
        return -WS_CLOSE_INVALID_DATA;
    *code = sent;
    return MF_OK;
}

/* How many bytes from the front of s, at most max, are whole valid characters. */
static size_t whole_characters(const char *s, size_t len, size_t max) {
    struct utf8 u;
    utf8_init(&u);
    size_t end = 0;
    for (size_t i = 0; i < len && i < max; i++) {
        if (!utf8_feed(&u, (const uint8_t *)s + i, 1))
            break;
        if (utf8_complete(&u))
            end = i + 1;
    }
    return end;
}

size_t frame_close_payload(uint8_t out[FRAME_CONTROL_MAX], unsigned code, const char *reason, size_t reason_len) {
    if (!ws_close_code_valid(code))
        return 0;
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    size_t n = whole_characters(reason, reason_len, FRAME_CONTROL_MAX - 2);
    if (n)
        memcpy(out + 2, reason, n);
    return 2 + n;
}

/* -- writing, through wslay ---------------------------------------------------------------------------------------- */

/* One of each kind for a thread, kept: a context costs a malloc. A masked frame leaves wslay 1.1.1's context masking for
 * good (its `omask` is never cleared), hence two. */
struct writer {
    wslay_frame_context_ptr context[2]; /* [mask] */
    struct buf *out;                    /* while frame_write() runs */
};

static pthread_key_t writer_key;
static pthread_once_t writer_once = PTHREAD_ONCE_INIT;

static ssize_t on_send(const uint8_t *data, size_t len, int flags, void *user_data) {
    (void)flags;
    struct writer *w = user_data;
    buf_append(w->out, data, len); /* frame_write() made the room */
    return (ssize_t)len;
}

static int on_genmask(uint8_t *key, size_t len, void *user_data) {
    (void)user_data;
    rng_secure(key, len);
    return 0;
}

static void writer_fini(void *arg) {
    struct writer *w = arg;
    wslay_frame_context_free(w->context[0]);
    wslay_frame_context_free(w->context[1]);
    w->context[0] = w->context[1] = NULL;
}

static void make_writer_key(void) {
    MUST(pthread_key_create(&writer_key, writer_fini) == 0);
}

static struct writer *thread_writer(void) {
    static _Thread_local struct writer writer;
    if (MF_LIKELY(writer.context[1]))
        return &writer;
    static const struct wslay_frame_callbacks callbacks = {on_send, NULL, on_genmask};
    for (size_t i = 0; i < ARRAY_LEN(writer.context); i++)
        if (!writer.context[i] && wslay_frame_context_init(&writer.context[i], &callbacks, &writer) != 0) {
            writer.context[i] = NULL;
            return NULL;
        }
    pthread_once(&writer_once, make_writer_key);
    /* A key that cannot be set leaks two small contexts when the thread ends; the frame is still good. */
    (void)pthread_setspecific(writer_key, &writer);
    return &writer;
}

int frame_write(struct buf *out, uint8_t opcode, bool fin, uint8_t rsv, bool mask, const void *payload, size_t len) {
    MUST(!ws_is_control(opcode) || len <= FRAME_CONTROL_MAX);
    struct writer *w = thread_writer();
    if (!w)
        return MF_ENOMEM;
    if (len > SIZE_MAX - FRAME_HEADER_MAX || buf_reserve(out, FRAME_HEADER_MAX + len) < 0)
        return MF_ENOMEM;
    struct wslay_frame_iocb frame = {
        .fin = fin, .rsv = rsv, .opcode = opcode, .payload_length = len, .mask = mask, .data = payload, .data_length = len};
    w->out = out;
    ssize_t sent = wslay_frame_send(w->context[mask], &frame);
    w->out = NULL;
    MUST(sent == (ssize_t)len);
    return MF_OK;
}
