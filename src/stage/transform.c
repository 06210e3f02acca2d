/* Lua on whole messages. Control frames pass at once, even between the fragments of a message. */
#include <stdlib.h>

#include "base/log.h"
#include "protocol/frame.h"
#include "relay/message.h"
#include "script/script.h"
#include "stage/stages.h"

struct transform {
    struct stage stage;
    enum direction direction;
    struct chunk_set *set;      /* counted */
    struct script_chunk *chunk; /* for the message under way; NULL: the route has no transform, it streams through */
    struct assembler assembler;
};

/* A message begins: with the transform that the configuration has now. */
static int choose(struct transform *t) {
    struct session *s = t->stage.session;
    size_t script = s->route->transforms[t->direction];
    if (t->set != s->chunks) {
        chunk_set_unref(s->worker, t->set);
        t->set = chunk_set_ref(s->chunks);
    }
    t->chunk = script == PLAN_NO_SCRIPT ? NULL : t->set->items[script].chunk;
    struct script_env *env;
    return t->chunk ? session_script_env(s, &env) : MF_OK;
}

static void pass_whole(struct stage *stage, const struct fragment *like, uint8_t opcode, const struct buf *data) {
    struct fragment f = {.opcode = opcode, .fin = true, .frame_length = data->len, .first = true, .last = true,
                         .payload = data->data, .len = data->len, .direction = like->direction};
    stage_pass(stage, &f);
}

static void log_script_error(struct session *s, enum direction direction, const struct err *err) {
    char text[sizeof err->file + sizeof err->text + 16];
    metrics_inc(&s->worker->metrics, METRIC_ERRORS_SCRIPT);
    LOG_LIMITED(LOG_ERROR, "transform_failed", "connection=%s route=%s direction=%s error=%s on_error=%s",
                s->connection.id, log_quote(s->route->config->path),
                direction == FROM_CLIENT ? "incoming" : "outgoing", log_quote(err_format(err, text, sizeof text)),
                s->route->config->transform.on_error == TRANSFORM_DROP ? "drop" : "forward");
}

static void run(struct transform *t, struct fragment *f) {
    struct session *s = t->stage.session;
    struct buf *message = &t->assembler.data, *out = &s->worker->scratch_message;
    const struct script_message in = {
        .incoming = f->direction == FROM_CLIENT,
        .binary = t->assembler.opcode == WS_BINARY,
        .data = message->data,
        .len = message->len,
    };
    struct err err;
    bool binary = in.binary;
    uint64_t begin_us = worker_burst_us(s->worker);
    enum script_verdict verdict = script_transform(s->worker->vm, t->chunk, s->env, &in, out, &binary, &err);
    s->worker->burst_over = clock_mono_us() - begin_us >= WORKER_BURST_US;
    if (verdict == SCRIPT_ERROR) {
        log_script_error(s, t->direction, &err);
        verdict = s->route->config->transform.on_error == TRANSFORM_DROP ? SCRIPT_DROP : SCRIPT_UNCHANGED;
    }
    if (verdict == SCRIPT_REPLACED)
        pass_whole(&t->stage, f, binary ? WS_BINARY : WS_TEXT, out);
    else if (verdict == SCRIPT_UNCHANGED && f->raw && f->first && f->opcode != WS_CONTINUATION)
        stage_pass(&t->stage, f); /* it came in one piece: it goes on as it stands. A mock's may be in scratch_message */
    else if (verdict == SCRIPT_UNCHANGED)
        pass_whole(&t->stage, f, t->assembler.opcode, message);
}

static void on_fragment(struct stage *stage, struct fragment *f) {
    struct transform *t = container_of(stage, struct transform, stage);
    struct session *s = stage->session;
    if (ws_is_control(f->opcode)) {
        stage_pass(stage, f);
        return;
    }
    if (f->first && f->opcode != WS_CONTINUATION && choose(t) < 0) {
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a transform");
        return;
    }
    if (!t->chunk) {
        stage_pass(stage, f);
        return;
    }
    enum end_by by = f->direction == FROM_CLIENT ? END_BY_CLIENT : END_BY_UPSTREAM;
    uint64_t limit = f->direction == FROM_CLIENT ? s->route->assemble_limit : s->route->answer_limit;
    switch (assembler_add(&t->assembler, f, limit)) {
    case ASSEMBLED_NOT_YET:
        return;
    case ASSEMBLED_WHOLE:
        run(t, f);
        assembler_reset(&t->assembler);
        return;
    case ASSEMBLED_TOO_BIG:
        session_end(s, END_TOO_BIG, by, "message too big to be transformed");
        return;
    case ASSEMBLED_NO_MEMORY:
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a whole message");
        return;
    }
}

static void transform_free(struct stage *stage) {
    struct transform *t = container_of(stage, struct transform, stage);
    struct worker *w = stage->session->worker;
    chunk_set_unref(w, t->set);
    assembler_fini(&t->assembler);
    free(t);
}

static const struct stage_type transform_type = {
    .name = "transform", .on_fragment = on_fragment, .free = transform_free};

struct stage *transform_new(struct session *s, enum direction direction) {
    struct transform *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct transform){.stage = {.type = &transform_type, .session = s}, .direction = direction,
                            .set = chunk_set_ref(s->chunks)};
    return &t->stage;
}
