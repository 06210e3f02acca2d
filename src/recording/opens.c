/* Which connections are open at a place in a native file: their open lines stand somewhere in front of it, the oldest
 * ones perhaps at the file's beginning. The writer puts the list of them into the file from time to time, in a
 * skippable frame (docs/session-file.md, "The native form"): back to the newest list the frames are looked through, and
 * what is older stands in it. Where there is no list they are looked through to where the program's run began. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "recording/open_list.h"
#include "recording/reader_private.h"

#define FRAME_MAX OPEN_LIST_MAX /* bytes of a frame, before and after: ours have 128 KiB and a line */

enum found {
    FOUND_ALL = 1, /* nothing of interest is further in front */
    FOUND_SOME = 0,
    FOUND_UNKNOWN = -1, /* this cannot be read alone */
};

struct search {
    struct reader *reader;
    uint64_t size; /* of the file */
    struct frames frames;
    ZSTD_DCtx *zstd;
    struct buf raw, text;
    struct parse parse;
    reader_open_fn fn;
    void *arg;
};

/* Decompresses one zstd frame into s->text. */
static bool decompress(struct search *s, const uint8_t *frame, size_t len) {
    unsigned long long size = ZSTD_getFrameContentSize(frame, len);
    buf_reset(&s->text);
    if (size > FRAME_MAX || buf_reserve(&s->text, size + PARSE_PADDING) < 0) /* unknown and wrong ones are larger */
        return false;
    size_t n = ZSTD_decompressDCtx(s->zstd, s->text.data, size, frame, len);
    if (ZSTD_isError(n))
        return false;
    s->text.len = n;
    memset(s->text.data + n, 0, PARSE_PADDING);
    return true;
}

/* The bytes of the frame at this offset into s->raw. */
static bool read_frame(struct search *s, uint64_t offset) {
    bool lines;
    uint64_t end = frame_end(s->reader, offset, s->size, &lines);
    buf_reset(&s->raw);
    if (end <= offset || end > s->size || end - offset > FRAME_MAX || buf_reserve(&s->raw, end - offset) < 0)
        return false;
    s->raw.len = end - offset;
    return pread(s->reader->input.fd, s->raw.data, s->raw.len, (off_t)offset) == (ssize_t)s->raw.len;
}

/* May this be an open line, or one that begins a run? Members may come in any order, and white space between them. */
static bool is_of_interest(const uint8_t *text, size_t len) {
    return memmem(text, len, "\"open\"", 6) || memmem(text, len, "\"recording\"", 11);
}

static enum found take_line(struct search *s, const uint8_t *line, size_t len) {
    struct session_event e;
    struct err err;
    if (!is_of_interest(line, len))
        return FOUND_SOME;
    if (parse_event(&s->parse, line, len, &e, &err) < 0)
        return FOUND_UNKNOWN;
    if (e.type == EVENT_RECORDING) /* all before it have ended, or are told of again behind it */
        return FOUND_ALL;
    if (e.type != EVENT_OPEN || !e.connection)
        return FOUND_SOME;
    return s->fn(s->arg, &e) ? FOUND_SOME : FOUND_ALL;
}

/* The lines of s->text, from the last one. */
static enum found take_lines(struct search *s) {
    const uint8_t *text = s->text.data;
    size_t end = s->text.len;
    if (end && text[end - 1] != '\n')
        return FOUND_UNKNOWN; /* it goes on in the next frame */
    if (!is_of_interest(text, end))
        return FOUND_SOME;
    while (end) {
        const uint8_t *newline = memrchr(text, '\n', end - 1);
        size_t begin = newline ? (size_t)(newline + 1 - text) : 0;
        enum found found = take_line(s, text + begin, end - 1 - begin);
        if (found != FOUND_SOME)
            return found;
        end = begin;
    }
    return FOUND_SOME;
}

/* A skippable frame: it is a list, or nothing of interest. */
static enum found take_other(struct search *s, uint64_t offset) {
    uint8_t head[OPEN_LIST_HEAD];
    if (pread(s->reader->input.fd, head, sizeof head, (off_t)offset) != sizeof head || !open_list_is(head))
        return FOUND_SOME;
    if (!read_frame(s, offset) || !decompress(s, s->raw.data + OPEN_LIST_HEAD, s->raw.len - OPEN_LIST_HEAD))
        return FOUND_SOME; /* then the lines themselves are looked for */
    enum found found = take_lines(s);
    return found == FOUND_SOME ? FOUND_ALL : found;
}

static enum found take_frame(struct search *s, uint64_t offset) {
    return read_frame(s, offset) && decompress(s, s->raw.data, s->raw.len) ? take_lines(s) : FOUND_UNKNOWN;
}

static size_t count_before(const struct offsets *o, uint64_t offset) {
    size_t n = o->count;
    while (n && o->items[n - 1] >= offset)
        n--;
    return n;
}

static enum found look_back(struct search *s) {
    const struct offsets *lines = &s->frames.lines, *others = &s->frames.others;
    size_t n = count_before(lines, s->reader->sought), m = count_before(others, s->reader->sought);
    enum found found = FOUND_SOME;
    while (found == FOUND_SOME && (n || m)) {
        if (m && (!n || others->items[m - 1] > lines->items[n - 1]))
            found = take_other(s, others->items[--m]);
        else if (n-- && frames_are_sound(s->reader, &s->frames, n))
            found = take_frame(s, lines->items[n]);
        else
            found = FOUND_UNKNOWN;
    }
    return found;
}

int reader_opens_before(struct reader *r, reader_open_fn fn, void *arg, struct err *err) {
    if (!r->sought)
        return 1;
    struct search s = {.reader = r, .size = input_size(&r->input), .fn = fn, .arg = arg, .zstd = ZSTD_createDCtx()};
    int rc = s.zstd ? frames_find(r, &s.frames, !r->table_lies, err) : err_set(err, MF_ENOMEM, "out of memory");
    if (rc == MF_OK)
        rc = look_back(&s) != FOUND_UNKNOWN;
    ZSTD_freeDCtx(s.zstd);
    buf_fini(&s.raw);
    buf_fini(&s.text);
    parse_fini(&s.parse);
    frames_fini(&s.frames);
    return rc;
}
