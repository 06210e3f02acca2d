#include "relay/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/tls.h"
#include "recording/convert.h"
#include "recording/recorder.h"
#include "script/script.h"

/* What a stage may assemble on a relay that sets no max_message_size. */
#define ASSEMBLE_DEFAULT (16u << 20)
#define SCRIPT_FILE_MAX (1u << 20)

/* ---- paths ---- */

bool route_path_matches(const char *pattern, const char *path, const char **suffix) {
    for (;;) {
        if (!strcmp(pattern, "/**")) { /* "/a/STARSTAR" stands for "/a" too */
            *suffix = path;
            return *path == '\0' || *path == '/';
        }
        if (pattern[0] == '/' && pattern[1] == '*' && (pattern[2] == '/' || pattern[2] == '\0')) {
            if (path[0] != '/' || path[1] == '/' || path[1] == '\0')
                return false;
            path += 1 + strcspn(path + 1, "/");
            pattern += 2;
            continue;
        }
        if (*pattern != *path)
            return false;
        if (*pattern == '\0') {
            *suffix = path;
            return true;
        }
        pattern++;
        path++;
    }
}

const struct route *plan_find(const struct plan *p, const char *path, const char **suffix) {
    for (size_t i = 0; i < p->count; i++) {
        const struct route *r = &p->routes[i];
        MUST(r->config);
        if (route_path_matches(r->config->path, path, suffix))
            return r;
    }
    return NULL;
}

/* ---- compiling ---- */

/* Where in the configuration the error is: its key, and the file's place of `at`, which --set and the environment have
 * none of. `key` is below the handler, or below `websocket` for what is not a handler's own. */
static int key_error(const struct plan *p, const struct route *r, const char *key, const struct config_text *at,
                     struct err *err) {
    err_place_to_text(err); /* another file's, such as a certificate's */
    if (r->config == &p->default_route || at->text == p->config->websocket.record.path.text)
        err_prefix(err, "websocket.%s", key);
    else
        err_prefix(err, "websocket.handlers[%u].%s", r->index, key);
    err_at(err, at->line ? p->config->source : NULL, at->line, at->column);
    return (int)err->code;
}

static int compile_template(const struct plan *p, const struct route *r, const char *key, const struct config_text *text,
                            struct template **out, struct err *err) {
    if (template_compile(text->text, out, err) == MF_OK)
        return MF_OK;
    err->line = err->column = 0; /* a place inside the text means little */
    return key_error(p, r, key, text, err);
}

static char *read_file(const char *path, size_t *len, struct err *err) {
    FILE *f = fopen(path, "re");
    if (!f) {
        err_set(err, MF_EIO, "cannot read the Lua file \"%s\": %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(SCRIPT_FILE_MAX + 1);
    size_t n = text ? fread(text, 1, SCRIPT_FILE_MAX + 1, f) : 0;
    bool failed = !text || ferror(f) || n > SCRIPT_FILE_MAX;
    fclose(f);
    if (failed) {
        err_set(err, MF_EIO, "cannot read the Lua file \"%s\": %s", path,
                n > SCRIPT_FILE_MAX ? "it is larger than 1 MiB" : strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *len = n;
    return text;
}

static bool is_lua_path(const char *text) {
    size_t n = strlen(text);
    return n > 4 && !strcmp(text + n - 4, ".lua") && !strchr(text, '\n');
}

static int load_transform(const struct plan *p, const struct route *r, const char *key, const struct config_text *text,
                          struct transform_source *out, struct script_vm *vm, struct err *err) {
    if (!text->text)
        return MF_OK;
    if (is_lua_path(text->text)) {
        out->text = read_file(text->text, &out->len, err);
        if (!out->text)
            return key_error(p, r, key, text, err);
        out->name = strdup(text->text);
        out->first_line = 1;
    } else {
        out->text = strdup(text->text);
        out->len = out->text ? strlen(out->text) : 0;
        out->name = strdup(p->config->source ? p->config->source : "transform");
        out->first_line = text->line ? text->line : 1;
    }
    if (!out->text || !out->name)
        return err_set(err, MF_ENOMEM, "out of memory");
    struct script_chunk *chunk;
    int rc = script_compile(vm, out->text, out->len, out->name, out->first_line, &chunk, err);
    if (rc == MF_OK)
        script_chunk_free(vm, chunk);
    else /* the place is the line in the script */
        err_prefix(err, "websocket.handlers[%u].%s: Lua is wanted (docs/lua.md)", r->index, key);
    return rc;
}

static int compile_relay(const struct plan *p, struct route *r, struct script_vm *vm, struct err *err) {
    const struct route_config *c = r->config;
    if (url_parse(&r->url, c->upstream.text, err) < 0)
        return key_error(p, r, "upstream", &c->upstream, err);
    r->authority = url_authority(&r->url);
    r->header_values = calloc(c->headers_count + 1, sizeof *r->header_values);
    if (!r->authority || !r->header_values)
        return err_set(err, MF_ENOMEM, "out of memory");
    for (size_t i = 0; i < c->headers_count; i++) {
        char key[128];
        snprintf(key, sizeof key, "on_connect.headers.%s", c->headers[i].name);
        if (compile_template(p, r, key, &c->headers[i].value, &r->header_values[i], err) < 0)
            return MF_EINVAL;
    }
    if (r->url.tls && tls_client_context(&c->upstream_tls, &r->tls, err) < 0)
        return key_error(p, r, "upstream_tls", &c->upstream, err);
    int rc = load_transform(p, r, "transform.incoming", &c->transform.incoming, &r->transforms[FROM_CLIENT], vm, err);
    return rc < 0 ? rc
                  : load_transform(p, r, "transform.outgoing", &c->transform.outgoing, &r->transforms[TO_CLIENT], vm, err);
}

/* The path that a connection without any headers or query would get. */
static int render_record_path(const struct route *r, struct buf *out) {
    struct connection nobody;
    struct rng rng;
    connection_init(&nobody, 0);
    rng_init(&rng, 0);
    const struct template_context ctx = {.connection = &nobody, .rng = &rng};
    int rc = template_render(r->record_path, &ctx, out);
    connection_fini(&nobody);
    return rc;
}

static int compile_record_path(const struct plan *p, struct route *r, struct err *err) {
    const struct config_text *text = &r->config->record.path;
    int rc = compile_template(p, r, "record.path", text, &r->record_path, err);
    if (rc < 0)
        return rc;
    struct buf path = BUF_INIT;
    enum session_form form;
    rc = render_record_path(r, &path) < 0 ? err_set(err, MF_ENOMEM, "out of memory")
                                          : session_form_of(buf_cstr(&path), &form, err);
    if (rc < 0)
        rc = key_error(p, r, "record.path", text, err);
    buf_fini(&path);
    return rc;
}

/* An error that can be told at the start is told at the start: the directory of a path that the template makes. */
static int check_recording(const struct plan *p, const struct route *r, struct err *err) {
    if (!r->record_path)
        return MF_OK;
    struct buf path = BUF_INIT;
    int rc = render_record_path(r, &path);
    rc = rc < 0 ? err_set(err, MF_ENOMEM, "out of memory") : recorder_check_path(buf_cstr(&path), err);
    if (rc < 0)
        rc = key_error(p, r, "record.path", &r->config->record.path, err);
    buf_fini(&path);
    return rc;
}

static int compile_recording(const struct plan *p, struct route *r, struct err *err) {
    const struct record_config *c = &r->config->record;
    const struct redact_rules rules = {.defaults = c->redact_defaults,
                                       .headers = c->redact_headers,
                                       .headers_count = c->redact_headers_count,
                                       .query = c->redact_query,
                                       .query_count = c->redact_query_count,
                                       .json = c->redact_json,
                                       .json_count = c->redact_json_count};
    int rc = redactor_new(&rules, &r->redactor, err);
    if (rc < 0) {
        err_prefix(err, "record.redact");
        err_at(err, p->config->source, r->config->line, r->config->column);
        return rc;
    }
    return compile_record_path(p, r, err);
}

static int compile_route(const struct plan *p, struct route *r, struct script_vm *vm, struct err *err) {
    const struct route_config *c = r->config;
    bool relay = c->type == HANDLER_PROXY;
    uint64_t general = p->config->websocket.max_message_size;
    r->max_message_size = c->max_message_size ? c->max_message_size : relay ? 0 : general;
    r->assemble_limit = r->max_message_size ? r->max_message_size : ASSEMBLE_DEFAULT;
    if (relay && compile_relay(p, r, vm, err) < 0)
        return MF_EINVAL;
    return c->record.enabled ? compile_recording(p, r, err) : MF_OK;
}

int plan_check_recordings(const struct plan *p, struct err *err) {
    for (size_t i = 0; i < p->count; i++)
        if (check_recording(p, &p->routes[i], err) < 0)
            return MF_EIO;
    return MF_OK;
}

static void route_fini(struct route *r) {
    url_fini(&r->url);
    free(r->authority);
    SSL_CTX_free(r->tls);
    for (size_t i = 0; r->header_values && i < r->config->headers_count; i++)
        template_free(r->header_values[i]);
    free(r->header_values);
    for (size_t i = 0; i < ARRAY_LEN(r->transforms); i++) {
        free(r->transforms[i].text);
        free(r->transforms[i].name);
    }
    template_free(r->record_path);
    redactor_unref(r->redactor);
}

/* websocket.path answers pings and echoes, unless a handler has that path. */
static const struct route_config *default_route(struct plan *p) {
    const struct websocket_config *ws = &p->config->websocket;
    const char *suffix;
    if (plan_find(p, ws->path, &suffix))
        return NULL;
    p->default_route = (struct route_config){.path = ws->path, .type = HANDLER_DEFAULT, .record = ws->record};
    return &p->default_route;
}

static int compile_all(struct plan *p, const struct endpoint_type *const *endpoints, struct err *err) {
    const struct websocket_config *ws = &p->config->websocket;
    const struct script_limits limits = {ws->script.max_memory, ws->script.max_instructions, ws->script.max_ms};
    struct rng rng;
    struct script_vm *vm = NULL;
    rng_init(&rng, 0);
    int rc = script_vm_new(&limits, &rng, &vm, err);
    for (size_t i = 0; rc == MF_OK && i <= ws->routes_count; i++) {
        const struct route_config *c = i < ws->routes_count ? &ws->routes[i] : default_route(p);
        if (!c)
            break;
        struct route *r = &p->routes[p->count++];
        *r = (struct route){.config = c, .index = (unsigned)i, .endpoint = endpoints[c->type]};
        rc = compile_route(p, r, vm, err);
    }
    script_vm_free(vm);
    return rc;
}

int plan_new(struct config *config, const struct endpoint_type *const *endpoints, struct plan **out, struct err *err) {
    struct plan *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, MF_ENOMEM, "out of memory");
    atomic_init(&p->refs, 1);
    p->config = config_ref(config);
    p->routes = calloc(config->websocket.routes_count + 1, sizeof *p->routes);
    int rc = p->routes ? compile_all(p, endpoints, err) : err_set(err, MF_ENOMEM, "out of memory");
    if (rc < 0) {
        plan_unref(p);
        return rc;
    }
    *out = p;
    return MF_OK;
}

struct plan *plan_ref(struct plan *p) {
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void plan_unref(struct plan *p) {
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    for (size_t i = 0; i < p->count; i++)
        route_fini(&p->routes[i]);
    free(p->routes);
    config_unref(p->config);
    free(p);
}
