/* Whole messages out of fragments, for the few stages and handlers that need them. Owns a buffer only while a message
 * is under way in pieces. Thread: the session's worker. */
#ifndef MF_RELAY_MESSAGE_H
#define MF_RELAY_MESSAGE_H

#include "base/buf.h"
#include "relay/fragment.h"

struct assembler {
    struct buf data; /* unmasked */
    uint8_t opcode;  /* of the message under way */
};

enum assembled { ASSEMBLED_NOT_YET, ASSEMBLED_WHOLE, ASSEMBLED_TOO_BIG, ASSEMBLED_NO_MEMORY };

/* Takes a data fragment (never a control frame). On ASSEMBLED_WHOLE a->data holds the message and a->opcode its kind;
 * the caller calls assembler_reset() when it is done with it. */
enum assembled assembler_add(struct assembler *a, const struct fragment *f, uint64_t limit);
void assembler_reset(struct assembler *a);
void assembler_fini(struct assembler *a);

#endif
