/* A peer: the WebSocket protocol on one link. The client's side of a session is one, an upstream is another.
 *
 * Inwards: bytes become fragments; headers, message rules, UTF-8, close frames and sizes are checked (RFC 6455 sections
 * 5, 7, 8), and payloads are not touched. Outwards: fragments and control frames are gathered in the worker's outbox
 * and leave with one write for each burst. Thread: the session's worker. */
#ifndef MF_RELAY_PEER_H
#define MF_RELAY_PEER_H

#include "net/link.h"
#include "protocol/frame.h"
#include "relay/fragment.h"
#include "relay/reasons.h"

enum leg { LEG_CLIENT, LEG_UPSTREAM }; /* who is at the far end of the link */

/* Why a peer is not read from: any bit holds it. */
enum peer_hold {
    HOLD_OPENING = 1,  /* the session is not open yet */
    HOLD_BLOCKED = 2,  /* what it sends has nowhere to go: the other side is slow */
    HOLD_RECORDER = 4, /* the recorder's ring is full */
    HOLD_HANDLER = 8,  /* a mock has not answered yet what came before */
};

#define PEER_HELD_MAX (FRAME_HEADER_MAX + FRAME_CONTROL_MAX)
#define PEER_PING_LEN 8

struct peer {
    /* identity */
    struct session *session;
    struct link *link; /* NULL: not yet, or gone */
    enum leg leg;

    /* inwards */
    struct frame_rules rules;
    struct frame_header header; /* of the frame that is being read */
    uint64_t left;              /* its payload bytes still to come */
    uint64_t message_size;      /* payload bytes announced so far for the open message */
    uint64_t max_message_size;  /* 0: any */
    uint8_t message_opcode;     /* of the message that is being read: WS_TEXT or WS_BINARY */
    struct utf8 utf8;
    uint8_t held[PEER_HELD_MAX]; /* an unfinished header or control frame */
    uint8_t held_len;
    uint8_t holds; /* enum peer_hold bits */
    bool deaf;     /* what still comes is thrown away: it is being dropped */

    /* outwards */
    uint64_t out_left; /* payload bytes still to come of the frame that is being sent: nothing may be put in between */
    uint8_t out_key[4];
    bool close_sent, close_received;

    /* heartbeat */
    uint64_t heard_ms, pinged_ms; /* loop time; pinged_ms: of our last ping, 0 when its pong has come */
    bool has_pinged;
    uint8_t ping[PEER_PING_LEN];  /* payload of our pings, made for the first of them, to know their pongs */
};

void peer_init(struct peer *p, struct session *session, enum leg leg, uint64_t max_message_size);
/* Bytes from the wire (or that came with a handshake). Fragments go to session_on_fragment() as they are found; a
 * violation ends the session. */
void peer_feed(struct peer *p, const uint8_t *data, size_t len);

/* Gathers one fragment; what cannot go on as it came is written anew. */
void peer_send(struct peer *p, const struct fragment *f);
/* Gathers whole data frames that are laid out already, without masking: whole messages, `payload` bytes in them. They
 * are read where they stand until the next flush. To a client; only while !out_left. */
void peer_send_frames(struct peer *p, const uint8_t *frames, size_t len, uint32_t messages, size_t payload);
/* Gathers one whole frame of ours, past the chain; only while !out_left. */
void peer_send_frame(struct peer *p, uint8_t opcode, const void *payload, size_t len);
/* Bytes gathered for this peer since its last flush. */
size_t peer_gathered(const struct peer *p);
/* One write for everything gathered. Ends the session when the link is broken. */
void peer_flush(struct peer *p);

void peer_hold(struct peer *p, enum peer_hold bit, bool on);
/* Heartbeat and stalled output; ends the session when the peer is dead. */
void peer_check(struct peer *p, uint64_t now_ms, uint64_t ping_interval_ms, uint64_t send_timeout_ms);
/* Is this pong the answer to our own ping? It goes no further then. */
bool peer_is_own_pong(struct peer *p, const struct fragment *f);
/* Close handshake complete, or link gone. */
bool peer_closed(const struct peer *p);
/* Does it still take what is to be sent before (and with) our close frame? Then it is not late yet. */
bool peer_takes_its_close(const struct peer *p, uint64_t patience_ms);
/* Gives the link up: cleanly where the close handshake is complete. */
void peer_drop(struct peer *p);

#endif
