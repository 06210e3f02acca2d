/* A recording loaded for replay: its connections with their frames and messages, in memory, one copy for all who play
 * it.
 *
 * Immutable once it is loaded, counted: any thread may read it. Loading blocks on the disk (main thread) and is
 * bounded: more than REPLAY_BYTES_MAX of frames is refused, with a hint at --from, --to, --connection and `ws cut`. */
#ifndef MF_REPLAY_SOURCE_H
#define MF_REPLAY_SOURCE_H

#include <stdatomic.h>

#include "base/headers.h"
#include "recording/event.h"

#define REPLAY_BYTES_MAX ((size_t)1 << 30) /* payloads and tables of one source */
#define REPLAY_NONE UINT32_MAX

struct replay_frame {
    uint64_t time_us;    /* since the connection's begin */
    const uint8_t *data; /* payload, as it was sent; of a close frame too (RFC 6455 section 5.5.1) */
    size_t len;
    uint32_t message; /* index of the message that it is a part of; REPLAY_NONE: ping, pong, close */
    uint8_t opcode;   /* protocol/frame.h */
    bool fin;
    uint8_t direction; /* enum event_direction */
};

/* A text or binary message, however many frames it has. */
struct replay_message {
    const uint8_t *data; /* a NUL follows */
    size_t len;
    uint64_t time_us;                 /* of its last frame, since the connection's begin */
    uint32_t first_frame, last_frame; /* control frames and the other direction's may stand between */
    uint8_t direction;                /* enum event_direction */
    bool binary;
};

/* Who ended a recorded connection. */
enum replay_end {
    REPLAY_END_OPEN, /* nobody: the recording was over first, or says nothing */
    REPLAY_END_CLIENT,
    REPLAY_END_SERVER, /* the upstream or the gateway */
};

struct replay_connection {
    const char *name;                       /* "conn-1" */
    const char *path, *query, *subprotocol; /* NULL: not known, or none */
    const char *upstream;
    struct headers request_headers, response_headers; /* as recorded: "[redacted]" values may be among them */
    uint64_t begin_us; /* since recorded_at: its open line; of one that has none, that was cut by from_us or goes on
                          from an earlier part of the recording: its first frame here */
    struct replay_frame *frames; /* both directions, in the recording's order */
    size_t frame_count;
    struct replay_message *messages; /* in the order in which they were whole */
    size_t message_count;
    enum replay_end end;
    bool vanished;   /* it ended without a close frame of whoever ended it */
    uint64_t end_us; /* since its begin; of REPLAY_END_OPEN: its last event */
    uint64_t gaps;   /* frames that the recorder missed */
};

struct replay_source {
    atomic_int refs;
    char *file;             /* as it was named */
    int64_t recorded_at_us; /* wall clock; 0: not known */
    struct replay_connection
        *connections; /* that have at least one frame, or an open line; in the order of their begin */
    size_t count;
    bool truncated; /* the file ends early: a crash, or it is being written. Everything readable is here */
};

struct replay_source_options {
    uint64_t from_us, to_us;        /* since recorded_at; to_us 0: the end. Native files over 64 MiB are
                                     * entered by the seek table: handshakes before from_us are not known then */
    const char *const *connections; /* only these names; NULL: all */
    size_t connections_count;
    bool recover;                                               /* go on behind damage (reader_recover()) */
    size_t bytes_max;                                           /* 0: REPLAY_BYTES_MAX */
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* bytes of the file; may be NULL */
    void *arg;
};

/* Frames with RSV bits are refused: nothing here negotiates an extension. Of a recording of both legs the client's is
 * taken. A recording without a single connection, or without one of the names asked for, is MF_EINVAL, and err lists
 * the names that there are. A fault or gap line is passed over (counted in gaps). A message whose last frame is missing
 * is left out with its frames. Reading errors are the reader's: file, line or byte, what was expected. */
MF_MUSTCHECK int replay_source_load(const char *path, const struct replay_source_options *options,
                                    struct replay_source **out, struct err *err);
struct replay_source *replay_source_ref(struct replay_source *s);
void replay_source_unref(struct replay_source *s); /* NULL is accepted */

#endif
