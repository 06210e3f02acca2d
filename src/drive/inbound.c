#include "drive/inbound.h"

/* A message's memory is kept for the next one, but not that of a rare giant: there may be thousands of clients. */
#define KEPT_MAX 65536u

void inbound_init(struct inbound *in, size_t max_message, size_t *together) {
    *in = (struct inbound){.max_message = max_message, .together = together};
    utf8_init(&in->utf8);
}

/* The memory of what is no rare giant does not count: it is kept, and every client may have it. */
static void count_memory(struct inbound *in) {
    size_t now = in->message.cap > KEPT_MAX ? in->message.cap : 0;
    if (in->together)
        *in->together += now - in->counted;
    in->counted = now;
}

static bool has_room(const struct inbound *in) {
    return !in->counted || !in->together || *in->together <= INBOUND_TOGETHER_MAX;
}

void inbound_fini(struct inbound *in) {
    buf_fini(&in->message);
    count_memory(in);
}

static enum inbound_step fail(struct inbound *in, unsigned code, const char *why) {
    in->code = code;
    in->why = why;
    return INBOUND_FAILED;
}

static void take(const uint8_t **data, size_t *len, size_t n) {
    *data += n;
    *len -= n;
}

/* A header may come in pieces. INBOUND_MORE: go on with the payload, when in_payload is set. */
static enum inbound_step read_header(struct inbound *in, const uint8_t **data, size_t *len) {
    size_t had = in->head_len, more = MIN(*len, sizeof in->head - had);
    memcpy(in->head + had, *data, more);
    int size = frame_header_read(&in->header, in->head, had + more);
    if (size < 0)
        return fail(in, WS_CLOSE_PROTOCOL, "broken frame header");
    if (size == 0) {
        in->head_len += more;
        take(data, len, more);
        return INBOUND_MORE;
    }
    const char *why = "";
    if (frame_rules_check(&in->rules, &in->header, &why) < 0)
        return fail(in, WS_CLOSE_PROTOCOL, why);
    const struct frame_header *h = &in->header;
    if (!ws_is_control(h->opcode) && h->length > in->max_message - in->message.len)
        return fail(in, WS_CLOSE_TOO_BIG, "message too big");
    take(data, len, (size_t)size - had);
    in->head_len = 0;
    in->in_payload = true;
    in->left = h->length;
    in->control_len = 0;
    if (h->opcode == WS_TEXT || h->opcode == WS_BINARY)
        in->binary = h->opcode == WS_BINARY;
    return INBOUND_MORE;
}

static enum inbound_step end_control(struct inbound *in) {
    if (in->header.opcode == WS_PING)
        return INBOUND_PING;
    if (in->header.opcode == WS_PONG)
        return INBOUND_PONG;
    int rc = frame_close_parse(in->control, in->control_len, &in->code, &in->reason, &in->reason_len);
    if (rc < 0)
        return fail(in, (unsigned)-rc,
                    rc == -WS_CLOSE_INVALID_DATA ? "close reason that is not UTF-8"
                                                 : "close frame with an invalid code");
    return INBOUND_CLOSE;
}

static enum inbound_step end_frame(struct inbound *in) {
    in->in_payload = false;
    if (ws_is_control(in->header.opcode))
        return end_control(in);
    if (!in->header.fin)
        return INBOUND_MORE;
    if (!in->binary && !utf8_complete(&in->utf8))
        return fail(in, WS_CLOSE_INVALID_DATA, "text that is not UTF-8");
    (void)buf_cstr(&in->message);
    if (in->message.failed)
        return fail(in, WS_CLOSE_INTERNAL, "no memory for a message");
    in->given = true;
    return INBOUND_MESSAGE;
}

static enum inbound_step read_payload(struct inbound *in, const uint8_t **data, size_t *len) {
    size_t n = (size_t)MIN(in->left, (uint64_t)*len);
    if (ws_is_control(in->header.opcode)) {
        memcpy(in->control + in->control_len, *data, n);
        in->control_len += n;
    } else {
        if (!in->binary && !utf8_feed(&in->utf8, *data, n))
            return fail(in, WS_CLOSE_INVALID_DATA, "text that is not UTF-8");
        buf_append(&in->message, *data, n);
        if (in->message.failed)
            return fail(in, WS_CLOSE_INTERNAL, "no memory for a message");
        count_memory(in);
        if (!has_room(in))
            return fail(in, WS_CLOSE_TOO_BIG, "message too big, beside those of the other clients");
    }
    take(data, len, n);
    in->left -= n;
    return in->left ? INBOUND_MORE : end_frame(in);
}

static void forget_message(struct inbound *in) {
    in->given = false;
    if (in->message.cap > KEPT_MAX)
        buf_fini(&in->message);
    count_memory(in);
    buf_reset(&in->message);
    utf8_init(&in->utf8);
}

enum inbound_step inbound_next(struct inbound *in, const uint8_t **data, size_t *len) {
    if (in->given)
        forget_message(in);
    enum inbound_step step = INBOUND_MORE;
    while (step == INBOUND_MORE && *len) {
        if (!in->in_payload)
            step = read_header(in, data, len);
        /* A frame without a payload ends with its header. */
        if (step == INBOUND_MORE && in->in_payload)
            step = read_payload(in, data, len);
    }
    return step;
}
