/* An answer under way: its steps, one after the other, each after its delay, each with its handler, which may wait.
 *
 * Up to the first delay an answer is part of its message's turn: the next message waits for it. From then on it stands
 * alone, with a copy of the message and a reference to the plan that it belongs to. */
#include <stdlib.h>
#include <string.h>

#include "handler/stub.h"

struct stub_run {
    struct list in_stub;
    struct stub *stub;
    struct plan *plan;        /* counted: the answer is part of it */
    struct chunk_set *chunks; /* counted: its Lua */
    const struct answer *answer;
    size_t at;      /* the step */
    bool delayed;   /* its delay is over */
    bool detached;  /* a delay was: nobody waits for this answer any more */
    bool holding;   /* it waits, and the next message for it */
    bool delaying;  /* it waits, and nobody for it: counted in stub->delayed */
    bool advancing; /* in run_on() */
    bool over;
    struct moment moment;
    char *text; /* the copy that moment looks at, once it has to last */
    struct stub_timer timer;
    struct stub_call call;
};

static void run_on(struct stub_run *run);

static void wait_alone(struct stub_run *run) {
    run->delaying = true;
    run->stub->delayed++;
    run->stub->delayed_bytes += run->moment.len;
}

static void wait_no_more(struct stub_run *run) {
    struct stub *st = run->stub;
    if (run->holding)
        st->holding--;
    if (run->delaying) {
        st->delayed--;
        st->delayed_bytes -= run->moment.len;
    }
    run->holding = run->delaying = false;
}

static void end_run(struct stub_run *run) {
    struct stub *st = run->stub;
    if (run->over)
        return;
    run->over = true;
    wait_no_more(run);
    list_remove(&run->in_stub);
    stub_timer_stop(&run->timer);
    stub_call_cancel(&run->call);
    stub_unref_plan(st, run->plan);
    chunk_set_unref(stub_session(st)->worker, run->chunks);
    if (run->text)
        loop_bury(&stub_session(st)->worker->loop, run->text, free);
    loop_bury(&stub_session(st)->worker->loop, run, free);
}

/* The message is about to be gone: a copy takes its place, to be parsed anew when somebody asks. */
static bool keep_message(struct stub_run *run) {
    struct moment *m = &run->moment;
    if (run->text || !m->text)
        return true;
    run->text = malloc(m->len + 1);
    if (!run->text)
        return false;
    memcpy(run->text, m->text, m->len);
    run->text[m->len] = '\0';
    m->text = run->text;
    m->parsed = false;
    m->tape = NULL;
    return true;
}

static void on_delay(struct stub_timer *t) {
    struct stub_run *run = container_of(t, struct stub_run, timer);
    struct stub *st = run->stub;
    run->delayed = true;
    wait_no_more(run);
    run_on(run);
    stub_go_on(st);
}

static bool start_delay(struct stub_run *run, unsigned ms) {
    struct stub *st = run->stub;
    if (!keep_message(run) || stub_timer_start(&run->timer, st, ms, false, on_delay) < 0)
        return false;
    run->detached = true;
    wait_alone(run);
    return true;
}

static void on_handler(struct stub_call *call, const struct script_result *result, const struct err *err) {
    struct stub_run *run = container_of(call, struct stub_run, call);
    struct stub *st = run->stub;
    const struct step *step = &run->answer->steps[run->at];
    (void)err;
    if (result && result->any && stub_is_open(st))
        stub_send_to(st, step, &run->moment, result->binary, result->data.data, result->data.len);
    if (step->closes && stub_is_open(st) && !run->over)
        stub_close(st, step->close_code, step->close_reason, &run->moment);
    run->at++;
    run->delayed = false;
    if (run->advancing || run->over) /* it did not wait: run_on() goes on by itself */
        return;
    wait_no_more(run);
    run_on(run);
    stub_go_on(st);
}

/* true: it is over at once. */
static bool start_handler(struct stub_run *run, size_t script) {
    struct stub *st = run->stub;
    struct script_event event;
    struct script_message message;
    size_t at = run->at;
    stub_script_event(&run->moment, SCRIPT_RULE, &event, &message);
    stub_call_start(&run->call, st, run->chunks->items[script].chunk, &event, on_handler);
    if (run->at != at || run->over)
        return true;
    if (!keep_message(run)) {
        end_run(run);
        return true;
    }
    if (run->detached) {
        wait_alone(run);
    } else {
        run->holding = true;
        st->holding++;
    }
    return false;
}

/* Takes steps until one has to wait, or the last is done. */
static void run_on(struct stub_run *run) {
    struct stub *st = run->stub;
    run->advancing = true;
    while (!run->over && run->at < run->answer->count && stub_is_open(st)) {
        const struct step *step = &run->answer->steps[run->at];
        if (step->delay_ms && !run->delayed) {
            if (start_delay(run, step->delay_ms)) {
                run->advancing = false;
                return;
            }
            break; /* no memory: the rest of this answer is lost */
        }
        if (step->handler != PLAN_NO_SCRIPT) {
            if (!start_handler(run, step->handler)) {
                run->advancing = false;
                return;
            }
            continue;
        }
        stub_take_step(st, step, &run->moment);
        run->at++;
        run->delayed = false;
    }
    run->advancing = false;
    end_run(run);
}

void stub_run_answer(struct stub *st, const struct answer *answer, struct moment *m) {
    struct session *s = stub_session(st);
    /* The usual answer is sent and forgotten. */
    if (answer->count == 1 && !answer->steps->delay_ms && answer->steps->handler == PLAN_NO_SCRIPT) {
        stub_take_step(st, answer->steps, m);
        return;
    }
    struct stub_run *run = calloc(1, sizeof *run);
    if (!run) {
        session_end(s, END_NO_MEMORY, END_BY_GATEWAY, "no memory for an answer");
        return;
    }
    *run = (struct stub_run){
        .stub = st, .plan = plan_ref(s->plan), .chunks = chunk_set_ref(s->chunks), .answer = answer, .moment = *m};
    list_append(&st->runs, &run->in_stub);
    run_on(run);
}

void stub_runs_drop(struct stub *st) {
    LIST_EACH_SAFE(&st->runs, it)
    end_run(container_of(it, struct stub_run, in_stub));
}
