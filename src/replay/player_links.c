/* Which of our messages answers which of theirs: the one whose values it says again, else the one before it. */
#include <stdlib.h>
#include <string.h>

#include "player_plan.h"
#include "replay/correlation.h"

#define LOOK_BACK 16u /* messages: what was said longer ago is not what is answered */
#define SLOTS_MAX 16u /* of a message */

/* By variable: the message of theirs that it was born in; REPLAY_NONE: of ours. NULL: no memory, or none at all. */
static uint32_t *find_births(const struct player_plan *plan, const struct plan_connection *pc) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    const struct connection_plan *found = &plan->correlation->plans[pc->connection];
    uint32_t *born = malloc(((size_t)found->variable_count + 1) * sizeof *born);
    for (uint32_t i = 0; born && i < found->variable_count; i++)
        born[i] = REPLAY_NONE;
    for (uint32_t i = 0; born && i < found->birth_count; i++) {
        const struct birth *b = &found->births[i];
        if (rc->messages[b->message].direction != plan->plays)
            born[b->variable] = pc->first + b->message;
    }
    return born;
}

/* By variable: did its sender say other things at the same place, too? An id of each request, and no name of its own.
 * NULL: no memory. */
static bool *find_fresh(const struct player_plan *plan, const struct plan_connection *pc) {
    const struct connection_plan *found = &plan->correlation->plans[pc->connection];
    size_t variables = found->variable_count, paths = path_count(correlation_paths(plan->correlation));
    uint32_t *roots = malloc((variables + 1) * sizeof *roots), *first = malloc((paths + 1) * sizeof *first);
    bool *several = calloc(paths + 1, sizeof *several), *fresh = calloc(variables + 1, sizeof *fresh);
    if (roots && first && several && fresh) {
        memset(first, 0xff, (paths + 1) * sizeof *first); /* REPLAY_NONE */
        for (uint32_t i = 0; i < variables; i++)          /* of one text, said again and again */
            roots[i] = found->parents[i] < i ? roots[found->parents[i]] : i;
        for (unsigned pass = 0; pass < 2; pass++) {
            for (uint32_t i = 0; i < found->birth_count; i++) {
                const struct birth *b = &found->births[i];
                const struct structure *s = correlation_structure(plan->correlation, pc->connection, b->message);
                uint32_t path = s->values[b->value].path;
                several[path] |= first[path] != REPLAY_NONE && first[path] != roots[b->variable];
                first[path] = roots[b->variable];
                fresh[b->variable] = several[path];
            }
        }
    } else {
        free(fresh);
        fresh = NULL;
    }
    free(roots);
    free(first);
    free(several);
    return fresh;
}

/* The latest of theirs that said something which this message of ours says again. */
static uint32_t who_said(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                         const uint32_t *born) {
    size_t count;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, message, &count);
    uint32_t latest = REPLAY_NONE;
    for (size_t i = 0; i < count; i++) {
        uint32_t sayer = slots[i].kind == SLOT_VARIABLE ? born[slots[i].variable] : REPLAY_NONE;
        if (sayer != REPLAY_NONE && (latest == REPLAY_NONE || sayer > latest))
            latest = sayer;
    }
    return latest;
}

/* Does a message of theirs say again, after us, one of the values in this one of ours? */
static bool mentions(const struct player_plan *plan, const struct plan_connection *pc, uint32_t theirs, uint32_t ours) {
    const struct replay_message *messages = plan_recorded(plan, pc)->messages, *t = &messages[theirs],
                                *o = &messages[ours];
    size_t their_count, our_count;
    const struct slot *a = correlation_slots(plan->correlation, pc->connection, theirs, &their_count);
    const struct slot *b = correlation_slots(plan->correlation, pc->connection, ours, &our_count);
    for (size_t i = 0; i < their_count && i < SLOTS_MAX; i++) {
        for (size_t k = 0; k < our_count && k < SLOTS_MAX; k++) {
            size_t len = a[i].end - a[i].begin;
            if (a[i].kind == SLOT_VARIABLE && b[k].kind == SLOT_VARIABLE && len == b[k].end - b[k].begin &&
                !memcmp((const char *)t->data + a[i].begin, (const char *)o->data + b[k].begin, len))
                return true;
        }
    }
    return false;
}

/* A name that they said and we say again may be said again by them, as in a request about a room they are in: what
 * comes then answers that. */
static uint32_t who_mentioned(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                              uint32_t sayer) {
    uint32_t stop = MAX(sayer - pc->first, message > LOOK_BACK ? message - LOOK_BACK : 0);
    for (uint32_t i = message; i-- > stop + 1;) {
        if (plan_recorded(plan, pc)->messages[i].direction != plan->plays && mentions(plan, pc, i, message))
            return pc->first + i;
    }
    return sayer;
}

static bool says_fresh(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                       const uint32_t *born, const bool *fresh) {
    size_t count;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, message, &count);
    uint32_t owner = plan->messages[pc->first + message].owner;
    for (size_t i = 0; i < count; i++) {
        if (slots[i].kind == SLOT_VARIABLE && born[slots[i].variable] == owner && fresh[slots[i].variable])
            return true;
    }
    return false;
}

int plan_link(struct player_plan *plan, const struct plan_connection *pc) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    uint32_t *born = find_births(plan, pc), before = REPLAY_NONE;
    bool *fresh = find_fresh(plan, pc);
    if (born == NULL || fresh == NULL) {
        free(born);
        free(fresh);
        return MF_ENOMEM;
    }
    for (uint32_t i = 0; i < rc->message_count; i++) {
        if (rc->messages[i].direction != plan->plays) {
            before = pc->first + i;
            continue;
        }
        struct plan_message *m = &plan->messages[pc->first + i];
        uint32_t sayer = who_said(plan, pc, i, born);
        m->owner = sayer != REPLAY_NONE ? who_mentioned(plan, pc, i, sayer) : before;
        m->link = sayer != REPLAY_NONE ? LINK_VARIABLE : before != REPLAY_NONE ? LINK_ADJACENT : LINK_NONE;
        m->fresh = m->link == LINK_VARIABLE && says_fresh(plan, pc, i, born, fresh);
    }
    free(born);
    free(fresh);
    return MF_OK;
}

/* Lists of answers, by their owners. */
int plan_collect_answers(struct player_plan *plan) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < plan->message_count; i++) {
        if (plan->messages[i].owner != REPLAY_NONE)
            plan->messages[plan->messages[i].owner].answer_count++;
    }
    for (uint32_t i = 0; i < plan->message_count; i++) {
        struct plan_message *m = &plan->messages[i];
        m->answers = total;
        total += m->answer_count;
        m->answer_count = 0;
    }
    plan->answers = malloc(((size_t)total + 1) * sizeof *plan->answers);
    if (plan->answers == NULL)
        return MF_ENOMEM;
    for (uint32_t i = 0; i < plan->message_count; i++) {
        if (plan->messages[i].owner == REPLAY_NONE)
            continue;
        struct plan_message *owner = &plan->messages[plan->messages[i].owner];
        plan->answers[owner->answers + owner->answer_count++] = i;
        plan->tied_count += !owner->has_tied && plan->messages[i].link == LINK_TIED;
        owner->has_tied |= plan->messages[i].link == LINK_TIED;
        owner->has_linked |= plan->messages[i].link == LINK_VARIABLE;
    }
    return MF_OK;
}
