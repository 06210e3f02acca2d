/* What Lua may do in a stub (struct script_host). Whatever may end a session, this one or another, is only noted down
 * while Lua runs, in order, and done when the call is over. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "handler/stub.h"

/* Of one call: what it sends and broadcasts. */
#define ACTIONS_BYTES_MAX (16u << 20)
#define LUA_TIMERS_MAX 100u

enum action_kind { ACTION_SEND, ACTION_JOIN, ACTION_LEAVE, ACTION_BROADCAST, ACTION_CLOSE };
struct stub_action {
    struct stub_action *next;
    enum action_kind kind;
    bool binary;
    unsigned code;
    size_t name_len, len; /* of the room or target, which stands first, and of the data */
    char bytes[];
};

/* Every one of them counts with its frame, so that empty messages are bounded as well. */
static int note(struct stub *st, enum action_kind kind, const char *name, size_t name_len, const void *data, size_t len,
                struct stub_action **out) {
    size_t size = sizeof(struct stub_action) + name_len + len;
    if (st->actions_bytes + size > ACTIONS_BYTES_MAX)
        return MF_ELIMIT;
    struct stub_action *a = malloc(size);
    if (!a)
        return MF_ENOMEM;
    *a = (struct stub_action){.kind = kind, .name_len = name_len, .len = len};
    if (name_len)
        memcpy(a->bytes, name, name_len);
    if (len)
        memcpy(a->bytes + name_len, data, len);
    *(st->actions ? st->last_action : &st->actions) = a;
    st->last_action = &a->next;
    st->actions_bytes += size;
    *out = a;
    return MF_OK;
}

static int host_send(void *arg, bool binary, const void *data, size_t len) {
    struct stub_action *a;
    int rc = note(arg, ACTION_SEND, NULL, 0, data, len, &a);
    if (rc == MF_OK)
        a->binary = binary;
    return rc;
}

static int host_close(void *arg, unsigned code, const char *reason, size_t len) {
    struct stub_action *a;
    int rc = note(arg, ACTION_CLOSE, NULL, 0, reason, len, &a);
    if (rc == MF_OK)
        a->code = code;
    return rc;
}

static bool is_leaving(const struct stub *st, const char *room, size_t len) {
    for (const struct stub_action *a = st->actions; a; a = a->next)
        if (a->kind == ACTION_LEAVE && a->name_len == len && !memcmp(a->bytes, room, len))
            return true;
    return false;
}

/* Joining ends nobody: it is done at once, and rooms.members() shows it; unless it undoes a leave(). */
static int host_join(void *arg, const char *room, size_t len) {
    struct session *s = stub_session(arg);
    struct stub_action *a;
    return is_leaving(arg, room, len) ? note(arg, ACTION_JOIN, room, len, NULL, 0, &a)
                                      : hub_join(s->worker->hub, s, room, len);
}

static int host_leave(void *arg, const char *room, size_t len) {
    struct stub_action *a;
    return note(arg, ACTION_LEAVE, room, len, NULL, 0, &a);
}

static void host_members(void *arg, const char *room, size_t len, void (*add)(void *to, const char *id), void *to) {
    hub_members(stub_session(arg)->worker->hub, room, len, add, to);
}

static int host_broadcast(void *arg, const char *target, size_t target_len, bool binary, const void *data, size_t len) {
    struct stub_action *a;
    int rc = note(arg, ACTION_BROADCAST, target, target_len, data, len, &a);
    if (rc == MF_OK)
        a->binary = binary;
    return rc;
}

static int host_render(void *arg, const char *text, struct buf *out, struct err *err) {
    return session_render_text(stub_session(arg), text, out, err);
}

static int host_sleep(void *arg, uint64_t ms, struct err *err) {
    return stub_call_sleep(((struct stub *)arg)->running, ms, err);
}

static int host_shared(void *arg, const struct script_shared_request *request, struct err *err) {
    return stub_call_shared(((struct stub *)arg)->running, request, err);
}

/* ---- every() and after() ---- */

struct lua_timer {
    struct stub_timer timer;
    int number, ref;
    bool busy; /* its function waits: the next time is skipped */
};

/* A timer's function under way. */
struct timer_call {
    struct stub_call call;
    int number;
    int ref; /* once: to be forgotten after it */
    bool once;
};

static struct lua_timer *find_timer(struct stub *st, int number);

static void end_timer(struct lua_timer *t) {
    struct stub *st = t->timer.stub;
    stub_timer_stop(&t->timer);
    st->lua_timers--;
    loop_bury(&stub_session(st)->worker->loop, t, free);
}

static void on_call_done(struct stub_call *call, const struct script_result *result, const struct err *err) {
    struct timer_call *c = container_of(call, struct timer_call, call);
    struct stub *st = call->stub;
    (void)err;
    if (result && result->any)
        stub_send(st, result->binary, result->data.data, result->data.len);
    if (c->once)
        script_forget_timer(stub_session(st)->worker->vm, c->ref);
    struct lua_timer *t = find_timer(st, c->number);
    if (t)
        t->busy = false;
    free(c);
}

static void on_lua_timer(struct stub_timer *timer) {
    struct lua_timer *t = container_of(timer, struct lua_timer, timer);
    struct stub *st = timer->stub;
    const struct script_event event = {.kind = SCRIPT_TIMER, .timer_ref = t->ref};
    bool once = !timer->every_us;
    struct timer_call *c = t->busy || !stub_is_open(st) ? NULL : calloc(1, sizeof *c);
    if (c) {
        c->number = t->number;
        c->ref = t->ref;
        c->once = once;
        t->busy = true;
    }
    if (once) {
        if (!c)
            script_forget_timer(stub_session(st)->worker->vm, t->ref);
        end_timer(t);
    }
    if (c)
        stub_call_start(&c->call, st, NULL, &event, on_call_done);
}

static int host_timer(void *arg, int ref, uint64_t ms, bool repeat) {
    struct stub *st = arg;
    if (st->lua_timers >= LUA_TIMERS_MAX)
        return MF_ELIMIT;
    struct lua_timer *t = calloc(1, sizeof *t);
    if (!t || stub_timer_start(&t->timer, st, ms, repeat, on_lua_timer) < 0) {
        free(t);
        return MF_ENOMEM;
    }
    t->ref = ref;
    t->number = ++st->last_lua_timer;
    st->lua_timers++;
    return t->number;
}

static struct lua_timer *find_timer(struct stub *st, int number) {
    LIST_EACH_SAFE(&st->timers, it) {
        struct stub_timer *timer = container_of(it, struct stub_timer, in_stub);
        struct lua_timer *t = container_of(timer, struct lua_timer, timer);
        if (timer->fire == on_lua_timer && t->number == number)
            return t;
    }
    return NULL;
}

static void host_cancel_timer(void *arg, int number) {
    struct stub *st = arg;
    struct lua_timer *t = find_timer(st, number);
    if (!t)
        return;
    script_forget_timer(stub_session(st)->worker->vm, t->ref);
    end_timer(t);
}

void stub_host_drop(struct stub *st) {
    LIST_EACH_SAFE(&st->timers, it) {
        struct stub_timer *timer = container_of(it, struct stub_timer, in_stub);
        if (timer->fire != on_lua_timer)
            continue;
        struct lua_timer *t = container_of(timer, struct lua_timer, timer);
        script_forget_timer(stub_session(st)->worker->vm, t->ref);
        end_timer(t);
    }
    LIST_EACH_SAFE(&st->calls, it) {
        struct stub_call *call = container_of(it, struct stub_call, in_stub);
        if (call->done != on_call_done)
            continue;
        struct timer_call *c = container_of(call, struct timer_call, call);
        stub_call_cancel(call);
        if (c->once)
            script_forget_timer(stub_session(st)->worker->vm, c->ref);
        free(c);
    }
    stub_drop_actions(st);
}

/* ---- the environment ---- */

static const struct script_host host = {
    .send = host_send,
    .close = host_close,
    .join = host_join,
    .leave = host_leave,
    .members = host_members,
    .broadcast = host_broadcast,
    .render = host_render,
    .sleep = host_sleep,
    .shared = host_shared,
    .timer = host_timer,
    .cancel_timer = host_cancel_timer,
};

struct script_env *stub_env(struct stub *st) {
    struct session *s = stub_session(st);
    const struct stub_program *p = stub_program(st);
    struct script_env *env;
    if (session_script_env(s, &env) < 0)
        return NULL;
    if (st->host_set)
        return env;
    st->host_set = true;
    script_env_set_host(env, &host, st);
    if (p->state.len && script_env_set_state(s->worker->vm, env, (const char *)p->state.data, p->state.len) < 0)
        return NULL;
    return env;
}

/* ---- after a call ---- */

static void publish(struct stub *st, const struct stub_action *a) {
    struct session *s = stub_session(st);
    const struct hub_target to = hub_target_of(a->bytes, a->name_len);
    struct hub_message *m = hub_message_new(a->binary, a->bytes + a->name_len, a->len);
    if (m)
        hub_publish(s->worker->hub, &to, m);
    hub_message_unref(m);
}

static void act(struct stub *st, const struct stub_action *a) {
    struct session *s = stub_session(st);
    switch (a->kind) {
    case ACTION_SEND:
        stub_send(st, a->binary, a->bytes, a->len);
        break;
    case ACTION_JOIN:
        if (stub_is_open(st) && hub_join(s->worker->hub, s, a->bytes, a->name_len) < 0)
            LOG_LIMITED(LOG_ERROR, "join_failed", "connection=%s why=\"out of memory\"", s->connection.id);
        break;
    case ACTION_LEAVE:
        hub_leave(s->worker->hub, s, a->bytes, a->name_len);
        break;
    case ACTION_BROADCAST:
        publish(st, a);
        break;
    case ACTION_CLOSE:
        session_close_by_endpoint(s, a->code, a->bytes, a->len);
        break;
    }
}

void stub_do_actions(struct stub *st) {
    struct stub_action *a = st->actions;
    st->actions = NULL;
    st->actions_bytes = 0;
    for (struct stub_action *next; a; a = next) {
        next = a->next;
        if (stub_session(st)->state != SESSION_ENDED)
            act(st, a);
        free(a);
    }
}

void stub_drop_actions(struct stub *st) {
    for (struct stub_action *a = st->actions, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    st->actions = NULL;
    st->actions_bytes = 0;
}
