/* Sending: a piece becomes a message, a message reaches those who are to hear it. */
#include <string.h>

#include "base/log.h"
#include "handler/stub.h"

void stub_send(struct stub *st, bool binary, const void *data, size_t len) {
    session_push(stub_session(st), binary, data, len, NULL);
}

/* Renders into the worker's scratch buffer, or borrows what never changes. false: it was logged. */
static bool make(struct stub *st, const struct piece *p, struct moment *m, const void **data, size_t *len) {
    struct session *s = stub_session(st);
    struct buf *out = &s->worker->scratch_message;
    struct stub_values values;
    struct template_context ctx;
    if (p->kind == PIECE_BYTES || p->kind == PIECE_VERBATIM) {
        *data = p->bytes.data;
        *len = p->bytes.len;
        return true;
    }
    moment_context(st, m, &values, &ctx);
    buf_reset(out);
    int rc = p->kind == PIECE_TEXT ? template_render(p->text, &ctx, out) : json_template_render(p->json, &ctx, out);
    if (rc < 0) {
        LOG_LIMITED(LOG_ERROR, "answer_failed", "connection=%s route=%s why=%s", s->connection.id,
                    log_quote(s->route->config->path),
                    rc == MF_ELIMIT ? "\"the answer is over 16 MiB\"" : "\"out of memory\"");
        return false;
    }
    *data = out->data;
    *len = out->len;
    return true;
}

void stub_send_pieces(struct stub *st, const struct pieces *pieces, struct moment *m) {
    const void *data;
    size_t len;
    for (size_t i = 0; i < pieces->count && stub_session(st)->state <= SESSION_CLOSING; i++)
        if (make(st, &pieces->items[i], m, &data, &len))
            stub_send(st, pieces->items[i].kind == PIECE_BYTES, data, len);
}

/* ---- to others ---- */

/* A name may hold any byte: its length stands before it. */
static void add_name(void *arg, const char *room, size_t len) {
    buf_append(arg, &len, sizeof len);
    buf_append(arg, room, len);
}

/* Names first: a publish may end the sender's own session, and with it its list of rooms. */
static void publish_to_rooms(struct session *s, struct hub_message *message) {
    struct hub *hub = s->worker->hub;
    struct buf names = BUF_INIT;
    hub_rooms_of(s, add_name, &names);
    for (size_t at = 0, len; at < names.len && !names.failed; at += len) {
        memcpy(&len, names.data + at, sizeof len);
        at += sizeof len;
        const struct hub_target to = {HUB_ROOM, (const char *)names.data + at, len};
        hub_publish(hub, &to, message);
    }
    buf_fini(&names);
}

static void publish_to_name(struct stub *st, const struct step *step, struct moment *m, struct hub_message *message) {
    struct session *s = stub_session(st);
    struct stub_values values;
    struct template_context ctx;
    struct buf name = BUF_INIT;
    moment_context(st, m, &values, &ctx);
    if (template_render(step->name, &ctx, &name) == MF_OK) {
        const struct hub_target to = {step->audience == TO_NAMED_ROOM ? HUB_ROOM : HUB_ROUTE, buf_cstr(&name),
                                      name.len};
        hub_publish(s->worker->hub, &to, message);
    }
    buf_fini(&name);
}

static void publish(struct stub *st, const struct step *step, struct moment *m, struct hub_message *message) {
    struct session *s = stub_session(st);
    struct hub *hub = s->worker->hub;
    const char *path = s->route->config->path;
    const struct hub_target route = {HUB_ROUTE, path, strlen(path)}, all = {HUB_ALL, "", 0};
    switch (step->audience) {
    case TO_SENDER:
        stub_send(st, message->binary, message->data, message->len);
        break;
    case TO_ROOMS_OF_SENDER:
        publish_to_rooms(s, message);
        break;
    case TO_ROUTE_OF_SENDER:
        hub_publish(hub, &route, message);
        break;
    case TO_ALL:
        hub_publish(hub, &all, message);
        break;
    case TO_NAMED_ROOM:
    case TO_NAMED_ROUTE:
        publish_to_name(st, step, m, message);
        break;
    }
}

void stub_send_to(struct stub *st, const struct step *step, struct moment *m, bool binary, const void *data,
                  size_t len) {
    if (!step || step->audience == TO_SENDER) {
        stub_send(st, binary, data, len);
        return;
    }
    struct hub_message *message = hub_message_new(binary, data, len);
    if (message)
        publish(st, step, m, message);
    hub_message_unref(message);
}

void stub_take_step(struct stub *st, const struct step *step, struct moment *m) {
    const void *data;
    size_t len;
    for (size_t i = 0; i < step->pieces.count && stub_is_open(st); i++)
        if (make(st, &step->pieces.items[i], m, &data, &len))
            stub_send_to(st, step, m, step->pieces.items[i].kind == PIECE_BYTES, data, len);
    if (step->closes && stub_is_open(st))
        stub_close(st, step->close_code, step->close_reason, m);
}

void stub_close(struct stub *st, unsigned code, const struct template *reason, struct moment *m) {
    struct stub_values values;
    struct template_context ctx;
    struct buf text = BUF_INIT;
    moment_context(st, m, &values, &ctx);
    if (reason && template_render(reason, &ctx, &text) < 0)
        buf_reset(&text);
    session_close_by_endpoint(stub_session(st), code, buf_cstr(&text), text.len);
    buf_fini(&text);
}
