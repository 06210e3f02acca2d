/* A player: its life, and what it does next. What the main sequence is about is in include/replay/player.h. */
#include "replay/player.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "player_private.h"
#include "protocol/frame.h"

#define ROUND_MIN_US 1000u    /* --loop: from one round's beginning to the next one's */
#define OVERTAKEN_US 2000000u /* auto: what the other side went on without for so long is not waited for */
#define GRACE_US 2000000u
#define PULSE_LATE_US 1000u    /* after what it is late for, so that nothing is sent twice that comes by itself */
#define ROUND_LATE_US 1000000u /* a round that would have begun so long ago begins now */

/* ---- life ---- */

int player_new(struct correlation *c, size_t connection, const struct player_options *options, uint64_t now_us,
               struct player **out) {
    MUST(connection != PLAYER_ALL || options->mode == PLAYER_LOOKUP);
    struct player *p = calloc(1, sizeof *p);
    if (p == NULL)
        return MF_ENOMEM;
    p->options = *options;
    p->whole_message = p->left_out = REPLAY_NONE;
    p->live_us = p->round_us = p->sent_us = now_us;
    if (p->options.wall_offset_us == 0)
        p->options.wall_offset_us = clock_wall_us() - (int64_t)clock_mono_us();
    if (options->plan)
        p->plan = player_plan_ref(options->plan);
    else if (player_plan_new(c, connection, options->plays, options->hints, &p->plan) < 0)
        p->plan = NULL;
    p->options.plan = NULL;
    p->options.handshake = NULL;
    if (p->plan != NULL) {
        MUST(p->plan->plays == options->plays && p->plan->correlation == c);
        p->bindings = calloc(p->plan->count + 1, sizeof(struct bindings *));
    }
    if (options->handshake)
        p->handshake = strdup(options->handshake);
    if (p->plan == NULL || p->bindings == NULL || (options->handshake && p->handshake == NULL)) {
        player_free(p);
        return MF_ENOMEM;
    }
    p->pc = &p->plan->connections[0];
    p->rc = plan_recorded(p->plan, p->pc);
    *out = p;
    return MF_OK;
}

void player_free(struct player *p) {
    if (p == NULL)
        return;
    answers_fini(p);
    for (size_t i = 0; p->bindings && i < p->plan->count; i++)
        bindings_free(p->bindings[i]);
    free(p->bindings);
    free(p->turns);
    free(p->handshake);
    buf_fini(&p->out);
    player_plan_unref(p->plan);
    free(p);
}

/* ---- time ---- */

uint64_t player_scaled(const struct player *p, uint64_t gap_us) {
    if (p->options.speed <= 0)
        return 0;
    if (p->options.speed == 1.0)
        return gap_us;
    double scaled = (double)gap_us / p->options.speed;
    return scaled >= (double)(UINT64_MAX / 4) ? UINT64_MAX / 4 : (uint64_t)scaled;
}

/* When something that was recorded then is due. */
static uint64_t due_at(const struct player *p, uint64_t recorded_us) {
    return time_add(p->live_us, player_scaled(p, recorded_us > p->recorded_us ? recorded_us - p->recorded_us : 0));
}

static uint64_t time_of_awaited(const struct player *p, uint32_t ordinal) {
    return plan_message_time(p->rc, p->pc, p->pc->awaited[ordinal] - p->pc->first);
}

/* ---- the main sequence ---- */

/* What comes next there, and when. */
struct turn {
    enum player_step step; /* PLAYER_WAIT: something is awaited, until then */
    bool round;            /* PLAYER_DONE: the recording begins again */
    uint64_t due_us;       /* UINT64_MAX: never by itself */
    size_t frame;
    uint32_t awaited; /* message of the connection; REPLAY_NONE */
};

static bool ours_ended(const struct player *p) {
    return p->rc->end == (p->options.plays == EVENT_OUTGOING ? REPLAY_END_SERVER : REPLAY_END_CLIENT);
}

/* A close frame of ours that began the closing; else it is the answer to theirs, which whoever speaks the protocol
 * gives by itself. */
static bool is_our_close(const struct player *p, const struct replay_frame *f) {
    return f->opcode == WS_CLOSE && (ours_ended(p) || (p->rc->end == REPLAY_END_OPEN && !p->theirs_closed));
}

static void pass_theirs(struct player *p, const struct replay_frame *f) {
    if (f->opcode == WS_CLOSE)
        p->theirs_closed = true;
    if (f->message == REPLAY_NONE || p->rc->messages[f->message].last_frame != p->frame)
        return;
    uint32_t ordinal = p->plan->messages[p->pc->first + f->message].ordinal;
    if (ordinal == REPLAY_NONE)
        return;
    p->before = ordinal + 1;
    bool push = p->options.mode == PLAYER_AUTO && p->options.plays == EVENT_INCOMING &&
                p->plan->messages[p->pc->first + f->message].push;
    if (p->options.mode == PLAYER_TIMED || push)
        window_pass(p, ordinal);
    else
        p->last_held = ordinal;
}

static bool begins_message(const struct player *p, const struct replay_frame *f) {
    return p->rc->messages[f->message].first_frame == p->frame;
}

/* Is this frame of ours none of the main sequence's? */
static bool is_left_out(const struct player *p, const struct replay_frame *f) {
    if (f->message == REPLAY_NONE)
        return f->opcode != WS_PING && !is_our_close(p, f);
    if (f->message == p->whole_message)
        return p->rc->messages[f->message].last_frame != p->frame;
    const struct plan_message *m = &p->plan->messages[p->pc->first + f->message];
    if (!player_in_order(p) || (m->link != LINK_TIED && m->link != LINK_VARIABLE))
        return false;
    if (m->link == LINK_TIED || f->message == p->left_out)
        return true;
    /* Given ahead of its turn; or its turn is over, and nobody has asked. */
    return (p->early_count && answers_gave_early(p, m->owner)) ||
           (p->passed && begins_message(p, f) && window_was_passed(p, p->plan->messages[m->owner].ordinal));
}

/* Goes past what needs nothing. In lookup mode the sequence ends with the first message of theirs: all that comes
 * before it is said unasked, everything else in answer. */
static void advance(struct player *p) {
    for (; p->frame < p->rc->frame_count; p->frame++) {
        const struct replay_frame *f = &p->rc->frames[p->frame];
        if (f->direction == p->options.plays) {
            if (!is_left_out(p, f))
                return;
            if (f->message != REPLAY_NONE && begins_message(p, f))
                p->left_out = f->message;
        } else {
            if (p->options.mode == PLAYER_LOOKUP && f->message != REPLAY_NONE)
                return;
            pass_theirs(p, f);
        }
    }
}

/* A message's later frames wait for nothing: whatever came in between, they are one message. */
static bool is_blocked(const struct player *p) {
    if (!player_in_order(p) || (p->open && p->open_answer == 0) || p->whole_message != REPLAY_NONE)
        return false;
    return window_first_open(p) < p->before;
}

bool player_is_held(struct player *p) {
    if (p->state == ENDED)
        return false;
    advance(p);
    return is_blocked(p);
}

static uint64_t end_time(const struct player *p) {
    uint64_t last = p->rc->frame_count ? plan_frame_time(p->rc, p->pc, p->rc->frame_count - 1) : 0;
    return MAX(p->rc->end_us, last);
}

/* Heartbeats are not waited for, but those that are a little late get their answers before we end it. */
static void grant(const struct player *p, struct turn *t) {
    if (player_in_order(p) && p->beats < p->plan->tied_count)
        t->due_us = time_add(t->due_us, GRACE_US);
}

static struct turn end_turn(const struct player *p) {
    struct turn t = {.step = PLAYER_DONE, .due_us = due_at(p, end_time(p)), .frame = p->rc->frame_count};
    t.awaited = REPLAY_NONE;
    if (p->options.loop)
        t.round = true;
    else if (ours_ended(p) && p->state != ENDED)
        t.step = PLAYER_DROP;
    if (t.step == PLAYER_DROP)
        grant(p, &t);
    return t;
}

/* What comes next, when nothing holds it back. */
static struct turn next_turn(const struct player *p) {
    if (p->state == ENDED || p->frame == p->rc->frame_count)
        return end_turn(p);
    const struct replay_frame *f = &p->rc->frames[p->frame];
    struct turn t = {.step = PLAYER_SEND, .frame = p->frame, .awaited = REPLAY_NONE};
    t.due_us = due_at(p, plan_frame_time(p->rc, p->pc, p->frame));
    if (f->direction != p->options.plays) { /* lookup: see advance() */
        t.step = PLAYER_WAIT;
        t.due_us = UINT64_MAX;
    } else if (f->opcode == WS_CLOSE) {
        t.step = p->options.loop ? PLAYER_DONE : PLAYER_CLOSE;
        t.round = p->options.loop;
        if (t.step == PLAYER_CLOSE)
            grant(p, &t);
    }
    return t;
}

/* From now on times are counted from here: this awaited message came (or was given up) at live_us. */
static void rebase(struct player *p, uint64_t live_us, uint32_t ordinal) {
    p->live_us = live_us;
    p->recorded_us = MAX(p->recorded_us, time_of_awaited(p, ordinal));
    if (!is_blocked(p)) /* what is next keeps its gap to the last one before it */
        p->recorded_us = MAX(p->recorded_us, time_of_awaited(p, p->last_held));
}

static void note_overtaking(struct player *p, uint64_t now_us) {
    uint32_t open = window_first_open(p);
    if (!window_is_overtaken(p))
        p->overtaken_us = 0;
    else if (p->overtaken_us == 0 || open != p->overtaken) {
        p->overtaken_us = now_us;
        p->overtaken = open;
    }
}

void player_awaited_came(struct player *p, uint64_t now_us, uint32_t ordinal) {
    if (p->state == PLAYING || p->state == TIMED_OUT)
        advance(p);
    bool held = is_blocked(p) && ordinal < p->before && ordinal >= window_first_open(p);
    window_come(p, ordinal);
    note_overtaking(p, now_us);
    if (held)
        rebase(p, now_us, ordinal);
    if (p->state == TIMED_OUT && !is_blocked(p))
        p->state = PLAYING;
}

/* What is awaited, and until when. */
static struct turn wait_turn(const struct player *p) {
    uint32_t ordinal = window_first_open(p);
    struct turn t = {.step = PLAYER_WAIT, .due_us = UINT64_MAX, .frame = p->frame};
    t.awaited = p->pc->awaited[ordinal] - p->pc->first;
    if (p->options.timeout_us) {
        uint64_t expected = MAX(due_at(p, time_of_awaited(p, ordinal)), p->sent_us);
        t.due_us = time_add(expected, p->options.timeout_us);
    }
    return t;
}

/* A message of several frames is to get live values: it goes out in one, when its last frame does. */
static bool becomes_whole(struct player *p, uint64_t now_us, const struct turn *t) {
    const struct replay_frame *f = &p->rc->frames[t->frame];
    if (f->message == REPLAY_NONE || f->message == p->whole_message)
        return false;
    const struct replay_message *m = &p->rc->messages[f->message];
    if (m->first_frame == m->last_frame || m->first_frame != t->frame)
        return false;
    uint32_t number = p->pc->first + f->message;
    if (!player_has_slots(p, number) || !player_render(p, player_bindings_of(p, p->pc), now_us, number))
        return false;
    p->whole_message = f->message;
    return true;
}

static struct turn main_turn(struct player *p, uint64_t now_us) {
    for (;;) {
        advance(p);
        struct turn t = next_turn(p);
        if (p->state == ENDED)
            return t;
        if (!is_blocked(p)) {
            if (t.step == PLAYER_SEND && t.due_us <= now_us && becomes_whole(p, now_us, &t))
                continue;
            return t;
        }
        struct turn wait = wait_turn(p);
        if (t.round && t.frame == p->rc->frame_count) {
            t.awaited = wait.awaited; /* everything of ours was played: what is missing may miss the next round */
            return t;
        }
        uint64_t given_up_us = UINT64_MAX;
        if (p->options.mode == PLAYER_AUTO && p->overtaken_us)
            given_up_us =
                MAX(time_add(p->overtaken_us, OVERTAKEN_US), due_at(p, time_of_awaited(p, window_first_open(p))));
        if (now_us < MIN(wait.due_us, given_up_us)) {
            wait.due_us = MIN(wait.due_us, given_up_us);
            return wait;
        }
        if (!p->options.go_on && given_up_us > now_us) {
            p->state = TIMED_OUT;
            wait.step = PLAYER_TIMED_OUT;
            return wait;
        }
        uint32_t ordinal = window_first_open(p);
        window_pass(p, ordinal);
        note_overtaking(p, now_us);
        rebase(p, MIN(wait.due_us, given_up_us), ordinal);
    }
}

/* ---- doing it ---- */

static void begin_round(struct player *p, uint64_t now_us, uint64_t due_us) {
    uint64_t begin = MAX(due_us, time_add(p->round_us, ROUND_MIN_US));
    if (time_add(begin, ROUND_LATE_US) < now_us)
        begin = now_us;
    p->live_us = p->round_us = begin;
    p->recorded_us = 0;
    p->round++;
    p->frame = 0;
    p->run = 0;
    p->before = 0;
    p->theirs_closed = false;
    p->early_count = p->beats = 0;
    window_reset(p);
    free(p->turns);
    p->turns = NULL;
}

static void send_frame(struct player *p, uint64_t now_us, size_t frame, struct player_action *out) {
    const struct replay_frame *f = &p->rc->frames[frame];
    *out =
        (struct player_action){.step = PLAYER_SEND, .frame = f, .data = f->data, .len = f->len, .awaited = REPLAY_NONE};
    p->frame = frame + 1;
    p->sent_us = now_us;
    if (ws_is_control(f->opcode))
        return;
    const struct replay_message *m = &p->rc->messages[f->message];
    uint32_t number = p->pc->first + f->message;
    bool whole = f->message == p->whole_message;
    if (p->plan->messages[number].class == p->plan->pulse_class)
        p->pulse_us = now_us;
    p->whole_message = REPLAY_NONE;
    if ((whole || m->first_frame == m->last_frame) && player_has_slots(p, number) &&
        player_render(p, player_bindings_of(p, p->pc), now_us, number)) {
        player_send_whole(p, p->rc, f->message, out);
    } else if (whole) { /* its values are as recorded again */
        buf_append(&p->out, m->data, m->len);
        player_send_whole(p, p->rc, f->message, out);
    }
    p->open = !out->frame->fin;
    p->open_answer = 0;
}

/* False: nothing that the owner must know of happened. */
static bool do_turn(struct player *p, uint64_t now_us, const struct turn *t, struct player_action *out) {
    if (t->step == PLAYER_SEND) {
        send_frame(p, now_us, t->frame, out);
        return true;
    }
    *out = (struct player_action){.step = t->step, .awaited = t->awaited};
    switch (t->step) {
    case PLAYER_SEND:
    case PLAYER_CLOSE:
        out->frame = &p->rc->frames[t->frame];
        p->state = ENDED;
        return true;
    case PLAYER_DROP:
        p->state = ENDED;
        return true;
    case PLAYER_DONE:
        if (!t->round)
            return true;
        begin_round(p, now_us, t->due_us);
        return false;
    case PLAYER_WAIT:
    case PLAYER_TIMED_OUT:
        return true;
    }
    return true;
}

/* While nothing of ours is due because something of theirs is late, or because all is over, we stay alive: in real
 * time, whatever the speed. UINT64_MAX: there is no pulse now. */
static uint64_t pulse_due(const struct player *p, const struct turn *t) {
    bool idle = t->step == PLAYER_WAIT || (t->step == PLAYER_DONE && !t->round && p->state != ENDED);
    if (!idle || p->pulse_us == 0 || p->open || !player_in_order(p))
        return UINT64_MAX;
    uint64_t late = t->due_us;
    if (t->step == PLAYER_WAIT)
        late = due_at(p, time_of_awaited(p, window_first_open(p)));
    return MAX(time_add(p->pulse_us, p->plan->pulse_us), time_add(late, PULSE_LATE_US));
}

static void send_pulse(struct player *p, uint64_t now_us, struct player_action *out) {
    const struct replay_message *m = &p->rc->messages[p->plan->classes[p->plan->pulse_class].first - p->pc->first];
    const struct replay_frame *f = &p->rc->frames[m->first_frame];
    *out =
        (struct player_action){.step = PLAYER_SEND, .frame = f, .data = f->data, .len = f->len, .awaited = REPLAY_NONE};
    p->pulse_us = now_us;
}

void player_next(struct player *p, uint64_t now_us, struct player_action *out) {
    player_release_out(p);
    for (;;) {
        struct turn t = main_turn(p, now_us);
        uint64_t due_us = UINT64_MAX;
        size_t frame = SIZE_MAX;
        struct answer *a = p->answer_count ? answers_next(p, &due_us, &frame) : NULL;
        if (p->state == ENDED)
            a = NULL;
        /* Done is who has nothing under way. */
        bool main_waits =
            t.step == PLAYER_WAIT || (t.step == PLAYER_DONE && !t.round && a) || (p->open && p->open_answer != 0);
        bool main_first = !main_waits && (t.due_us < due_us || (t.due_us == due_us && t.frame <= frame));
        if (p->open && p->open_answer == 0)
            main_first = true;
        if (t.step == PLAYER_TIMED_OUT) {
            (void)do_turn(p, now_us, &t, out);
            return;
        }
        uint64_t pulse_us = pulse_due(p, &t);
        if (pulse_us <= now_us) {
            send_pulse(p, now_us, out);
            return;
        }
        if (main_first && t.due_us <= now_us) {
            if (do_turn(p, now_us, &t, out)) {
                if (out->step == PLAYER_DONE && pulse_us != UINT64_MAX)
                    out->until_us = pulse_us;
                return;
            }
        } else if (!main_first && a && due_us <= now_us) {
            if (answers_send(p, now_us, a, frame, out))
                return;
        } else {
            uint64_t until = p->open ? (p->open_answer ? due_us : t.due_us) : MIN(t.due_us, due_us);
            if (main_waits && t.step != PLAYER_WAIT)
                until = due_us;
            until = MIN(until, pulse_us);
            *out = (struct player_action){.step = PLAYER_WAIT, .awaited = t.awaited};
            out->until_us = until == UINT64_MAX ? 0 : until;
            return;
        }
    }
}
