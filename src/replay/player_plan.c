/* Builds plans. */
#include "player_plan.h"

#include <stdlib.h>

#include "base/clock.h"

#define TIME_MARGIN_S (INT64_C(31) * 86400) /* before the recording; twelve times as much after now */

static void connection_fini(struct plan_connection *pc) {
    free(pc->awaited);
    free(pc->times);
}

static void plan_free(struct player_plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        connection_fini(&plan->connections[i]);
    plan_classes_fini(plan);
    plan_runs_fini(plan);
    free(plan->connections);
    free(plan->messages);
    free(plan->answers);
    correlation_unref(plan->correlation);
    free(plan);
}

struct player_plan *player_plan_ref(struct player_plan *plan) {
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

bool player_plan_awaits(const struct player_plan *plan, uint32_t message) {
    return plan->messages[message].ordinal != REPLAY_NONE;
}

void player_plan_unref(struct player_plan *plan) {
    if (plan && atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) == 1)
        plan_free(plan);
}

const struct plan_connection *plan_locate(const struct player_plan *plan, uint32_t number, uint32_t *message) {
    size_t low = 0, high = plan->count; /* the last one that begins at or before number */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (plan->connections[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    /* Those without a message begin where the next one does: the search ends at the last of them, which has it. */
    *message = number - plan->connections[low].first;
    return &plan->connections[low];
}

/* Recorded times may run backwards a little: nothing is earlier than what stands before it. */
static int straighten_times(struct plan_connection *pc, const struct replay_connection *rc) {
    size_t i = 1;
    while (i < rc->frame_count && rc->frames[i].time_us >= rc->frames[i - 1].time_us)
        i++;
    if (i >= rc->frame_count)
        return MF_OK;
    pc->times = malloc(rc->frame_count * sizeof *pc->times);
    if (pc->times == NULL)
        return MF_ENOMEM;
    uint64_t latest = 0;
    for (i = 0; i < rc->frame_count; i++)
        pc->times[i] = latest = MAX(latest, rc->frames[i].time_us);
    return MF_OK;
}

static int list_awaited(struct player_plan *plan, struct plan_connection *pc) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    pc->awaited = malloc((rc->message_count + 1) * sizeof *pc->awaited);
    if (pc->awaited == NULL)
        return MF_ENOMEM;
    bool first = true;
    for (uint32_t i = 0; i < rc->message_count; i++) {
        struct plan_message *m = &plan->messages[pc->first + i];
        if (rc->messages[i].direction == plan->plays)
            continue;
        const struct plan_class *class = &plan->classes[m->class];
        /* What opens the conversation is waited for, however often it comes again. */
        if (class->optional && !first)
            continue;
        first = false;
        m->ordinal = pc->awaited_count;
        pc->awaited[pc->awaited_count++] = pc->first + i;
    }
    return MF_OK;
}

static int add_connections(struct player_plan *plan, size_t connection) {
    size_t count = connection == PLAYER_ALL ? plan->source->count : 1;
    plan->connections = calloc(count + 1, sizeof *plan->connections);
    if (plan->connections == NULL)
        return MF_ENOMEM;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        struct plan_connection *pc = &plan->connections[plan->count++];
        pc->connection = connection == PLAYER_ALL ? i : connection;
        pc->first = (uint32_t)total;
        const struct replay_connection *rc = plan_recorded(plan, pc);
        total += rc->message_count;
        if (total >= REPLAY_NONE || straighten_times(pc, rc) < 0)
            return MF_ENOMEM;
    }
    plan->messages = malloc((total + 1) * sizeof *plan->messages);
    if (plan->messages == NULL)
        return MF_ENOMEM;
    plan->message_count = (uint32_t)total;
    for (size_t i = 0; i < total; i++) {
        plan->messages[i] = (struct plan_message){
            .class = REPLAY_NONE, .twin = REPLAY_NONE, .ordinal = REPLAY_NONE, .owner = REPLAY_NONE};
    }
    return MF_OK;
}

static int build(struct player_plan *plan, size_t connection) {
    int rc = add_connections(plan, connection);
    if (rc == MF_OK)
        rc = plan_classify(plan);
    for (size_t i = 0; i < plan->count && rc == MF_OK; i++)
        rc = plan_link(plan, &plan->connections[i]);
    if (rc == MF_OK && connection != PLAYER_ALL) {
        plan_find_heartbeats(plan, &plan->connections[0]);
        plan_find_pulse(plan, &plan->connections[0]);
        rc = plan_find_pushes(plan, &plan->connections[0]);
    }
    if (rc == MF_OK)
        rc = plan_collect_answers(plan);
    for (size_t i = 0; i < plan->count && rc == MF_OK; i++)
        rc = list_awaited(plan, &plan->connections[i]);
    return rc;
}

int player_plan_new(struct correlation *c, size_t connection, enum event_direction plays,
                    const struct match_hints *hints, struct player_plan **out) {
    struct player_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return MF_ENOMEM;
    atomic_init(&plan->refs, 1);
    plan->correlation = correlation_ref(c);
    plan->source = correlation_source(c);
    plan->plays = plays;
    plan->pulse_class = REPLAY_NONE;
    plan->any = hints ? hints->any : NULL;
    plan->any_count = hints ? hints->any_count : 0;
    if (plan->source->recorded_at_us > TIME_MARGIN_S * 1000000) {
        plan->time_from_s = (uint64_t)(plan->source->recorded_at_us / 1000000 - TIME_MARGIN_S);
        plan->time_until_s = (uint64_t)(clock_wall_us() / 1000000 + 12 * TIME_MARGIN_S);
    }
    MUST(connection == PLAYER_ALL || connection < plan->source->count);
    int rc = build(plan, connection);
    plan->any = NULL; /* borrowed for the building alone */
    if (rc < 0) {
        plan_free(plan);
        return rc;
    }
    *out = plan;
    return MF_OK;
}
