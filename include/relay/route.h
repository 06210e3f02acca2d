/* Routes: the configuration compiled for use. A plan is an immutable counted snapshot like the configuration under it;
 * sessions keep the one they began with. Any thread may hold a reference. */
#ifndef MF_RELAY_ROUTE_H
#define MF_RELAY_ROUTE_H

#include <openssl/ssl.h>

#include "config/config.h"
#include "protocol/url.h"
#include "recording/redact.h"
#include "relay/endpoint.h"
#include "template/template.h"

struct transform_source {
    char *text; /* NULL: none */
    size_t len;
    char *name; /* for errors: the configuration's name or the .lua file's */
    int first_line;
};

struct route {
    const struct route_config *config;
    unsigned index;
    const struct endpoint_type *endpoint;
    uint64_t max_message_size; /* of a client's and an upstream's message; 0: any (a relay) */
    uint64_t assemble_limit;   /* of a message that a stage must have whole */
    /* relay */
    struct url url;
    char *authority;
    SSL_CTX *tls; /* wss */
    struct template **header_values; /* beside config->headers */
    struct transform_source transforms[2]; /* by enum direction */
    /* recording */
    struct template *record_path; /* NULL: not recorded */
    struct redactor *redactor;    /* NULL: not recorded */
};

struct plan {
    atomic_int refs;
    struct config *config;
    struct route_config default_route; /* websocket.path, unless a handler has it; borrows the configuration's strings */
    struct route *routes;
    size_t count;
};

/* Compiles templates, URLs, TLS contexts; checks transforms in a throwaway Lua state. `endpoints` is indexed by enum
 * handler_type. Blocks on files. On failure err has the place. */
MF_MUSTCHECK int plan_new(struct config *config, const struct endpoint_type *const *endpoints, struct plan **out,
                          struct err *err);
/* Can recordings be made where the routes want them? Makes their directories. */
MF_MUSTCHECK int plan_check_recordings(const struct plan *p, struct err *err);
struct plan *plan_ref(struct plan *p);
void plan_unref(struct plan *p);

/* The route for a request path; NULL: none. *suffix is what "**" stood for ("" without one), borrowed from path. */
const struct route *plan_find(const struct plan *p, const char *path, const char **suffix);
/* "/a/b" matches "/a/b", "/a/STAR", "/STARSTAR"; STAR is one whole segment, STARSTAR the rest, even nothing. */
bool route_path_matches(const char *pattern, const char *path, const char **suffix);

#endif
