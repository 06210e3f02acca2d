/* One line of a session file: what was seen on a connection, and when (docs/session-file.md).
 *
 * Writer, reader, converters and replay all speak this struct. It borrows everything it points to.
 * Thread: the owner's. */
#ifndef MF_RECORDING_EVENT_H
#define MF_RECORDING_EVENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/headers.h"

#define SESSION_FILE_VERSION 1

enum event_type {
    EVENT_RECORDING, /* first line of a file, and of each rotated part */
    EVENT_OPEN,      /* a connection's handshake succeeded */
    EVENT_TEXT,
    EVENT_BINARY,
    EVENT_CONTINUATION,
    EVENT_PING,
    EVENT_PONG,
    EVENT_CLOSE, /* a close frame */
    EVENT_END,   /* a connection is gone: who ended it, and why */
    EVENT_GAP,   /* frames that are missing here */
    EVENT_FAULT, /* an injected fault */
};
enum event_direction { EVENT_INCOMING, EVENT_OUTGOING }; /* incoming: from the client */
enum event_leg { EVENT_LEG_CLIENT, EVENT_LEG_UPSTREAM };

/* Bytes with a length; may hold anything. */
struct event_bytes {
    const uint8_t *data;
    size_t len;
};

struct session_event {
    enum event_type type;
    const char *connection; /* "conn-1"; NULL only for EVENT_RECORDING and in guide documents of one connection */
    uint64_t timestamp_us;  /* since recorded_at, monotonic */
    enum event_direction direction; /* frames */
    enum event_leg leg;             /* frames; "leg":"upstream" is written, "client" is the default and is not */

    /* frames: text, binary, continuation, ping, pong */
    bool fin;                /* default true; "fin":false is written */
    uint8_t rsv;             /* default 0; "rsv":n is written otherwise */
    struct event_bytes data; /* raw bytes, already redacted. Binary frames are written with "encoding":"base64", the
                              * others as text when they are UTF-8, else base64 as well */
    /* A frame too large for one line is cut into pieces: "frame_offset" and "frame_size" (bytes) are then written, on
     * each piece; the last has frame_offset + its length == frame_size. frame_size 0: a whole frame. */
    uint64_t frame_offset, frame_size;

    /* close, end */
    unsigned code;             /* 1000…; 1005 for an empty close frame; 0: none */
    struct event_bytes reason; /* close: as sent. end: a word from the table of reasons ("upstream_lost") */
    const char *by;            /* end: "client", "upstream", "gateway" */

    /* recording */
    int64_t recorded_at_us; /* wall clock */
    const char *generator;
    unsigned version;
    /* open */
    const char *path, *query, *remote_addr, *upstream, *subprotocol; /* redacted; NULL: null */
    const struct headers *request_headers, *response_headers;        /* redacted; may be NULL */
    bool continued; /* repeated at the beginning of a rotated part; default false */
    /* gap */
    uint64_t gap_frames, gap_bytes;
    /* fault */
    const char *fault;
};

extern const char *const event_type_names[]; /* "recording", "open", "text", … by enum event_type */
bool event_is_frame(enum event_type type);   /* text … pong; close too */
extern const char *const event_direction_names[]; /* "incoming", "outgoing" by enum event_direction */
/* False: it is neither of the two words. */
MF_MUSTCHECK bool event_direction_named(const char *name, enum event_direction *out);

/* Appends the event as one JSON line with its newline, members in the order of docs/session-file.md. MF_ENOMEM. */
MF_MUSTCHECK int event_write_line(struct buf *out, const struct session_event *e);

#endif
