/* Fragments to bytes: the outward half of a peer. */
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "protocol/mask.h"
#include "relay/peer.h"
#include "relay/session.h"

/* What is shorter is copied for less than another piece in the write costs. */
#define LASTING_MIN 4096u

static struct outbox *outbox_of(struct peer *p) {
    struct outbox *out = &p->session->worker->outboxes[p->leg];
    if (MF_UNLIKELY(out->owner != p)) {
        if (out->owner)
            peer_flush(out->owner);
        out->owner = p;
    }
    return out;
}

/* What was forwarded where it stands moves in among what we made, to keep the order. */
static void settle_raw(struct outbox *out) {
    buf_append(&out->made, out->raw, out->raw_len);
    out->raw = NULL;
    out->raw_len = 0;
}

static void forward_raw(struct peer *p, const uint8_t *raw, size_t len) {
    struct outbox *out = outbox_of(p);
    if (out->raw && out->raw + out->raw_len == raw) {
        out->raw_len += len;
        return;
    }
    if (out->raw)
        settle_raw(out);
    out->raw = raw;
    out->raw_len = len;
}

static struct buf *make(struct peer *p) {
    struct outbox *out = outbox_of(p);
    if (out->raw)
        settle_raw(out);
    return &out->made;
}

/* A header for a frame that is not masked, or is sent in pieces; whole ones that are masked go through frame_write()
 * (wslay), which costs three times as much. */
static void append_header(struct buf *out, const struct fragment *f, const uint8_t *key) {
    uint8_t h[FRAME_HEADER_MAX];
    size_t n = 2;
    h[0] = (uint8_t)((f->fin ? 0x80 : 0) | f->rsv << 4 | f->opcode);
    if (f->frame_length < 126) {
        h[1] = (uint8_t)f->frame_length;
    } else {
        size_t width = f->frame_length <= UINT16_MAX ? 2 : 8;
        h[1] = width == 2 ? 126 : 127;
        for (size_t i = 0; i < width; i++)
            h[n++] = (uint8_t)(f->frame_length >> 8 * (width - 1 - i));
    }
    if (key) {
        h[1] |= 0x80;
        memcpy(h + n, key, 4);
        n += 4;
    }
    buf_append(out, h, n);
}

static void append_xor(struct buf *out, const uint8_t *data, size_t len, const uint8_t key[4], uint64_t offset) {
    if (buf_reserve(out, len) < 0)
        return;
    mask_copy(out->data + out->len, data, len, key, offset);
    out->len += len;
}

/* A fragment whose bytes cannot go on as they stand: another masking, or a stage changed it. */
static void send_anew(struct peer *p, const struct fragment *f) {
    bool mask = p->leg == LEG_UPSTREAM;
    struct buf *out = make(p);
    if (f->first && f->last && !f->masked && mask) {
        if (frame_write(out, f->opcode, f->fin, f->rsv, true, f->payload, f->len) < 0)
            out->failed = true;
        return;
    }
    if (f->first) {
        if (f->masked)
            memcpy(p->out_key, f->key, 4);
        else if (mask)
            rng_secure(p->out_key, 4); /* unpredictable: RFC 6455 section 5.3 */
        append_header(out, f, mask ? p->out_key : NULL);
    }
    if (f->masked != mask)
        append_xor(out, f->payload, f->len, f->masked ? f->key : p->out_key, f->offset);
    else if (f->lasting && f->len >= LASTING_MIN)
        forward_raw(p, f->payload, f->len);
    else
        buf_append(out, f->payload, f->len);
}

static void count_sent(struct peer *p, const struct fragment *f) {
    struct session *s = p->session;
    if (p->leg != LEG_CLIENT || ws_is_control(f->opcode))
        return;
    bool whole = f->last && f->fin;
    s->bytes[TO_CLIENT] += f->len;
    s->messages[TO_CLIENT] += whole;
    metrics_add(&s->worker->metrics, METRIC_BYTES_SENT, f->len);
    metrics_add(&s->worker->metrics, METRIC_MESSAGES_SENT, whole);
}

void peer_send(struct peer *p, const struct fragment *f) {
    if (!p->link || p->close_sent)
        return;
    if (f->raw && f->masked == (p->leg == LEG_UPSTREAM))
        forward_raw(p, f->raw, f->raw_len);
    else
        send_anew(p, f);
    if (!ws_is_control(f->opcode))
        p->out_left = f->last ? 0 : f->frame_length - f->offset - f->len;
    if (f->opcode == WS_CLOSE)
        p->close_sent = true;
    count_sent(p, f);
}

void peer_send_frames(struct peer *p, const uint8_t *frames, size_t len, uint32_t messages, size_t payload) {
    MUST(p->out_left == 0 && p->leg == LEG_CLIENT);
    if (!p->link || p->close_sent)
        return;
    forward_raw(p, frames, len);
    struct session *s = p->session;
    s->bytes[TO_CLIENT] += payload;
    s->messages[TO_CLIENT] += messages;
    metrics_add(&s->worker->metrics, METRIC_BYTES_SENT, payload);
    metrics_add(&s->worker->metrics, METRIC_MESSAGES_SENT, messages);
}

void peer_send_frame(struct peer *p, uint8_t opcode, const void *payload, size_t len) {
    const struct fragment f = {.opcode = opcode,
                               .fin = true,
                               .frame_length = len,
                               .first = true,
                               .last = true,
                               .payload = payload,
                               .len = len};
    MUST(p->out_left == 0);
    peer_send(p, &f);
}

size_t peer_gathered(const struct peer *p) {
    const struct outbox *out = &p->session->worker->outboxes[p->leg];
    return out->owner == p ? out->made.len + out->raw_len : 0;
}

static void broken(struct peer *p, int rc) {
    struct session *s = p->session;
    if (rc == MF_ENOMEM) {
        p->deaf = true;
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for output");
        peer_drop(p);
        session_check_closed(s);
    } else {
        session_link_ended(s, p, LINK_END_ERROR);
    }
}

void peer_flush(struct peer *p) {
    struct outbox *out = &p->session->worker->outboxes[p->leg];
    if (out->owner != p)
        return;
    const struct iovec iov[2] = {{out->made.data, out->made.len}, {(void *)(uintptr_t)out->raw, out->raw_len}};
    int skip = out->made.len == 0, count = 2 - skip - (out->raw_len == 0);
    int rc = out->made.failed ? MF_ENOMEM : MF_OK;
    if (rc == MF_OK && count > 0 && p->link)
        rc = link_write(p->link, iov + skip, count);
    out->owner = NULL;
    out->raw = NULL;
    out->raw_len = 0;
    buf_reset(&out->made);
    if (out->made.cap > LOOP_SCRATCH) /* one big message must not stay for ever */
        buf_fini(&out->made);
    if (rc < 0)
        broken(p, rc);
}

void peer_hold(struct peer *p, enum peer_hold bit, bool on) {
    uint8_t was = p->holds;
    p->holds = (uint8_t)(on ? was | bit : was & ~(unsigned)bit);
    if (!p->link || !was == !p->holds)
        return;
    if (p->holds) {
        link_pause(p->link);
        return;
    }
    p->heard_ms = p->session->worker->loop.now_ms; /* its silence was our doing: its answers may wait in the socket */
    link_resume(p->link);
}

bool peer_is_own_pong(struct peer *p, const struct fragment *f) {
    uint8_t payload[PEER_PING_LEN];
    if (f->len != PEER_PING_LEN)
        return false;
    if (f->masked)
        mask_copy(payload, f->payload, f->len, f->key, 0);
    else
        memcpy(payload, f->payload, f->len);
    if (memcmp(payload, p->ping, PEER_PING_LEN) != 0)
        return false;
    p->pinged_ms = 0;
    return true;
}

void peer_check(struct peer *p, uint64_t now_ms, uint64_t ping_interval_ms, uint64_t send_timeout_ms) {
    if (!p->link)
        return;
    enum end_by by = p->leg == LEG_CLIENT ? END_BY_CLIENT : END_BY_UPSTREAM;
    uint64_t blocked = link_blocked_since_ms(p->link);
    if (blocked && now_ms - blocked >= send_timeout_ms) {
        session_end(p->session, END_SEND_TIMEOUT, by, "takes nothing that is sent to it");
        return;
    }
    /* While we do not read from it, silence is our doing; while it is in the middle of a frame of ours, no ping fits;
     * while output waits for it, a ping would only wait behind that, and whether it takes any is what tells. */
    if (!ping_interval_ms || p->holds || blocked || p->out_left || now_ms - p->heard_ms < ping_interval_ms)
        return;
    if (p->pinged_ms <= p->heard_ms) { /* it was heard of since, though perhaps not with a pong */
        if (!p->has_pinged)            /* all of them carry the same, so that a pong is known however late it comes */
            rng_secure(p->ping, sizeof p->ping);
        p->has_pinged = true;
        peer_send_frame(p, WS_PING, p->ping, sizeof p->ping);
        p->pinged_ms = now_ms;
        peer_flush(p);
    } else if (now_ms - p->pinged_ms >= ping_interval_ms) {
        session_end(p->session, END_HEARTBEAT, by, "did not answer a ping");
    }
}

bool peer_closed(const struct peer *p) {
    return !p->link || (p->close_sent && p->close_received);
}

bool peer_takes_its_close(const struct peer *p, uint64_t patience_ms) {
    return p->link && p->close_sent && link_blocked(p->link) &&
           p->session->worker->loop.now_ms - link_blocked_since_ms(p->link) < patience_ms;
}

/* In what manner its link is given up. What a peer was sent that it has not taken yet is not thrown away, unless it had
 * its time or nothing can be finished. */
static enum link_close_mode drop_mode(const struct peer *p) {
    const struct session *s = p->session;
    bool late = s->state == SESSION_CLOSING && s->deadline_ms <= s->worker->loop.now_ms;
    if (p->close_sent && p->close_received)
        return p->leg == LEG_UPSTREAM ? LINK_CLOSE_WAIT : LINK_CLOSE_FINISH;
    return !late && (p->close_sent || p->out_left) ? LINK_CLOSE_FINISH : LINK_CLOSE_NOW;
}

void peer_drop(struct peer *p) {
    if (!p->link)
        return;
    p->deaf = true;
    if (p->session->worker->outboxes[p->leg].owner == p)
        peer_flush(p); /* a close frame may be among what was gathered; a broken link is dropped right there */
    struct link *link = p->link;
    p->link = NULL;
    link_close(link, drop_mode(p));
}
