/* The server's frames as a client must read them (RFC 6455 sections 5 and 8.1): bytes in, messages and control frames
 * out. Pure: it answers nothing and closes nothing.
 *
 *     while ((step = inbound_next(&in, &data, &len)) != INBOUND_MORE)
 *         …
 *
 * A declared length costs nothing: memory grows with what has come, and ends at max_message, and
 * for many at INBOUND_TOGETHER_MAX. Thread: the owner's. */
#ifndef MF_DRIVE_INBOUND_H
#define MF_DRIVE_INBOUND_H

#include "protocol/frame.h"

#define INBOUND_MESSAGE_MAX ((size_t)64 << 20)
#define INBOUND_TOGETHER_MAX ((size_t)256 << 20) /* memory of all large messages that are counted together */

enum inbound_step {
    INBOUND_MORE,    /* everything was taken; more bytes are needed */
    INBOUND_MESSAGE, /* in.message, with a NUL behind it, and in.binary */
    INBOUND_PING,    /* in.control */
    INBOUND_PONG,
    INBOUND_CLOSE,  /* in.code, in.reason; nothing may be read after it */
    INBOUND_FAILED, /* in.code is what to close with, in.why what the server did wrong */
};

struct inbound {
    size_t max_message;
    struct frame_rules rules;
    struct frame_header header;
    uint8_t head[FRAME_HEADER_MAX];
    size_t head_len;
    bool in_payload;
    uint64_t left; /* payload bytes of this frame that have not come */
    struct utf8 utf8;
    bool given; /* message was handed out: it is emptied before the next bytes */

    size_t *together; /* NULL: nobody else's count */
    size_t counted;   /* of message, in it */

    struct buf message;
    bool binary;
    uint8_t control[FRAME_CONTROL_MAX];
    size_t control_len;
    unsigned code;
    const char *reason; /* in control */
    size_t reason_len;
    const char *why; /* a constant phrase */
};

/* together: where the memory of large messages is counted, with that of others; borrowed, or NULL. */
void inbound_init(struct inbound *in, size_t max_message, size_t *together);
void inbound_fini(struct inbound *in);
/* Takes from *data, which moves on. What it says it points to lives until the next call. */
enum inbound_step inbound_next(struct inbound *in, const uint8_t **data, size_t *len);

#endif
