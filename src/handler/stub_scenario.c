/* `steps`: a conversation step by step. What is expected is awaited; what else comes in its place is told to the log,
 * kept with the unmatched messages, and does not move the conversation on. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "handler/stub.h"

/* A circle of gotos in which nothing waits ends here. */
#define STEPS_AT_ONCE_MAX 10000u

static void go_on(struct stub *st);

static void report(struct stub *st, const char *event, const struct scenario_step *step, const char *why) {
    struct session *s = stub_session(st);
    LOG_LIMITED(LOG_WARN, event, "connection=%s route=%s step=%zu line=%d why=%s", s->connection.id,
                log_quote(s->route->config->path), st->scenario.at + 1, step->line, log_quote(why));
}

static void end_scenario(struct stub *st) {
    st->scenario.over = true;
    stub_timer_stop(&st->scenario.timer);
}

static void last_message(struct stub *st, struct moment *m) {
    moment_init(m, st->scenario.binary, st->scenario.text, st->scenario.len);
}

static void on_timeout(struct stub_timer *t) {
    struct stub *st = t->stub;
    struct scenario_position *at = &st->scenario;
    const struct scenario_step *step = &at->steps[at->at];
    report(st, "scenario_timeout", step, "what is expected did not come in time");
    metrics_inc(&stub_session(st)->worker->metrics, METRIC_ERRORS_TIMEOUT);
    at->expecting = false;
    if (step->on_timeout == STEP_CLOSES) {
        struct moment m;
        last_message(st, &m);
        end_scenario(st);
        stub_close(st, WS_CLOSE_POLICY, NULL, &m);
        return;
    }
    at->at = step->on_timeout;
    go_on(st);
    stub_go_on(st);
}

static void on_delay(struct stub_timer *t) {
    struct stub *st = t->stub;
    st->scenario.delayed = true;
    go_on(st);
    stub_go_on(st);
}

/* true: the scenario waits here. */
static bool take_step(struct stub *st, const struct scenario_step *step) {
    struct scenario_position *at = &st->scenario;
    struct moment m;
    last_message(st, &m);
    if (step->delay_ms && !at->delayed)
        return stub_timer_start(&at->timer, st, step->delay_ms, false, on_delay) == MF_OK;
    at->delayed = false;
    if (step->expect) {
        at->expecting = true;
        return !step->timeout_ms || stub_timer_start(&at->timer, st, step->timeout_ms, false, on_timeout) == MF_OK;
    }
    stub_send_pieces(st, &step->send, &m);
    if (step->closes) {
        end_scenario(st);
        stub_close(st, step->close_code, step->close_reason, &m);
        return true;
    }
    at->at = step->next;
    return false;
}

static void go_on(struct stub *st) {
    struct scenario_position *at = &st->scenario;
    for (unsigned i = 0; !at->over && stub_is_open(st); i++) {
        if (at->at >= at->count) {
            end_scenario(st);
        } else if (i == STEPS_AT_ONCE_MAX) {
            report(st, "scenario_stopped", &at->steps[at->at], "it goes round in a circle in which nothing waits");
            end_scenario(st);
        } else if (take_step(st, &at->steps[at->at])) {
            return;
        }
    }
}

void stub_scenario_start(struct stub *st) {
    const struct stub_program *p = stub_program(st);
    struct scenario_position *at = &st->scenario;
    if (!p->scenario_count)
        return;
    at->plan = plan_ref(stub_session(st)->plan);
    at->steps = p->scenario;
    at->count = p->scenario_count;
    go_on(st);
}

static bool keep_message(struct stub *st, const struct moment *m) {
    struct scenario_position *at = &st->scenario;
    char *copy = malloc(m->len + 1);
    if (!copy)
        return false;
    memcpy(copy, m->text, m->len);
    copy[m->len] = '\0';
    free(at->text);
    at->text = copy;
    at->len = m->len;
    at->binary = m->binary;
    return true;
}

bool stub_scenario_is_busy(const struct stub *st) {
    return st->scenario.plan && !st->scenario.over && !st->scenario.expecting;
}

bool stub_scenario_explain(struct stub *st, const struct match_input *in, size_t *step, struct match_miss *miss) {
    const struct scenario_position *at = &st->scenario;
    if (!at->plan || at->over || !at->expecting)
        return false;
    *step = at->at + 1;
    matcher_explain(at->steps[at->at].expect, in, miss);
    return true;
}

bool stub_scenario_take(struct stub *st, struct moment *m) {
    struct scenario_position *at = &st->scenario;
    if (!at->plan || at->over)
        return false;
    if (!at->expecting)
        return false;
    const struct scenario_step *step = &at->steps[at->at];
    const struct match_input in = moment_match_input(st, m);
    if (!matcher_matches(step->expect, &in)) {
        struct match_miss miss;
        matcher_explain(step->expect, &in, &miss);
        report(st, "scenario_mismatch", step, miss.text);
        return false;
    }
    at->expecting = false;
    stub_timer_stop(&at->timer);
    if (!keep_message(st, m)) {
        session_end(stub_session(st), END_NO_MEMORY, END_BY_GATEWAY, "no memory for a message");
        return true;
    }
    at->at = step->next;
    go_on(st);
    return true;
}

void stub_scenario_drop(struct stub *st) {
    stub_timer_stop(&st->scenario.timer);
    stub_unref_plan(st, st->scenario.plan);
    st->scenario.plan = NULL;
    if (st->scenario.text) /* a step may be sending what it says */
        loop_bury(&stub_session(st)->worker->loop, st->scenario.text, free);
    st->scenario.text = NULL;
}
