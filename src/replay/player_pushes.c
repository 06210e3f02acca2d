/* What comes unasked: messages that a server pushes, and what either side says to stay alive. */
#include <stdlib.h>

#include "player_plan.h"
#include "replay/correlation.h"

#define PUSHES_MIN 3u          /* of a shape: fewer are no stream */
#define PULSES_MIN 3u          /* fewer have no rhythm */
#define PULSE_MIN_US 20000u    /* nobody needs it more often to stay alive */
#define PULSE_JITTER_US 50000u /* intervals differ by as much, or by a half */

/* ---- pushes ---- */

/* Variables below `from` do not count. */
static bool has_variables(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                          uint32_t from) {
    size_t count;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, message, &count);
    for (size_t i = 0; i < count; i++) {
        if (slots[i].kind == SLOT_VARIABLE && slots[i].variable >= from)
            return true;
    }
    return false;
}

/* Theirs that does not come right after ours, says nothing again that we said, and is not said again by us. */
static bool looks_pushed(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    const struct plan_message *m = &plan->messages[pc->first + message];
    /* What the client said in its handshake alone it did not ask for. */
    uint32_t of_handshake = plan->correlation->plans[pc->connection].handshake_variables;
    if (rc->messages[message].direction == plan->plays || message == 0 ||
        rc->messages[message - 1].direction == plan->plays || has_variables(plan, pc, message, of_handshake))
        return false;
    return !m->push; /* marked beforehand: we say again what it says */
}

int plan_find_pushes(struct player_plan *plan, const struct plan_connection *pc) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    uint32_t *counts = calloc((size_t)plan->form_count + 1, sizeof *counts);
    if (counts == NULL)
        return MF_ENOMEM;
    for (uint32_t i = 0; i < rc->message_count; i++) {
        const struct plan_message *m = &plan->messages[pc->first + i];
        if (m->link == LINK_VARIABLE)
            plan->messages[m->owner].push = true;
    }
    for (uint32_t i = 0; i < rc->message_count; i++) {
        if (looks_pushed(plan, pc, i))
            counts[plan->classes[plan->messages[pc->first + i].class].form]++;
    }
    for (uint32_t i = 0; i < rc->message_count; i++) {
        struct plan_message *m = &plan->messages[pc->first + i];
        m->push = looks_pushed(plan, pc, i) && counts[plan->classes[m->class].form] >= PUSHES_MIN;
    }
    free(counts);
    return MF_OK;
}

/* ---- the pulse ---- */

uint64_t plan_interval_of(const struct player_plan *plan, const struct plan_connection *pc,
                          const struct plan_class *class) {
    if (class->count < PULSES_MIN)
        return 0;
    const struct replay_connection *rc = plan_recorded(plan, pc);
    uint64_t shortest = UINT64_MAX, longest = 0, before = plan_message_time(rc, pc, class->first - pc->first);
    for (uint32_t i = plan->messages[class->first].twin; i != REPLAY_NONE; i = plan->messages[i].twin) {
        uint64_t at = plan_message_time(rc, pc, i - pc->first);
        shortest = MIN(shortest, at - before);
        longest = MAX(longest, at - before);
        before = at;
    }
    return shortest >= PULSE_MIN_US && longest <= shortest + MAX(shortest / 2, PULSE_JITTER_US) ? shortest : 0;
}

/* One frame, and, but for times, the same each time; not an answer. */
static bool may_pulse(const struct player_plan *plan, const struct plan_connection *pc, uint32_t number) {
    const struct replay_message *m = &plan_recorded(plan, pc)->messages[number - pc->first];
    const struct plan_message *pm = &plan->messages[number];
    return m->first_frame == m->last_frame && pm->link != LINK_TIED && !has_variables(plan, pc, number - pc->first, 0);
}

/* The most frequent one. What answers the other side's heartbeats comes with those. */
void plan_find_pulse(struct player_plan *plan, const struct plan_connection *pc) {
    for (uint32_t i = 0; i < plan->class_count; i++) {
        const struct plan_class *class = &plan->classes[i];
        if (class->form != REPLAY_NONE || !may_pulse(plan, pc, class->first))
            continue;
        uint64_t interval = plan_interval_of(plan, pc, class);
        if (interval && (plan->pulse_us == 0 || interval < plan->pulse_us)) {
            plan->pulse_class = i;
            plan->pulse_us = interval;
        }
    }
}
