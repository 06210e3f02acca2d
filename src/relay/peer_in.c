/* Bytes to fragments: the inward half of a peer. This is the relay's hot path. */
#include <string.h>

#include "protocol/mask.h"
#include "relay/peer.h"
#include "relay/session.h"

void peer_init(struct peer *p, struct session *session, enum leg leg, uint64_t max_message_size) {
    *p = (struct peer){.session = session, .leg = leg, .max_message_size = max_message_size};
    p->rules.masked = leg == LEG_CLIENT;
    utf8_init(&p->utf8);
}

static enum end_by by_of(const struct peer *p) {
    return p->leg == LEG_CLIENT ? END_BY_CLIENT : END_BY_UPSTREAM;
}

static bool violation(struct peer *p, enum end_reason reason, const char *why) {
    session_end(p->session, reason, by_of(p), why);
    return false;
}

/* A data frame begins: does the message stay within its limit? */
static bool size_allowed(struct peer *p, const struct frame_header *h) {
    if (h->opcode != WS_CONTINUATION) {
        p->message_size = 0;
        p->message_opcode = h->opcode;
    }
    if (__builtin_add_overflow(p->message_size, h->length, &p->message_size) ||
        (p->max_message_size && p->message_size > p->max_message_size))
        return violation(p, END_TOO_BIG, "message over max_message_size");
    return true;
}

/* RFC 6455 section 8.1: text must be UTF-8, over all fragments of its message; told at the first wrong byte. */
static bool text_allowed(struct peer *p, const struct fragment *f) {
    if (f->first && f->opcode == WS_TEXT)
        utf8_init(&p->utf8);
    bool ok = f->masked ? utf8_feed_masked(&p->utf8, f->payload, f->len, f->key, f->offset)
                        : utf8_feed(&p->utf8, f->payload, f->len);
    if (!ok || (f->last && f->fin && !utf8_complete(&p->utf8)))
        return violation(p, END_INVALID_DATA, "text that is not UTF-8");
    return true;
}

static bool close_allowed(struct peer *p, const struct fragment *f) {
    uint8_t payload[FRAME_CONTROL_MAX];
    if (f->masked)
        mask_copy(payload, f->payload, f->len, f->key, 0);
    else
        memcpy(payload, f->payload, f->len);
    unsigned code;
    const char *reason;
    size_t reason_len;
    int rc = frame_close_parse(payload, f->len, &code, &reason, &reason_len);
    if (rc < 0)
        return violation(p, rc == -WS_CLOSE_INVALID_DATA ? END_INVALID_DATA : END_PROTOCOL, "malformed close frame");
    p->close_received = true;
    if (p->session->state == SESSION_OPEN && !p->session->close_code) /* later it is the answer to ours */
        p->session->close_code = code;
    return true;
}

/* Hands one piece of the current frame on. false: the session is ending, stop reading. */
static bool deliver(struct peer *p, const uint8_t *raw, size_t raw_len, const uint8_t *payload, size_t len, bool first) {
    const struct frame_header *h = &p->header;
    struct fragment f = {
        .opcode = h->opcode,
        .rsv = h->rsv,
        .fin = h->fin,
        .masked = h->masked,
        .frame_length = h->length,
        .first = first,
        .last = p->left == len,
        .offset = h->length - p->left,
        .payload = payload,
        .len = len,
        .raw = raw,
        .raw_len = raw_len,
        .direction = p->leg == LEG_CLIENT ? FROM_CLIENT : TO_CLIENT,
    };
    memcpy(f.key, h->key, sizeof f.key);
    p->left -= len;
    if (ws_is_control(h->opcode)) {
        if (h->opcode == WS_CLOSE && !close_allowed(p, &f))
            return false;
        if (h->opcode == WS_PONG && p->has_pinged && peer_is_own_pong(p, &f))
            return true;
    } else if (p->message_opcode == WS_TEXT && !text_allowed(p, &f)) {
        return false;
    }
    session_on_fragment(p->session, p, &f);
    return !p->deaf && !p->close_received;
}

/* Checks a header that is complete. */
static bool begin_frame(struct peer *p) {
    const char *why;
    if (frame_rules_check(&p->rules, &p->header, &why) < 0)
        return violation(p, END_PROTOCOL, why);
    p->left = p->header.length;
    return ws_is_control(p->header.opcode) || size_allowed(p, &p->header);
}

/* How many bytes must be in hand before the frame that begins at `at` can be handed on: its header, and for a control
 * frame all of it. 0: even the header is incomplete; negative: no header can begin so. */
static int needed(struct peer *p, const uint8_t *at, size_t len) {
    int size = frame_header_read(&p->header, at, len);
    if (size > 0 && ws_is_control(p->header.opcode) && p->header.length <= FRAME_CONTROL_MAX)
        return size + (int)p->header.length;
    return size;
}

/* A header that is complete is checked at once, though its control frame's payload is still to come. */
static bool allowed_so_far(struct peer *p, int need) {
    struct frame_rules ahead = p->rules;
    const char *why;
    if (need > 0 && frame_rules_check(&ahead, &p->header, &why) < 0)
        return violation(p, END_PROTOCOL, why);
    return true;
}

/* The start of a frame that came in an earlier read: take bytes until it can be handed on. Returns how many of data
 * were used, or -1 when reading is to stop. */
static ssize_t feed_held(struct peer *p, const uint8_t *data, size_t len) {
    size_t used = 0;
    for (;;) {
        int need = needed(p, p->held, p->held_len);
        if (need < 0) {
            violation(p, END_PROTOCOL, "malformed frame header");
            return -1;
        }
        if (need > 0 && p->held_len >= need)
            break;
        size_t want = need > p->held_len ? (size_t)(need - p->held_len) : 1;
        size_t take = MIN(want, len - used);
        if (take == 0)
            return allowed_so_far(p, need) ? (ssize_t)used : -1;
        memcpy(p->held + p->held_len, data + used, take);
        p->held_len = (uint8_t)(p->held_len + take);
        used += take;
    }
    /* Out of p->held, which may be needed again before this frame has left. */
    uint8_t *frame = p->session->worker->held[p->leg];
    size_t held = p->held_len, size = p->header.size;
    memcpy(frame, p->held, held);
    p->held_len = 0;
    if (!begin_frame(p) || !deliver(p, frame, held, frame + size, held - size, true))
        return -1;
    return (ssize_t)used;
}

/* The burst has taken its time: says whether the rest is put off. */
static bool put_off(struct peer *p, const uint8_t *data, size_t len) {
    if (MF_LIKELY(!p->session->worker->burst_over) || !len || !p->link)
        return false;
    if (link_give_back(p->link, data, len) < 0)
        session_end(p->session, END_NO_MEMORY, END_BY_GATEWAY, "no memory for input that waits");
    return true;
}

void peer_feed(struct peer *p, const uint8_t *data, size_t len) {
    if (p->deaf || p->close_received) /* nothing counts after a close frame: RFC 6455 section 5.5.1 */
        return;
    size_t at = 0;
    if (p->held_len) {
        ssize_t used = feed_held(p, data, len);
        if (used < 0)
            return;
        at = (size_t)used;
    }
    while (at < len && !put_off(p, data + at, len - at)) {
        const uint8_t *start = data + at;
        size_t there = len - at;
        if (p->left) {
            size_t n = (size_t)MIN((uint64_t)there, p->left);
            if (!deliver(p, start, n, start, n, false))
                return;
            at += n;
            continue;
        }
        int need = needed(p, start, there);
        if (MF_UNLIKELY(need < 0)) {
            violation(p, END_PROTOCOL, "malformed frame header");
            return;
        }
        if (need == 0 || (size_t)need > there) {
            if (!allowed_so_far(p, need))
                return;
            memcpy(p->held, start, there);
            p->held_len = (uint8_t)there;
            return;
        }
        if (!begin_frame(p))
            return;
        size_t size = p->header.size, n = (size_t)MIN((uint64_t)(there - size), p->left);
        if (!deliver(p, start, size + n, start + size, n, true))
            return;
        at += size + n;
    }
}
