#include "replay/handshake.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/handshake.h"
#include "protocol/json.h"
#include "recording/redact.h"
#include "replay/structure.h"

#define TEXT_MAX 16384u /* bytes; what is behind them is left out */
#define NAME_MAX_BYTES 256u

/* What every handshake has, or what a browser says of itself and of the page: nobody says it again. */
static bool is_common(const struct headers *fields, const char *name) {
    static const char *const common[] = {"Accept", "Cache-Control", "Pragma",        "Origin", "User-Agent", "Referer",
                                         "DNT",    "Cookie",        "Authorization", "Date",   "Via"};
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (!strcasecmp(name, common[i]))
            return true;
    return ws_is_hop_header(fields, name) || !strncasecmp(name, "Sec-", 4) || !strncasecmp(name, "Accept-", 7) ||
           !strncasecmp(name, "Content-", 8);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1; of a query a '+' is a space. */
static void put_decoded(struct buf *out, const char *s, size_t len, bool plus) {
    for (size_t i = 0; i < len; i++) {
        int high = -1, low = -1;
        if (s[i] == '%' && i + 2 < len) {
            high = hex_digit(s[i + 1]);
            low = hex_digit(s[i + 2]);
        }
        if (high >= 0 && low >= 0 && (high || low)) {
            buf_putc(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_putc(out, plus && s[i] == '+' ? ' ' : s[i]);
        }
    }
}

static bool is_known(const char *value, size_t len) {
    static const char *const redacted[] = {REDACTED, "%5Bredacted%5D", "%5bredacted%5d"};
    if (!value || !len)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(redacted); i++)
        if (memmem(value, len, redacted[i], strlen(redacted[i])))
            return false;
    return true;
}

static void put_quoted(struct buf *out, const char *s, size_t len, bool plus) {
    size_t from = out->len;
    put_decoded(out, s, len, plus);
    if (!out->failed)
        json_quote_tail(out, from);
}

static bool has_room(const struct buf *out, size_t len) {
    return len < TEXT_MAX && out->len < TEXT_MAX - len;
}

static void put_query(struct buf *out, const char *query) {
    bool first = true;
    while (*query) {
        size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
        const char *value = query + name + (name < len);
        size_t size = len - name - (name < len);
        if (name && name <= NAME_MAX_BYTES && is_known(value, size) && has_room(out, len)) {
            if (!first)
                buf_putc(out, ',');
            first = false;
            put_quoted(out, query, name, true);
            buf_putc(out, ':');
            put_quoted(out, value, size, true);
        }
        query += len + (query[len] == '&');
    }
}

static void put_path(struct buf *out, const char *path) {
    bool first = true;
    while (*path) {
        size_t slash = *path == '/', len = strcspn(path + slash, "/");
        if (len && has_room(out, len)) {
            if (!first)
                buf_putc(out, ',');
            first = false;
            put_quoted(out, path + slash, len, false);
        }
        path += slash + len;
    }
}

static void put_fields(struct buf *out, const struct headers *fields) {
    bool first = true;
    for (size_t i = 0; i < fields->count; i++) {
        const struct header *h = &fields->items[i];
        size_t name = strlen(h->name), len = strlen(h->value);
        if (is_common(fields, h->name) || !is_known(h->value, len) || name > NAME_MAX_BYTES ||
            !has_room(out, name + len))
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        size_t from = out->len;
        for (size_t k = 0; k < name; k++)
            buf_putc(out, h->name[k] >= 'A' && h->name[k] <= 'Z' ? (char)(h->name[k] | 0x20) : h->name[k]);
        if (!out->failed)
            json_quote_tail(out, from);
        buf_putc(out, ':');
        json_write_string(out, h->value, len);
    }
}

void handshake_request_text(struct buf *out, const char *path, const char *query, const struct headers *fields) {
    buf_puts(out, "{\"@query\":{");
    put_query(out, query ? query : "");
    buf_puts(out, "},\"@path\":[");
    put_path(out, path ? path : "");
    buf_puts(out, "],\"@header\":{");
    if (fields)
        put_fields(out, fields);
    buf_puts(out, "}}");
}
