/* ws:// and wss:// URLs (RFC 6455 section 3, RFC 3986). Thread: any. */
#ifndef MF_PROTOCOL_URL_H
#define MF_PROTOCOL_URL_H

#include "base/err.h"

struct url {
    bool tls;      /* wss: or https: */
    char *host;    /* lower case; an IPv6 literal without its brackets */
    uint16_t port; /* 80 or 443 when the URL names none */
    char *path;    /* "/" at least; with its leading slash, not decoded */
    char *query;   /* without '?', or NULL */
};

/* Accepts ws, wss, http, https. Refused with a reason: other schemes, user info, fragments, empty hosts, bad ports,
 * bytes that need escaping. */
MF_MUSTCHECK int url_parse(struct url *u, const char *text, struct err *err);
void url_fini(struct url *u);
/* "host" or "host:port" as a Host field wants it (default port left out, IPv6 in brackets). malloc'd. */
char *url_authority(const struct url *u);

#endif
