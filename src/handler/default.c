/* What websocket.path does when no handler has it: {"type":"ping"} gets {"type":"pong"}, everything else comes back. */
#include <string.h>

#include "handler/handlers.h"
#include "handler/mock.h"
#include "relay/message.h"

/* A message longer than this is no ping; it is not parsed to find out. */
#define PING_MAX 4096

struct default_endpoint {
    struct endpoint endpoint;
    struct assembler assembler;
};

static bool is_ping(struct worker *w, struct assembler *a) {
    size_t error_at;
    if (a->opcode != WS_TEXT || a->data.len == 0 || a->data.len > PING_MAX || !memmem(a->data.data, a->data.len, "ping", 4))
        return false;
    const char *text = buf_cstr(&a->data);
    if (json_tape_parse(&w->tape, text, a->data.len, &error_at) < 0)
        return false;
    uint32_t type = json_member(&w->tape, text, 0, "type", 4, &w->scratch_name);
    return type != JSON_NO_NODE && json_string_is(text, &w->tape.nodes[type], "ping", 4, &w->scratch_name);
}

static void answer(struct session *s, struct assembler *a) {
    static const char pong[] = "{\"type\":\"pong\"}";
    if (is_ping(s->worker, a))
        session_send(s, WS_TEXT, pong, sizeof pong - 1);
    else
        session_send(s, a->opcode, a->data.data, a->data.len);
}

static void on_fragment(struct endpoint *e, struct fragment *f) {
    struct default_endpoint *d = container_of(e, struct default_endpoint, endpoint);
    struct session *s = e->session;
    if (session_answer_control(s, f))
        return;
    switch (assembler_add(&d->assembler, f, s->route->assemble_limit)) {
    case ASSEMBLED_NOT_YET:
        break;
    case ASSEMBLED_WHOLE:
        answer(s, &d->assembler);
        assembler_reset(&d->assembler);
        break;
    case ASSEMBLED_TOO_BIG:
        session_end(s, END_TOO_BIG, END_BY_CLIENT, "message over max_message_size");
        break;
    case ASSEMBLED_NO_MEMORY:
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a message");
        break;
    }
}

static void drop(struct endpoint *e) {
    assembler_fini(&container_of(e, struct default_endpoint, endpoint)->assembler);
}

const struct endpoint_type default_endpoint = {
    .name = "default",
    .size = sizeof(struct default_endpoint),
    .open = mock_open,
    .on_fragment = on_fragment,
    .on_client_blocked = mock_on_client_blocked,
    .drop = drop,
};
