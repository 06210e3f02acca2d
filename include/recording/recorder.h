/* The recorder: session files written by threads of their own, so that no worker ever waits for a disk.
 *
 * A worker hands fragments to its port's ring (lock-free, one producer, one consumer, bounded in bytes); the writer
 * thread encodes, redacts, compresses and writes. One recording is one session file (and its rotated parts); any
 * number of connections share it. What a kill -9 loses is what came in the last flush_ms.
 *
 *     worker:  recorder_open() -> capture_open() -> capture_room()/capture_fragment()… -> capture_close()
 *
 * Threads: each function says. Everything of one port belongs to that port's worker. */
#ifndef MF_RECORDING_RECORDER_H
#define MF_RECORDING_RECORDER_H

#include "base/connection.h"
#include "base/err.h"
#include "base/metrics.h"
#include "config/config.h"
#include "recording/event.h"
#include "recording/redact.h"

struct recorder;    /* one for the gateway */
struct record_port; /* one worker's end of it */
struct recording;   /* one session file; counted */
struct capture;     /* one connection in one recording; owned by its worker */

struct recorder_options {
    unsigned ports;    /* workers */
    size_t ring_bytes; /* for each port; 0: 4 MiB. A power of two */
};

/* Starts the writer thread. Main thread. */
MF_MUSTCHECK int recorder_new(const struct recorder_options *options, struct recorder **out, struct err *err);
/* Finishes every recording (last flush, seek table, documents) and joins. Main thread, after all workers have ended
 * and closed their captures; then recorder_free(). Returns MF_EIO when any recording could not be finished whole; it was
 * logged. The counters are final after it. */
int recorder_finish(struct recorder *r);
/* recorder_finish(), when that was not called, and frees. NULL is accepted. */
int recorder_free(struct recorder *r);
/* The writer's counters, for the sum. Any thread. */
const struct metrics *recorder_metrics(const struct recorder *r);

/* Can recordings be made at this path? Creates the directory, and checks by making and removing a file beside it. For
 * the start, where an error can still be told: main thread, blocks. `path` is expanded already. */
MF_MUSTCHECK int recorder_check_path(const char *path, struct err *err);

/* What one recording has so far. Any thread. */
struct recording_stats {
    uint64_t connections, frames, payload_bytes, file_bytes, dropped;
    bool failed; /* the disk failed: nothing more is written */
};

/* The recording for `path` (expanded), opened now, or shared when that path is being recorded already. Touches no
 * disk: the file is opened by the writer thread. What the file is like (flush_ms, rotation, retention, …) is as the
 * first one's configuration says. One reference for the caller. A file that exists already and is not
 * being written by us is never overwritten: native and .jsonl forms are appended to, documents get the next free
 * name ("…-2.json"). Any thread. */
MF_MUSTCHECK int recorder_open(struct recorder *r, const char *path, const struct record_config *config,
                               struct recording **out, struct err *err);
struct recording *recording_ref(struct recording *rec);
/* The last unref ends the recording: the file is finished and the document written (by the writer thread, soon; at
 * once when wait is asked of recorder_free()). */
void recording_unref(struct recording *rec);
void recording_get_stats(const struct recording *rec, struct recording_stats *out);
/* The file being written, for messages. Borrowed for the recording's life. */
const char *recording_path(const struct recording *rec);

/* Worker `index`'s port. counts: the worker's metrics. Main thread, before the workers start. Owned by the recorder. */
struct record_port *recorder_port(struct recorder *r, unsigned index, struct metrics *counts);
/* Becomes readable when room was made after a capture_room() of 0, or when a recording with on_error=close has failed.
 */
int record_port_fd(const struct record_port *port);
/* Call when the descriptor is readable, then ask the waiting captures again. The port's worker. */
void record_port_clear(struct record_port *port);

struct capture_open {
    const struct connection *connection;    /* copied, redacted by the writer before anything is written */
    const char *upstream;                   /* URL or NULL; copied */
    const struct headers *response_headers; /* as the client saw them; may be NULL; copied */
    const struct record_config *config;     /* on_full, on_error, leg, exclude_ping: of this connection alone; copied */
    struct redactor *redactor;              /* its own as well: a file may be shared with other routes; counted */
    uint64_t time_us;                       /* clock_mono_us() */
};
/* Joins a recording: writes its "open" line. Takes a reference of rec for its life. The port's worker. */
MF_MUSTCHECK int capture_open(struct record_port *port, struct recording *rec, const struct capture_open *info,
                              struct capture **out);

/* How many bytes may be read from the wire now so that, whatever frames they hold, their fragments fit in the ring. 0:
 * none; the port's descriptor will tell when to ask again. With on_full drop it is never 0, with close never 0 until
 * capture_state() says so. */
size_t capture_room(struct capture *c);

struct capture_fragment {
    enum event_direction direction;
    enum event_leg leg;
    uint8_t opcode, rsv;
    bool fin;
    bool first, last;      /* the frame's first bytes are in it; its last ones are */
    uint64_t frame_length; /* payload bytes of the whole frame */
    uint64_t offset;       /* of data[0] in the frame's payload */
    const uint8_t *data;   /* copied (and unmasked) on the spot */
    size_t len;
    const uint8_t *key; /* masking key, 4 bytes, or NULL when the data is not masked */
    uint64_t time_us;   /* clock_mono_us() */
};
/* Hands over one fragment; never blocks. The port's worker. It fits when capture_room() was asked. What is more than
 * that (a transform's large message) waits in memory of its own with on_full pause, up to 64 MiB a port; otherwise it
 * is counted and becomes part of a gap line. */
void capture_add(struct capture *c, const struct capture_fragment *f);

enum capture_state { CAPTURE_OK, CAPTURE_MUST_CLOSE };
/* CAPTURE_MUST_CLOSE: the ring is full with on_full=close, or the disk failed with on_error=close. */
enum capture_state capture_state(const struct capture *c);

/* Writes the "end" line and frees the handle; NULL is accepted. `by` is "client", "upstream" or "gateway"; reason a
 * word from the table of close reasons (static storage); code 0: none. The port's worker. */
void capture_close(struct capture *c, const char *by, const char *reason, unsigned code, uint64_t time_us);

#endif
