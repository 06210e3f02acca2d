/* One value out of a message, and into one. */
#include "replay/bytes.h"
#include "replay/structure.h"

/* What out holds from `from` on is unescaped, as the inside of a JSON string. */
static void unescape_tail(struct buf *out, size_t from) {
    size_t len = out->len - from;
    if (out->failed || !len || !memchr(out->data + from, '\\', len))
        return;
    /* Never longer than it was: with that much set aside, what is read stays where it is. */
    if (buf_reserve(out, len) < 0)
        return;
    json_unescape(out, (const char *)out->data + from, len);
    size_t plain = out->len - from - len;
    memmove(out->data + from, out->data + from + len, plain);
    out->len = from + plain;
}

/* What out holds from `from` on becomes the inside of a JSON string. */
static void escape_tail(struct buf *out, size_t from) {
    json_quote_tail(out, from);
    if (out->failed)
        return;
    out->len -= 2;
    memmove(out->data + from, out->data + from + 1, out->len - from);
}

void value_text(struct buf *out, const void *data, const struct message_value *v) {
    size_t from = out->len;
    if (v->code) {
        bytes_value_text(out, v->code, data, v->begin, v->end);
        return;
    }
    buf_append(out, (const uint8_t *)data + v->begin, v->end - v->begin);
    for (unsigned i = 0; i < v->nested; i++)
        unescape_tail(out, from);
    if (v->kind != VALUE_STRING || out->failed || out->len < from + 2)
        return;
    out->len -= 2; /* the quotes */
    memmove(out->data + from, out->data + from + 1, out->len - from);
    unescape_tail(out, from);
}

void value_write(struct buf *out, uint8_t nested, enum value_kind kind, const char *text, size_t len) {
    size_t from = out->len;
    buf_append(out, text, len);
    if (kind == VALUE_STRING)
        json_quote_tail(out, from);
    for (unsigned i = 0; i < nested; i++)
        escape_tail(out, from);
}
