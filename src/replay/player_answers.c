/* Answers beside the main sequence: what one message of theirs brought about, with its recorded gaps. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "player_private.h"

#define LOOK_AHEAD 64u /* answers: a message costs the same however many it has */

static void answer_fini(struct answer *a) {
    bindings_free(a->bindings);
}

static void drop(struct player *p, uint32_t i) {
    answer_fini(&p->answers[i]);
    p->answer_count--;
    memmove(&p->answers[i], &p->answers[i + 1], (p->answer_count - i) * sizeof *p->answers);
}

void answers_fini(struct player *p) {
    for (uint32_t i = 0; i < p->answer_count; i++)
        answer_fini(&p->answers[i]);
    free(p->answers);
    free(p->early);
}

bool answers_gave_early(const struct player *p, uint32_t owner) {
    for (uint32_t i = 0; i < p->early_count; i++) {
        if (p->early[i] == owner)
            return true;
    }
    return false;
}

static bool is_part(const struct player *p, const struct answer *a, uint32_t number) {
    const struct plan_message *m = &p->plan->messages[number];
    if (a->linked_only && m->link != LINK_VARIABLE && m->link != LINK_TIED)
        return false;
    if (!a->early && a->until == SIZE_MAX)
        return true;
    if (a->fresh_only && !m->fresh)
        return false;
    uint32_t message;
    (void)plan_locate(p->plan, number, &message);
    size_t begins = p->rc->messages[message].first_frame;
    if (m->link != LINK_VARIABLE)
        return false;
    /* Ahead of the main sequence, which may have come so far by now: once the first part is out it passes over the
     * others. Or behind it. */
    return a->early ? a->begun || begins >= p->frame : begins < a->until;
}

/* Moves on to a message that is a part of the answer. False: there is none left. */
static bool find_part(const struct player *p, struct answer *a) {
    const struct plan_message *to = &p->plan->messages[a->to];
    while (a->at < to->answer_count && !is_part(p, a, p->plan->answers[to->answers + a->at]))
        a->at++;
    return a->at < to->answer_count;
}

static uint32_t part_of(const struct player *p, const struct answer *a) {
    return p->plan->answers[p->plan->messages[a->to].answers + a->at];
}

static bool needs_bindings(const struct player *p, const struct answer *a) {
    const struct plan_message *to = &p->plan->messages[a->to];
    for (uint32_t i = a->at; i < to->answer_count; i++) {
        if (i - a->at > LOOK_AHEAD)
            return true; /* probably */
        uint32_t number = p->plan->answers[to->answers + i];
        if (is_part(p, a, number) && player_has_slots(p, number))
            return true;
    }
    return false;
}

/* The answer's own values: what is known by now, and what the live message says. */
static int take_values(struct player *p, struct answer *a, const struct live_message *live) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, a->to, &message);
    const struct bindings *known = player_bindings_of(p, pc);
    if (!needs_bindings(p, a))
        return MF_OK;
    if (known == NULL || bindings_clone(known, &a->bindings) < 0)
        return MF_ENOMEM;
    return bindings_learn(a->bindings, message, &live->structure, live->data, live->len);
}

int answers_begin(struct player *p, const struct answer *kind, const struct live_message *live) {
    struct answer a = *kind;
    if (!find_part(p, &a))
        return MF_OK;
    if (p->answer_count == ANSWERS_MAX)
        drop(p, p->open && p->open_answer == p->answers[0].id ? 1 : 0);
    if (!ARRAY_ROOM(p->answers, p->answer_count, p->answer_cap, 2))
        return MF_ENOMEM;
    if (take_values(p, &a, live) < 0) {
        answer_fini(&a);
        return MF_ENOMEM;
    }
    a.id = ++p->last_answer;
    p->answers[p->answer_count++] = a;
    return MF_OK;
}

/* The frame that the answer sends next: of its message the first that is not behind a->frame; the last, when the
 * message goes out whole. */
static size_t frame_of(const struct player *p, const struct answer *a) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, part_of(p, a), &message);
    const struct replay_connection *rc = plan_recorded(p->plan, pc);
    const struct replay_message *m = &rc->messages[message];
    if (a->whole)
        return m->last_frame;
    size_t frame = MAX(a->frame, m->first_frame);
    while (rc->frames[frame].message != message)
        frame++;
    return frame;
}

static uint64_t due_of(const struct player *p, const struct answer *a, size_t frame) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, a->to, &message);
    const struct replay_connection *rc = plan_recorded(p->plan, pc);
    uint64_t asked = plan_message_time(rc, pc, message), at = plan_frame_time(rc, pc, frame);
    return time_add(a->live_us, player_scaled(p, at > asked ? at - asked : 0));
}

struct answer *answers_next(struct player *p, uint64_t *due_us, size_t *frame) {
    uint32_t best = REPLAY_NONE;
    for (uint32_t i = 0; i < p->answer_count;) {
        struct answer *a = &p->answers[i];
        bool under_way = p->open && p->open_answer == a->id;
        /* Ahead of its turn only while its turn does not come. */
        bool in_vain = a->early && !answers_gave_early(p, a->to) && !player_is_held(p);
        if (!under_way && !a->whole && (in_vain || !find_part(p, a))) {
            drop(p, i);
            continue;
        }
        size_t f = frame_of(p, a);
        uint64_t due = due_of(p, a, f);
        if (best == REPLAY_NONE || under_way || due < *due_us || (due == *due_us && f < *frame)) {
            best = i;
            *due_us = due;
            *frame = f;
        }
        if (under_way)
            break;
        i++;
    }
    return best == REPLAY_NONE ? NULL : &p->answers[best];
}

static int note_early(struct player *p, uint32_t to) {
    if (answers_gave_early(p, to))
        return MF_OK;
    if (!ARRAY_ROOM(p->early, p->early_count, p->early_cap, 4))
        return MF_ENOMEM;
    p->early[p->early_count++] = to;
    p->impatient = true;
    return MF_OK;
}

bool answers_send(struct player *p, uint64_t now_us, struct answer *a, size_t frame, struct player_action *out) {
    uint32_t number = part_of(p, a), message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    const struct replay_connection *rc = plan_recorded(p->plan, pc);
    const struct replay_message *m = &rc->messages[message];
    bool begins = frame == m->first_frame;
    if (a->early && note_early(p, a->to) < 0)
        return false;
    a->begun = true;
    if ((begins || a->whole) && player_render(p, a->bindings, now_us, number)) {
        if (frame != m->last_frame) { /* in one frame, when the last one was sent */
            a->whole = true;
            return false;
        }
        player_send_whole(p, rc, message, out);
    } else {
        const struct replay_frame *f = &rc->frames[frame];
        *out = (struct player_action){
            .step = PLAYER_SEND, .frame = f, .data = f->data, .len = f->len, .awaited = REPLAY_NONE};
        if (a->whole) { /* what was to be filled in is as recorded again */
            buf_append(&p->out, m->data, m->len);
            if (!p->out.failed)
                player_send_whole(p, rc, message, out);
        }
    }
    p->open = !out->frame->fin;
    p->open_answer = a->id;
    a->frame = (uint32_t)frame + 1;
    if (frame == m->last_frame) {
        a->at++;
        a->frame = 0;
        a->whole = false;
    }
    return true;
}

static void tell_pending(struct player *p, uint64_t now_us, const struct answer *a, uint32_t number,
                         player_pending_fn fn, void *arg) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    const struct replay_message *m = &plan_recorded(p->plan, pc)->messages[message];
    player_release_out(p);
    if (player_render(p, a->bindings, now_us, number))
        fn(arg, pc->connection, message, buf_cstr(&p->out), p->out.len);
    else
        fn(arg, pc->connection, message, m->data, m->len);
}

void player_pending(struct player *p, uint64_t now_us, player_pending_fn fn, void *arg) {
    unsigned left = PLAYER_PENDING_MAX;
    for (uint32_t i = 0; i < p->answer_count; i++) {
        const struct answer *a = &p->answers[i];
        const struct plan_message *to = &p->plan->messages[a->to];
        for (uint32_t at = a->at; at < to->answer_count && left; at++, left--) {
            uint32_t number = p->plan->answers[to->answers + at];
            if (is_part(p, a, number))
                tell_pending(p, now_us, a, number, fn, arg);
        }
    }
    player_release_out(p);
}
