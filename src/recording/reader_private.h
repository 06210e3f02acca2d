/* The inside of struct reader, for reader.c and seek.c. */
#ifndef MF_RECORDING_READER_PRIVATE_H
#define MF_RECORDING_READER_PRIVATE_H

#include "recording/document.h"
#include "recording/har.h"
#include "recording/mockforge_line.h"
#include "recording/reader.h"
#include "recording/reader_input.h"

struct reader {
    enum reader_form form;
    enum reader_end end;
    bool ended; /* reader_next() gave 0 */
    bool recover;
    int failed; /* what reader_next() failed with: it stays so */

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
    struct parse parse;
    struct buf text;     /* from text.data[at] on not read yet; PARSE_PADDING bytes follow */
    size_t at, searched; /* text.data[at..searched) has no newline */
    int line;            /* lines read, while line_known */
    bool line_known;     /* not after a seek */
    size_t blank;        /* bytes of blank lines since the last one that was not */
    uint64_t last_us;
};

/* Forgets what was read ahead and goes on at this offset of the file, where a line begins. */
MF_MUSTCHECK int reader_jump(struct reader *r, uint64_t offset, struct err *err);

#endif
