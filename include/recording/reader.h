/* Reads session files of every form: native .jsonl.zst, plain .jsonl, the guide's .json document, .json.zst; and those of
 * others: HTTP archives (.har) with WebSocket messages, MockForge's replay lines (.jsonl).
 *
 * Streams: memory is bounded by the longest line (READER_LINE_MAX), whatever the file holds. The form is told by
 * content, not by the name. A native file is readable while it is being written and after a crash: the reader ends at
 * the last whole line and says so. Lines of a whole zstd frame (of a MiB at most) are given out after its checksum was
 * seen. Thread: the owner's; blocks on the disk. */
#ifndef MF_RECORDING_READER_H
#define MF_RECORDING_READER_H

#include "recording/event.h"

#define READER_LINE_MAX (64u << 20) /* bytes of one line or one document member; beyond it the file is refused */

struct reader;

enum reader_form { READER_NATIVE, READER_JSONL, READER_DOCUMENT, READER_DOCUMENT_ZST, READER_HAR, READER_MOCKFORGE };
extern const char *const reader_form_names[]; /* "native", "jsonl", … by enum reader_form */
enum reader_end {
    READER_END_WHOLE,     /* ended where a writer ends */
    READER_END_TRUNCATED, /* cut in a line or in a zstd frame: a crash, or it is being written */
};

MF_MUSTCHECK int reader_open(const char *path, struct reader **out, struct err *err);
void reader_close(struct reader *r);
enum reader_form reader_form(const struct reader *r);

/* The next event: 1 and *e (borrowed until the next call; a NUL follows its data), 0 at the end, or negative with err (path, line or byte
 * offset, what was expected). Unknown members are skipped; an unknown type is an error. */
MF_MUSTCHECK int reader_next(struct reader *r, struct session_event *e, struct err *err);
/* Goes on behind what is damaged (a zstd frame in the middle of the file, a line that is no event) instead of failing:
 * reader_next() then gives an EVENT_GAP of connection "*" with the bytes of the line or of the damaged stretch of the file,
 * gap_frames 0: nobody knows how many. Of a HAR file a message that is none is left out so, with its connection's name;
 * what the file's damage has cut off ends early. Off at first; documents cannot. */
void reader_recover(struct reader *r, bool on);
/* After 0: how it ended. */
enum reader_end reader_ended(const struct reader *r);
/* Goes on from where it ended, for a file that is being written (ws tail, ws show --follow): 1 when there is more now, and
 * reader_next() may be called again. Always 0 for documents and HAR files. */
int reader_more(struct reader *r);
/* Goes to a place from which no event of this time or later is missing: in native files the last independent frame that
 * begins before it (by the seek table when there is a sound one), in the other forms the beginning. Events before the time
 * may come first: the caller passes over them. Errors tell bytes, not lines, after it. */
MF_MUSTCHECK int reader_seek(struct reader *r, uint64_t timestamp_us, struct err *err);

/* Goes to a place where a line begins, so many bytes of the file (1 at least) before its end: in native files a frame's that begins there or before. 1, or 0
 * when that is the file's beginning. Documents: always 0. As after reader_seek(), errors tell bytes. */
MF_MUSTCHECK int reader_seek_end(struct reader *r, uint64_t bytes, struct err *err);

/* One line by itself, for those who get lines from elsewhere than a file (the admin side's tail). */
struct line_reader;
MF_MUSTCHECK int line_reader_new(struct line_reader **out);
void line_reader_free(struct line_reader *l); /* NULL is accepted */
/* As reader_next(): MF_OK, or negative with err (what was expected, and the column). */
MF_MUSTCHECK int line_reader_parse(struct line_reader *l, const void *line, size_t len, struct session_event *e,
                                   struct err *err);

/* How much of the file was used up, of how much: for progress. Bytes of the file as it is on the disk. */
uint64_t reader_position(const struct reader *r);
uint64_t reader_size(const struct reader *r);

/* What a whole file holds; reads it through. messages: text and binary, each counted once however many frames it has;
 * frames: pings, pongs, closes and continuations too; duration: the last event's time. */
struct session_summary {
    int64_t recorded_at_us;
    uint64_t duration_us, connections, messages, frames, payload_bytes, file_bytes;
    enum reader_form form;
    enum reader_end end;
};
MF_MUSTCHECK int reader_summary(const char *path, struct session_summary *out, struct err *err);

#endif
