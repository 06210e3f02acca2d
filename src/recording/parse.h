/* One JSON object of a session file to a struct session_event: a line of the native form, a message or an entry of
 * metadata.connections in a document (docs/session-file.md).
 *
 * A single pass over the members, in any order, without a tree: strings are unescaped into one space that the parser
 * keeps, so that what an event points to lives until the next call. Strict JSON (RFC 8259); unknown members are checked
 * and skipped. A lone surrogate escape becomes U+FFFD; bytes that are not UTF-8 are an error. Thread: the owner's. */
#ifndef MF_RECORDING_PARSE_H
#define MF_RECORDING_PARSE_H

#include "recording/event.h"

#define PARSE_DEPTH_MAX 64 /* of nested arrays and objects in members that are skipped */
#define PARSE_PADDING 16   /* bytes that can be read after the text: what INPUT_PADDING leaves */

struct parse {
    struct buf space;   /* unescaped strings */
    struct buf decoded; /* base64 */
    struct headers request_headers, response_headers;

    /* Beside the event */
    bool has_type, has_direction, has_timestamp;
    bool base64; /* "encoding" */
    bool exact;  /* the text is, byte for byte, what event_write_line() writes for the event, newline aside */
    uint64_t before_message; /* documents: how many messages came before this entry of metadata.connections */

    /* The text being read */
    const uint8_t *begin, *at, *end;
    const uint8_t *line_begin; /* of the line of text that `at` is in: a document's objects may span lines */
    int line;                  /* counted from 0 */
    bool odd_escape; /* a string had an escape that is not the only way to write what it stands for, or is rare */
    struct err *err;
};

void parse_fini(struct parse *p);

/* Reads one object that takes up all of text[0..len), whitespace around it aside; text has PARSE_PADDING bytes more
 * after it; the first of them is a control character, or the text ends with its object's bracket. 0, or MF_EINVAL with
 * err's text, line and column counted from the text's beginning (both from 1), or MF_ENOMEM. The event borrows from p
 * until the next call. err is not NULL. */
MF_MUSTCHECK int parse_event(struct parse *p, const uint8_t *text, size_t len, struct session_event *e,
                             struct err *err);

/* For other objects than ours: makes p ready to read text, which is as for parse_event(), by the functions of
 * parse_json.h. MF_ENOMEM. */
MF_MUSTCHECK int parse_begin(struct parse *p, const uint8_t *text, size_t len, struct err *err);
/* Puts the bytes that base64 text stands for in its place; they live in p->decoded. On a false, err says nothing yet
 * but for MF_ENOMEM. */
MF_MUSTCHECK int parse_base64(struct parse *p, struct event_bytes *data);

/* "2024-01-15T10:30:00.123Z" or with an offset "+02:00" (RFC 3339) to microseconds since 1970. */
MF_MUSTCHECK bool parse_rfc3339(const char *text, int64_t *out_us);

/* JSON whitespace (RFC 8259 section 2). */
static inline bool parse_is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

#endif
