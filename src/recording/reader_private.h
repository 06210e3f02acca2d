/* The inside of struct reader, for reader.c, seek.c and opens.c. */
#ifndef MF_RECORDING_READER_PRIVATE_H
#define MF_RECORDING_READER_PRIVATE_H

#include "recording/document.h"
#include "recording/frames.h"
#include "recording/har.h"
#include "recording/mockforge_line.h"
#include "recording/reader.h"
#include "recording/reader_ahead.h"
#include "recording/reader_input.h"
#include "recording/step_back.h"

struct reader {
    enum reader_form form;
    enum reader_end end;
    bool ended; /* reader_next() gave 0 */
    bool recover;
    bool growing; /* a cut end is no error: reader_more() */
    bool quiet;
    bool given;       /* an event, so that this is a recording */
    bool passed_over; /* recovery left something out */
    int failed;       /* what reader_next() failed with: it stays so */

    struct step_back step_back;

    /* Documents */
    struct document *document;

    /* HTTP archives */
    struct har *har;

    /* MockForge's lines */
    struct mockforge_lines mockforge;
    bool has_later; /* a line was two events: `later` is the second */
    struct session_event later;

    /* Lines */
    struct input input;
    bool may_run_ahead;             /* reader_run_ahead() */
    unsigned blocks_in_a_row;       /* read since the beginning, a jump or the end */
    struct ahead *ahead;            /* while it runs, `input` is its thread's */
    uint64_t frame_begin, position; /* the input's, after the last block that came from it */
    struct parse parse;
    struct buf text;     /* from text.data[at] on not read yet; PARSE_PADDING bytes follow */
    size_t at, searched; /* text.data[at..searched) has no newline */
    int line;            /* lines read, while line_known */
    bool line_known;     /* not after a seek */
    size_t blank;        /* bytes of blank lines since the last one that was not */
    uint64_t last_us;
    struct err last_line; /* with a code: what is wrong with it, though it ends like an event */
    uint64_t sought;      /* where reader_seek() went on in a native file; 0: at its beginning */
    bool table_lies;      /* as far as reader_seek() has seen */
    uint64_t begun_at;    /* where in the file reading began, or jumped to last */
};

/* Forgets what was read ahead and goes on at this offset of the file, where a line begins. */
MF_MUSTCHECK int reader_jump(struct reader *r, uint64_t offset, struct err *err);

/* ---- reader_end.c ---- */
/* After the file's end was met: 0: that is the end; 1: it has grown meanwhile; negative with err: it is cut off. */
MF_MUSTCHECK int reader_check_end(struct reader *r, struct err *err);

#endif
