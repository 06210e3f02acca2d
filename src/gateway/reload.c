#include "gateway/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/watch.h"
#include "handler/handlers.h"

struct reloader {
    const struct config_input *input;
    void (*apply)(struct plan *plan, void *arg);
    void *arg;
    struct config *running; /* what the sockets and threads were made from; counted */
    struct config_watch *watch; /* NULL: hot_reload is off */
    struct event *event;
};

static bool is_same_text(const char *a, const char *b) {
    return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same_admin(const struct admin_config *a, const struct admin_config *b) {
    return a->enabled == b->enabled && a->port == b->port && is_same_text(a->host, b->host) &&
           is_same_text(a->token, b->token);
}

static bool is_same_store(const struct shared_state_config *a, const struct shared_state_config *b) {
    return a->enabled == b->enabled && a->timeout_ms == b->timeout_ms && is_same_text(a->redis_url, b->redis_url) &&
           is_same_text(a->prefix, b->prefix);
}

/* What a reload cannot change, because sockets and threads hang on it. */
static void warn_of_restart(const struct config *was, const struct config *now) {
    const struct websocket_config *a = &was->websocket, *b = &now->websocket;
    if (strcmp(a->host, b->host) != 0 || a->port != b->port || a->workers != b->workers ||
        a->tls.enabled != b->tls.enabled)
        log_warn("reload_incomplete", "why=%s", "\"websocket.host, port, workers and tls take effect at the next start\"");
    if (!is_same_store(&a->shared_state, &b->shared_state))
        log_warn("reload_incomplete", "why=%s", "\"websocket.shared_state takes effect at the next start\"");
    if (!is_same_admin(&was->admin, &now->admin))
        log_warn("reload_incomplete", "why=%s", "\"admin takes effect at the next start\"");
}

static void watch_file(struct reloader *r, const char *file) {
    struct err err;
    if (file && config_watch_add(r->watch, file, &err) < 0)
        log_warn("watch_failed", "file=%s why=%s", log_quote(file), log_quote(err.text));
}

static void watch_plan(struct reloader *r, const struct plan *p) {
    if (!r->watch)
        return;
    config_watch_clear(r->watch);
    watch_file(r, p->config->source);
    for (size_t i = 0; i < p->script_count; i++)
        if (p->scripts[i].is_file)
            watch_file(r, p->scripts[i].name);
    for (size_t i = 0; i < p->count; i++)
        if (p->routes[i].config->type == HANDLER_REPLAY)
            watch_file(r, p->routes[i].config->input.text);
}

void reloader_reload(struct reloader *r) {
    struct config *config = NULL;
    struct plan *plan = NULL;
    struct err err;
    int rc = config_load(r->input, &config, &err);
    /* A file that is being saved is empty for a moment: that must not take every route away. */
    if (rc == MF_OK && !config->websocket.enabled)
        rc = err_set_at(&err, MF_EINVAL, r->input->file, 0, 0, "no websocket section, or it is disabled");
    if (rc == MF_OK)
        rc = plan_new(config, handler_endpoint, &plan, &err);
    if (rc == MF_OK)
        rc = plan_check_recordings(plan, &err);
    if (rc != MF_OK) {
        char text[sizeof err.file + sizeof err.text + 32];
        log_error("reload_refused", "error=%s", log_quote(err_format(&err, text, sizeof text)));
        plan_unref(plan);
    } else {
        warn_of_restart(r->running, config);
        watch_plan(r, plan);
        r->apply(plan, r->arg);
    }
    config_unref(config);
}

static void on_change(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct reloader *r = arg;
    if (config_watch_changed(r->watch))
        reloader_reload(r);
}

int reloader_new(struct event_base *base, const struct config_input *input, const struct plan *first,
                 void (*apply)(struct plan *plan, void *arg), void *arg, struct reloader **out, struct err *err) {
    struct reloader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    *r = (struct reloader){.input = input, .apply = apply, .arg = arg, .running = config_ref(first->config)};
    int rc = MF_OK;
    if (first->config->websocket.hot_reload && (rc = config_watch_new(&r->watch, err)) == MF_OK) {
        r->event = event_new(base, config_watch_fd(r->watch), EV_READ | EV_PERSIST, on_change, r);
        if (!r->event || event_add(r->event, NULL) < 0)
            rc = err_set(err, MF_ENOMEM, "out of memory");
        watch_plan(r, first);
    }
    if (rc < 0) {
        reloader_free(r);
        return rc;
    }
    *out = r;
    return MF_OK;
}

void reloader_free(struct reloader *r) {
    if (!r)
        return;
    if (r->event)
        event_free(r->event);
    config_watch_free(r->watch);
    config_unref(r->running);
    free(r);
}
