/* A JSON text parsed once into a flat list of nodes that point back into it (RFC 8259).
 *
 * Nodes stand in document order: a container's first child follows it, `next` is the node after its whole subtree.
 * Nothing is copied or converted, so whoever writes the document again can copy what did not change byte for byte.
 * Thread: the owner's. */
#ifndef MF_PROTOCOL_JSON_H
#define MF_PROTOCOL_JSON_H

#include "base/buf.h"

#define JSON_MAX_DEPTH 512

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER, /* digits only, within int64 */
    JSON_DECIMAL, /* any other number: becomes a double */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_node {
    uint32_t begin, end; /* the value's bytes, quotes and brackets included */
    uint32_t key;        /* where the name's first byte is (after its quote); 0 for what has no name */
    uint32_t key_len;    /* its raw length */
    uint32_t next;       /* index of the node behind this subtree */
    uint32_t count;      /* children */
    uint8_t kind;
    bool key_escaped, escaped; /* the name, the string holds a backslash */
    bool has_duplicates;       /* found when the object is opened: a name stands in it twice */
    bool touched;              /* of a view that is not open: this child is what its table holds now, or gone */
    bool opened;               /* a child of it was touched */
};

struct json_tape {
    struct json_node *nodes;
    uint32_t count, cap;
    uint32_t max; /* nodes allowed; more is MF_ELIMIT */
};

void json_tape_fini(struct json_tape *tape);

/* Parses text, whose last byte must be followed by a NUL, into the tape (emptied first). On MF_EINVAL *error_at is the
 * byte where it stopped being JSON; text that is not UTF-8 or nests deeper than JSON_MAX_DEPTH is not JSON here.
 * MF_ELIMIT: more nodes than allowed, or a text of 4 GiB; MF_ENOMEM. */
MF_MUSTCHECK int json_tape_parse(struct json_tape *tape, const char *text, size_t len, size_t *error_at);

#define JSON_NO_NODE UINT32_MAX
/* The node of an object's member with that name (of a repeated one the last, as jansson and browsers have it), or
 * JSON_NO_NODE. `scratch` is used for names with escapes. */
uint32_t json_member(const struct json_tape *tape, const char *text, uint32_t object, const char *name, size_t len,
                     struct buf *scratch);
/* The node of an array's i-th element, 0 the first, or JSON_NO_NODE. */
uint32_t json_element(const struct json_tape *tape, uint32_t array, uint32_t i);
/* Is the string node what these bytes are? `scratch` as above. */
bool json_string_is(const char *text, const struct json_node *n, const char *s, size_t len, struct buf *scratch);

/* The integer at p (a JSON_INTEGER's first byte). */
int64_t json_read_integer(const char *p, size_t len);

/* Appends what the inside of a valid JSON string stands for. A lone surrogate becomes the three bytes that UTF-8 would
 * have for it; json_write_characters() turns them back into the escape. */
void json_unescape(struct buf *out, const char *s, size_t len);

/* May the inside of a string with raw_len bytes unescape to len bytes? Most comparisons end here. */
static inline bool json_may_unescape_to(size_t raw_len, size_t len) {
    return len < raw_len && raw_len / 6 <= len; /* \u0041 is the longest escape of one byte */
}

/* Appends s as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD. */
void json_write_characters(struct buf *out, const char *s, size_t len);
/* Appends s as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct buf *out, const char *s, size_t len);
/* What out holds from `from` on becomes a JSON string with its quotes, as json_write_string() makes them. */
void json_quote_tail(struct buf *out, size_t from);
/* Appends the shortest text that reads back as d, with a point or an exponent. d is finite. */
void json_write_double(struct buf *out, double d);
void json_write_integer(struct buf *out, int64_t n);
/* Appends s; bytes that are not UTF-8 become U+FFFD. */
void json_write_clean_text(struct buf *out, const char *s, size_t len);
/* In what out holds from `from` on, bytes that are not UTF-8 become U+FFFD. */
void json_clean_tail(struct buf *out, size_t from);

#endif
