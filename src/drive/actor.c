#include "drive/actor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "protocol/frame.h"
#include "protocol/printable.h"

#define TURN_FRAMES 256u /* that one actor sends before the others have a turn */

static void step(struct actor *a);

/* ---- time ---- */

static void wake_at(struct actor *a, uint64_t when_us) {
    uint64_t now = clock_mono_us(), after = when_us > now ? when_us - now : 0;
    const struct timeval tv = {.tv_sec = (time_t)(after / 1000000), .tv_usec = (suseconds_t)(after % 1000000)};
    event_add(a->timer, &tv);
}

static uint64_t scaled(const struct actor *a, uint64_t recorded_us) {
    double speed = a->run->options->speed;
    return speed > 0 ? (uint64_t)((double)recorded_us / speed) : 0;
}

/* ---- notes for the report ---- */

static void keep_first(char **where, const struct actor *a, const char *what) {
    struct buf text = BUF_INIT;
    if (*where)
        return;
    printable_append(&text, a->recorded->name, strlen(a->recorded->name));
    buf_printf(&text, ": %s", what);
    *where = buf_steal(&text);
}

static void case_error(struct actor *a, const char *what) {
    if (a->report && !a->report->error)
        a->report->error = strdup(what);
}

/* ---- answers' times ---- */

/* The server's message that follows this one at once, or REPLAY_NONE. */
static uint32_t answer_of(const struct replay_connection *c, uint32_t message) {
    bool follows = (size_t)message + 1 < c->message_count && c->messages[message + 1].direction == EVENT_OUTGOING;
    return follows ? message + 1 : REPLAY_NONE;
}

static void expect_answer(struct actor *a, uint32_t message, uint64_t sent_us) {
    uint32_t answer = answer_of(a->recorded, message);
    if (answer == REPLAY_NONE || a->due_count == ACTOR_DUE_MAX)
        return;
    if (!a->due)
        a->due = malloc(ACTOR_DUE_MAX * sizeof *a->due);
    if (!a->due)
        return;
    a->due[(a->due_first + a->due_count++) % ACTOR_DUE_MAX] = (struct answer_due){answer, sent_us};
}

/* A message came. A recognised one answers what awaits it; one that is not recognised answers what has waited longest.
 */
static void take_answer(struct actor *a, uint32_t message, uint64_t now_us) {
    if (message != REPLAY_NONE) {
        /* What waited for earlier ones is not timed any more: they come late or never. */
        size_t at = 0;
        while (at < a->due_count && a->due[(a->due_first + at) % ACTOR_DUE_MAX].message != message)
            at++;
        if (at == a->due_count)
            return;
        a->due_first = (a->due_first + at) % ACTOR_DUE_MAX;
        a->due_count -= at;
    }
    if (!a->due_count)
        return;
    latencies_add(&a->run->latencies, now_us - a->due[a->due_first].sent_us);
    a->due_first = (a->due_first + 1) % ACTOR_DUE_MAX;
    a->due_count--;
}

/* ---- the end of a round ---- */

static void end_round(struct actor *a, bool well) {
    a->state = ACTOR_OVER;
    a->rounds += !a->unfinished;
    event_del(a->timer);
    if (a->report)
        a->report->time_us += clock_mono_us() - a->begun_us;
    client_free(a->client);
    a->client = NULL;
    player_free(a->player);
    a->player = NULL;
    verifier_free(a->verifier);
    a->verifier = NULL;
    if (a->script)
        lua_filter_env_free(a->run->transform, a->script);
    a->script = NULL;
    a->due_first = a->due_count = 0;
    buf_reset(&a->held);
    a->held_count = 0;
    a->run->on_round_over(a, well);
}

static void fail_for_memory(struct actor *a) {
    a->run->numbers.broken++;
    keep_first(&a->run->result->broken, a, "out of memory");
    case_error(a, "out of memory");
    if (a->state == ACTOR_OPENING)
        a->run->on_opened(a);
    else
        a->run->numbers.open--;
    end_round(a, false);
}

static bool heard_everything(const struct actor *a) {
    size_t all = a->run->roles[a->connection].awaited_count;
    return a->matched >= all || (!a->verifier && a->matched + a->unmatched >= all);
}

/* The recorded server closed this connection: it is the live one's turn to. */
static bool server_closes(const struct actor *a) {
    return a->ending == PLAYER_DONE && a->recorded->end == REPLAY_END_SERVER;
}

static void drop(struct actor *a) {
    client_drop(a->client);
    a->run->numbers.open--;
    a->run->numbers.finished++;
    if (a->verifier && verifier_finish(a->verifier, 0, true) < 0)
        case_error(a, "out of memory");
    end_round(a, true);
}

/* Everything came, or nothing more will. */
static void close_as_recorded(struct actor *a) {
    static const uint8_t normal[] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 255};
    if (a->ending == PLAYER_DROP) {
        drop(a);
        return;
    }
    a->state = ACTOR_CLOSING;
    event_del(a->timer);
    a->forced = server_closes(a);
    if (a->ending == PLAYER_CLOSE)
        client_close(a->client, a->last_frame->data, MIN(a->last_frame->len, FRAME_CONTROL_MAX));
    else
        client_close(a->client, normal, sizeof normal);
}

/* Everything was sent. What the server still has to say may take as long as it took in the recording, and timeout_us.
 */
static void await_the_rest(struct actor *a, const struct player_action *action) {
    const struct role *role = &a->run->roles[a->connection];
    uint64_t timeout = a->run->options->timeout_us;
    a->ending = action->step;
    a->last_frame = action->frame;
    a->state = ACTOR_AWAITING;
    if (heard_everything(a) && !server_closes(a)) {
        close_as_recorded(a);
        return;
    }
    uint64_t from = action->step == PLAYER_CLOSE ? action->frame->time_us : role->last_client_us;
    uint64_t to = server_closes(a) ? MAX(a->recorded->end_us, role->last_server_us) : role->last_server_us;
    if (timeout)
        wake_at(a, clock_mono_us() + scaled(a, to > from ? to - from : 0) + timeout);
    else
        event_del(a->timer);
}

/* ---- sending ---- */

static bool is_last_of_message(const struct replay_frame *f) {
    return f->message != REPLAY_NONE && f->fin;
}

static int send_held(struct actor *a) {
    size_t begin = 0;
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < a->held_count; i++) {
        const struct held_frame *f = &a->held_frames[i];
        rc = client_send(a->client, f->opcode, i + 1 == a->held_count, a->held.data + begin, f->end - begin);
        begin = f->end;
    }
    return rc;
}

static int hold(struct actor *a, const struct player_action *action) {
    if (!ARRAY_ROOM(a->held_frames, a->held_count, a->held_cap, 4))
        return MF_ENOMEM;
    buf_append(&a->held, action->data, action->len);
    a->held_frames[a->held_count++] = (struct held_frame){action->frame->opcode, a->held.len};
    return a->held.failed ? MF_ENOMEM : MF_OK;
}

/* The script sees the whole message. What it leaves alone goes out in its own frames. */
static int send_through_script(struct actor *a, const struct player_action *action) {
    int rc = hold(a, action);
    if (rc < 0 || !action->frame->fin)
        return rc;
    bool binary = a->recorded->messages[action->frame->message].binary, changed;
    const void *data = buf_cstr(&a->held);
    size_t len = a->held.len;
    if (lua_filter_message(a->run->transform, a->script, true, &binary, &data, &len, &changed))
        rc = changed ? client_send(a->client, binary ? WS_BINARY : WS_TEXT, true, data, len) : send_held(a);
    buf_reset(&a->held);
    a->held_count = 0;
    return rc;
}

static int send_frame(struct actor *a, const struct player_action *action) {
    const struct replay_frame *f = action->frame;
    bool is_message = f->message != REPLAY_NONE;
    uint64_t sent_us = clock_mono_us(); /* before: the answer may be here when the call returns */
    int rc = is_message && a->script ? send_through_script(a, action)
                                     : client_send(a->client, f->opcode, f->fin, action->data, action->len);
    if (rc < 0)
        return rc;
    a->run->numbers.sent_bytes += is_message ? action->len : 0;
    if (is_last_of_message(f)) {
        a->run->numbers.sent++;
        a->sent++;
        expect_answer(a, f->message, sent_us);
    }
    return MF_OK;
}

/* Does what the player says until it has to wait. */
static void step(struct actor *a) {
    struct player_action action;
    for (unsigned sent = 0; a->state == ACTOR_PLAYING && !client_blocked(a->client);) {
        if (sent == TURN_FRAMES) {
            wake_at(a, 0);
            return;
        }
        player_next(a->player, clock_mono_us(), &action);
        switch (action.step) {
        case PLAYER_SEND:
            sent++;
            switch (send_frame(a, &action)) {
            case MF_OK:
                break;
            case MF_ENOMEM:
                fail_for_memory(a);
                return;
            default: /* the connection is gone, and on_end is on its way */
                return;
            }
            break;
        case PLAYER_WAIT:
            if (action.until_us)
                wake_at(a, action.until_us);
            else
                event_del(a->timer);
            return;
        case PLAYER_TIMED_OUT: /* not with go_on */
        case PLAYER_CLOSE:
        case PLAYER_DROP:
        case PLAYER_DONE:
            await_the_rest(a, &action);
            return;
        }
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct actor *a = arg;
    if (a->state == ACTOR_PLAYING)
        step(a);
    else if (a->state == ACTOR_AWAITING)
        close_as_recorded(a);
}

/* ---- what the client tells ---- */

static int new_player(struct actor *a) {
    const struct drive_options *o = a->run->options;
    const struct player_options options = {.plays = EVENT_INCOMING,
                                           .mode = o->mode,
                                           .speed = o->speed,
                                           .timeout_us = o->timeout_us,
                                           .go_on = true,
                                           .hints = o->hints,
                                           .plan = a->run->roles[a->connection].plan};
    return player_new(a->run->correlation, a->connection, &options, clock_mono_us(), &a->player);
}

static int new_verifier(struct actor *a, const char *subprotocol) {
    struct drive_run *r = a->run;
    if (!r->options->verify)
        return MF_OK;
    int rc = verifier_new(r->correlation, r->source, a->connection, r->roles[a->connection].awaited, r->options->verify,
                          &r->scratch, &r->stranger_bytes, &a->report->comparison, &a->verifier);
    return rc == MF_OK ? verifier_opened(a->verifier, subprotocol) : rc;
}

static void on_open(struct client *c, const struct http_head *answer, void *owner) {
    (void)c;
    struct actor *a = owner;
    struct drive_run *r = a->run;
    int rc = new_player(a);
    if (rc == MF_OK)
        rc = new_verifier(a, headers_get(&answer->headers, "Sec-WebSocket-Protocol"));
    if (rc == MF_OK && r->transform)
        rc = lua_filter_env_new(r->transform, a->number, &r->roles[a->connection].opening, &a->script);
    if (rc < 0) {
        fail_for_memory(a);
        return;
    }
    r->numbers.opened++;
    r->numbers.open++;
    a->state = ACTOR_PLAYING;
    r->on_opened(a);
    if (a->state == ACTOR_PLAYING)
        step(a);
}

/* MF_ENOMEM */
static int take_message(struct actor *a, bool binary, const void *data, size_t len) {
    uint64_t now = clock_mono_us();
    uint32_t message = REPLAY_NONE;
    int rc = MF_OK;
    enum player_taken taken = player_take(a->player, now, binary, data, len, &message, NULL);
    if (taken == PLAYER_NO_MEMORY)
        return MF_ENOMEM;
    bool heartbeat = taken == PLAYER_MATCHED && !a->run->roles[a->connection].awaited[message];
    bool known = taken == PLAYER_MATCHED && (heartbeat || !a->came[message]); /* not said twice */
    if (known) {
        a->matched += !heartbeat;
        a->run->numbers.matched++;
        a->came[message] = 1;
        rc = a->verifier ? verifier_matched(a->verifier, message, binary, data, len) : MF_OK;
    } else {
        a->unmatched++;
        a->run->numbers.unmatched++;
        rc = a->verifier ? verifier_unmatched(a->verifier, binary, data, len) : MF_OK;
    }
    if (!heartbeat)
        take_answer(a, known ? message : REPLAY_NONE, now);
    return rc;
}

static void on_message(struct client *c, bool binary, const uint8_t *bytes, size_t len, void *owner) {
    (void)c;
    struct actor *a = owner;
    const void *data = bytes;
    bool changed;
    a->run->numbers.received++;
    a->run->numbers.received_bytes += len;
    if (a->script && !lua_filter_message(a->run->transform, a->script, false, &binary, &data, &len, &changed))
        return;
    if (take_message(a, binary, data, len) < 0) {
        fail_for_memory(a);
        return;
    }
    if (a->state == ACTOR_PLAYING)
        step(a);
    else if (a->state == ACTOR_AWAITING && heard_everything(a) && !server_closes(a))
        close_as_recorded(a);
}

static void on_drained(struct client *c, void *owner) {
    (void)c;
    step(owner);
}

/* ---- how it ended ---- */

static void on_never_open(struct actor *a, const struct client_end *end) {
    static const char *const where[] = {
        [CLIENT_RESOLVE_FAILED] = "its name was not found: ",
        [CLIENT_CONNECT_FAILED] = "no connection: ",
        [CLIENT_TLS_FAILED] = "TLS failed: ",
        [CLIENT_TIMED_OUT] = "too slow: ",
        [CLIENT_REFUSED] = "the server ",
        [CLIENT_BAD_ANSWER] = "the server ",
    };
    struct drive_run *r = a->run;
    struct buf text = BUF_INIT;
    const char *prefix = (size_t)end->kind < ARRAY_LEN(where) ? where[end->kind] : "";
    buf_printf(&text, "%s%s", prefix, end->why);
    r->numbers.unreachable++;
    keep_first(&r->result->unreachable, a, buf_cstr(&text));
    case_error(a, buf_cstr(&text));
    buf_fini(&text);
    r->on_opened(a);
    end_round(a, false);
}

/* The recorded server ended it, and so may the live one when everything was said. */
static bool may_end(const struct actor *a) {
    return a->recorded->end == REPLAY_END_SERVER && a->sent >= a->run->roles[a->connection].client_messages;
}

static void note_early_close(struct actor *a, const struct client_end *end) {
    struct buf text = BUF_INIT;
    a->run->numbers.closed_early++;
    buf_printf(&text, "the server closed with %u", end->code);
    if (end->reason_len)
        buf_printf(&text, " (%s)", log_quote_n(end->reason, end->reason_len));
    buf_printf(&text, " after %zu of %zu messages had come", a->matched + a->unmatched,
               a->run->roles[a->connection].awaited_count);
    keep_first(&a->run->result->closed_early, a, buf_cstr(&text));
    buf_fini(&text);
}

static bool judge(struct actor *a, const struct client_end *end) {
    struct drive_run *r = a->run;
    switch (end->kind) {
    case CLIENT_CLOSED:
        if (end->by_us || (may_end(a) && heard_everything(a)))
            return true;
        note_early_close(a, end);
        return true;
    case CLIENT_LOST:
        if (end->by_us || (a->recorded->vanished && may_end(a)))
            return true;
        break;
    case CLIENT_UNCLOSED:
        return true;
    default:
        break;
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "the server %s%s", end->kind == CLIENT_BROKEN ? "broke the protocol: " : "", end->why);
    r->numbers.broken++;
    keep_first(&r->result->broken, a, buf_cstr(&text));
    case_error(a, buf_cstr(&text));
    buf_fini(&text);
    return false;
}

static void on_end(struct client *c, const struct client_end *end, void *owner) {
    (void)c;
    struct actor *a = owner;
    struct drive_run *r = a->run;
    if (a->state == ACTOR_OPENING) {
        on_never_open(a, end);
        return;
    }
    bool well = a->unfinished || judge(a, end);
    size_t all = r->roles[a->connection].awaited_count, heard = a->matched + a->unmatched;
    r->numbers.open--;
    if (!a->unfinished) {
        r->numbers.finished++;
        r->numbers.missing += all > heard ? all - heard : 0;
        unsigned code = end->kind == CLIENT_CLOSED && !a->forced ? end->code : 0;
        if (a->verifier && well && verifier_finish(a->verifier, code, end->by_us) < 0)
            case_error(a, "out of memory");
    }
    end_round(a, well);
}

static const struct client_events client_events = {
    .on_open = on_open, .on_message = on_message, .on_drained = on_drained, .on_end = on_end};

/* ---- life ---- */

int actor_init(struct actor *a, struct drive_run *run, uint64_t number, size_t connection) {
    *a = (struct actor){
        .run = run, .number = number, .connection = connection, .recorded = &run->source->connections[connection]};
    list_init(&a->queued);
    a->timer = evtimer_new(run->loop.base, on_timer, a);
    a->came = calloc(a->recorded->message_count + 1, 1);
    return a->timer && a->came ? MF_OK : MF_ENOMEM;
}

void actor_fini(struct actor *a) {
    client_free(a->client);
    player_free(a->player);
    verifier_free(a->verifier);
    if (a->script)
        lua_filter_env_free(a->run->transform, a->script);
    if (a->timer)
        event_free(a->timer);
    free(a->came);
    free(a->due);
    free(a->held_frames);
    buf_fini(&a->held);
}

void actor_start(struct actor *a) {
    struct drive_run *r = a->run;
    const struct drive_options *o = r->options;
    const struct opening *opening = &r->roles[a->connection].opening;
    const struct client_options options = {
        .target = {.host = o->target->host,
                   .port = o->target->port,
                   .tls = o->tls,
                   .tls_config = o->tls_config,
                   .timeout_ms = o->connect_timeout_ms},
        .host = opening->host,
        .path = opening->path,
        .large_bytes = &r->large_bytes,
        .fields = &opening->fields,
    };
    a->state = ACTOR_OPENING;
    a->begun_us = clock_mono_us();
    memset(a->came, 0, a->recorded->message_count);
    a->sent = a->matched = a->unmatched = 0;
    a->forced = a->unfinished = false;
    r->numbers.started++;
    if (client_open(&r->loop, r->resolver, &options, &client_events, a, &a->client) < 0)
        fail_for_memory(a);
}

void actor_stop(struct actor *a, unsigned code, bool hurry) {
    uint8_t payload[FRAME_CONTROL_MAX];
    switch (a->state) {
    case ACTOR_WAITING:
    case ACTOR_OVER:
        return;
    case ACTOR_OPENING:
        a->unfinished = true;
        a->run->on_opened(a);
        end_round(a, true);
        return;
    case ACTOR_PLAYING:
    case ACTOR_AWAITING:
        a->unfinished = true;
        a->state = ACTOR_CLOSING;
        event_del(a->timer);
        client_close(a->client, payload, frame_close_payload(payload, code, "", 0));
        break;
    case ACTOR_CLOSING:
        break;
    }
    if (!hurry)
        return;
    a->run->numbers.open--;
    end_round(a, true);
}
