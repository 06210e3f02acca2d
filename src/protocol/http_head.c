#include "protocol/http_head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define METHOD_MAX 32
#define CONTENT_LENGTH_DIGITS 18 /* no body is longer, and 10^18 fits every integer */

/* -- bytes --------------------------------------------------------------------------------------------------------- */

/* RFC 9110 section 5.6.2: tchar. */
static bool is_token_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* VCHAR, obs-text, space, tab (section 5.5). */
static bool is_value_byte(char c) {
    unsigned char b = (unsigned char)c;
    return b == '\t' || (b >= 0x20 && b != 0x7f);
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Bytes of a request target. Of what RFC 3986 wants escaped, what browsers leave as it is (the query state of the WHATWG
 * URL standard) passes: real clients send ?filter[a]=1 and ?q={..}. Never '#', quotes, angle brackets. */
static bool is_target_byte(char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>';
}

static size_t token_length(const char *s, size_t len) {
    size_t n = 0;
    while (n < len && is_token_byte(s[n]))
        n++;
    return n;
}

bool http_name_is_valid(const char *name, size_t len) {
    return len > 0 && token_length(name, len) == len;
}

bool http_value_is_valid(const char *value, size_t len) {
    size_t n = 0;
    while (n < len && is_value_byte(value[n]))
        n++;
    return n == len;
}

/* -- finding the end ----------------------------------------------------------------------------------------------- */

/* What there is of the first line: can it still become one? */
static int check_first_line(const char *line, size_t len, bool ended) {
    size_t method = token_length(line, MIN(len, (size_t)METHOD_MAX + 1));
    if (method > METHOD_MAX || (method == len && ended))
        return -400;
    if (method == len)
        return 0;
    bool response = method == 4 && line[4] == '/' && !memcmp(line, "HTTP", 4);
    if (response)
        return len <= HTTP_TARGET_MAX ? 0 : -431;
    if (method == 0 || line[method] != ' ')
        return -400;
    const char *target = line + method + 1;
    size_t left = len - method - 1;
    const char *end = memchr(target, ' ', left);
    return (end ? (size_t)(end - target) : left) > HTTP_TARGET_MAX ? -414 : 0;
}

int http_head_end(const char *data, size_t len, size_t from) {
    size_t limit = MIN(len, (size_t)HTTP_HEAD_MAX);
    /* A byte's neighbours matter for CR and LF only: three back, and a split blank line is seen again. */
    size_t begin = from > 3 ? MIN(from - 3, limit) : 0;
    for (size_t i = begin; i < limit; i++) {
        char c = data[i];
        if (MF_LIKELY(is_value_byte(c)))
            continue;
        if (c == '\r') {
            if (i + 1 < limit && data[i + 1] != '\n')
                return -400;
        } else if (c == '\n' && i > 0 && data[i - 1] == '\r') {
            if (i == 1)
                return -400; /* a head begins with a line */
            if (i >= 3 && data[i - 2] == '\n' && data[i - 3] == '\r')
                return (int)i + 1;
        } else {
            return -400;
        }
    }
    const char *line_end = memchr(data, '\r', limit);
    int rc = check_first_line(data, line_end ? (size_t)(line_end - data) : limit, line_end != NULL);
    if (rc < 0)
        return rc;
    return len >= HTTP_HEAD_MAX ? -431 : 0;
}

/* -- parsing ------------------------------------------------------------------------------------------------------- */

/* What is left to read. Every line of it ends with CRLF, which http_head_end() has made sure of. */
struct cursor {
    const char *p, *end;
};

struct piece {
    const char *s;
    size_t len;
};

static int refuse(const char **why, int status, const char *reason) {
    *why = reason;
    return -status;
}

/* The next line without its CRLF; false when there is none. */
static bool next_line(struct cursor *c, struct piece *line) {
    const char *cr = memchr(c->p, '\r', (size_t)(c->end - c->p));
    if (!cr || cr + 1 == c->end || cr[1] != '\n')
        return false;
    *line = (struct piece){c->p, (size_t)(cr - c->p)};
    c->p = cr + 2;
    return true;
}

static struct piece trim(struct piece v) {
    while (v.len && (*v.s == ' ' || *v.s == '\t'))
        v.s++, v.len--;
    while (v.len && (v.s[v.len - 1] == ' ' || v.s[v.len - 1] == '\t'))
        v.len--;
    return v;
}

/* One field line (RFC 9112 section 5). */
static int parse_field(struct headers *headers, struct piece line, const char **why) {
    if (headers->count == HTTP_FIELDS_MAX)
        return refuse(why, 431, "too many header fields");
    if (line.s[0] == ' ' || line.s[0] == '\t')
        return refuse(why, 400, "folded header field");
    size_t name = token_length(line.s, line.len);
    if (name == line.len || line.s[name] != ':')
        return refuse(why, 400, "malformed header field name");
    if (name == 0)
        return refuse(why, 400, "empty header field name");
    struct piece value = trim((struct piece){line.s + name + 1, line.len - name - 1});
    for (size_t i = 0; i < value.len; i++)
        if (!is_value_byte(value.s[i]))
            return refuse(why, 400, "control character in a header field");
    return headers_add_n(headers, line.s, name, value.s, value.len);
}

static int parse_fields(struct headers *headers, struct cursor *c, const char **why) {
    struct piece line;
    while (next_line(c, &line)) {
        if (line.len == 0)
            return c->p == c->end ? MF_OK : refuse(why, 400, "bytes after the head");
        int rc = parse_field(headers, line, why);
        if (rc < 0)
            return rc;
    }
    return refuse(why, 400, "head without a blank line");
}

/* What says where a body ends must say it once (RFC 9112 section 6.3): anything else smuggles requests. */
static int check_framing(const struct http_head *h, const char **why) {
    size_t lengths = headers_count(&h->headers, "Content-Length");
    bool encoded = headers_get(&h->headers, "Transfer-Encoding") != NULL;
    if (lengths > 1)
        return refuse(why, 400, "more than one Content-Length");
    if (lengths && encoded)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding");
    if (encoded && h->minor == 0)
        return refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (lengths) {
        const char *v = headers_get(&h->headers, "Content-Length");
        size_t digits = strspn(v, "0123456789");
        if (digits == 0 || digits > CONTENT_LENGTH_DIGITS || v[digits])
            return refuse(why, 400, "malformed Content-Length");
    }
    return MF_OK;
}

/* uri-host [":" port] (RFC 9110 section 7.2): no user, no path. */
static bool host_is_valid(const char *v) {
    if (*v == '[') {
        v += 1 + strspn(v + 1, "0123456789abcdefABCDEF:.");
        if (*v++ != ']')
            return false;
    } else {
        while (is_target_byte(*v) && !strchr("/?@:[]\\{}|^`", *v))
            v++;
    }
    if (*v == ':')
        v += 1 + strspn(v + 1, "0123456789");
    return *v == '\0';
}

static int check_host(const struct http_head *h, const char **why) {
    size_t hosts = headers_count(&h->headers, "Host");
    if (hosts > 1)
        return refuse(why, 400, "more than one Host");
    if (hosts == 0) /* HTTP/1.0 did not have it */
        return h->minor == 0 ? MF_OK : refuse(why, 400, "no Host");
    return host_is_valid(headers_get(&h->headers, "Host")) ? MF_OK : refuse(why, 400, "malformed Host");
}

/* "HTTP/1.0" or "HTTP/1.1". */
static int parse_version(struct http_head *h, struct piece v, const char **why) {
    if (v.len != 8 || memcmp(v.s, "HTTP/", 5) != 0 || v.s[5] < '0' || v.s[5] > '9' || v.s[6] != '.' || v.s[7] < '0' ||
        v.s[7] > '9')
        return refuse(why, 400, "malformed HTTP version");
    if (v.s[5] != '1' || v.s[7] > '1')
        return refuse(why, 505, "HTTP version other than 1.0 and 1.1");
    h->minor = v.s[7] - '0';
    return MF_OK;
}

static bool starts_with_scheme(struct piece t, size_t *len) {
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        *len = strlen(schemes[i]);
        if (t.len > *len && !strncasecmp(t.s, schemes[i], *len))
            return true;
    }
    return false;
}

/* Splits the target into path and query (RFC 9112 section 3.2: origin, absolute, authority and asterisk form). */
static int parse_target(struct http_head *h, struct piece t, const char **why) {
    if (t.len > HTTP_TARGET_MAX)
        return refuse(why, 414, "request target too long");
    for (size_t i = 0; i < t.len; i++) {
        if (!is_target_byte(t.s[i]))
            return refuse(why, 400, "byte that a request target may not hold");
        if (t.s[i] == '%' && (t.len - i < 3 || !is_hex(t.s[i + 1]) || !is_hex(t.s[i + 2])))
            return refuse(why, 400, "malformed percent-escape in the request target");
    }
    struct piece path = t;
    size_t scheme;
    if (!strcmp(h->method, "CONNECT") || (t.len == 1 && t.s[0] == '*' && !strcmp(h->method, "OPTIONS"))) {
        path.len = 0;
    } else if (starts_with_scheme(t, &scheme)) {
        path.s += scheme;
        path.len -= scheme;
        size_t authority = 0;
        while (authority < path.len && path.s[authority] != '/' && path.s[authority] != '?')
            authority++;
        if (authority == 0 || memchr(path.s, '@', authority))
            return refuse(why, 400, "request target without a host, or with a user");
        path.s += authority;
        path.len -= authority;
    } else if (t.len == 0 || t.s[0] != '/') {
        return refuse(why, 400, "malformed request target");
    }
    const char *mark = path.len ? memchr(path.s, '?', path.len) : NULL;
    size_t path_len = mark ? (size_t)(mark - path.s) : path.len;
    h->target = strndup(t.s, t.len);
    h->path = path_len ? strndup(path.s, path_len) : strdup("/");
    h->query = mark ? strndup(mark + 1, path.len - path_len - 1) : NULL;
    return h->target && h->path && (h->query || !mark) ? MF_OK : MF_ENOMEM;
}

/* method SP request-target SP HTTP-version (RFC 9112 section 3). */
static int parse_request_line(struct http_head *h, struct piece line, const char **why) {
    size_t method = token_length(line.s, line.len);
    if (method == 0 || method > METHOD_MAX || method == line.len || line.s[method] != ' ')
        return refuse(why, 400, "malformed method");
    struct piece target = {line.s + method + 1, line.len - method - 1};
    const char *space = memchr(target.s, ' ', target.len);
    if (!space)
        return target.len > HTTP_TARGET_MAX ? refuse(why, 414, "request target too long")
                                            : refuse(why, 400, "malformed request line");
    struct piece version = {space + 1, target.len - (size_t)(space - target.s) - 1};
    target.len = (size_t)(space - target.s);
    h->method = strndup(line.s, method);
    if (!h->method)
        return MF_ENOMEM;
    int rc = parse_target(h, target, why);
    return rc < 0 ? rc : parse_version(h, version, why);
}

/* HTTP-version SP status-code SP [reason-phrase] (RFC 9112 section 4); the second space may be missing when no reason
 * follows, as it is from many servers. */
static int parse_status_line(struct http_head *h, struct piece line, const char **why) {
    if (line.len < 12 || line.s[8] != ' ')
        return refuse(why, 400, "malformed status line");
    int rc = parse_version(h, (struct piece){line.s, 8}, why);
    if (rc < 0)
        return rc;
    for (size_t i = 9; i < 12; i++) {
        if (line.s[i] < '0' || line.s[i] > '9')
            return refuse(why, 400, "malformed status code");
        h->status = h->status * 10 + (line.s[i] - '0');
    }
    if (h->status < 100 || (line.len > 12 && line.s[12] != ' '))
        return refuse(why, 400, "malformed status code");
    struct piece reason = trim((struct piece){line.s + 12, line.len - 12});
    for (size_t i = 0; i < reason.len; i++)
        if (!is_value_byte(reason.s[i]))
            return refuse(why, 400, "control character in the reason phrase");
    h->reason = strndup(reason.s, reason.len);
    return h->reason ? MF_OK : MF_ENOMEM;
}

/* What requests and responses have in common; `first` reads the first line. */
static int parse_head(struct http_head *h, const char *data, size_t len, const char **why,
                      int (*first)(struct http_head *, struct piece, const char **)) {
    *h = (struct http_head){0};
    *why = "out of memory";
    if (len > HTTP_HEAD_MAX)
        return refuse(why, 431, "head too long");
    /* strndup() would stop at a NUL that a token or a target cannot hold, so what was checked is what is copied. */
    struct cursor c = {data, data + len};
    struct piece line;
    if (!next_line(&c, &line))
        return refuse(why, 400, "head without a line");
    int rc = first(h, line, why);
    if (rc == MF_OK)
        rc = parse_fields(&h->headers, &c, why);
    return rc == MF_OK ? check_framing(h, why) : rc;
}

int http_request_parse(struct http_head *h, const char *data, size_t len, const char **why) {
    int rc = parse_head(h, data, len, why, parse_request_line);
    return rc == MF_OK ? check_host(h, why) : rc;
}

int http_response_parse(struct http_head *h, const char *data, size_t len, const char **why) {
    return parse_head(h, data, len, why, parse_status_line);
}

void http_head_fini(struct http_head *h) {
    free(h->method);
    free(h->target);
    free(h->path);
    free(h->query);
    free(h->reason);
    headers_fini(&h->headers);
    *h = (struct http_head){0};
}

/* -- statuses ------------------------------------------------------------------------------------------------------ */

/* The IANA registry of HTTP status codes. */
static const struct {
    int status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a Teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
};

const char *http_status_text(int status) {
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "";
}
