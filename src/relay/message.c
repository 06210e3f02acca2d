#include "relay/message.h"

#include "protocol/frame.h"
#include "protocol/mask.h"

/* What an assembler keeps between two messages, so that an idle connection owns next to nothing. */
#define KEEP_MAX 1024

enum assembled assembler_add(struct assembler *a, const struct fragment *f, uint64_t limit) {
    if (f->first && f->opcode != WS_CONTINUATION) {
        a->opcode = f->opcode;
        buf_reset(&a->data);
    }
    uint64_t size = a->data.len + (f->first ? f->frame_length : f->len);
    if (size > limit)
        return ASSEMBLED_TOO_BIG;
    if (buf_reserve(&a->data, f->len) < 0)
        return ASSEMBLED_NO_MEMORY;
    if (f->masked)
        mask_copy(a->data.data + a->data.len, f->payload, f->len, f->key, f->offset);
    else if (f->len)
        memcpy(a->data.data + a->data.len, f->payload, f->len);
    a->data.len += f->len;
    return f->last && f->fin ? ASSEMBLED_WHOLE : ASSEMBLED_NOT_YET;
}

void assembler_reset(struct assembler *a) {
    buf_reset(&a->data);
    if (a->data.cap > KEEP_MAX)
        buf_fini(&a->data);
}

void assembler_fini(struct assembler *a) {
    buf_fini(&a->data);
}
