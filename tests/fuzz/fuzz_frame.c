/* Arbitrary bytes as a stream of frames: our reader (frame_header_read, frame_rules_check, mask_copy) against wslay's
 * frame API. tests/unit/test_frame.c runs the same comparison on made-up streams.
 *
 * What wslay 1.1.1's wslay_frame_recv() does by itself, so that the two must agree:
 *  - a length that is not in its shortest form, or with the top bit set: WSLAY_ERR_PROTO, as our MF_EPROTO;
 *  - a control frame that is fragmented or whose seven-bit length is over 125: WSLAY_ERR_PROTO. Our header reader takes
 *    those and frame_rules_check() refuses them, one step later: wslay says no after two bytes, we after the header;
 * and what it leaves to its caller, where only frame_rules_check() has an opinion:
 *  - reserved bits, reserved opcodes, masking in the wrong direction, the order of fragments.
 *
 * The first byte of the input picks the size of the pieces that wslay reads. */
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "protocol/frame.h"
#include "protocol/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stream {
    const uint8_t *data;
    size_t len, at, piece;
    bool dry; /* wslay asked for more than there is */
};

static ssize_t on_recv(uint8_t *to, size_t len, int flags, void *user_data) {
    (void)flags;
    struct stream *s = user_data;
    size_t n = MIN(MIN(len, s->piece), s->len - s->at);
    if (n == 0) {
        s->dry = true;
        return -1;
    }
    memcpy(to, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

/* Reads one whole frame from wslay: its payload's size, or wslay's error. It asks for bytes once a call and says
 * WSLAY_ERR_WANT_READ when those were too few for a header, so that only a dry stream ends it. */
static ssize_t oracle_read(wslay_frame_context_ptr context, struct stream *s, struct wslay_frame_iocb *frame,
                           uint8_t *payload) {
    size_t have = 0;
    for (;;) {
        ssize_t r = wslay_frame_recv(context, frame);
        if (r == WSLAY_ERR_WANT_READ && !s->dry)
            continue;
        if (r < 0)
            return r;
        MUST(frame->data_length == (size_t)r && have + (size_t)r <= s->len);
        if (r)
            memcpy(payload + have, frame->data, (size_t)r);
        have += (size_t)r;
        if (have == frame->payload_length)
            return (ssize_t)have;
    }
}

static bool control_is_broken(const struct frame_header *h) {
    return ws_is_control(h->opcode) && (!h->fin || h->length > FRAME_CONTROL_MAX);
}

static void compare_headers(const struct frame_header *ours, const struct wslay_frame_iocb *theirs) {
    MUST(ours->opcode == theirs->opcode && ours->fin == theirs->fin && ours->rsv == theirs->rsv);
    MUST(ours->masked == theirs->mask && ours->length == theirs->payload_length);
}

/* What must hold whatever the rules say of a frame. */
static void check_rules(struct frame_rules *rules, const struct frame_header *h) {
    struct frame_rules before = *rules;
    const char *why = NULL;
    int rc = frame_rules_check(rules, h, &why);
    if (rc < 0) {
        MUST(rc == MF_EPROTO && why && *why);
        return;
    }
    MUST(h->masked == before.masked && (h->rsv & ~before.rsv_allowed) == 0 && !control_is_broken(h));
    MUST(rules->in_message == (rules->message_opcode != 0));
    if (ws_is_control(h->opcode))
        MUST(rules->in_message == before.in_message && rules->message_opcode == before.message_opcode);
    else
        MUST((h->opcode == WS_CONTINUATION) == before.in_message && rules->in_message == !h->fin);
}

/* A payload goes unmasked in pieces cut by its own bytes, and its UTF-8 check may not depend on the mask. */
static void check_payload(const struct frame_header *h, const uint8_t *wire, const uint8_t *theirs, size_t len) {
    uint8_t *ours = malloc(len ? len : 1);
    MUST(ours);
    static const uint8_t no_key[4];
    const uint8_t *key = h->masked ? h->key : no_key;
    for (size_t at = 0; at < len;) {
        size_t n = MIN((size_t)wire[at] % 97 + 1, len - at);
        mask_copy(ours + at, wire + at, n, key, at);
        at += n;
    }
    MUST(len == 0 || memcmp(ours, theirs, len) == 0);
    struct utf8 a, b;
    utf8_init(&a);
    utf8_init(&b);
    bool plain = utf8_feed(&a, ours, len);
    MUST(plain == utf8_feed_masked(&b, wire, len, key, 0));
    MUST(!plain || utf8_complete(&a) == utf8_complete(&b));

    unsigned code;
    const char *reason;
    size_t reason_len;
    if (frame_close_parse(ours, len, &code, &reason, &reason_len) == MF_OK && len <= FRAME_CONTROL_MAX) {
        uint8_t again[FRAME_CONTROL_MAX];
        MUST(frame_close_payload(again, code, reason, reason_len) == len && (len == 0 || !memcmp(again, ours, len)));
    }
    free(ours);
}

/* One frame from both; false at the end of what can be compared. */
static bool compare_frame(wslay_frame_context_ptr context, struct stream *theirs, const uint8_t **p, const uint8_t *end,
                          struct frame_rules rules[2], uint8_t *payload) {
    struct frame_header h;
    struct wslay_frame_iocb frame = {0};
    size_t left = (size_t)(end - *p);
    int n = frame_header_read(&h, *p, left);
    if (n <= 0 || control_is_broken(&h)) {
        ssize_t r = oracle_read(context, theirs, &frame, payload);
        /* Two bytes are enough for wslay to refuse a control frame whose header we do not have whole yet. */
        bool early = left >= 2 && ws_is_control((*p)[0]) && (!((*p)[0] & 0x80) || ((*p)[1] & 127) > FRAME_CONTROL_MAX);
        MUST(r == (n == 0 && !early ? WSLAY_ERR_WANT_READ : WSLAY_ERR_PROTO));
        if (n > 0)
            check_rules(rules, &h);
        return false;
    }
    check_rules(&rules[0], &h);
    check_rules(&rules[1], &h);
    *p += n;
    left -= (size_t)n;
    ssize_t r = oracle_read(context, theirs, &frame, payload);
    if (h.length > left) {
        MUST(r == WSLAY_ERR_WANT_READ);
        return false;
    }
    MUST(r == (ssize_t)h.length);
    compare_headers(&h, &frame);
    check_payload(&h, *p, payload, (size_t)h.length);
    *p += h.length;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct stream theirs = {.data = data + 1, .len = size - 1, .piece = data[0] ? data[0] : SIZE_MAX};
    const struct wslay_frame_callbacks callbacks = {.recv_callback = on_recv};
    wslay_frame_context_ptr context;
    MUST(wslay_frame_context_init(&context, &callbacks, &theirs) == 0);
    uint8_t *payload = malloc(size);
    MUST(payload);
    struct frame_rules rules[2] = {{.masked = true, .rsv_allowed = 4}, {.masked = false}};
    const uint8_t *p = data + 1;
    while (compare_frame(context, &theirs, &p, data + size, rules, payload))
        ;
    free(payload);
    wslay_frame_context_free(context);
    return 0;
}
