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

int plan_fail(struct plan_build *b, const char *key, int line, int column) {
    const struct route *r = b->route;
    err_place_to_text(b->err); /* another file's, such as a certificate's */
    if (r->config == &b->plan->default_route)
        err_prefix(b->err, "websocket.%s", key);
    else
        err_prefix(b->err, "websocket.handlers[%u].%s", r->index, key);
    err_at(b->err, line ? b->plan->config->source : NULL, line, column);
    return (int)b->err->code;
}

static int fail_text(struct plan_build *b, const char *key, const struct config_text *at) {
    return plan_fail(b, key, at->line, at->column);
}

static int compile_template(struct plan_build *b, const char *key, const struct config_text *text, struct template **out) {
    if (template_compile(text->text, out, b->err) == MF_OK)
        return MF_OK;
    b->err->line = b->err->column = 0; /* a place inside the text means little */
    return fail_text(b, key, text);
}

static int compile_upstream(struct plan_build *b, struct route *r) {
    const struct route_config *c = r->config;
    if (url_parse(&r->url, c->upstream.text, b->err) < 0)
        return fail_text(b, "upstream", &c->upstream);
    r->authority = url_authority(&r->url);
    r->header_values = calloc(c->headers_count + 1, sizeof *r->header_values);
    if (!r->authority || !r->header_values)
        return err_set(b->err, MF_ENOMEM, "out of memory");
    for (size_t i = 0; i < c->headers_count; i++) {
        char key[128];
        snprintf(key, sizeof key, "on_connect.headers.%s", c->headers[i].name);
        if (compile_template(b, key, &c->headers[i].value, &r->header_values[i]) < 0)
            return MF_EINVAL;
    }
    if (r->url.tls && tls_client_context(&c->upstream_tls, &r->tls, b->err) < 0)
        return fail_text(b, "upstream_tls", &c->upstream);
    return MF_OK;
}

static int compile_transforms(struct plan_build *b, struct route *r) {
    const struct transform_config *c = &r->config->transform;
    int rc = plan_add_script(b, "transform.incoming", PLAN_CHUNK, &c->incoming, &r->transforms[FROM_CLIENT]);
    return rc < 0 ? rc : plan_add_script(b, "transform.outgoing", PLAN_CHUNK, &c->outgoing, &r->transforms[TO_CLIENT]);
}

/* ---- recording ---- */

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

/* websocket.record.path counts for many routes, and stands in the file once. */
static int fail_record_path(struct plan_build *b) {
    const struct config_text *text = &b->route->config->record.path;
    if (text->text != b->plan->config->websocket.record.path.text)
        return fail_text(b, "record.path", text);
    err_place_to_text(b->err);
    err_prefix(b->err, "websocket.record.path");
    err_at(b->err, text->line ? b->plan->config->source : NULL, text->line, text->column);
    return (int)b->err->code;
}

static int compile_record_path(struct plan_build *b, struct route *r) {
    struct buf path = BUF_INIT;
    enum session_form form;
    int rc = template_compile(r->config->record.path.text, &r->record_path, b->err);
    if (rc < 0) {
        b->err->line = b->err->column = 0;
        return fail_record_path(b);
    }
    rc = render_record_path(r, &path) < 0 ? err_set(b->err, MF_ENOMEM, "out of memory")
                                          : session_form_of(buf_cstr(&path), &form, b->err);
    if (rc < 0)
        rc = fail_record_path(b);
    buf_fini(&path);
    return rc;
}

static int compile_recording(struct plan_build *b, struct route *r) {
    const struct record_config *c = &r->config->record;
    const struct redact_rules rules = {.defaults = c->redact_defaults,
                                       .headers = c->redact_headers,
                                       .headers_count = c->redact_headers_count,
                                       .query = c->redact_query,
                                       .query_count = c->redact_query_count,
                                       .json = c->redact_json,
                                       .json_count = c->redact_json_count};
    int rc = redactor_new(&rules, &r->redactor, b->err);
    if (rc < 0) {
        err_prefix(b->err, "record.redact");
        err_at(b->err, b->plan->config->source, r->config->line, r->config->column);
        return rc;
    }
    return compile_record_path(b, r);
}

/* An error that can be told at the start is told at the start: the directory of a path that the template makes. */
static int check_recording(struct plan_build *b) {
    const struct route *r = b->route;
    if (!r->record_path)
        return MF_OK;
    struct buf path = BUF_INIT;
    int rc = render_record_path(r, &path);
    rc = rc < 0 ? err_set(b->err, MF_ENOMEM, "out of memory") : recorder_check_path(buf_cstr(&path), b->err);
    if (rc < 0)
        rc = fail_record_path(b);
    buf_fini(&path);
    return rc;
}

/* ---- routes ---- */

static int compile_route(struct plan_build *b, struct route *r) {
    const struct route_config *c = r->config;
    bool relay = c->type == HANDLER_PROXY, dials = c->upstream.text != NULL;
    uint64_t general = b->plan->config->websocket.max_message_size;
    r->max_message_size = c->max_message_size ? c->max_message_size : relay ? 0 : general;
    r->assemble_limit = r->max_message_size ? r->max_message_size : ASSEMBLE_DEFAULT;
    r->answer_limit = relay ? r->assemble_limit : ASSEMBLE_DEFAULT; /* max_message_size is about what mocks take */
    if (dials && compile_upstream(b, r) < 0)
        return MF_EINVAL;
    if (compile_transforms(b, r) < 0)
        return MF_EINVAL;
    int rc = r->endpoint->compile ? r->endpoint->compile(b, r) : MF_OK;
    if (rc < 0)
        return rc;
    return c->record.enabled ? compile_recording(b, r) : MF_OK;
}

int plan_check_recordings(struct plan *p, struct err *err) {
    struct plan_build b = {.plan = p, .err = err};
    for (size_t i = 0; i < p->count; i++) {
        b.route = &p->routes[i];
        if (check_recording(&b) < 0)
            return MF_EIO;
    }
    return MF_OK;
}

static void route_fini(struct route *r) {
    url_fini(&r->url);
    free(r->authority);
    SSL_CTX_free(r->tls);
    for (size_t i = 0; r->header_values && i < r->config->headers_count; i++)
        template_free(r->header_values[i]);
    free(r->header_values);
    template_free(r->record_path);
    redactor_unref(r->redactor);
    if (r->program)
        r->endpoint->release(r);
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

static int compile_all(struct plan *p, endpoint_choose_fn choose, struct err *err) {
    const struct websocket_config *ws = &p->config->websocket;
    const struct script_limits limits = {ws->script.max_memory, ws->script.max_instructions, ws->script.max_ms};
    struct rng rng;
    struct plan_build build = {.plan = p, .err = err};
    rng_init(&rng, 0);
    int rc = script_vm_new(&limits, &rng, &build.vm, err);
    for (size_t i = 0; rc == MF_OK && i <= ws->routes_count; i++) {
        const struct route_config *c = i < ws->routes_count ? &ws->routes[i] : default_route(p);
        if (!c)
            break;
        struct route *r = &p->routes[p->count++];
        *r = (struct route){.config = c, .index = (unsigned)i, .endpoint = choose(c),
                            .transforms = {PLAN_NO_SCRIPT, PLAN_NO_SCRIPT}};
        build.route = r;
        rc = compile_route(&build, r);
    }
    script_vm_free(build.vm);
    return rc;
}

int plan_new(struct config *config, endpoint_choose_fn choose, struct plan **out, struct err *err) {
    struct plan *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, MF_ENOMEM, "out of memory");
    atomic_init(&p->refs, 1);
    p->config = config_ref(config);
    p->routes = calloc(config->websocket.routes_count + 1, sizeof *p->routes);
    int rc = p->routes ? compile_all(p, choose, err) : err_set(err, MF_ENOMEM, "out of memory");
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
    for (size_t i = 0; i < p->script_count; i++) {
        free(p->scripts[i].text);
        free(p->scripts[i].name);
    }
    free(p->scripts);
    config_unref(p->config);
    free(p);
}
