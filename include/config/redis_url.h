/* redis:// URLs, as `shared_state.redis_url` has them:
 *
 *     redis://[[user][:password]@]host[:port][/db]
 *
 * User and password may be percent-encoded (RFC 3986 section 2.1); an IPv6 address stands in brackets. What goes beyond
 * that is refused: rediss:// (TLS), a query, a fragment. Owns nothing. Thread: any. */
#ifndef MF_CONFIG_REDIS_URL_H
#define MF_CONFIG_REDIS_URL_H

#include "base/defs.h"

#define REDIS_PORT 6379
#define REDIS_DB_MAX 65535

struct redis_url {
    char host[256];     /* without brackets */
    uint16_t port;      /* 1..65535; 6379 when the URL names none */
    unsigned db;        /* 0..REDIS_DB_MAX; 0 when the URL names none */
    char user[256];     /* decoded; "": none was given, which Redis calls "default" */
    char password[512]; /* decoded; "": none was given */
};

/* NULL: *out is filled. Otherwise what is wrong with the text, for a sentence that begins with it; it quotes nothing,
 * because the text may hold a password. */
const char *redis_url_parse(const char *text, struct redis_url *out);

#endif
