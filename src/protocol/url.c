#include "protocol/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253 /* of a DNS name: RFC 1035 section 2.3.4 */
#define PORT_MAX 65535

static const struct {
    const char *prefix;
    bool tls;
} schemes[] = {{"ws://", false}, {"wss://", true}, {"http://", false}, {"https://", true}};

/* The URL itself is not quoted: passwords and tokens are found in URLs, and errors are logged. */
static int refuse(struct err *err, const char *reason) {
    return err_set(err, MF_EINVAL, "bad URL: %s", reason);
}

/* Skips the scheme; NULL when it is none that we know. */
static const char *parse_scheme(struct url *u, const char *text) {
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (!strncasecmp(text, schemes[i].prefix, len)) {
            u->tls = schemes[i].tls;
            return text + len;
        }
    }
    return NULL;
}

/* Checks host[0..len): NULL, or what is wrong. */
static const char *check_name(const char *host, size_t len) {
    if (len == 0)
        return "empty host";
    if (len > HOST_MAX)
        return "host name over 253 bytes";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c >= 0x80)
            return "host name that is not ASCII (write it in its xn-- form)";
        if (!isalnum(c) && c != '-' && c != '.' && c != '_')
            return "byte that a host name may not hold";
    }
    return NULL;
}

/* The same for what stands between brackets. */
static const char *check_ipv6(const char *host, size_t len) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len >= sizeof text)
        return "malformed IPv6 address";
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1 ? NULL : "malformed IPv6 address";
}

static const char *parse_port(struct url *u, const char *s, size_t len) {
    unsigned port = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)s[i]))
            return "port that is not a number";
        port = port * 10 + (unsigned)(s[i] - '0');
        if (port > PORT_MAX)
            return "port over 65535";
    }
    if (len && port == 0)
        return "port 0";
    if (len)
        u->port = (uint16_t)port;
    return NULL;
}

/* host [":" port]: fills host and port. NULL, or what is wrong; "" when out of memory. */
static const char *parse_authority(struct url *u, const char *s, size_t len) {
    if (memchr(s, '@', len))
        return "user name or password (send an Authorization header instead)";
    const char *end = s + len, *host = s, *host_end, *wrong;
    if (len && *s == '[') {
        host++;
        host_end = memchr(s, ']', len);
        if (!host_end)
            return "IPv6 address without its closing bracket";
        s = host_end + 1;
        if (s != end && *s != ':')
            return "malformed port";
        wrong = check_ipv6(host, (size_t)(host_end - host));
    } else {
        host_end = memchr(s, ':', len);
        s = host_end = host_end ? host_end : end;
        wrong = check_name(host, (size_t)(host_end - host));
    }
    if (!wrong && s != end)
        wrong = parse_port(u, s + 1, (size_t)(end - s) - 1);
    if (wrong)
        return wrong;
    u->host = strndup(host, (size_t)(host_end - host));
    for (char *c = u->host; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return u->host ? NULL : "";
}

/* Path and query: what RFC 3986 allows as it stands (pchar, "/", "?"). NULL, or what is wrong. */
static const char *check_path(const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '#')
            return "fragment";
        if (c == '%') {
            if (!isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]))
                return "malformed percent-escape";
        } else if (c >= 0x80 || (!isalnum(c) && !strchr("-._~!$&'()*+,;=:@/?", c))) {
            return "byte that must be percent-escaped";
        }
    }
    return NULL;
}

int url_parse(struct url *u, const char *text, struct err *err) {
    *u = (struct url){0};
    const char *s = parse_scheme(u, text);
    if (!s)
        return refuse(err, "it must begin with ws://, wss://, http:// or https://");
    u->port = u->tls ? 443 : 80;
    size_t authority = strcspn(s, "/?#");
    const char *rest = s + authority;
    const char *wrong = parse_authority(u, s, authority);
    if (!wrong)
        wrong = check_path(rest);
    if (!wrong) {
        size_t path = strcspn(rest, "?");
        u->path = path ? strndup(rest, path) : strdup("/");
        u->query = rest[path] == '?' ? strdup(rest + path + 1) : NULL;
        if (u->path && (u->query || !rest[path]))
            return MF_OK;
        wrong = "";
    }
    url_fini(u);
    return *wrong ? refuse(err, wrong) : err_set(err, MF_ENOMEM, "out of memory");
}

void url_fini(struct url *u) {
    free(u->host);
    free(u->path);
    free(u->query);
    *u = (struct url){0};
}

char *url_authority(const struct url *u) {
    bool v6 = strchr(u->host, ':') != NULL;
    char *out = NULL;
    int n;
    if (u->port == (u->tls ? 443 : 80))
        n = asprintf(&out, v6 ? "[%s]" : "%s", u->host);
    else
        n = asprintf(&out, v6 ? "[%s]:%u" : "%s:%u", u->host, u->port);
    return n < 0 ? NULL : out;
}
