/* What recurs: heartbeats, which may be missing and may come more often, and requests without marks, which may not.
 *
 * A class of theirs that recurs (player_classes.c) is heartbeat-like
 * - when each of its messages, the last perhaps excepted, brings about one and the same message of ours (ping, pong):
 *   that is then tied to it;
 * - when serving: when each of them answers one and the same message of ours (a server that asks "2", a client that
 *   says "3");
 * - when what we send after it, up to the next message of theirs, has no pattern (keep-alives beside a ticker).
 * It is not when it says anything that is said again, unless that is one value and it comes by the clock (pings with
 * ids); nor when anything else of ours says again what it said, nor when the same kinds of messages come after each of
 * them ("next", an item; "next", an item): that is a request which the recording answers one after the other. */
#include "base/hash.h"
#include "player_plan.h"

#define LOOK_AHEAD 64u /* messages: what comes later is nobody's heartbeat */
#define SHAPES_MAX 16u

static bool is_ours(const struct player_plan *plan, const struct replay_connection *rc, uint32_t message) {
    return rc->messages[message].direction == plan->plays;
}

/* Do the messages of two classes take turns, a's first? Of b's the last may be missing. */
static bool take_turns(const struct player_plan *plan, const struct plan_class *a, const struct plan_class *b) {
    if (a->count != b->count && a->count != b->count + 1)
        return false;
    uint32_t i = a->first, j = b->first;
    while (j != REPLAY_NONE) {
        uint32_t next = plan->messages[i].twin;
        if (j < i || (next != REPLAY_NONE && j > next))
            return false;
        i = next;
        j = plan->messages[j].twin;
    }
    return true;
}

static void tie(struct player_plan *plan, const struct plan_class *theirs, const struct plan_class *ours) {
    uint32_t i = theirs->first;
    for (uint32_t j = ours->first; j != REPLAY_NONE; j = plan->messages[j].twin) {
        plan->messages[j].owner = i;
        plan->messages[j].link = LINK_TIED;
        i = plan->messages[i].twin;
    }
}

/* Ties what each message of the class brings about; false: there is no such thing. */
static bool tie_answers(struct player_plan *plan, const struct replay_connection *rc, const struct plan_class *class) {
    bool tied = false;
    uint32_t end = MIN(MIN(plan->messages[class->first].twin, class->first + LOOK_AHEAD), (uint32_t)rc->message_count);
    for (uint32_t i = class->first + 1; i < end; i++) {
        if (!is_ours(plan, rc, i) || plan->messages[i].link == LINK_TIED)
            continue;
        const struct plan_class *ours = &plan->classes[plan->messages[i].class];
        if (ours->first != i || ours->count < 2 || !take_turns(plan, class, ours))
            continue;
        tie(plan, class, ours);
        tied = true;
    }
    return tied;
}

static bool answers_ours(const struct player_plan *plan, const struct replay_connection *rc,
                         const struct plan_class *class) {
    if (plan->plays != EVENT_OUTGOING)
        return false; /* a server answers, and the client that is played waits for it */
    uint32_t stop = class->first > LOOK_AHEAD ? class->first - LOOK_AHEAD : 0;
    for (uint32_t i = class->first; i > stop; i--) {
        if (!is_ours(plan, rc, i - 1))
            continue;
        const struct plan_class *ours = &plan->classes[plan->messages[i - 1].class];
        if (ours->first == i - 1 && ours->count > 1 && take_turns(plan, ours, class))
            return true;
    }
    return false;
}

/* What comes after a message of theirs, up to their next one: kinds of messages, as one number. 0: nothing. */
static uint64_t what_follows(const struct player_plan *plan, const struct plan_connection *pc,
                             const struct replay_connection *rc, uint32_t message, bool *cut) {
    uint64_t shapes[SHAPES_MAX];
    size_t n = 0;
    uint32_t i = message + 1;
    for (; i < rc->message_count && is_ours(plan, rc, i) && n < SHAPES_MAX; i++)
        shapes[n++] = correlation_structure(plan->correlation, pc->connection, i)->shape;
    *cut = i == rc->message_count;
    return n ? hash_bytes(shapes, n * sizeof *shapes) : 0;
}

static bool is_lockstep(const struct player_plan *plan, const struct plan_connection *pc,
                        const struct replay_connection *rc, const struct plan_class *class) {
    bool cut;
    uint64_t first = what_follows(plan, pc, rc, class->first, &cut);
    if (first == 0)
        return false;
    for (uint32_t i = plan->messages[class->first].twin; i != REPLAY_NONE; i = plan->messages[i].twin) {
        if (what_follows(plan, pc, rc, i, &cut) != first && !cut)
            return false;
    }
    return true;
}

/* A server that says again what the client said answers it: a client waits for that. */
static bool is_answer(const struct player_plan *plan, const struct plan_connection *pc,
                      const struct plan_class *class) {
    size_t count;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, class->first - pc->first, &count);
    for (size_t i = 0; plan->plays == EVENT_INCOMING && i < count; i++) {
        if (slots[i].kind == SLOT_VARIABLE)
            return true;
    }
    return false;
}

/* What says something that is said again is a request more likely than a heartbeat: but for a single value (an id),
 * said by the clock. */
static bool may_beat(const struct player_plan *plan, const struct plan_connection *pc, const struct plan_class *class) {
    uint32_t said_again = plan->forms[class->form].free_count;
    return said_again == 0 || (said_again == 1 && plan_interval_of(plan, pc, class) > 0);
}

static void judge(struct player_plan *plan, struct plan_connection *pc, struct plan_class *class) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    bool may = may_beat(plan, pc, class);
    if (may && (tie_answers(plan, rc, class) || answers_ours(plan, rc, class)))
        class->optional = true;
    else if (is_lockstep(plan, pc, rc, class))
        class->lockstep = true;
    else
        class->optional = may && !is_answer(plan, pc, class);
}

/* Theirs that are said again by something of ours that is not tied to them are no heartbeats. */
static void take_back(struct player_plan *plan) {
    for (uint32_t i = 0; i < plan->message_count; i++) {
        const struct plan_message *m = &plan->messages[i];
        if (m->link == LINK_VARIABLE && m->owner != REPLAY_NONE)
            plan->classes[plan->messages[m->owner].class].optional = false;
    }
    for (uint32_t i = 0; i < plan->message_count; i++) {
        struct plan_message *m = &plan->messages[i];
        if (m->link == LINK_TIED && !plan->classes[plan->messages[m->owner].class].optional)
            m->link = LINK_VARIABLE;
    }
}

void plan_find_heartbeats(struct player_plan *plan, struct plan_connection *pc) {
    for (uint32_t i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->classes[i];
        if (class->form != REPLAY_NONE && class->count > 1)
            judge(plan, pc, class);
    }
    take_back(plan);
}
