#include <fnmatch.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "stage/stages.h"

void chain_push(struct session *s, enum direction direction, struct stage *stage) {
    stage->next = s->chains[direction];
    stage->session = s;
    s->chains[direction] = stage;
}

static int push(struct session *s, enum direction direction, struct stage *stage) {
    if (!stage)
        return MF_ENOMEM;
    chain_push(s, direction, stage);
    return MF_OK;
}

/* ---- recording ---- */

static bool is_recorded(const struct session *s) {
    const struct record_config *c = &s->route->config->record;
    return s->route->record_path && (!c->path_filter || fnmatch(c->path_filter, s->connection.path, 0) == 0);
}

/* A recording that cannot be begun does not keep a client from its API, unless on_error says so. */
static int recording_failed(struct session *s, const char *why) {
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_RECORDING);
    LOG_LIMITED(LOG_ERROR, "recording_failed", "connection=%s why=%s", s->connection.id, log_quote(why));
    return s->route->config->record.on_error == RECORD_ERROR_CLOSE ? MF_EIO : MF_OK;
}

static int join_recording(struct session *s) {
    struct worker *w = s->worker;
    const struct template_context ctx = {.connection = &s->connection,
                                         .rng = &w->rng,
                                         .file_name = true,
                                         .connection_count = atomic_load(&w->shared->open)};
    struct buf path = BUF_INIT;
    struct recording *recording = NULL;
    struct err err;
    int rc = template_render(s->route->record_path, &ctx, &path);
    if (rc == MF_OK)
        rc = recorder_open(w->recorder, buf_cstr(&path), &s->route->config->record, &recording, &err);
    else
        err_set(&err, MF_ENOMEM, "out of memory");
    buf_fini(&path);
    if (rc < 0)
        return recording_failed(s, err.text);
    const struct capture_open info = {
        .connection = &s->connection,
        .upstream = s->route->config->upstream.text,
        .response_headers = s->response_fields,
        .config = &s->route->config->record,
        .redactor = s->route->redactor,
        .time_us = clock_mono_us(),
    };
    rc = capture_open(w->port, recording, &info, &s->capture);
    recording_unref(recording);
    return rc < 0 ? recording_failed(s, "the recorder took no connection") : MF_OK;
}

static int push_taps(struct session *s, enum event_leg leg) {
    if (push(s, FROM_CLIENT, tap_new(s, leg)) < 0 || push(s, TO_CLIENT, tap_new(s, leg)) < 0)
        return MF_ENOMEM;
    return MF_OK;
}

static bool leg_recorded(const struct session *s, enum record_leg leg) {
    enum record_leg wanted = s->route->config->record.leg;
    return s->capture && (wanted == leg || wanted == RECORD_LEG_BOTH);
}

/* ---- transforms ---- */

/* A relay may get one with a reload. */
static int push_transform(struct session *s, enum direction direction) {
    bool wanted = s->route->config->type == HANDLER_PROXY || s->route->transforms[direction] != PLAN_NO_SCRIPT;
    return wanted ? push(s, direction, transform_new(s, direction)) : MF_OK;
}

int chains_build(struct session *s) {
    if (is_recorded(s)) {
        int rc = join_recording(s);
        if (rc < 0)
            return rc;
    }
    /* Each push goes to the front, so what stands last is pushed first. */
    bool client = leg_recorded(s, RECORD_LEG_CLIENT), upstream = leg_recorded(s, RECORD_LEG_UPSTREAM);
    int rc = MF_OK;
    if (upstream)
        rc = push(s, FROM_CLIENT, tap_new(s, EVENT_LEG_UPSTREAM));
    if (rc == MF_OK)
        rc = push_transform(s, FROM_CLIENT);
    if (rc == MF_OK && client)
        rc = push_taps(s, EVENT_LEG_CLIENT);
    s->client_door = s->chains[TO_CLIENT];
    if (rc == MF_OK)
        rc = push_transform(s, TO_CLIENT);
    if (rc == MF_OK && upstream)
        rc = push(s, TO_CLIENT, tap_new(s, EVENT_LEG_UPSTREAM));
    return rc;
}
