#include "recording/reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording/foreign.h"
#include "recording/reader_private.h"

const char *const reader_form_names[] = {
    [READER_NATIVE] = "native",     [READER_JSONL] = "jsonl",
    [READER_DOCUMENT] = "document", [READER_DOCUMENT_ZST] = "document.zst",
    [READER_HAR] = "har",           [READER_MOCKFORGE] = "mockforge",
};

_Static_assert(INPUT_PADDING >= PARSE_PADDING, "the parser reads beyond the text");

#define AHEAD_AFTER 4     /* blocks: who looks at a few lines needs no thread */
#define NO_CONNECTION "*" /* of a gap that recovery leaves */

/* --- opening --- */

/* Says more of a file that does not begin like a recording. */
static int refuse_foreign(const struct reader *r, struct err *err) {
    uint8_t head[16];
    ssize_t n = pread(r->input.fd, head, sizeof head, 0);
    const char *found = n > 0 ? foreign_kind(head, (size_t)n) : NULL;
    if (found)
        return err_set_at(err, MF_EINVAL, r->input.path, 0, 0, "expected a recording, found %s", found);
    if (err->line == 1 && err->column == 1)
        err_prefix(err, "expected a recording (JSON lines, a document, an HTTP archive; plain or in zstd)");
    return MF_EINVAL;
}

static int find_form(struct reader *r, const char *path, struct err *err) {
    int kind = document_detect(path, err);
    if (kind == MF_EINVAL && r->input.zstd)
        kind = KIND_LINES; /* damaged at the very beginning: reader_next() says so, or recovers */
    if (kind == MF_EINVAL)
        return refuse_foreign(r, err);
    if (kind < 0)
        return kind;
    switch ((enum document_kind)kind) {
    case KIND_DOCUMENT:
        r->form = r->input.zstd ? READER_DOCUMENT_ZST : READER_DOCUMENT;
        break;
    case KIND_HAR:
        r->form = READER_HAR;
        break;
    case KIND_MOCKFORGE:
        r->form = READER_MOCKFORGE;
        break;
    case KIND_LINES:
        r->form = r->input.zstd ? READER_NATIVE : READER_JSONL;
        break;
    }
    return MF_OK;
}

static bool is_document(const struct reader *r) {
    return r->form == READER_DOCUMENT || r->form == READER_DOCUMENT_ZST;
}

int reader_open(const char *path, struct reader **out, struct err *err) {
    struct err ignored;
    err = err ? err : &ignored;
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    r->line_known = true;
    int rc = buf_reserve(&r->text, INPUT_CHUNK + PARSE_PADDING);
    if (rc < 0)
        err_set(err, MF_ENOMEM, "out of memory");
    else
        rc = input_open(&r->input, path, err);
    if (rc == MF_OK)
        rc = find_form(r, path, err);
    if (rc == MF_OK && is_document(r))
        rc = document_open(path, &r->document, err);
    if (rc == MF_OK && r->form == READER_HAR)
        rc = har_open(path, &r->har, err);
    if (rc < 0)
        reader_close(r);
    else
        *out = r;
    return rc;
}

void reader_close(struct reader *r) {
    if (!r)
        return;
    ahead_stop(r->ahead);
    if (!r->growing && !r->quiet)
        step_back_say(r->har ? har_step_back(r->har) : &r->step_back, r->input.path);
    document_close(r->document);
    har_close(r->har);
    mockforge_lines_fini(&r->mockforge);
    input_close(&r->input);
    parse_fini(&r->parse);
    buf_fini(&r->text);
    free(r);
}

enum reader_form reader_form(const struct reader *r) {
    return r->form;
}

enum reader_end reader_ended(const struct reader *r) {
    return r->end;
}

void reader_quiet(struct reader *r) {
    r->quiet = true;
}

void reader_growing(struct reader *r, bool on) {
    r->growing = on;
}

void reader_recover(struct reader *r, bool on) {
    r->recover = on;
    if (r->document)
        document_recover(r->document, on);
    if (r->har)
        har_recover(r->har, on);
}

void reader_run_ahead(struct reader *r) {
    r->may_run_ahead = r->input.zstd && !r->document && !r->har;
}

uint64_t reader_position(const struct reader *r) {
    if (r->har)
        return har_position(r->har);
    return r->document ? document_position(r->document) : r->position;
}

uint64_t reader_size(const struct reader *r) {
    return input_size(&r->input);
}

/* --- lines --- */

/* The input is the reader's again; if its thread was cut short, it is somewhere behind r->position. */
static void stop_ahead(struct reader *r) {
    ahead_stop(r->ahead);
    r->ahead = NULL;
    r->blocks_in_a_row = 0;
}

/* Appends the next bytes to r->text, from the thread that runs ahead or without one. */
static int next_block(struct reader *r, struct err *err) {
    if (r->may_run_ahead && !r->ahead && r->blocks_in_a_row++ == AHEAD_AFTER)
        r->ahead = ahead_start(&r->input);
    if (r->ahead) {
        int rc = ahead_take(r->ahead, &r->text, &r->frame_begin, &r->position, err);
        if (rc <= 0)
            stop_ahead(r);
        return rc;
    }
    int rc = input_fill(&r->input, &r->text, err);
    r->frame_begin = r->input.frame_begin;
    r->position = input_position(&r->input);
    if (rc <= 0)
        r->blocks_in_a_row = 0;
    return rc;
}

static int fill(struct reader *r, struct err *err) {
    if (r->text.len - r->at > READER_LINE_MAX)
        return err_set_at(err, MF_ELIMIT, r->input.path, r->line_known ? r->line + 1 : 0, 0,
                          "expected lines of at most %u MiB", READER_LINE_MAX >> 20);
    buf_consume(&r->text, r->at);
    r->searched -= r->at;
    r->at = 0;
    return next_block(r, err);
}

/* The next line without its newline, borrowed from r->text: 1; 0 at the end, with what is left there as the line. */
static int take_line(struct reader *r, uint8_t **line, size_t *len, struct err *err) {
    for (;;) {
        uint8_t *from = r->text.data + r->at, *nl = NULL;
        if (r->searched < r->text.len)
            nl = memchr(r->text.data + r->searched, '\n', r->text.len - r->searched);
        if (nl) {
            *line = from;
            *len = (size_t)(nl - from);
            r->at = r->searched = (size_t)(nl + 1 - r->text.data);
            r->line++;
            return 1;
        }
        r->searched = r->text.len;
        int rc = fill(r, err);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            *line = r->text.data;
            *len = r->text.len;
            return 0;
        }
    }
}

static bool is_blank(const uint8_t *line, size_t len) {
    while (len && parse_is_space(line[len - 1]))
        len--;
    return len == 0;
}

/* A file of blank lines is no recording, however short it is in zstd. */
static int pass_blank(struct reader *r, size_t len, struct err *err) {
    r->blank += len + 1;
    if (r->blank <= READER_LINE_MAX)
        return MF_OK;
    return err_set_at(err, MF_ELIMIT, r->input.path, r->line_known ? r->line : 0, 0,
                      "expected at most %u MiB of blank lines", READER_LINE_MAX >> 20);
}

static void place_error(const struct reader *r, struct err *err) {
    int column = err->column;
    err->line = 0;
    if (r->line_known)
        err_at(err, r->input.path, r->line, column);
    else
        err_prefix(err, "%s at byte %llu", r->input.zstd ? "in the zstd frame" : "behind the line",
                   (unsigned long long)r->frame_begin);
    err_at(err, r->input.path, 0, 0);
}

/* A line that is no event, one, or two: 0, or 1 and the first of them. */
static int parse_mockforge(struct reader *r, const uint8_t *line, size_t len, struct session_event *e,
                           struct err *err) {
    struct session_event both[2];
    uint64_t before_us = r->mockforge.time_us;
    int rc = mockforge_line(&r->mockforge, &r->parse, line, len, both, err);
    if (rc >= 0 && r->mockforge.line_us < before_us)
        step_back_count(&r->step_back, before_us, r->mockforge.line_us, r->line_known ? r->line : 0);
    if (rc <= 0)
        return rc;
    both[0].connection = both[1].connection = DOCUMENT_CONNECTION;
    r->last_us = both[0].timestamp_us;
    r->has_later = rc == 2;
    r->later = both[1];
    *e = both[0];
    return 1;
}

static int parse_line(struct reader *r, const uint8_t *line, size_t len, struct session_event *e, struct err *err) {
    if (r->form == READER_MOCKFORGE)
        return parse_mockforge(r, line, len, e, err);
    int rc = parse_event(&r->parse, line, len, e, err);
    if (rc < 0)
        return rc;
    if (!e->connection && e->type != EVENT_RECORDING)
        e->connection = DOCUMENT_CONNECTION;
    r->last_us = e->type == EVENT_RECORDING ? r->last_us : e->timestamp_us;
    return 1;
}

static int give_gap(struct reader *r, uint64_t bytes, struct session_event *e) {
    r->parse.exact = false; /* it is not of the line that was read last */
    r->passed_over = true;
    *e = (struct session_event){
        .type = EVENT_GAP, .connection = NO_CONNECTION, .fin = true, .timestamp_us = r->last_us, .gap_bytes = bytes};
    return 1;
}

/* What the file ends with has no newline. It is an event if it is whole: nobody but a crash leaves out the newline, and
 * an editor. Otherwise it stays where it is, for reader_more(). */
static int end_of_lines(struct reader *r, const uint8_t *line, size_t len, struct session_event *e) {
    r->last_line = (struct err){0};
    size_t end = len;
    while (end && parse_is_space(line[end - 1]))
        end--;
    if (end && line[end - 1] == '}') {
        r->text.data[r->text.len] = '\0';
        r->line++;
        int rc = parse_line(r, line, len, e, &r->last_line);
        if (rc >= 0)
            r->at = r->searched = r->text.len;
        if (rc > 0)
            return 1;
        if (rc == 0)
            end = 0;
        else
            place_error(r, &r->last_line);
        r->line -= rc < 0;
    }
    r->ended = true;
    r->end = end || input_torn(&r->input) || r->input.offset == 0 ? READER_END_TRUNCATED : READER_END_WHOLE;
    return 0;
}

/* Past a line that cannot be held, of a plain file. */
static int skip_long_line(struct reader *r, struct session_event *e, struct err *err) {
    uint64_t passed = r->text.len - r->at;
    for (;;) {
        buf_reset(&r->text);
        r->at = r->searched = 0;
        int rc = input_fill(&r->input, &r->text, err);
        if (rc < 0)
            return rc;
        const uint8_t *nl = rc ? memchr(r->text.data, '\n', r->text.len) : NULL;
        if (rc == 0 || nl) {
            r->at = r->searched = nl ? (size_t)(nl + 1 - r->text.data) : r->text.len;
            r->line++;
            r->blank = 0;
            return give_gap(r, passed + r->at, e);
        }
        passed += r->text.len;
    }
}

/* After a damaged zstd frame, or a line that cannot be held. */
static int skip_damage(struct reader *r, int failed, struct session_event *e, struct err *err) {
    uint64_t from = r->frame_begin;
    if (!r->input.zstd)
        return failed == MF_ELIMIT ? skip_long_line(r, e, err) : failed;
    stop_ahead(r);
    r->input.frame_begin = from;
    int rc = input_skip_frame(&r->input, err);
    if (rc < 0)
        return rc;
    buf_reset(&r->text);
    r->at = r->searched = 0;
    r->line_known = false;
    r->blank = 0;
    r->position = input_position(&r->input);
    return give_gap(r, r->position - from, e);
}

static int next_of_lines(struct reader *r, struct session_event *e, struct err *err) {
    uint8_t *line;
    size_t len;
    if (r->has_later) {
        r->has_later = false;
        *e = r->later;
        return 1;
    }
    for (;;) {
        int rc = take_line(r, &line, &len, err);
        if (rc < 0)
            return rc;
        if (r->line <= 1 && r->line_known && len >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
            line += 3; /* a byte order mark */
            len -= 3;
        }
        if (rc == 0)
            return end_of_lines(r, line, len, e);
        if (is_blank(line, len)) {
            if ((rc = pass_blank(r, len, err)) < 0)
                return rc;
            continue;
        }
        r->blank = 0;
        rc = parse_line(r, line, len, e, err);
        if (rc == 0)
            continue;
        if (rc < 0 && rc != MF_ENOMEM && r->recover)
            return give_gap(r, len, e);
        if (rc < 0)
            place_error(r, err);
        return rc;
    }
}

/* --- all forms --- */

/* A gap that recovery left. */
static bool is_damage(const struct session_event *e) {
    return e->type == EVENT_GAP && !strcmp(e->connection, NO_CONNECTION);
}

static int next_of_lines_or_behind(struct reader *r, struct session_event *e, struct err *err) {
    int rc = next_of_lines(r, e, err);
    if (rc < 0 && rc != MF_ENOMEM && r->recover)
        rc = skip_damage(r, rc, e, err);
    return rc;
}

static int line_of(const struct reader *r) {
    if (r->document)
        return document_line(r->document);
    return r->line_known ? r->line : 0;
}

static int next_of(struct reader *r, struct session_event *e, struct err *err) {
    bool truncated = false;
    int rc;
    if (!r->document && !r->har)
        return next_of_lines_or_behind(r, e, err);
    if (r->document) {
        rc = document_next(r->document, e, err);
        truncated = document_truncated(r->document);
    } else {
        rc = har_next(r->har, e, err);
        truncated = har_truncated(r->har);
    }
    if (rc == 0) {
        r->ended = true;
        r->end = truncated ? READER_END_TRUNCATED : READER_END_WHOLE;
    }
    return rc;
}

/* After an error: is there anything that recovery could make of this file? */
static bool has_more(const struct reader *r, int rc) {
    return r->given || r->document || rc == MF_ELIMIT || (r->input.zstd && !r->ended);
}

int reader_next(struct reader *r, struct session_event *e, struct err *err) {
    struct err ignored;
    err = err ? err : &ignored;
    if (r->failed)
        return err_set_at(err, r->failed, r->input.path, 0, 0, "reading failed before");
    if (r->ended)
        return 0;
    int rc = next_of(r, e, err);
    while (rc == 0 && (rc = reader_check_end(r, err)) > 0)
        rc = next_of(r, e, err);
    if (rc > 0) {
        r->given |= !is_damage(e);
        if (r->form != READER_HAR && r->form != READER_MOCKFORGE)
            step_back_see(&r->step_back, e, line_of(r));
    }
    if (rc < 0) {
        r->failed = rc;
        err->damaged = rc != MF_ENOMEM && rc != MF_EIO && !r->recover && has_more(r, rc);
    }
    return rc;
}

bool reader_line(const struct reader *r, struct event_bytes *line) {
    if (!r->parse.exact)
        return false;
    *line = (struct event_bytes){r->parse.begin, (size_t)(r->parse.end - r->parse.begin)};
    return true;
}

int reader_more(struct reader *r) {
    if (r->document || r->har || r->failed || !r->ended || input_size(&r->input) <= r->input.offset)
        return 0;
    r->ended = false;
    return 1;
}

int reader_jump(struct reader *r, uint64_t offset, struct err *err) {
    mockforge_lines_fini(&r->mockforge);
    step_back_jump(&r->step_back);
    r->has_later = false;
    buf_reset(&r->text);
    r->at = r->searched = 0;
    r->line = 0;
    r->line_known = offset == 0;
    r->ended = false;
    stop_ahead(r);
    r->frame_begin = r->position = r->begun_at = offset;
    return input_seek(&r->input, offset, err);
}

/* --- lines from elsewhere --- */

struct line_reader {
    struct parse parse;
    struct buf text;
};

int line_reader_new(struct line_reader **out) {
    *out = calloc(1, sizeof **out);
    return *out ? MF_OK : MF_ENOMEM;
}

void line_reader_free(struct line_reader *l) {
    if (!l)
        return;
    parse_fini(&l->parse);
    buf_fini(&l->text);
    free(l);
}

int line_reader_parse(struct line_reader *l, const void *line, size_t len, struct session_event *e, struct err *err) {
    struct err ignored;
    err = err ? err : &ignored;
    buf_reset(&l->text);
    if (buf_reserve(&l->text, len + PARSE_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    buf_append(&l->text, line, len);
    memset(l->text.data + len, 0, PARSE_PADDING);
    int rc = parse_event(&l->parse, l->text.data, len, e, err);
    if (rc == MF_OK && !e->connection && e->type != EVENT_RECORDING)
        e->connection = DOCUMENT_CONNECTION;
    return rc;
}
