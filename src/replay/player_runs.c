/* Runs: what ours says in a row, laid out as it stands on the wire, so that it leaves without a look at each message.
 */
#include <stdlib.h>

#include "player_private.h"
#include "protocol/frame.h"

#define FRAME_MAX 4096u /* payload bytes of a frame in a run: copying more costs more than looking at it */
#define FRAMES_MIN 4u
#define RUN_BYTES_MAX (64u << 10)

/* Does this frame go out as it was recorded whatever happens: a whole message without live values, which no answer can
 * have said before its turn? */
static bool is_steady(const struct player_plan *plan, const struct plan_connection *pc, size_t frame) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    const struct replay_frame *f = &rc->frames[frame];
    if (f->direction != plan->plays || f->message == REPLAY_NONE || f->len > FRAME_MAX)
        return false;
    const struct replay_message *m = &rc->messages[f->message];
    enum plan_link link = plan->messages[pc->first + f->message].link;
    size_t slots;
    (void)correlation_slots(plan->correlation, pc->connection, f->message, &slots);
    return m->first_frame == m->last_frame && slots == 0 && link != LINK_TIED && link != LINK_VARIABLE;
}

static size_t size_on_wire(const struct replay_frame *f) {
    return f->len + (f->len < 126 ? 2 : 4);
}

/* The run that begins at this frame; count 0: none does. */
static struct plan_run run_at(const struct player_plan *plan, const struct plan_connection *pc, size_t frame) {
    const struct replay_connection *rc = plan_recorded(plan, pc);
    struct plan_run run = {.first = (uint32_t)frame};
    for (; frame < rc->frame_count && is_steady(plan, pc, frame); frame++) {
        const struct replay_frame *f = &rc->frames[frame];
        if (run.len + size_on_wire(f) > RUN_BYTES_MAX)
            break;
        run.len += (uint32_t)size_on_wire(f);
        run.payload += (uint32_t)f->len;
        run.pulse = run.pulse || plan->messages[pc->first + f->message].class == plan->pulse_class;
        run.count++;
    }
    return run;
}

/* Their number, and what they take; runs (may be NULL) gets them. */
static size_t find_runs(const struct player_plan *plan, const struct plan_connection *pc, struct plan_run *runs,
                        size_t *bytes) {
    size_t count = 0, frame_count = plan_recorded(plan, pc)->frame_count;
    *bytes = 0;
    for (size_t frame = 0; frame < frame_count;) {
        struct plan_run run = run_at(plan, pc, frame);
        frame += run.count ? run.count : 1;
        if (run.count < FRAMES_MIN)
            continue;
        run.at = *bytes;
        *bytes += run.len;
        if (runs)
            runs[count] = run;
        count++;
    }
    return count;
}

static int write_frames(struct player_plan *plan, const struct replay_connection *rc, size_t bytes) {
    struct buf out = BUF_INIT;
    int status = buf_reserve(&out, bytes + FRAME_HEADER_MAX);
    for (uint32_t i = 0; i < plan->run_count && status == MF_OK; i++) {
        const struct plan_run *run = &plan->runs[i];
        for (uint32_t k = 0; k < run->count && status == MF_OK; k++) {
            const struct replay_frame *f = &rc->frames[run->first + k];
            status = frame_write(&out, f->opcode, f->fin, 0, false, f->data, f->len);
        }
    }
    plan->laid_out = out.data;
    MUST(status < 0 || out.len == bytes);
    return status;
}

int player_plan_lay_out(struct player_plan *plan, size_t *left) {
    MUST(plan->runs == NULL && plan->plays == EVENT_OUTGOING);
    if (plan->count != 1)
        return MF_OK;
    const struct plan_connection *pc = &plan->connections[0];
    size_t bytes, count = find_runs(plan, pc, NULL, &bytes);
    if (count == 0 || bytes > *left)
        return MF_OK;
    *left -= bytes;
    plan->runs = calloc(count, sizeof *plan->runs);
    if (plan->runs == NULL)
        return MF_ENOMEM;
    plan->run_count = (uint32_t)find_runs(plan, pc, plan->runs, &bytes);
    return write_frames(plan, plan_recorded(plan, pc), bytes);
}

void plan_runs_fini(struct player_plan *plan) {
    free(plan->runs);
    free(plan->laid_out);
}

/* The run that begins at the frame whose turn it is. NULL: none does. */
static const struct plan_run *run_of(struct player *p) {
    const struct player_plan *plan = p->plan;
    while (p->run < plan->run_count && plan->runs[p->run].first < p->frame)
        p->run++;
    return p->run < plan->run_count && plan->runs[p->run].first == p->frame ? &plan->runs[p->run] : NULL;
}

bool player_run(struct player *p, uint64_t now_us, struct player_run *out) {
    bool undisturbed = p->state == PLAYING && p->answer_count == 0 && !p->open && p->whole_message == REPLAY_NONE;
    if (p->plan->run_count == 0 || p->options.mode == PLAYER_LOOKUP || p->options.speed > 0 || !undisturbed ||
        p->live_us > now_us || player_is_held(p))
        return false;
    const struct plan_run *run = run_of(p);
    if (run == NULL)
        return false;
    *out = (struct player_run){p->plan->laid_out + run->at, run->len, run->count, run->payload};
    p->frame += run->count;
    p->run++;
    p->sent_us = now_us;
    if (run->pulse)
        p->pulse_us = now_us;
    return true;
}
