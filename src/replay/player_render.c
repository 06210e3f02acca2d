/* Recorded messages with live values. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "player_private.h"
#include "protocol/frame.h"

#define OUT_KEPT 1024u /* bytes: ten thousand players keep no more than that each between two messages */

struct bindings *player_bindings_of(struct player *p, const struct plan_connection *pc) {
    struct bindings **b = &p->bindings[pc - p->plan->connections];
    if (*b != NULL)
        return *b;
    if (bindings_new(p->plan->correlation, pc->connection, b) < 0)
        *b = NULL;
    else if (p->handshake && bindings_learn_handshake(*b, p->handshake, strlen(p->handshake)) < 0) {
        bindings_free(*b);
        *b = NULL;
    }
    return *b;
}

bool player_has_slots(const struct player *p, uint32_t number) {
    uint32_t message;
    size_t count;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    (void)correlation_slots(p->plan->correlation, pc->connection, message, &count);
    return count > 0;
}

/* How much later it is than when the message was recorded. */
static int64_t time_shift(const struct player *p, const struct replay_connection *rc, uint64_t now_us,
                          uint64_t message_us) {
    int64_t recorded_at = p->plan->source->recorded_at_us;
    if (recorded_at <= 0)
        return 0;
    int64_t now = (int64_t)now_us + p->options.wall_offset_us;
    int64_t then = recorded_at + (int64_t)MIN(rc->begin_us + message_us, (uint64_t)INT64_MAX / 4);
    return now - then;
}

int player_render(struct player *p, struct bindings *b, uint64_t now_us, uint32_t number) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    const struct replay_connection *rc = plan_recorded(p->plan, pc);
    if (b == NULL)
        return 0;
    int64_t shift_us = time_shift(p, rc, now_us, rc->messages[message].time_us);
    return bindings_render(b, message, shift_us, p->round, &p->out) == 1;
}

void player_send_whole(struct player *p, const struct replay_connection *rc, uint32_t message,
                       struct player_action *out) {
    const struct replay_message *m = &rc->messages[message];
    p->whole = rc->frames[m->last_frame];
    p->whole.opcode = m->binary ? WS_BINARY : WS_TEXT;
    p->whole.fin = true;
    p->whole.data = p->out.data;
    p->whole.len = p->out.len;
    out->step = PLAYER_SEND;
    out->frame = &p->whole;
    out->data = p->out.data ? (const void *)p->out.data : "";
    out->len = p->out.len;
    out->made = true;
}

void player_release_out(struct player *p) {
    if (p->out.cap > OUT_KEPT)
        buf_fini(&p->out);
    else
        buf_reset(&p->out);
}
