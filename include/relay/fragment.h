/* The unit that travels through a session: a piece of one frame, as it was read (DESIGN: "The data's way").
 *
 * It borrows its bytes from the worker's read buffer and lives for one call. A relay that changes nothing forwards
 * `raw` untouched: header, client's masking key and all (an intermediary may: RFC 6455 section 5.4). Control frames
 * always come whole. */
#ifndef MF_RELAY_FRAGMENT_H
#define MF_RELAY_FRAGMENT_H

#include "base/defs.h"

enum direction { FROM_CLIENT, TO_CLIENT };

struct fragment {
    /* the frame */
    uint8_t opcode, rsv;
    bool fin;
    bool masked;
    uint8_t key[4];        /* when masked */
    uint64_t frame_length; /* payload bytes of the whole frame */
    /* this piece of it */
    bool first, last;       /* the frame's first bytes are in it; its last ones are. Both for a whole frame */
    uint64_t offset;        /* of payload[0] in the frame's payload */
    const uint8_t *payload; /* masked when `masked` */
    size_t len;
    bool lasting; /* the payload stays where it is until the peer has been flushed: it need not be copied */
    /* the same piece as it stands on the wire, header included when `first`; NULL once a stage has changed it */
    const uint8_t *raw;
    size_t raw_len;
    enum direction direction;
};

#endif
