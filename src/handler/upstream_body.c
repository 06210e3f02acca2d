#include "handler/upstream_body.h"

#include <stdlib.h>
#include <strings.h>

static enum body_state take(struct buf *out, const uint8_t *data, size_t len) {
    buf_append(out, data, len);
    return out->failed ? BODY_BAD : BODY_WHOLE;
}

/* One chunk's size line. Returns its bytes, CRLF included; 0: not all there; negative: no size line. */
static int read_chunk_size(const uint8_t *p, size_t len, size_t *size) {
    const uint8_t *end = memmem(p, len, "\r\n", 2);
    if (!end)
        return len > 256 ? -1 : 0;
    size_t digits = 0, n = 0;
    for (; digits < 6 && p + digits < end; digits++) {
        int c = p[digits] | 0x20, value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0)
            break;
        n = n * 16 + (size_t)value;
    }
    if (digits == 0 || (p + digits < end && p[digits] != ';' && p[digits] != ' '))
        return -1;
    *size = n;
    return (int)(end - p) + 2;
}

static enum body_state dechunk(const struct buf *in, struct buf *out) {
    size_t at = 0, size;
    for (;;) {
        int line = read_chunk_size(in->data + at, in->len - at, &size);
        if (line <= 0)
            return line ? BODY_BAD : BODY_MORE;
        at += (size_t)line;
        if (size == 0)
            return BODY_WHOLE;
        if (in->len - at < size + 2)
            return BODY_MORE;
        if (take(out, in->data + at, size) == BODY_BAD)
            return BODY_BAD;
        at += size + 2;
    }
}

enum body_state refusal_body(const struct headers *fields, const struct buf *in, bool ended, struct buf *out) {
    const char *length = headers_get(fields, "Content-Length"), *coding = headers_get(fields, "Transfer-Encoding");
    enum body_state state;
    if (coding) { /* what has another coding as well would need it named to the client */
        bool chunked = headers_count(fields, "Transfer-Encoding") == 1 && !strcasecmp(coding, "chunked");
        state = chunked ? dechunk(in, out) : BODY_BAD;
    } else if (length) {
        unsigned long long n = strtoull(length, NULL, 10); /* the head's parser has seen that it is a number */
        state = n > REFUSAL_BODY_MAX ? BODY_BAD : in->len < n ? BODY_MORE : take(out, in->data, (size_t)n);
    } else {
        state = ended ? take(out, in->data, in->len) : BODY_MORE;
    }
    if (state == BODY_MORE && (ended || in->len >= REFUSAL_BODY_MAX))
        state = BODY_BAD;
    if (state != BODY_WHOLE)
        buf_reset(out);
    return state;
}
