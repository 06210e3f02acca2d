#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "recording/redact_private.h"

static const char *const secret_headers[] = {"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"};
static const char *const secret_words[] = {"token", "key", "secret", "password", "signature"};
/* "key" is in these names, but what they hold is a nonce of the handshake (RFC 6455 section 4.1) and a digest of it. */
static const char *const no_secrets[] = {"Sec-WebSocket-Key", "Sec-WebSocket-Accept"};

static bool list_has(char *const *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcasecmp(list[i], name))
            return true;
    return false;
}

static int list_copy(char ***out, char *const *list, size_t count) {
    char **copy = calloc(count ? count : 1, sizeof *copy);
    if (!copy)
        return MF_ENOMEM;
    *out = copy;
    for (size_t i = 0; i < count; i++)
        if (!(copy[i] = strdup(list[i])))
            return MF_ENOMEM;
    return MF_OK;
}

static void list_free(char **list, size_t count) {
    for (size_t i = 0; list && i < count; i++)
        free(list[i]);
    free(list);
}

int redactor_new(const struct redact_rules *rules, struct redactor **out, struct err *err) {
    struct redactor *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    atomic_init(&r->refs, 1);
    r->defaults = rules->defaults;
    r->headers_count = rules->headers_count;
    r->query_count = rules->query_count;
    int rc = MF_OK;
    if (list_copy(&r->headers, rules->headers, rules->headers_count) < 0 ||
        list_copy(&r->query, rules->query, rules->query_count) < 0)
        rc = err_set(err, MF_ENOMEM, "out of memory");
    for (size_t i = 0; rc == MF_OK && i < rules->json_count; i++)
        rc = redact_path_add(r, rules->json[i], err);
    if (rc < 0) {
        redactor_unref(r);
        return rc;
    }
    *out = r;
    return MF_OK;
}

struct redactor *redactor_ref(struct redactor *r) {
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void redactor_unref(struct redactor *r) {
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    list_free(r->headers, r->headers_count);
    list_free(r->query, r->query_count);
    redact_paths_free(r);
    free(r);
}

bool redactor_has_json(const struct redactor *r) {
    return r->paths_count > 0;
}

static bool has_secret_word(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++)
        if (strcasestr(name, secret_words[i]))
            return true;
    return false;
}

bool redact_header_name(const struct redactor *r, const char *name) {
    if (list_has(r->headers, r->headers_count, name))
        return true;
    if (!r->defaults || list_has((char *const *)no_secrets, ARRAY_LEN(no_secrets), name))
        return false;
    return list_has((char *const *)secret_headers, ARRAY_LEN(secret_headers), name) || has_secret_word(name);
}

const char *redact_subprotocol(const struct redactor *r, const char *subprotocol) {
    return subprotocol && redact_header_name(r, "Sec-WebSocket-Protocol") ? REDACTED : subprotocol;
}

static bool is_secret_parameter(const struct redactor *r, const char *name) {
    return list_has(r->query, r->query_count, name) || (r->defaults && has_secret_word(name));
}

int redact_headers(const struct redactor *r, struct headers *h) {
    for (size_t i = 0; i < h->count; i++) {
        if (!redact_header_name(r, h->items[i].name))
            continue;
        char *value = strdup(REDACTED);
        if (!value)
            return MF_ENOMEM;
        free(h->items[i].value);
        h->items[i].value = value;
    }
    return MF_OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A parameter's name as the server will read it: percent-encoding and '+' undone. False: no memory. */
static bool decode_name(struct buf *out, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        int high, low;
        if (s[i] == '%' && i + 2 < len && (high = hex_digit(s[i + 1])) >= 0 && (low = hex_digit(s[i + 2])) >= 0) {
            buf_putc(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_putc(out, s[i] == '+' ? ' ' : s[i]);
        }
    }
    buf_putc(out, '\0');
    return !out->failed;
}

/* Up to the end of the string or the '#' of a URL. */
static void append_query(const struct redactor *r, struct buf *out, const char *query, size_t len) {
    struct buf name = BUF_INIT;
    for (size_t at = 0; at < len;) {
        const char *pair = query + at;
        size_t n = 0;
        while (at + n < len && pair[n] != '&' && pair[n] != ';')
            n++;
        const char *equals = memchr(pair, '=', n);
        buf_reset(&name);
        if (equals && !decode_name(&name, pair, (size_t)(equals - pair)))
            out->failed = true;
        if (equals && !out->failed && is_secret_parameter(r, (const char *)name.data)) {
            buf_append(out, pair, (size_t)(equals - pair) + 1);
            buf_puts(out, REDACTED);
        } else {
            buf_append(out, pair, n);
        }
        at += n;
        if (at < len)
            buf_putc(out, query[at++]);
    }
    buf_fini(&name);
}

char *redact_query(const struct redactor *r, const char *query) {
    struct buf out = BUF_INIT;
    append_query(r, &out, query, strlen(query));
    return buf_steal(&out);
}

char *redact_url(const struct redactor *r, const char *url) {
    struct buf out = BUF_INIT;
    const char *scheme_end = strstr(url, "://"), *rest = scheme_end ? scheme_end + 3 : url;
    size_t authority = strcspn(rest, "/?#");
    const char *user_end = memrchr(rest, '@', authority);
    buf_append(&out, url, (size_t)(rest - url));
    if (user_end) {
        buf_puts(&out, REDACTED);
        rest = user_end;
    }
    size_t head = strcspn(rest, "?");
    buf_append(&out, rest, head);
    if (rest[head]) {
        size_t query = strcspn(rest + head + 1, "#");
        buf_putc(&out, '?');
        append_query(r, &out, rest + head + 1, query);
        buf_puts(&out, rest + head + 1 + query);
    }
    return buf_steal(&out);
}
