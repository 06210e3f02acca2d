#include "config/redis_url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded into out; false: not an encoding, a NUL, or too long. */
static bool decode(const char *text, size_t len, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1, low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0 || high + low == 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* A whole number of digits only, from text up to end. */
static bool parse_number(const char *text, const char *end, unsigned max, unsigned *out) {
    unsigned n = 0;
    if (text == end || end - text > 5)
        return false;
    for (; text < end; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        n = n * 10 + (unsigned)(*text - '0');
    }
    *out = n;
    return n <= max;
}

static const char *parse_user_info(const char *text, const char *end, struct redis_url *out) {
    const char *colon = memchr(text, ':', (size_t)(end - text));
    const char *user_end = colon ? colon : end;
    if (!decode(text, (size_t)(user_end - text), out->user, sizeof out->user) ||
        (colon && !decode(colon + 1, (size_t)(end - colon - 1), out->password, sizeof out->password)))
        return "has a user or a password that is not percent-encoded properly, or is too long";
    return NULL;
}

static const char *parse_host(const char *text, const char *end, struct redis_url *out) {
    bool bracket = *text == '[';
    text += bracket;
    const char *host_end = memchr(text, bracket ? ']' : ':', (size_t)(end - text));
    if (bracket && !host_end)
        return "has a bracket that is not closed";
    host_end = host_end ? host_end : end;
    size_t len = (size_t)(host_end - text);
    if (len == 0)
        return "has no host";
    if (len >= sizeof out->host)
        return "has a host that is too long";
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    if (check_host(out->host) || bracket != (strchr(out->host, ':') != NULL))
        return "has a host that is neither a name nor an address; an IPv6 address stands in brackets";
    const char *after = host_end + bracket;
    unsigned port = REDIS_PORT;
    if (after < end && (*after != ':' || !parse_number(after + 1, end, 65535, &port) || port == 0))
        return "has a port that is not a number from 1 to 65535";
    out->port = (uint16_t)port;
    return NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *out) {
    *out = (struct redis_url){0};
    if (!strncasecmp(text, "rediss://", 9))
        return "begins with rediss://: TLS to Redis is not supported yet, only redis://";
    if (strncasecmp(text, "redis://", 8) != 0)
        return "does not begin with redis://";
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return "holds a blank or a control character";
    text += 8;
    if (text[strcspn(text, "?#")])
        return "holds ? or #; what stands there has no meaning here";
    const char *end = text + strcspn(text, "/");
    const char *at = memrchr(text, '@', (size_t)(end - text));
    const char *wrong = at ? parse_user_info(text, at, out) : NULL;
    if (!wrong)
        wrong = parse_host(at ? at + 1 : text, end, out);
    if (wrong)
        return wrong;
    if (*end == '/' && end[1] && !parse_number(end + 1, end + strlen(end), REDIS_DB_MAX, &out->db))
        return "has a database that is not a number from 0 to 65535";
    return NULL;
}
