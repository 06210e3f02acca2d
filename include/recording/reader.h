/* Reads session files of every form: native .jsonl.zst, plain .jsonl, the guide's .json document, .json.zst; and those
 * of others: HTTP archives (.har) with WebSocket messages, MockForge's replay lines (.jsonl).
 *
 * Streams: memory is bounded by the longest line (READER_LINE_MAX), whatever the file holds. The form is told by
 * content, not by the name. A file is readable while it is being written: the reader ends at the last whole line and
 * says so. One that ends in the middle of a line or a zstd frame though nobody writes it, or that has no line at all,
 * is damaged, and so is one whose seek table at the end does not say what its frames are: what is before its end is
 * given out, then comes an error. Lines of a whole zstd frame (of a MiB at most)
 * are given out after its checksum was seen. Thread: the owner's; blocks on the disk. */
#ifndef MF_RECORDING_READER_H
#define MF_RECORDING_READER_H

#include "recording/event.h"

#define READER_LINE_MAX (64u << 20) /* bytes of one line or one document member; beyond it the file is refused */

struct reader;

enum reader_form { READER_NATIVE, READER_JSONL, READER_DOCUMENT, READER_DOCUMENT_ZST, READER_HAR, READER_MOCKFORGE };
extern const char *const reader_form_names[]; /* "native", "jsonl", … by enum reader_form */
enum reader_end {
    READER_END_WHOLE,     /* ended where a writer ends */
    READER_END_TRUNCATED, /* cut in a line or in a zstd frame: it is being written, or was recovered */
};

MF_MUSTCHECK int reader_open(const char *path, struct reader **out, struct err *err);
/* Logs once where times ran backwards (recording_times_step_back), and how often; not after reader_quiet(), for who
 * reads the file again, nor after reader_growing(). */
void reader_close(struct reader *r);
void reader_quiet(struct reader *r);
enum reader_form reader_form(const struct reader *r);

/* The next event: 1 and *e (borrowed until the next call; a NUL follows its data), 0 at the end, or negative with err
 * (path, line or byte offset, what was expected). Unknown members are skipped; an unknown type is an error. */
MF_MUSTCHECK int reader_next(struct reader *r, struct session_event *e, struct err *err);
/* The line, without its newline, that the last event was read from, if event_write_line() would write just that for it:
 * who hands events on as they are copies it. Borrowed as the event is. */
bool reader_line(const struct reader *r, struct event_bytes *line);
/* Goes on behind what is damaged (a zstd frame in the middle of the file, a line that is no event) instead of failing:
 * reader_next() then gives an EVENT_GAP of connection "*" with the bytes of the line or of the damaged stretch of the
 * file, gap_frames 0: nobody knows how many. Of a HAR file a message that is none is left out so, with its connection's
 * name; what the file's damage has cut off ends early; so it is with documents. Of a file that has been cut off, what
 * is there is all, and a seek table that lies is not used. An error all the same: a file of which nothing could be
 * read. Off at first. */
void reader_recover(struct reader *r, bool on);
/* For who reads a file through: what is zstd is decompressed ahead of them, on a thread that the reader starts once it
 * has read half a MiB in a row and ends with the file, at an error, a seek or reader_close(). What reader_next() gives
 * is the same, and memory grows by a few buffers. */
void reader_run_ahead(struct reader *r);
/* For who goes on with reader_more(): a file of lines may end anywhere, or have nothing in it yet. Off at first. */
void reader_growing(struct reader *r, bool on);
/* After 0 and reader_growing(): the file is cut off, or empty, and nobody writes it; or the seek table at its end is
 * not true; err says where. */
bool reader_damaged(const struct reader *r, struct err *err);
/* A recorder has this file open, so far as its lock tells. */
bool reader_being_written(const char *path);
/* After 0: how it ended. */
enum reader_end reader_ended(const struct reader *r);
/* Goes on from where it ended, for a file that is being written (ws tail, ws show --follow): 1 when there is more now,
 * and reader_next() may be called again. Always 0 for documents and HAR files. */
int reader_more(struct reader *r);
/* Goes to a place from which no event of this time or later is missing: in native files the last independent frame that
 * begins before it (by the seek table when there is a sound one), in the other forms the beginning. Events before the
 * time may come first: the caller passes over them. Errors tell bytes, not lines, after it. */
MF_MUSTCHECK int reader_seek(struct reader *r, uint64_t timestamp_us, struct err *err);
/* After reader_seek(), and before the next one: gives the open lines in front of that place to fn, the newest first, as
 * far back as connections can still have been open there, or until fn returns false. Of the file only what must be is
 * decompressed: back to the newest list of open connections that its writer has put into it. 1; 0 when it cannot be
 * told from frames alone (damage, lines across frames): who needs them reads from the beginning; or negative with err.
 * Where reader_next() is stays as it was; its event does not. */
typedef bool (*reader_open_fn)(void *arg, const struct session_event *open);
MF_MUSTCHECK int reader_opens_before(struct reader *r, reader_open_fn fn, void *arg, struct err *err);

/* Goes to a place where a line begins, so many bytes of the file (1 at least) before its end: in native files a frame's
 * that begins there or before. 1, or 0 when that is the file's beginning. Documents: always 0. As after reader_seek(),
 * errors tell bytes. */
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
    struct err damage; /* with a code: what reader_damaged() says */
};
MF_MUSTCHECK int reader_summary(const char *path, struct session_summary *out, struct err *err);

#endif
