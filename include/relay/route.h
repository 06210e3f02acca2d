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

/* A piece of Lua that a route uses. Each worker compiles it into a state of its own (struct chunk_set). */
enum plan_script_kind {
    PLAN_CHUNK,
    PLAN_EXPRESSION, /* a `when:` guard */
    PLAN_MODULE,     /* a `script_file:` that may return its handlers */
};
struct plan_script {
    enum plan_script_kind kind;
    char *text;
    size_t len;
    char *name; /* for errors: the configuration's name or the .lua file's */
    bool is_file;
    int first_line;
};
#define PLAN_NO_SCRIPT SIZE_MAX

struct route {
    const struct route_config *config;
    unsigned index;
    const struct endpoint_type *endpoint;
    uint64_t max_message_size; /* of a client's and an upstream's message; 0: any (a relay) */
    uint64_t assemble_limit;   /* of a client's message that a stage or a mock must have whole */
    uint64_t answer_limit;     /* of a message to the client that a stage must have whole */
    /* relay, and a replay with an upstream */
    struct url url;
    char *authority;
    SSL_CTX *tls; /* wss */
    struct template **header_values; /* beside config->headers */
    size_t transforms[2]; /* by enum direction: a number in plan->scripts, or PLAN_NO_SCRIPT */
    /* recording */
    struct template *record_path; /* NULL: not recorded */
    struct redactor *redactor;    /* NULL: not recorded */
    void *program; /* the endpoint type's own: what its compile() made of the configuration, and its release() frees */
};

struct plan {
    atomic_int refs;
    struct config *config;
    struct route_config default_route; /* websocket.path, unless a handler has it; borrows the configuration's strings */
    struct route *routes;
    size_t count;
    struct plan_script *scripts; /* of all routes */
    size_t script_count, script_cap;
    bool needs_lua; /* without scripts of its own: for connections' state */
};

/* A plan while it is made. */
struct plan_build {
    struct plan *plan;
    struct route *route;  /* that is compiled now */
    struct script_vm *vm; /* a throwaway one: what does not compile is refused at once */
    struct err *err;
};
/* For endpoint_type.compile; `key` is the option's, below the handler, for the error.
 * Adds Lua text, or the .lua file that it names, to the plan. text->text NULL: PLAN_NO_SCRIPT. Blocks on the file. */
MF_MUSTCHECK int plan_add_script(struct plan_build *b, const char *key, enum plan_script_kind kind,
                                 const struct config_text *text, size_t *out);
/* err's text is about this key, at this place in the file (line 0: it does not stand there). Returns err's code. */
int plan_fail(struct plan_build *b, const char *key, int line, int column);

typedef const struct endpoint_type *(*endpoint_choose_fn)(const struct route_config *route);
/* Compiles templates, URLs, TLS contexts, and what each endpoint needs; checks Lua in a throwaway state. Blocks on
 * files. On failure err has the place. */
MF_MUSTCHECK int plan_new(struct config *config, endpoint_choose_fn choose, struct plan **out,
                          struct err *err);
/* Can recordings be made where the routes want them? Makes their directories. */
MF_MUSTCHECK int plan_check_recordings(struct plan *p, struct err *err);
struct plan *plan_ref(struct plan *p);
void plan_unref(struct plan *p);

/* The route for a request path; NULL: none. *suffix is what "**" stood for ("" without one), borrowed from path. */
const struct route *plan_find(const struct plan *p, const char *path, const char **suffix);
/* "/a/b" matches "/a/b", "/a/STAR", "/STARSTAR"; STAR is one whole segment, STARSTAR the rest, even nothing. */
bool route_path_matches(const char *pattern, const char *path, const char **suffix);

#endif
