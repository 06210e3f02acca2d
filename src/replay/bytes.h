/* What a binary message is made of, whatever its protocol: strings behind their lengths, fields that the other side was
 * seen to say again, its own length, and what stands between.
 *
 *     32 12  00 05 "a/b/c"  00 07  7b 7d
 *     |  |   |              |      gap
 *     |  |   |              field: the other side answers with the same two bytes
 *     |  |   string, with its length in front
 *     |  the length of what follows
 *     gap; its first byte is the message's tag
 *
 * Strings are found in each message by itself. Fields and the length are learnt from a recording: by comparing what one
 * side said with what the other said next, byte by byte. All of it is careful: what is not sure is a gap, and gaps are
 * sent as they were recorded.
 *
 * Places are counted in parts: part 0 is what stands before the first string (or the message's length), part 1 what
 * stands behind it, and so on. Thread: a schema is immutable once it is learnt. */
#ifndef MF_REPLAY_BYTES_H
#define MF_REPLAY_BYTES_H

#include "base/buf.h"
#include "replay/source.h"
#include "replay/structure.h"

#define BYTES_LOOKED_AT 4096u /* of a message; what is behind them is one gap */
#define BYTES_PIECES_MAX 64u
#define BYTES_TAG_ANY 256u /* no first byte, or one that says nothing about what follows */
#define BYTES_TAGS 257u
#define BYTES_WIDTH_MAX 24u

/* How a piece is written; message_value.code. */
enum bytes_code {
    CODE_NONE, /* the message is text */
    CODE_GAP,
    CODE_FIELD,  /* as many bytes as were recorded */
    CODE_VARINT, /* seven bits a byte, the lowest first; the high bit says that there is more */
    CODE_RUN,    /* text without a length */
    CODE_U8,     /* text behind its length */
    CODE_U16_BE,
    CODE_U16_LE,
    CODE_U32_BE,
    CODE_U32_LE,
    CODE_VARINT_TEXT, /* a length of two bytes and more; shorter ones are CODE_U8 */
    CODE_PART,        /* slots: some of a piece's text; as many bytes as were recorded */
    CODE_LENGTH,      /* of the message; no value */
};
static inline bool bytes_is_text(unsigned code) {
    return code >= CODE_RUN && code <= CODE_VARINT_TEXT;
}

struct bytes_piece {
    uint32_t begin, text, end; /* text: where the string behind its length begins, else begin */
    uint8_t code;              /* enum bytes_code */
    uint8_t part;
    uint16_t field; /* CODE_FIELD, CODE_VARINT: index in the schema */
};

/* Where a message says how long it is; the same in all messages. */
struct bytes_length {
    uint8_t at, code; /* CODE_U8, CODE_U16_*, CODE_U32_*, CODE_VARINT; CODE_NONE: it does not */
    bool whole;       /* of the whole message; else of what follows */
};

struct bytes_field {
    uint16_t tag;
    uint8_t part, at, width; /* `at` from the part's beginning */
    bool from_end;           /* `at` from the message's end; the part is the last one, whichever that is */
    bool varint;
    bool high;  /* recorded values of one byte reach above 127: it is no varint that was always short */
    bool chain; /* recorded values look like varints of `width` bytes: only such ones are sure */
};

/* What one side says in field `from` the other says again in field `to`. */
struct bytes_link {
    uint16_t from, to;
    uint8_t direction;      /* enum event_direction of `from` */
    uint8_t layout;         /* of the messages that have `from` */
    uint16_t sizes;         /* of recorded values of `from`, if it is a varint: bit n is set for n bytes */
    uint32_t seen, lengths; /* recorded values of `from`; those in which a length of what follows may be */
    bool any_byte;          /* recorded values begin with so many different bytes that none of them tells a width */
};
#define BYTES_FIELDS_MAX 256u
#define BYTES_LINKS_MAX 256u

/* What recorded messages of one sort have in common: by that a live one is seen to be laid out as they were. */
#define LAYOUTS_MAX 64u
#define LAYOUT_PARTS 8u
#define LAYOUT_BYTES 32u /* of a gap */
struct bytes_layout {
    uint16_t tag;
    uint8_t direction;
    uint32_t count; /* of messages */
    struct bytes_gap {
        uint32_t shortest, longest;
        uint32_t varies; /* bit n: byte n is not the same in all of them, or not there */
        uint8_t bytes[LAYOUT_BYTES];
    } parts[LAYOUT_PARTS], end; /* end: of the last gap, its bytes backwards */
};

struct bytes_schema {
    struct bytes_length length;
    bool tagged; /* what fields there are depends on the message's tag */
    struct bytes_field fields[BYTES_FIELDS_MAX];
    struct bytes_link links[BYTES_LINKS_MAX];
    uint32_t field_count, link_count;
    struct bytes_layout layouts[LAYOUTS_MAX];
    uint32_t layout_count;
    uint32_t firsts[BYTES_LINKS_MAX][8]; /* while it is learnt: the first bytes of a link's values */
};

/* paths.c: what was learnt; structure_read() cuts binary messages by it. NULL: nothing. */
void path_table_set_bytes(struct path_table *t, MF_TAKES struct bytes_schema *schema);
const struct bytes_schema *path_table_bytes(const struct path_table *t);

/* bytes_learn.c: compares a recording with itself. *out is NULL when it has no binary messages. MF_ENOMEM. */
MF_MUSTCHECK int bytes_learn(const struct replay_source *source, struct bytes_schema **out);
/* "@bytes/0x32/2+0", "@bytes/any/0+4", "@bytes/0x32/-2"; "@bytes/0x32" for a tag alone. */
#define BYTES_NAME_MAX 32u
void bytes_tag_name(unsigned tag, char out[BYTES_NAME_MAX]);
void bytes_field_name(const struct bytes_field *f, char out[BYTES_NAME_MAX]);

/* bytes.c */
/* The message's pieces, in their order, without anything between them; their number. schema may be NULL. */
size_t bytes_cut(const struct bytes_schema *schema, const uint8_t *data, size_t len,
                 struct bytes_piece pieces[BYTES_PIECES_MAX]);
/* Strings and the length alone. */
size_t bytes_cut_strings(const struct bytes_length *length, const uint8_t *data, size_t len,
                         struct bytes_piece pieces[BYTES_PIECES_MAX]);
/* The first byte that is no length, or BYTES_TAG_ANY. */
unsigned bytes_tag(const struct bytes_length *length, const uint8_t *data, size_t len);
bool bytes_is_plain_text(const uint8_t *text, size_t len);
/* Reads a varint of at most `len` bytes; its size, or 0. */
size_t bytes_varint(const uint8_t *data, size_t len, uint64_t *value);
/* The length that stands at data, and its size; 0: none. code: of a length. */
size_t bytes_read_length(unsigned code, const uint8_t *data, size_t len, uint64_t *value);

/* bytes_layout.c: where fields begin and end. */
/* Takes a recorded message into account. */
void layout_add(struct bytes_schema *schema, unsigned direction, const uint8_t *data, size_t len);
/* Once all were: drops the fields whose borders nothing shows. */
void layout_finish(struct bytes_schema *schema);
/* Is what stands at `begin` of a live message certainly the field that it was taken for? true: it is no field, too. */
bool layout_is_sure(const struct bytes_schema *schema, unsigned direction, const uint8_t *data, size_t len,
                    size_t begin);
/* Is what stands there a text as in the recorded message: behind the same pieces, but for their texts? */
bool layout_text_is_sure(const struct bytes_schema *schema, const uint8_t *data, size_t len, size_t begin,
                         const uint8_t *recorded, size_t recorded_len);

/* bytes_value.c: one value out of a message and into one. */
void bytes_value_text(struct buf *out, unsigned code, const uint8_t *data, size_t begin, size_t end);
/* false: it cannot be written so, and nothing was. size: of what stands there now. */
bool bytes_value_write(struct buf *out, unsigned code, size_t size, const char *text, size_t len);
/* May a value of another length stand at [begin, end) of a recorded message? Not where a byte before it looks like a
 * length of more than it, and is none that is known. */
bool bytes_may_resize(const struct bytes_schema *schema, const uint8_t *data, size_t len, size_t begin, size_t end);
/* out has the message with values of other lengths: the message's own length is corrected. false: it has no room. */
bool bytes_fix_length(const struct bytes_schema *schema, struct buf *out);

#endif
