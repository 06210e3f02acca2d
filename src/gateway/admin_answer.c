#include "gateway/admin_answer.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#define JSON "application/json"
#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

/* ---- the response ---- */

static void respond(int status, const char *type, const char *fields, const struct buf *body, bool head_only,
                    struct buf *out) {
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\n%sConnection: close\r\n\r\n",
               status, http_status_text(status), type, body->len, fields);
    if (!head_only)
        buf_append(out, body->data, body->len);
}

/* RFC 9110 wants a field with some refusals: 11.6.1 for 401, 15.5.6 for 405. */
static const char *fields_of_refusal(int status) {
    return status == 401 ? "WWW-Authenticate: Bearer\r\n" : status == 405 ? "Allow: GET, HEAD\r\n" : "";
}

void admin_refuse(int status, const char *error, const char *message, bool head_only, struct buf *out) {
    struct buf body = BUF_INIT;
    buf_printf(&body, "{\"error\":\"%s\",\"message\":\"%s\"}\n", error, message);
    respond(status, JSON, fields_of_refusal(status), &body, head_only, out);
    out->failed |= body.failed;
    buf_fini(&body);
}

/* ---- who may ask ---- */

/* The host of "host", "host:port", "[v6]", "[v6]:port" into out; false when it is none of them. */
static bool host_part(const char *text, char *out, size_t size) {
    bool bracketed = *text == '[';
    const char *begin = text + bracketed;
    size_t len = strcspn(begin, bracketed ? "]" : ":");
    const char *rest = begin + len;
    if (bracketed && *rest++ != ']')
        return false;
    if (len == 0 || len >= size || (*rest && *rest != ':') || (*rest && rest[1 + strspn(rest + 1, "0123456789")]))
        return false;
    memcpy(out, begin, len);
    out[len] = '\0';
    return true;
}

static bool is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 ? IN6_IS_ADDR_LOOPBACK(&v6) : !strcasecmp(host, "localhost");
}

/* Bound to every address, by as many names as the machine has: what guards it then is the token, which the
 * configuration insists on. A page of another site does not know it. */
static bool is_guarded_by_token(const struct admin_site *site) {
    return site->token && (!strcmp(site->host, "0.0.0.0") || !strcmp(site->host, "::"));
}

bool admin_host_allowed(const struct admin_site *site, const char *field) {
    char host[256];
    if (!field || !host_part(field, host, sizeof host))
        return false;
    return is_loopback(host) || !strcasecmp(host, site->host) || is_guarded_by_token(site);
}

/* Browsers send Origin with what a page of another site makes them ask (RFC 6454 section 7). Programs do not. */
static bool is_same_origin(const struct http_head *request) {
    size_t count = headers_count(&request->headers, "Origin");
    const char *origin = headers_get(&request->headers, "Origin"), *host = headers_get(&request->headers, "Host");
    if (count == 0)
        return true;
    size_t scheme = !strncasecmp(origin, "http://", 7) ? 7 : !strncasecmp(origin, "https://", 8) ? 8 : 0;
    return count == 1 && scheme && !strcasecmp(origin + scheme, host);
}

/* In a time that does not depend on where the first difference is. */
static bool has_token(const struct http_head *request, const char *token) {
    const char *given = headers_get(&request->headers, "Authorization");
    if (!given || headers_count(&request->headers, "Authorization") != 1 || strncasecmp(given, "Bearer ", 7) != 0)
        return false;
    given += 7 + strspn(given + 7, " ");
    size_t len = strlen(token);
    return strlen(given) == len && CRYPTO_memcmp(given, token, len) == 0;
}

/* ---- the paths ---- */

static void answer_metrics(const struct admin_site *site, bool head_only, struct buf *out) {
    uint64_t sum[METRIC_COUNT] = {0};
    struct buf body = BUF_INIT;
    site->metrics(site->arg, sum);
    admin_metrics_page(&body, sum, site->started_us);
    respond(200, PROMETHEUS, "", &body, head_only, out);
    out->failed |= body.failed;
    buf_fini(&body);
}

static void answer_status(int status, const char *word, bool head_only, struct buf *out) {
    struct buf body = BUF_INIT;
    buf_printf(&body, "{\"status\":\"%s\"}\n", word);
    respond(status, JSON, "", &body, head_only, out);
    out->failed |= body.failed;
    buf_fini(&body);
}

static void answer_live(const struct admin_site *site, bool head_only, struct buf *out) {
    (void)site;
    answer_status(200, "live", head_only, out);
}

static void answer_ready(const struct admin_site *site, bool head_only, struct buf *out) {
    answer_status(site->ready ? 200 : 503, site->ready ? "ready" : "stopping", head_only, out);
}

/* It shows what clients sent: behind the token, where there is one. */
static void answer_unmatched(const struct admin_site *site, bool head_only, struct buf *out) {
    struct buf body = BUF_INIT;
    if (unmatched_print(site->unmatched, &body) == MF_OK)
        buf_putc(&body, '\n');
    respond(200, JSON, "", &body, head_only, out);
    out->failed |= body.failed;
    buf_fini(&body);
}

static void answer_tail(const struct admin_site *site, bool head_only, struct buf *out) {
    (void)site;
    const struct buf none = BUF_INIT;
    respond(200, "application/x-ndjson", "", &none, head_only, out); /* to HEAD; GET is answered by site->tail */
}

struct page {
    const char *path;
    void (*answer)(const struct admin_site *site, bool head_only, struct buf *out);
    bool open; /* whoever reaches the port may ask: probes have no token */
};

static const struct page pages[] = {
    {"/metrics", answer_metrics, false},
    {"/health/live", answer_live, true},
    {"/health/ready", answer_ready, true},
    {"/__mockforge/ws/unmatched", answer_unmatched, false},
    {"/__mockforge/ws/tail", answer_tail, false},
};

static const struct page *find_page(const char *path) {
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (!strcmp(pages[i].path, path))
            return &pages[i];
    return NULL;
}

void admin_answer(const struct admin_site *site, const struct http_head *request, struct buf *out) {
    bool head_only = !strcmp(request->method, "HEAD");
    const struct page *page = find_page(request->path);
    if (request->target[0] != '/') /* "http://h/": its host would stand for Host (RFC 9112 section 3.2.2) */
        admin_refuse(400, "bad_request", "the target must be a path", head_only, out);
    else if (!admin_host_allowed(site, headers_get(&request->headers, "Host")))
        admin_refuse(403, "host_refused", "not a name of this server: ask for localhost or admin.host", head_only, out);
    else if (!is_same_origin(request))
        admin_refuse(403, "origin_refused", "pages of other sites may not ask", head_only, out);
    else if (site->token && !(page && page->open) && !has_token(request, site->token))
        admin_refuse(401, "unauthorized", "Authorization: Bearer with admin.token is missing or wrong", head_only, out);
    else if (!page)
        admin_refuse(404, "not_found", "there is /metrics, /health/live, /health/ready, /__mockforge/ws/unmatched and /__mockforge/ws/tail", head_only, out);
    else if (!head_only && strcmp(request->method, "GET") != 0)
        admin_refuse(405, "method_not_allowed", "GET and HEAD only", head_only, out);
    else if (page->answer == answer_tail && !head_only && site->tail)
        site->tail(site->arg, request, out);
    else
        page->answer(site, head_only, out);
}
