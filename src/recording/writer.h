/* The recorder's inside: what worker and writer threads share, and what is the writer's alone.
 *
 *     capture.c       the worker's side: fragments into the port's ring
 *     recorder.c      ports, the registry of recordings by path, counting
 *     writer.c        the writer thread: rings, timers, sleep
 *     writer_track.c  records of one connection -> lines
 *     writer_file.c   a recording's files: opening, rotation, the end
 *     tap.c           lines for those who look while they are written
 *     writer_jobs.c   what would hold the writer up: documents, retention; a thread of its own
 *
 * A recording belongs to one writer thread, and so does a ring: a second writer would be a second ring in each port. */
#ifndef MF_RECORDING_WRITER_H
#define MF_RECORDING_WRITER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "recording/convert.h"
#include "recording/inspect.h"
#include "recording/journal.h"
#include "recording/line.h"
#include "recording/recorder.h"
#include "recording/redact.h"
#include "recording/ring.h"
#include "recording/tap.h"

#define FRAME_PIECE_BYTES (256u << 10) /* a frame up to here is one line; docs/session-file.md */
#define ASSEMBLY_MAX_BYTES                                                                                             \
    INSPECT_HELD_MAX_BYTES /* of all half-arrived frames of a writer; beyond it they are cut into pieces early */
#define RECORDING_LINGER_US 1000000u /* from the last unref to the end: a client that reconnects finds it open */

/* ---- the ring's records ---- */

enum record_kind { RECORD_PADDING, RECORD_OPEN, RECORD_FRAGMENT, RECORD_GAP, RECORD_END };
enum record_flags { RECORD_FIN = 1, RECORD_FIRST = 2, RECORD_LAST = 4, RECORD_OUTGOING = 8, RECORD_UPSTREAM = 16 };
enum record_user { RECORD_USER_FLAGS, RECORD_USER_OPCODE, RECORD_USER_SLACK }; /* places in ring_head.user */

/* A whole frame's payload follows directly; a fragment's after struct record_place; a gap has struct record_gap. */
struct record {
    struct ring_head head; /* user: flags, opcode | rsv << 4, unused bytes at the end */
    struct track *track;
    uint64_t time_us;
};
struct record_place {
    uint64_t frame_length, offset;
};
struct record_gap {
    uint64_t frames, bytes;
};

/* A record that waits outside of the ring, its payload behind it: what a transform made of a message may be larger than
 * what capture_room() was asked for, and with on_full pause nothing is lost. The worker's; it moves them into the ring.
 */
struct spilled {
    struct spilled *next;
    bool embedded; /* in its track: not to be freed alone */
    struct record record;
};

/* ---- a connection in a recording ---- */

/* Half-arrived frames of one direction and leg. The writer's. */
struct lane {
    struct buf data; /* what is not written yet of the frame */
    uint64_t offset; /* of data.data[0] in the frame */
    uint64_t frame_length;
    uint8_t opcode, rsv;
    bool fin, pieces; /* pieces: a part of this frame is written already */
    bool skipping;    /* the rest of this frame is lost: to its end nothing is written */
    struct inspect_lane inspect;
};
#define LANES 4
static inline unsigned lane_index(unsigned record_flags) {
    return (record_flags >> 3) & 3u;
}

/* What a connection's own route says of it. Routes may share a file, and a reload may change them while it is open. */
struct capture_rules {
    enum record_on_full on_full;
    enum record_on_error on_error;
    enum record_leg leg;
    bool exclude_ping;
};

/* Made by the worker, freed by the writer after the end line. */
struct track {
    struct recording *recording; /* a reference */
    struct redactor *redactor;   /* a reference */
    /* set by the worker before the record that tells of them */
    struct connection connection;
    struct headers response_headers;
    char *upstream;
    uint64_t opened_us;
    struct {
        const char *by, *reason;
        unsigned code;
        uint64_t time_us;
        struct record_gap gap;
    } end;
    struct track *late_next;  /* in record_port.late */
    struct spilled end_spill; /* its end, when that has to wait behind others: closing must not need memory */
    /* the writer's */
    struct list link; /* recording.tracks, once its first record was seen */
    bool seen, open_written;
    struct buf open_line; /* kept for further files */
    struct line_prefix prefix;
    struct record_gap lost; /* while the disk took nothing */
    struct lane lanes[LANES];
};

struct capture {
    struct record_port *port;
    struct track *track;
    struct recording *recording;
    struct capture_rules rules;
    struct record_gap gap; /* lost since the last record that fitted */
    bool skipping[LANES];  /* the rest of this frame is lost */
    bool must_close;       /* the ring was full with on_full close */
};

/* ---- one worker's end ---- */

struct record_port {
    struct ring ring;
    size_t wake_at; /* head position at which the worker next looks whether the ring is half full */
    struct spilled *spill_first, **spill_last; /* the worker's, in order */
    struct spilled *spill_new;                 /* reserved, not yet published */
    size_t spill_bytes;
    struct recorder *recorder;
    struct metrics *counts;
    int fd;                       /* eventfd: room again, or a recording has failed */
    atomic_bool waiting;          /* the worker asked for room in vain */
    _Atomic(struct track *) late; /* ends for which the ring had no room */
};

/* ---- a recording ---- */

struct record_settings {
    uint64_t flush_us, rotate_us, rotate_size;
    enum record_fsync fsync;
    int level;
    unsigned keep_files, keep_seconds;
    uint64_t keep_bytes;
    char *template_text; /* of record_path, or the path itself */
};

struct shown_path {
    struct shown_path *next;
    char text[];
};

enum recording_phase {
    RECORDING_STARTING, /* no file yet; tried again each second */
    RECORDING_WRITING,
    RECORDING_PARKED, /* a document is written, its journal closed but kept for connections to come */
    RECORDING_ENDED,  /* its file is closed and nobody can find it any more; its jobs are still to be done */
};

struct recording {
    struct recorder *recorder;
    uint64_t serial;                                 /* never used again */
    char *key;                                       /* the path that was asked for */
    struct recording *next_in_bucket, *next_arrival; /* under recorder.lock */
    atomic_uint refs;
    struct record_settings settings;
    enum session_form form;
    /* for any thread */
    atomic_uint_least64_t connections, frames, payload_bytes, file_bytes, dropped;
    atomic_bool failed;
    _Atomic(struct shown_path *) shown; /* the newest; older ones stay until the end */
    /* the writer's */
    struct list link;  /* writer.recordings */
    struct list dirty; /* writer.dirty while there are lines to flush */
    struct list tracks;
    enum recording_phase phase;
    struct journal journal;
    struct buf carried; /* frames whose file was taken away, for the next one */
    char *name;         /* file or document of part 1, after "-2" where the name was taken */
    unsigned part;
    int64_t recorded_at_us, base_us; /* wall clock of the file's first line; what it is on the monotonic clock */
    int64_t asked_wall_us;           /* recorder_open() */
    uint64_t asked_mono_us;
    uint64_t part_opened_us, retry_us, idle_since_us, last_line_us, parked_us;
    uint64_t earlier_bytes; /* in parts before this one */
    bool part_lines;        /* this part holds more than its beginning */
    bool unfinished;        /* something could not be written at its end */
    /* documents: jobs in flight and their results */
    atomic_uint jobs;
    atomic_bool convert_failed;
    bool document_written; /* at least once for this part: it may be replaced */
};

/* ---- threads ---- */

enum writer_state {
    WRITER_AWAKE,   /* looks at the rings by itself */
    WRITER_POLLING, /* sleeps for some milliseconds: wake it for a ring that is half full */
    WRITER_ASLEEP,  /* wake it for anything */
};

struct writer {
    struct recorder *recorder;
    pthread_t thread;
    int fd; /* eventfd: wake */
    atomic_int state;
    atomic_bool stopping;
    struct metrics counts;
    struct journal_codec codec;
    struct list recordings, dirty;
    uint64_t now_us;        /* of this turn */
    uint64_t next_flush_us; /* the earliest in dirty; 0: none */
    uint64_t next_check_us;
    uint64_t least_flush_us; /* the shortest flush_ms so far */
    size_t assembly_bytes;   /* in all lanes */
    struct buf scratch;
    const struct track *speaking; /* whose record is being written; NULL: lines are the file's own */
};

struct finish_job {
    struct finish_job *next;
    void (*run)(struct finish_job *job); /* on the job thread; frees it */
    struct recording *recording;         /* its `jobs` is counted down after */
};
struct jobs {
    pthread_t thread;
    bool started, stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct finish_job *first, **last;
    bool busy;
};

struct taps {
    pthread_mutex_t lock; /* items, and what is in them */
    struct tap *items[TAPS_MAX];
    struct buf line;   /* the writer's */
    atomic_uint count; /* the writer looks at nothing else while it is 0 */
};

#define RECORDER_BUCKETS 1024u

struct recorder {
    struct record_port *ports;
    unsigned ports_count;
    struct writer writer;
    struct jobs jobs;
    pthread_mutex_t lock; /* buckets, arrivals, and 0 -> 1 of recording.refs */
    struct recording *buckets[RECORDER_BUCKETS];
    struct recording *arrivals;
    uint64_t serials; /* under lock */
    struct taps taps;
    atomic_bool failed; /* some recording could not be finished whole */
    bool finished;      /* main: the writer has ended */
};

/* capture.c */
/* The port's worker: moves what was spilled into the ring. False: not all of it; the port's descriptor will tell when
 * to go on. */
bool port_unspill(struct record_port *port);

/* writer.c */
MF_MUSTCHECK int writer_start(struct writer *w, struct recorder *r, struct err *err);
void writer_stop(struct writer *w);
/* Any thread. `least`: the state in which it need not be woken any more is below this one. */
void writer_wake(struct writer *w, enum writer_state least);
/* The recording has lines to flush. */
void writer_mark_dirty(struct writer *w, struct recording *rec);

/* writer_track.c; the writer's thread */
void track_record(struct writer *w, const struct record *r);
void track_end(struct writer *w, struct track *t);
/* Repeats the open line at the beginning of a part. */
void track_continue(struct writer *w, struct track *t);
void track_free(struct writer *w, struct track *t);
/* A whole frame's line, or its pieces' when it is large. */
void track_write_frame(struct writer *w, struct track *t, struct session_event *e);

/* writer_file.c; the writer's thread */
/* Can a line be written now? Opens the file when that is due. */
bool recording_ready(struct writer *w, struct recording *rec);
/* Appends one event's line and counts what it holds. */
void recording_write(struct writer *w, struct recording *rec, const struct session_event *e);
/* After a line was appended to rec->journal.lines by hand. */
void recording_line_added(struct writer *w, struct recording *rec);
void recording_count(struct writer *w, struct recording *rec, uint64_t frames, uint64_t payload_bytes);
/* Between two records: puts the list of open connections into the file when it is time. */
void recording_list_open(struct writer *w, struct recording *rec);
uint64_t recording_timestamp(const struct recording *rec, uint64_t time_us);
void recording_flush(struct writer *w, struct recording *rec);
/* Once in a while: retries, rotation, memory, the end. The recording may be gone after it. */
void recording_check(struct writer *w, struct recording *rec);
/* At the recorder's end: the file is finished, a document's job posted; and once the jobs are done, the rest. */
void recording_finish(struct writer *w, struct recording *rec);
void recording_discard(struct writer *w, struct recording *rec);
static inline void count_relaxed(atomic_uint_least64_t *cell, uint64_t n) {
    /* One thread counts: no locked instruction. */
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

/* tap.c; the writer's thread: the line that journal.lines ends with, for those who want it. */
void taps_offer(struct writer *w, const struct recording *rec);

/* recorder.c */
/* Takes it from the registry, unless somebody holds a reference again. */
bool recorder_forget(struct recorder *r, struct recording *rec);
void recording_free(struct recording *rec);

/* writer_jobs.c */
MF_MUSTCHECK int jobs_init(struct jobs *jobs);
/* Runs what is queued, then ends the thread. */
void jobs_fini(struct jobs *jobs);
void jobs_wait(struct jobs *jobs);
/* Any thread. The first one starts the thread; without one it runs at once. */
void jobs_post(struct jobs *jobs, MF_TAKES struct finish_job *job);
/* from -> to; overwrite when the document is one of ours; then from is removed when asked for. */
void jobs_convert(struct recorder *r, struct recording *rec, const char *from, const char *to, bool overwrite,
                  bool remove_from);
void jobs_retain(struct recorder *r, struct recording *rec);

#endif
