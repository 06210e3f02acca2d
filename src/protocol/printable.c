#include "protocol/printable.h"

/* The character at s: its length in bytes, 0 when it is not UTF-8. */
static size_t character(const uint8_t *s, size_t len, uint32_t *code) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    *code = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return n > 1 && (*code < least[n] || *code > 0x10ffff || surrogate) ? 0 : n;
}

/* C1 controls drive terminals as C0 do; the others hide, break or turn text around. */
static bool is_harmful(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static void escape_code(struct buf *out, uint32_t c) {
    if (c == '\n')
        buf_puts(out, "\\n");
    else if (c == '\r')
        buf_puts(out, "\\r");
    else if (c == '\t')
        buf_puts(out, "\\t");
    else
        buf_printf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%06x", c);
}

void printable_append(struct buf *out, const void *data, size_t len) {
    const uint8_t *s = data;
    while (len) {
        size_t plain = 0; /* most text is printable ASCII, and is copied at once */
        while (plain < len && s[plain] >= 0x20 && s[plain] < 0x7f)
            plain++;
        buf_append(out, s, plain);
        s += plain;
        len -= plain;
        if (!len)
            break;
        uint32_t code = 0;
        size_t n = character(s, len, &code);
        if (n == 0)
            buf_printf(out, "\\x%02x", *s);
        else if (is_harmful(code))
            escape_code(out, code);
        else
            buf_append(out, s, n);
        n = MAX(n, (size_t)1);
        s += n;
        len -= n;
    }
}
