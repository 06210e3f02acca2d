/* A stub: the endpoint that answers in place of an upstream, by what its route's mock keys say (stub_program.h).
 *
 *     message -> stub.c: waits for its turn -> moment -> responders in order: methods, scenario, rules, script, static,
 *                                              default, echo; nobody: unmatched.c
 *     responder -> stub_run.c: an answer's steps -> stub_call.c: Lua that may wait -> stub_send()
 *
 * Messages of one connection are answered in their order: while a handler waits, what comes later waits too, and when
 * that gets much, the client is not read from. A step's delay holds nobody up. The client's close frame has its turn as
 * well: behind the answers to what came before it, then `on_close`, then ours. Thread: the session's worker. */
#ifndef MF_HANDLER_STUB_H
#define MF_HANDLER_STUB_H

#include "handler/stub_program.h"
#include "relay/message.h"
#include "relay/session.h"
#include "template/json_values.h"

/* The message that is being answered: parsed when the first asks, once for all. */
struct moment {
    bool binary, parsed;
    const char *text; /* followed by a NUL; NULL: no message (a timer, a schedule) */
    size_t len;
    const struct json_tape *tape; /* the worker's; NULL: not JSON. Of the message that was parsed last */
    uint32_t params;              /* the node of a JSON-RPC request's; JSON_NO_NODE */
    uint32_t request;             /* the node that {{message}} means: 0, or one request of a batch */
};

/* stub_timer.c: one-shot or repeating; embedded in its owner. */
struct stub_timer {
    struct list in_stub;
    bool running;
    struct stub *stub;
    void (*fire)(struct stub_timer *t); /* may free it */
    uint64_t due_us, every_us;          /* every_us 0: once */
};

/* Where a scenario is. It keeps its plan: a reload does not change a conversation under way. */
struct scenario_position {
    struct plan *plan; /* counted; NULL: the route has no scenario */
    const struct scenario_step *steps;
    size_t count, at;
    bool over, delayed, expecting;
    struct stub_timer timer;
    char *text; /* the message that was last expected and came: what templates mean by {{message}}; NULL: none yet */
    size_t len;
    bool binary;
};

struct stub {
    struct endpoint endpoint;
    struct assembler assembler;

    /* messages that wait for their turn */
    struct waiting {
        struct waiting *next;
        bool binary;
        size_t len;
        char text[];
    } * first, **last;
    size_t waiting_bytes;
    unsigned holding;        /* handlers under way that the next message waits for */
    unsigned delayed;        /* answers under way that nobody waits for */
    size_t delayed_bytes;    /* of messages that these keep */
    bool blocked;            /* the client takes nothing for now */
    bool taking;             /* in stub_go_on() */
    struct stub_timer again; /* the next messages have their turn after other connections had theirs */

    /* the end */
    struct farewell {
        unsigned code;
        size_t len;
        uint8_t payload[FRAME_CONTROL_MAX]; /* of the client's close frame, as ours will be */
        char reason[FRAME_CONTROL_MAX];
    } * farewell; /* its close frame waits for its turn; NULL: none has come */
    bool said;    /* on_close was sent, and the script told */
    bool closing; /* the script's on_close is under way, or about to be */
    struct stub_timer last_call;

    struct stub_call *running; /* whose Lua runs now; NULL: none of this session's */
    struct list calls;         /* struct stub_call that wait */
    struct list runs;          /* struct stub_run that wait */
    struct list timers;        /* struct stub_timer, in the order in which they are due */
    struct event *clock;       /* for the first of them; NULL: none was yet, or all is over */
    struct list schedules;
    struct list rpcs; /* JSON-RPC messages that wait for a handler */
    unsigned lua_timers;
    int last_lua_timer;

    /* what Lua asked for during the call that runs; done when it is over */
    struct stub_action *actions, **last_action;
    size_t actions_bytes;
    bool host_set; /* the environment knows its host */

    struct scenario_position scenario;
};

static inline struct stub *stub_of(struct endpoint *e) {
    return container_of(e, struct stub, endpoint);
}
static inline struct session *stub_session(struct stub *st) {
    return st->endpoint.session;
}
static inline const struct stub_program *stub_program(struct stub *st) {
    return st->endpoint.session->route->program;
}
/* May still be heard by its client. */
static inline bool stub_is_open(struct stub *st) {
    return session_may_send(st->endpoint.session);
}

/* stub.c */
/* Something that held messages up is over: the next ones are taken. */
void stub_go_on(struct stub *st);
/* What an answer belongs to may be read to the end of the turn, though its session is over: it is let go only then. */
void stub_unref_plan(struct stub *st, struct plan *plan);
/* The burst has its time used up: whatever else there is to do waits until other connections had theirs. */
bool stub_must_yield(struct stub *st);
/* Answers under way, and bytes of messages kept for them, beyond which the client is not read from. */
#define STUB_DELAYED_MAX 1000u
#define STUB_DELAYED_BYTES_MAX (1u << 20)
/* Bytes of messages that wait for a handler. So long it is read on, to see when the client closes or is gone. */
#define STUB_WAITING_BYTES_MAX (64u << 10)

/* moment.c */
void moment_init(struct moment *m, bool binary, const char *text, size_t len);
/* Parses it; false: it is not JSON. */
bool moment_parse(struct stub *st, struct moment *m);
struct match_input moment_match_input(struct stub *st, struct moment *m);
/* What templates may name; values and scratch live as long as ctx is used. */
struct stub_values {
    struct json_values json;
    struct template_values state;
    struct stub *stub;
};
void moment_context(struct stub *st, struct moment *m, struct stub_values *values, struct template_context *ctx);

/* stub_send.c: to the client, or to whom a step says. */
void stub_send(struct stub *st, bool binary, const void *data, size_t len);
void stub_send_pieces(struct stub *st, const struct pieces *pieces, struct moment *m);
void stub_take_step(struct stub *st, const struct step *step, struct moment *m);
void stub_send_to(struct stub *st, const struct step *step, struct moment *m, bool binary, const void *data,
                  size_t len);
void stub_close(struct stub *st, unsigned code, const struct template *reason, struct moment *m);

/* MF_ENOMEM. stub_timer_stop() is fine for one that is not running, or never was. */
MF_MUSTCHECK int stub_timer_start(struct stub_timer *t, struct stub *st, uint64_t ms, bool repeat,
                                  void (*fire)(struct stub_timer *t));
void stub_timer_stop(struct stub_timer *t);
void stub_timers_drop(struct stub *st);

/* stub_call.c: one handler of Lua, which may wait. */
struct stub_call {
    struct list in_stub;
    struct stub *stub;
    struct script_task *task; /* while it waits */
    uint64_t number;          /* in the worker's waits, for answers from elsewhere */
    struct stub_timer sleep;
    /* It is over: result, or err (logged already) when it failed. Never after stub_call_cancel(). */
    void (*done)(struct stub_call *call, const struct script_result *result, const struct err *err);
};
/* Runs a chunk; done() comes before this returns, or later. */
void stub_call_start(struct stub_call *call, struct stub *st, struct script_chunk *chunk,
                     const struct script_event *event,
                     void (*done)(struct stub_call *call, const struct script_result *result, const struct err *err));
void stub_call_cancel(struct stub_call *call);
/* The chunk of a plan's script as this session has it now. What outlives a message keeps its own set beside its plan:
 * after a reload numbers mean something else. */
struct script_chunk *stub_chunk(struct stub *st, size_t script);
/* A guard; an error is logged and means false. */
bool stub_test(struct stub *st, size_t script, struct moment *m);
void stub_script_event(struct moment *m, enum script_event_kind kind, struct script_event *event,
                       struct script_message *message);
/* A handler failed: logged with its route and place, and counted. */
void stub_log_script_error(struct stub *st, const struct err *err);
/* After a call: sends, joins, leaves, broadcasts and closes as it asked. */
void stub_do_actions(struct stub *st);
void stub_drop_actions(struct stub *st);
/* For the host: the running call waits for so long, or for the store. */
MF_MUSTCHECK int stub_call_sleep(struct stub_call *call, uint64_t ms, struct err *err);
MF_MUSTCHECK int stub_call_shared(struct stub_call *call, const struct script_shared_request *request, struct err *err);
/* stub_host.c: the environment of this session's scripts, with its host and its first state; NULL: no memory. */
struct script_env *stub_env(struct stub *st);
void stub_host_drop(struct stub *st);

/* stub_run.c: an answer's steps, one after the other. */
void stub_run_answer(struct stub *st, const struct answer *answer, struct moment *m);
void stub_runs_drop(struct stub *st);

/* Responders. true: the message was theirs. */
bool stub_rpc_take(struct stub *st, struct moment *m);
void stub_rpc_drop(struct stub *st);
bool stub_scenario_take(struct stub *st, struct moment *m);
/* What is expected now, and why the message is not it. false: nothing is. */
bool stub_scenario_explain(struct stub *st, const struct match_input *in, size_t *step, struct match_miss *miss);
void stub_scenario_start(struct stub *st);
/* It is between two steps: the next message waits for what it will expect. */
bool stub_scenario_is_busy(const struct stub *st);
void stub_scenario_drop(struct stub *st);
bool stub_rules_take(struct stub *st, struct moment *m);
bool stub_script_take(struct stub *st, struct moment *m);
void stub_script_connect(struct stub *st);
/* Has the script an on_close? */
bool stub_hears_close(struct stub *st);
/* st->closing until it is over; then stub_closed(). */
void stub_script_close(struct stub *st, unsigned code, const char *reason);
void stub_closed(struct stub *st);
void stub_schedules_start(struct stub *st);
void stub_schedules_drop(struct stub *st);
void stub_script_drop(struct stub *st);
/* Nobody took it: counted, kept, logged with the rule that is nearest. */
void stub_unmatched(struct stub *st, struct moment *m);

#endif
