/* Arbitrary bytes as the head of a request and of a response: no crash, one answer however the bytes are cut, and what
 * is accepted keeps what the header of http_head.h promises. */
#include <stdlib.h>
#include <string.h>

#include "protocol/handshake.h"
#include "protocol/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a list of accepted fields may hold. */
static void check_fields(const struct headers *h) {
    MUST(h->count <= HTTP_FIELDS_MAX);
    MUST(headers_count(h, "Content-Length") + headers_count(h, "Transfer-Encoding") <= 1 ||
         headers_count(h, "Content-Length") == 0);
    for (size_t i = 0; i < h->count; i++) {
        MUST(h->items[i].name[0] && !strpbrk(h->items[i].name, " \t\r\n:"));
        MUST(!strpbrk(h->items[i].value, "\r\n"));
        size_t len = strlen(h->items[i].value);
        MUST(len == 0 || (h->items[i].value[0] != ' ' && h->items[i].value[len - 1] != ' '));
    }
}

static void check_request(const char *data, size_t len) {
    struct http_head h;
    const char *why = NULL;
    int rc = http_request_parse(&h, data, len, &why);
    MUST(rc == MF_OK || rc == -400 || rc == -414 || rc == -431 || rc == -505);
    if (rc == MF_OK) {
        check_fields(&h.headers);
        MUST(h.method[0] && h.target[0] && h.path[0] == '/' && !strchr(h.path, '?'));
        MUST(!h.query || strchr(h.target, '?'));
        MUST(headers_count(&h.headers, "Host") == 1 || h.minor == 0);
        int status = ws_request_check(&h, &why);
        MUST(status == 0 || ((status == 400 || status == 405 || status == 426) && why && *why));
        for (size_t i = 0; i < h.headers.count; i++)
            (void)ws_is_hop_header(&h.headers, h.headers.items[i].name);
    } else {
        MUST(why && *why);
    }
    http_head_fini(&h);
}

static void check_response(const char *data, size_t len) {
    struct http_head h;
    const char *why = NULL;
    int rc = http_response_parse(&h, data, len, &why);
    MUST(rc == MF_OK || rc == -400 || rc == -431 || rc == -505);
    if (rc == MF_OK) {
        check_fields(&h.headers);
        MUST(h.status >= 100 && h.status <= 999 && h.reason);
        int accepted = ws_response_check(&h, "dGhlIHNhbXBsZSBub25jZQ==", NULL, &why);
        MUST(accepted == MF_OK || (accepted == MF_EPROTO && why && *why));
    } else {
        MUST(why && *why);
    }
    http_head_fini(&h);
}

/* http_head_end() as it is called when the bytes come one by one. */
static int end_byte_by_byte(const char *data, size_t size) {
    for (size_t n = 1; n <= size; n++) {
        int r = http_head_end(data, n, n - 1);
        if (r)
            return r;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* An exact copy: a read past its end is seen. */
    char *text = calloc(1, size ? size : 1);
    MUST(text);
    if (size)
        memcpy(text, data, size);
    int end = http_head_end(text, size, 0), slow = end_byte_by_byte(text, size);
    MUST(end <= (int)size && end <= HTTP_HEAD_MAX);
    /* A refusal may come earlier, and for another reason, when the bytes come slowly; it comes in both. An end that is
     * found in one gulp may hide a request line that is too long, which the parser then refuses. */
    MUST((end < 0) == (slow < 0) || (end > 0 && slow < 0));
    MUST(slow <= 0 || slow == end);
    check_request(text, end > 0 ? (size_t)end : size);
    check_response(text, end > 0 ? (size_t)end : size);
    free(text);
    return 0;
}
