/* Cutting a binary message into pieces. */
#include "replay/bytes.h"

#include <stdio.h>
#include <string.h>

#include "protocol/utf8.h"

#define TEXT_MIN 2u       /* bytes of a string behind its length */
#define FIRST_TEXT_MIN 3u /* of one whose end nothing but its length shows */
#define RUN_MIN 6u        /* of text without a length; random bytes hardly look so */
#define RUN_CLOSED_MIN 4u /* when NUL or the message's end follows */
#define CHAIN_MAX 8u      /* strings of one byte's length behind each other */

/* ---- text and numbers ---- */

/* The size of the character at data, which is no control character; 0: there is none. */
static size_t character(const uint8_t *data, size_t len) {
    uint8_t c = *data;
    if (c < 0x80)
        return (c >= ' ' && c != 0x7f) || c == '\n' || c == '\r' || c == '\t';
    size_t size = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return c >= 0xc2 && size <= len && (data[1] & 0xc0) == 0x80 && utf8_valid(data, size) ? size : 0;
}

static size_t text_length(const uint8_t *data, size_t len) {
    size_t n = 0, size;
    while (n < len && (size = character(data + n, len - n)))
        n += size;
    return n;
}

bool bytes_is_plain_text(const uint8_t *text, size_t len) {
    return len && text_length(text, len) == len;
}

size_t bytes_varint(const uint8_t *data, size_t len, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < len && i < 9; i++) {
        *value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if (data[i] < 0x80)
            return i && !data[i] ? 0 : i + 1; /* nobody writes zeros in front */
    }
    return 0;
}

size_t bytes_read_length(unsigned code, const uint8_t *data, size_t len, uint64_t *value) {
    static const uint8_t sizes[] = {
        [CODE_U8] = 1, [CODE_U16_BE] = 2, [CODE_U16_LE] = 2, [CODE_U32_BE] = 4, [CODE_U32_LE] = 4};
    if (code == CODE_VARINT || code == CODE_VARINT_TEXT)
        return bytes_varint(data, len, value);
    size_t size = sizes[code];
    bool big = code == CODE_U16_BE || code == CODE_U32_BE;
    *value = 0;
    for (size_t i = 0; size <= len && i < size; i++)
        *value |= (uint64_t)data[i] << (8 * (big ? size - 1 - i : i));
    return size <= len ? size : 0;
}

/* ---- strings behind their lengths ---- */

struct cutting {
    const uint8_t *data;
    size_t len; /* that is looked at */
    struct bytes_piece *pieces;
    size_t count;
    uint8_t part;
    bool any_text;
};

static bool is_short_string(const struct cutting *c, size_t at, unsigned depth);

/* Does a string end here for another reason than its length? */
static bool is_end(const struct cutting *c, size_t at, unsigned depth) {
    return at == c->len || !character(c->data + at, c->len - at) ||
           (depth < CHAIN_MAX && is_short_string(c, at, depth + 1));
}

/* A string whose length, of one byte, looks like text itself: 36 is '$'. */
static bool is_short_string(const struct cutting *c, size_t at, unsigned depth) {
    size_t n = c->data[at];
    return n >= ' ' && n < 0x80 && n <= c->len - at - 1 && bytes_is_plain_text(c->data + at + 1, n) &&
           is_end(c, at + 1 + n, depth);
}

static bool is_string(const struct cutting *c, unsigned code, size_t at, struct bytes_piece *out) {
    uint64_t n;
    size_t size = bytes_read_length(code, c->data + at, c->len - at, &n), begin = at + size;
    if (!size || n < TEXT_MIN || n > c->len - begin || (code == CODE_VARINT_TEXT && size < 2) ||
        (code == CODE_U8 && n >= 0x80) || c->data[begin] < ' ') /* it may be a length itself */
        return false;
    /* The zeros of a wider length tell that it is one. Only the first string of a message is taken at its word: what is
     * behind it may be anything, an id and text among others. */
    bool wide = code != CODE_U8 && code != CODE_VARINT_TEXT && n >= FIRST_TEXT_MIN && !c->any_text;
    if (!bytes_is_plain_text(c->data + begin, (size_t)n) || !(wide || is_end(c, begin + (size_t)n, 0)))
        return false;
    *out =
        (struct bytes_piece){(uint32_t)at, (uint32_t)begin, (uint32_t)(begin + (size_t)n), (uint8_t)code, c->part, 0};
    return true;
}

/* Most bytes begin no length: what is looked at has few bytes, and a string fewer. */
static bool may_be_length(const struct cutting *c, unsigned code, size_t at) {
    const uint8_t *b = c->data + at;
    size_t left = c->len - at;
    switch (code) {
    case CODE_U32_LE:
        return left > 4 && !b[3] && !b[2];
    case CODE_U16_BE:
        return left > 2 && b[0] < BYTES_LOOKED_AT >> 8;
    case CODE_U16_LE:
        return left > 2 && b[1] < BYTES_LOOKED_AT >> 8;
    case CODE_VARINT_TEXT:
        return left > 2 && b[0] >= 0x80 && b[1] < BYTES_LOOKED_AT >> 7;
    default:
        return b[0] >= TEXT_MIN && b[0] < 0x80 && b[0] < left;
    }
}

static bool find_string(const struct cutting *c, size_t at, struct bytes_piece *out) {
    /* Of four bytes, the highest first, only the last two are taken: the zeros before them may belong to an id. */
    static const uint8_t codes[] = {CODE_U32_LE, CODE_U16_BE, CODE_U16_LE, CODE_VARINT_TEXT, CODE_U8};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (may_be_length(c, codes[i], at) && is_string(c, codes[i], at, out))
            return true;
    return false;
}

static bool add(struct cutting *c, struct bytes_piece piece) {
    if (piece.begin == piece.end)
        return true;
    if (c->count + 2 > BYTES_PIECES_MAX) /* the last one is a gap to the end */
        return false;
    c->pieces[c->count++] = piece;
    return true;
}

static bool add_gap(struct cutting *c, size_t begin, size_t end) {
    return add(c, (struct bytes_piece){(uint32_t)begin, (uint32_t)begin, (uint32_t)end, CODE_GAP, c->part, 0});
}

/* The message's length at `at`, a boundary as a string is. Where what follows begins. */
static size_t cut_length(struct cutting *c, const struct bytes_length *length) {
    uint64_t n;
    size_t at = length->at, size = at < c->len ? bytes_read_length(length->code, c->data + at, c->len - at, &n) : 0;
    if (!size)
        return 0;
    add_gap(c, 0, at);
    add(c, (struct bytes_piece){(uint32_t)at, (uint32_t)at, (uint32_t)(at + size), CODE_LENGTH, c->part, 0});
    c->part++;
    return at + size;
}

size_t bytes_cut_strings(const struct bytes_length *length, const uint8_t *data, size_t len,
                         struct bytes_piece pieces[BYTES_PIECES_MAX]) {
    struct cutting c = {.data = data, .len = MIN(len, BYTES_LOOKED_AT), .pieces = pieces};
    size_t gap = length && length->code ? cut_length(&c, length) : 0;
    for (size_t i = gap; i < c.len;) {
        struct bytes_piece text;
        if (!find_string(&c, i, &text)) {
            i++;
            continue;
        }
        if (!add_gap(&c, gap, i))
            break;
        gap = i;
        if (!add(&c, text))
            break;
        c.any_text = true;
        c.part++;
        gap = i = text.end;
    }
    if (gap < len)
        c.pieces[c.count++] = (struct bytes_piece){(uint32_t)gap, (uint32_t)gap, (uint32_t)len, CODE_GAP, c.part, 0};
    return c.count;
}

unsigned bytes_tag(const struct bytes_length *length, const uint8_t *data, size_t len) {
    uint64_t n;
    size_t at = 0;
    if (length && length->code && !length->at)
        at = bytes_read_length(length->code, data, len, &n);
    return at < len ? data[at] : BYTES_TAG_ANY;
}

/* ---- fields and runs within gaps ---- */

/* What was recorded may be a varint: one of another length would be read wrongly. */
static bool is_sure(const struct bytes_field *f, const uint8_t *data) {
    uint64_t n;
    if (f->chain)
        return bytes_varint(data, f->width, &n) == f->width;
    return f->width != 1 || f->high || *data < 0x80;
}

/* Where field f stands in the gap [begin, end); false: it does not. */
static bool place_field(const struct bytes_field *f, const struct bytes_piece *gap, bool last, const uint8_t *data,
                        size_t *at, size_t *size) {
    size_t room = gap->end - gap->begin;
    uint64_t n;
    if (f->from_end ? !last || f->at > room : f->part != gap->part || f->at >= room)
        return false;
    *at = f->from_end ? gap->end - f->at : gap->begin + f->at;
    *size = f->varint ? bytes_varint(data + *at, gap->end - *at, &n) : f->width;
    return *size && *size <= gap->end - *at && (f->varint || is_sure(f, data + *at));
}

/* The first field in what is left of a gap. */
static bool next_field(const struct bytes_schema *schema, unsigned tag, const struct bytes_piece *gap, bool last,
                       const uint8_t *data, size_t from, struct bytes_piece *out) {
    bool found = false;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct bytes_field *f = &schema->fields[i];
        size_t at, size;
        if ((f->tag != BYTES_TAG_ANY && f->tag != tag) || !place_field(f, gap, last, data, &at, &size) || at < from ||
            (found && at >= out->begin))
            continue;
        *out = (struct bytes_piece){
            (uint32_t)at, (uint32_t)at, (uint32_t)(at + size), f->varint ? CODE_VARINT : CODE_FIELD,
            gap->part,    (uint16_t)i};
        found = true;
    }
    return found;
}

/* Text without a length, between from and end. */
static bool next_run(const struct cutting *c, size_t from, size_t end, size_t *run_begin, size_t *run_end) {
    for (size_t i = from; i < MIN(end, c->len); i++) {
        size_t n = text_length(c->data + i, MIN(end, c->len) - i);
        bool closed = i + n == end || (i + n < c->len && !c->data[i + n]);
        if (n >= (closed ? RUN_CLOSED_MIN : RUN_MIN)) {
            *run_begin = i;
            *run_end = i + n;
            return true;
        }
        i += n;
    }
    return false;
}

static bool cut_runs(struct cutting *c, size_t begin, size_t end) {
    size_t from, to;
    while (next_run(c, begin, end, &from, &to)) {
        if (!add_gap(c, begin, from) ||
            !add(c, (struct bytes_piece){(uint32_t)from, (uint32_t)from, (uint32_t)to, CODE_RUN, c->part, 0}))
            return false;
        begin = to;
    }
    return add_gap(c, begin, end);
}

static bool cut_gap(struct cutting *c, const struct bytes_schema *schema, unsigned tag, const struct bytes_piece *gap,
                    bool last) {
    size_t at = gap->begin;
    struct bytes_piece field = {0};
    c->part = gap->part;
    while (schema && next_field(schema, tag, gap, last, c->data, at, &field)) {
        if (!cut_runs(c, at, field.begin) || !add(c, field))
            return false;
        at = field.end;
    }
    return cut_runs(c, at, gap->end);
}

size_t bytes_cut(const struct bytes_schema *schema, const uint8_t *data, size_t len,
                 struct bytes_piece pieces[BYTES_PIECES_MAX]) {
    struct bytes_piece rough[BYTES_PIECES_MAX];
    size_t count = bytes_cut_strings(schema ? &schema->length : NULL, data, len, rough);
    unsigned tag = schema && schema->tagged ? bytes_tag(&schema->length, data, len) : BYTES_TAG_ANY;
    struct cutting c = {.data = data, .len = MIN(len, BYTES_LOOKED_AT), .pieces = pieces};
    for (size_t i = 0; i < count; i++) {
        bool done = rough[i].code == CODE_GAP ? cut_gap(&c, schema, tag, &rough[i], i + 1 == count) : add(&c, rough[i]);
        if (done)
            continue;
        size_t at = c.count ? pieces[c.count - 1].end : 0;
        pieces[c.count++] = (struct bytes_piece){(uint32_t)at, (uint32_t)at, (uint32_t)len, CODE_GAP, c.part, 0};
        break;
    }
    return c.count;
}

/* ---- names ---- */

void bytes_tag_name(unsigned tag, char out[BYTES_NAME_MAX]) {
    if (tag == BYTES_TAG_ANY)
        snprintf(out, BYTES_NAME_MAX, "@bytes/any");
    else
        snprintf(out, BYTES_NAME_MAX, "@bytes/0x%02x", tag);
}

void bytes_field_name(const struct bytes_field *f, char out[BYTES_NAME_MAX]) {
    bytes_tag_name(f->tag, out);
    size_t n = strlen(out);
    if (f->from_end)
        snprintf(out + n, BYTES_NAME_MAX - n, "/-%u", f->at);
    else
        snprintf(out + n, BYTES_NAME_MAX - n, "/%u+%u", f->part, f->at);
}
