/* One value out of a binary message, and into one; and what its lengths mean for that. */
#include <string.h>

#include "base/hash.h"
#include "replay/bytes.h"

#define SHOWN_MAX 64u /* bytes of a gap; of longer ones their hash tells whether they are equal */

static void write_hex(struct buf *out, const uint8_t *data, size_t len) {
    buf_puts(out, "0x");
    for (size_t i = 0; i < len; i++)
        buf_printf(out, "%02x", data[i]);
}

static size_t size_of_prefix(unsigned code, const uint8_t *data, size_t len) {
    uint64_t n;
    return code == CODE_RUN ? 0 : bytes_read_length(code, data, len, &n);
}

void bytes_value_text(struct buf *out, unsigned code, const uint8_t *data, size_t begin, size_t end) {
    const uint8_t *value = data + begin;
    size_t len = end - begin, prefix;
    uint64_t n;
    if (bytes_is_text(code)) {
        prefix = size_of_prefix(code, value, len);
        buf_append(out, value + prefix, len - prefix);
    } else if (code == CODE_VARINT) {
        if (bytes_varint(value, len, &n))
            buf_printf(out, "%llu", (unsigned long long)n);
    } else if (len <= SHOWN_MAX) {
        write_hex(out, value, len);
    } else {
        buf_printf(out, "%zu bytes, %016llx", len, (unsigned long long)hash_bytes(value, len));
    }
}

/* ---- writing ---- */

static int nibble(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool write_bytes(struct buf *out, size_t size, const char *text, size_t len) {
    if (len != 2 + 2 * size || memcmp(text, "0x", 2) != 0)
        return false;
    for (size_t i = 2; i < len; i++)
        if (nibble(text[i]) < 0)
            return false;
    for (size_t i = 2; i < len; i += 2)
        buf_putc(out, (char)(nibble(text[i]) << 4 | nibble(text[i + 1])));
    return true;
}

static void put_varint(struct buf *out, uint64_t n) {
    for (; n >= 0x80; n >>= 7)
        buf_putc(out, (char)(0x80 | (n & 0x7f)));
    buf_putc(out, (char)n);
}

/* false: it has no room for the number. */
static bool put_length(struct buf *out, unsigned code, uint64_t n) {
    unsigned size = code == CODE_U8 ? 1 : code == CODE_U16_BE || code == CODE_U16_LE ? 2 : 4;
    bool big = code == CODE_U16_BE || code == CODE_U32_BE;
    if (code == CODE_VARINT || code == CODE_VARINT_TEXT) {
        put_varint(out, n);
        return true;
    }
    if (n >> (8 * size))
        return false;
    for (unsigned i = 0; i < size; i++)
        buf_putc(out, (char)(n >> (8 * (big ? size - 1 - i : i))));
    return true;
}

static bool write_varint(struct buf *out, const char *text, size_t len) {
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    if (!len)
        return false;
    put_varint(out, n);
    return true;
}

static bool write_text(struct buf *out, unsigned code, const char *text, size_t len) {
    if (code == CODE_RUN) {
        buf_append(out, text, len);
        return true;
    }
    /* Above 127 a length of one byte may be a varint, and what was a varint of two would be one of one below. */
    if ((code == CODE_U8 && len >= 0x80) || (code == CODE_VARINT_TEXT && len < 0x80))
        return false;
    if (!put_length(out, code, len))
        return false;
    buf_append(out, text, len);
    return true;
}

bool bytes_value_write(struct buf *out, unsigned code, size_t size, const char *text, size_t len) {
    if (code == CODE_FIELD || code == CODE_GAP)
        return write_bytes(out, size, text, len);
    if (code == CODE_VARINT)
        return write_varint(out, text, len);
    if (code == CODE_PART) {
        if (len == size)
            buf_append(out, text, len);
        return len == size;
    }
    return write_text(out, code, text, len);
}

/* ---- lengths ---- */

/* Could what stands at p be a length of what ends at the message's end, or of all of it? */
static bool looks_like_length(const uint8_t *data, size_t len, size_t p, size_t until) {
    static const uint8_t codes[] = {CODE_U8, CODE_U16_BE, CODE_U16_LE, CODE_U32_BE, CODE_U32_LE, CODE_VARINT};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        uint64_t n;
        size_t size = bytes_read_length(codes[i], data + p, until - p, &n);
        if (size && n && (n == len - p - size || n == len))
            return true;
    }
    return false;
}

/* Or of a part of it, which ends where a piece behind [begin, end) does? */
static bool spans(const struct bytes_piece *pieces, size_t count, const uint8_t *data, size_t p, size_t begin,
                  size_t end) {
    uint64_t n;
    size_t size = bytes_varint(data + p, begin - p, &n);
    for (size_t i = 0; size && i < count; i++)
        if (pieces[i].end >= end && n == pieces[i].end - p - size)
            return true;
    return false;
}

/* May the byte before text say how long it is, in some of its bits (MessagePack, CBOR, protocols of one's own)? */
static bool is_counted(const uint8_t *data, size_t begin, size_t end) {
    size_t n = end - begin;
    if (!begin)
        return false;
    unsigned byte = data[begin - 1];
    for (unsigned more = 0; more < 2; more++)
        for (unsigned bits = 3; bits <= 8; bits++)
            if ((byte & ((1u << bits) - 1)) == n + more || byte >> (8 - bits) == n + more)
                return true;
    return false;
}

#define COUNTED_MAX 16u /* bytes in front of a value that are looked at one by one */

static bool is_known_length(const struct bytes_schema *schema, size_t at) {
    return schema && schema->length.code && at >= schema->length.at && at < schema->length.at + 4u;
}

bool bytes_may_resize(const struct bytes_schema *schema, const uint8_t *data, size_t len, size_t begin, size_t end) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut(schema, data, len, pieces);
    /* What was cut as something else may be a length all the same. */
    for (size_t p = begin > COUNTED_MAX ? begin - COUNTED_MAX : 0; p < begin; p++)
        if (data[p] == end - p - 1 && !is_known_length(schema, p))
            return false;
    for (size_t i = 0; i < count && pieces[i].begin < begin; i++) {
        if (pieces[i].code == CODE_LENGTH || bytes_is_text(pieces[i].code))
            continue;
        if (pieces[i].end == begin && i + 1 < count && pieces[i + 1].code == CODE_RUN && is_counted(data, begin, end))
            return false;
        for (size_t p = pieces[i].begin; p < MIN(pieces[i].end, begin); p++)
            if (looks_like_length(data, len, p, begin) || spans(pieces, count, data, p, begin, end))
                return false;
    }
    return true;
}

bool bytes_fix_length(const struct bytes_schema *schema, struct buf *out) {
    const struct bytes_length *length = schema ? &schema->length : NULL;
    uint64_t n;
    if (!length || !length->code)
        return true;
    size_t size =
        length->at < out->len ? bytes_read_length(length->code, out->data + length->at, out->len - length->at, &n) : 0;
    if (!size)
        return true;
    size_t behind = length->at + size;
    n = length->whole ? out->len : out->len - behind;
    struct buf number = BUF_INIT;
    bool fits = put_length(&number, length->code, n) && !number.failed;
    /* Of a whole message a varint's own size counts too: where that changes it is not sure what is meant. */
    fits = fits && (!length->whole || number.len == size);
    if (fits && buf_reserve(out, number.len) == MF_OK) {
        memmove(out->data + length->at + number.len, out->data + behind, out->len - behind);
        memcpy(out->data + length->at, number.data, number.len);
        out->len = out->len - size + number.len;
    }
    buf_fini(&number);
    return fits && !out->failed;
}
