#include "protocol/handshake.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/rng.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */
#define KEY_BYTES 16
#define SHA1_BYTES 20

static int refuse(const char **why, int result, const char *reason) {
    *why = reason;
    return result;
}

char *ws_accept(const char *key, char out[WS_ACCEPT_LEN]) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    char text[256];
    size_t n = strnlen(key, sizeof text - sizeof GUID);
    memcpy(text, key, n);
    memcpy(text + n, GUID, sizeof GUID - 1);
    MUST(EVP_Digest(text, n + sizeof GUID - 1, digest, NULL, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((unsigned char *)out, digest, SHA1_BYTES);
    return out;
}

char *ws_key(char out[WS_KEY_LEN]) {
    uint8_t bytes[KEY_BYTES];
    rng_secure(bytes, sizeof bytes);
    EVP_EncodeBlock((unsigned char *)out, bytes, sizeof bytes);
    return out;
}

/* -- server side --------------------------------------------------------------------------------------------------- */

/* Base64 of 16 bytes: 22 characters and "==". The four bits that nobody needs are not looked at: clients differ. */
static bool key_is_valid(const char *key) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strspn(key, alphabet) == WS_KEY_LEN - 3 && !strcmp(key + WS_KEY_LEN - 3, "==");
}

/* A body would be read as frames: what a request says about one must say that there is none. */
static bool has_body(const struct headers *h) {
    const char *length = headers_get(h, "Content-Length");
    return headers_get(h, "Transfer-Encoding") || (length && length[strspn(length, "0")]);
}

int ws_request_check(const struct http_head *h, const char **why) {
    const struct headers *f = &h->headers;
    if (strcmp(h->method, "GET"))
        return refuse(why, 405, "method is not GET");
    /* Upgrade means nothing in HTTP/1.0 (RFC 9110 section 7.8). */
    if (h->minor == 0 || !headers_has_token(f, "Upgrade", "websocket"))
        return refuse(why, 426, "no upgrade to websocket asked for");
    if (!headers_has_token(f, "Connection", "upgrade"))
        return refuse(why, 400, "Connection does not name Upgrade");
    if (headers_count(f, "Sec-WebSocket-Version") != 1)
        return refuse(why, 400, "not one Sec-WebSocket-Version");
    if (strcmp(headers_get(f, "Sec-WebSocket-Version"), "13"))
        return refuse(why, 426, "WebSocket version other than 13");
    if (headers_count(f, "Sec-WebSocket-Key") != 1 || !key_is_valid(headers_get(f, "Sec-WebSocket-Key")))
        return refuse(why, 400, "not one valid Sec-WebSocket-Key");
    if (has_body(f))
        return refuse(why, 400, "opening handshake with a body");
    return 0;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* CR, LF, NUL and other controls become spaces (RFC 9110 section 5.5): a template's value cannot add a field. */
static void put_value(struct buf *out, const char *value) {
    size_t len = strlen(value), at = out->len;
    buf_append(out, value, len);
    for (; at < out->len; at++)
        if ((out->data[at] < 0x20 && out->data[at] != '\t') || out->data[at] == 0x7f)
            out->data[at] = ' ';
}

static void put_field(struct buf *out, const char *name, const char *value) {
    put_value(out, name);
    buf_puts(out, ": ");
    put_value(out, value);
    buf_puts(out, "\r\n");
}

static void put_fields(struct buf *out, const struct headers *fields) {
    for (size_t i = 0; fields && i < fields->count; i++)
        put_field(out, fields->items[i].name, fields->items[i].value);
}

void ws_response_write(struct buf *out, const char *key, const char *subprotocol, const struct headers *extra) {
    char accept[WS_ACCEPT_LEN];
    buf_puts(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    put_field(out, "Sec-WebSocket-Accept", ws_accept(key, accept));
    if (subprotocol)
        put_field(out, "Sec-WebSocket-Protocol", subprotocol);
    put_fields(out, extra);
    buf_puts(out, "\r\n");
}

void ws_request_write(struct buf *out, const char *host, const char *target, const char *key, const struct headers *fields) {
    buf_puts(out, "GET ");
    put_value(out, target);
    buf_puts(out, " HTTP/1.1\r\n");
    put_field(out, "Host", host);
    buf_puts(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    put_field(out, "Sec-WebSocket-Key", key);
    buf_puts(out, "Sec-WebSocket-Version: 13\r\n");
    put_fields(out, fields);
    buf_puts(out, "\r\n");
}

/* -- client side --------------------------------------------------------------------------------------------------- */

bool ws_subprotocol_offered(const struct headers *offered, const char *name) {
    size_t want = strlen(name);
    for (size_t i = 0; offered && i < offered->count; i++) {
        if (strcasecmp(offered->items[i].name, "Sec-WebSocket-Protocol"))
            continue;
        for (const char *p = offered->items[i].value; *p; p += strcspn(p, ",")) {
            p += strspn(p, ", \t");
            if (strcspn(p, ", \t") == want && !strncmp(p, name, want))
                return true;
        }
    }
    return false;
}

int ws_response_check(const struct http_head *h, const char *key, const struct headers *offered, const char **why) {
    const struct headers *f = &h->headers;
    char accept[WS_ACCEPT_LEN];
    if (h->status != 101)
        return refuse(why, MF_EPROTO, "status other than 101");
    if (h->minor != 1)
        return refuse(why, MF_EPROTO, "101 in HTTP/1.0");
    if (!headers_has_token(f, "Upgrade", "websocket"))
        return refuse(why, MF_EPROTO, "no Upgrade to websocket in the 101");
    if (!headers_has_token(f, "Connection", "upgrade"))
        return refuse(why, MF_EPROTO, "Connection does not name Upgrade in the 101");
    if (headers_count(f, "Sec-WebSocket-Accept") != 1 ||
        strcmp(headers_get(f, "Sec-WebSocket-Accept"), ws_accept(key, accept)))
        return refuse(why, MF_EPROTO, "wrong Sec-WebSocket-Accept");
    if (headers_count(f, "Sec-WebSocket-Extensions"))
        return refuse(why, MF_EPROTO, "extension that was not offered");
    size_t subprotocols = headers_count(f, "Sec-WebSocket-Protocol");
    if (subprotocols > 1)
        return refuse(why, MF_EPROTO, "more than one subprotocol in the 101");
    if (subprotocols && !ws_subprotocol_offered(offered, headers_get(f, "Sec-WebSocket-Protocol")))
        return refuse(why, MF_EPROTO, "subprotocol that was not offered");
    return MF_OK;
}

bool ws_is_hop_header(const struct headers *all, const char *name) {
    static const char *const hop[] = {
        "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length",
        "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept"};
    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        if (!strcasecmp(name, hop[i]))
            return true;
    return !strncasecmp(name, "Proxy-", 6) || headers_has_token(all, "Connection", name);
}
