/* The WebSocket frame (RFC 6455 section 5): header codec and the rules that a stream of frames keeps.
 *
 * The reader works on headers only and never on payloads, which is what lets a relay pass a masked payload on as it
 * came; wslay's frame API, which unmasks into a buffer of its own, is the writer (frame_write) wherever we originate a
 * masked frame, and the oracle that the fuzz target compares this reader with. No allocation: a declared length costs
 * nothing. Thread: the owner's. */
#ifndef MF_PROTOCOL_FRAME_H
#define MF_PROTOCOL_FRAME_H

#include "base/buf.h"
#include "protocol/utf8.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
static inline bool ws_is_control(unsigned opcode) {
    return opcode & 8;
}

/* Close codes (RFC 6455 section 7.4.1 and the IANA registry). */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire: an empty close frame */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire: no close frame came */
    WS_CLOSE_INVALID_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_TRY_AGAIN = 1013,
    WS_CLOSE_BAD_GATEWAY = 1014,
};
/* May an endpoint send this code? 1000-1003, 1007-1014, 3000-4999. */
bool ws_close_code_valid(unsigned code);

#define FRAME_HEADER_MAX 14
#define FRAME_CONTROL_MAX 125

struct frame_header {
    uint8_t opcode;
    uint8_t rsv;  /* RSV1 << 2 | RSV2 << 1 | RSV3 */
    bool fin, masked;
    uint8_t key[4]; /* when masked */
    uint8_t size;   /* of the header itself: 2..14 bytes */
    uint64_t length; /* payload bytes, at most 2^63 - 1 */
};

/* Reads a header at p. Returns its size (2..14), 0 when n bytes are not all of it, MF_EPROTO when no valid header can
 * begin so (a length with the top bit set, or not in its shortest form: RFC 6455 section 5.2). */
static inline int frame_header_read(struct frame_header *h, const uint8_t *p, size_t n) {
    if (MF_UNLIKELY(n < 2))
        return 0;
    h->fin = p[0] >> 7;
    h->rsv = p[0] >> 4 & 7;
    h->opcode = p[0] & 15;
    h->masked = p[1] >> 7;
    unsigned size = 2;
    uint64_t length = p[1] & 127;
    if (MF_UNLIKELY(length > 125)) {
        unsigned bytes = length == 126 ? 2 : 8;
        size += bytes;
        if (n < size)
            return 0;
        length = 0;
        for (unsigned i = 0; i < bytes; i++)
            length = length << 8 | p[2 + i];
        if (length < (bytes == 2 ? 126 : 0x10000) || length >> 63)
            return MF_EPROTO;
    }
    if (h->masked) {
        if (MF_UNLIKELY(n < size + sizeof h->key))
            return 0;
        memcpy(h->key, p + size, sizeof h->key);
        size += sizeof h->key;
    }
    h->length = length;
    h->size = (uint8_t)size;
    return (int)size;
}

/* What the frames of one direction must keep, checked header by header. */
struct frame_rules {
    bool masked;         /* frames must be masked (from a client) or must not be (from a server): 5.1 */
    uint8_t rsv_allowed; /* bits that an agreed extension uses; 0 while there is none */
    bool in_message;     /* a fragmented data message is open: 5.4 */
    uint8_t message_opcode; /* WS_TEXT or WS_BINARY while in_message */
};
/* Is a frame with this header allowed now? On MF_OK the rules have moved on past it. On MF_EPROTO *why is a short
 * constant phrase for the log and the close reason ("continuation without a message"). */
MF_MUSTCHECK int frame_rules_check(struct frame_rules *r, const struct frame_header *h, const char **why);

/* A close frame's payload (unmasked, whole). On success *code is its code, WS_CLOSE_NO_STATUS when empty, and
 * *reason / *reason_len point into payload. Otherwise returns the code to answer with, negated: -1002 for a 1-byte
 * payload or a code that may not be sent, -1007 for a reason that is not UTF-8. */
MF_MUSTCHECK int frame_close_parse(const uint8_t *payload, size_t len, unsigned *code, const char **reason, size_t *reason_len);
/* Writes a close payload of at most 125 bytes; the reason is cut at a character's border. No status: 0 bytes. Returns its size. */
size_t frame_close_payload(uint8_t out[FRAME_CONTROL_MAX], unsigned code, const char *reason, size_t reason_len);

/* Appends one whole frame to out, through wslay. With mask, a fresh unpredictable key (5.3). MF_ENOMEM. */
MF_MUSTCHECK int frame_write(struct buf *out, uint8_t opcode, bool fin, uint8_t rsv, bool mask, const void *payload, size_t len);

#endif
