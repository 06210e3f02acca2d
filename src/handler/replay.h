/* A recording in the place of the other side: the server's half of a recorded connection is played to the client.
 *
 *     replay_program.c  what a route has of it: recording, correlation, one plan of play for each recorded connection
 *     replay_pick.c     which recorded connection a client gets, and its handshake
 *     replay_choice.c   when what the client says later tells it
 *     replay.c          one session: the player's clock, frames, the client's messages
 *     replay_spy.c      with `upstream`: what the recording does not answer
 *     replay_twins.c    and what both would say
 *
 * Thread: the session's worker; a program is immutable but for its counters. */
#ifndef MF_HANDLER_REPLAY_H
#define MF_HANDLER_REPLAY_H

#include <stdatomic.h>

#include "relay/message.h"
#include "relay/session.h"
#include "replay/player.h"

struct replay_program {
    struct replay_source *source;
    struct correlation *correlation;
    struct match_hints hints;      /* borrows from the configuration */
    struct player_options options; /* without a plan */
    struct player_plan **plans;    /* by connection; of a spy one for all of them */
    size_t plan_count;
    enum replay_pick pick;
    atomic_uint *given; /* by connection: how many clients got it */
    /* spy */
    bool spies;
    bool asks; /* the upstream, about what is missed, and adds it to the input */
    enum replay_on_miss on_miss;
    struct record_config record; /* RECORD: how what was missed is added to the input */
    struct redactor *redactor;
};

/* For endpoint_type.compile and release. Blocks on the disk. MF_EIO: the recording cannot be read; MF_EINVAL: rules. */
MF_MUSTCHECK int replay_program_compile(struct plan_build *b, struct route *r);
void replay_program_release(struct route *r);

struct spy;
struct replay_choice;

struct replay {
    struct endpoint endpoint;
    struct plan *plan;         /* counted: a reload does not change a conversation under way */
    const struct route *route; /* of that plan */
    struct player *player;     /* NULL: the first message is awaited, which chooses the connection */
    size_t connection;         /* that is played */
    struct assembler assembler;
    struct event *clock;          /* NULL: nothing had to wait yet */
    uint64_t due_us;              /* what it is set to; 0: it is not */
    char *last_miss;              /* why the last message was none that is awaited; NULL: each was */
    bool blocked;                 /* the client takes nothing for now */
    bool playing;                 /* in go_on() */
    uint64_t opened_us;           /* the client got its 101 */
    uint64_t begin_us;            /* of timed play: where time begins */
    bool chooses;                 /* the client's first message says which connection it is */
    struct replay_choice *choice; /* NULL: no other connection is in question */
    bool in_message;              /* of a fragmented message not all has been sent */
    struct spy *spy;              /* NULL: nothing was missed or kept yet */
};

static inline struct replay *replay_of(struct endpoint *e) {
    return container_of(e, struct replay, endpoint);
}
static inline struct session *replay_session(const struct replay *r) {
    return r->endpoint.session;
}
static inline const struct replay_program *replay_program(const struct replay *r) {
    return r->route->program;
}
static inline const struct replay_connection *replay_connection(const struct replay *r) {
    return &replay_program(r)->source->connections[r->connection];
}

/* The recorded times hold from the beginning, whatever the client does. */
static inline bool replay_keeps_times(const struct replay_program *p) {
    return p->options.mode == PLAYER_TIMED && p->pick != REPLAY_PICK_FIRST_MESSAGE;
}

/* r->player, of r->connection. MF_ENOMEM. */
MF_MUSTCHECK int replay_start_player(struct replay *r);
/* Nobody answers this message: counted, logged, kept for the admin side. */
void replay_unmatched(struct replay *r, bool binary, const void *data, size_t len, const char *why);

/* ---- replay_pick.c ---- */

/* The recorded connections that this client may be given, in the recording's order: indexes (malloc'd; NULL: no
 * memory). *count 0: none, and *status and *why say how to refuse. */
uint32_t *replay_candidates(const struct replay_program *p, const struct session *s, size_t *count, int *status,
                            struct buf *why);
/* One of them, in turn. */
uint32_t replay_next_in_turn(const struct replay_program *p, const uint32_t *candidates, size_t count);
/* Is the choice left to the client's first message? With `auto` when there are several, each begins with one, and
 * nothing in the handshake tells them apart. */
bool replay_waits_for_first_message(const struct replay_program *p, const uint32_t *candidates, size_t count);
/* How long it is waited for: microseconds. With timed play until a while after any candidate would have said something
 * by the recorded times. */
uint64_t replay_first_message_due(const struct replay_program *p, const struct session *s);
/* How long after the handshake the client spoke first in this recorded connection (`theirs`), or the server:
 * microseconds. */
uint64_t replay_first_word(const struct replay_program *p, size_t connection, bool theirs);
/* Those whose first message is this one, or most like it (malloc'd; NULL: no memory). *count 0: none is. */
uint32_t *replay_by_first_message(const struct replay_program *p, const struct session *s, bool binary,
                                  const void *data, size_t len, size_t *count);
/* The fields of the recorded 101 that go to any client again. MF_ENOMEM. */
MF_MUSTCHECK int replay_response_fields(const struct replay_connection *rc, struct headers *out);

/* ---- replay_choice.c ---- */

/* r->connection is one of these, which nothing tells apart so far. */
void replay_choice_begin(struct replay *r, const uint32_t *rivals, size_t count);
/* The client says this, which the player has not taken yet: from now on it may be another one. */
void replay_choice_said(struct replay *r, bool binary, const void *data, size_t len);
/* It heard a message. */
void replay_choice_heard(struct replay *r);
void replay_choice_free(struct replay_choice *c); /* NULL is accepted */

/* ---- replay_spy.c ---- */

/* The player answers this message of the client. */
void spy_answered(struct replay *r, bool binary, const void *data, size_t len);
/* It does not. */
void spy_missed(struct replay *r, bool binary, const void *data, size_t len, const char *why);
/* The client got this frame of the recording. */
void spy_sent(struct replay *r, const struct replay_frame *frame, const void *data, size_t len);
/* A fragmented message of the recording is complete: what the upstream said meanwhile goes out. */
void spy_between_messages(struct replay *r);
void spy_on_close_frame(struct replay *r, struct fragment *f);
/* As in endpoint_type, for its upstream. */
void spy_on_upstream_fragment(struct replay *r, struct fragment *f);
void spy_flush(struct replay *r);
void spy_on_client_blocked(struct replay *r, bool blocked);
void spy_on_recorder_ready(struct replay *r);
void spy_check(struct replay *r, uint64_t now_ms);
void spy_close(struct replay *r, unsigned code, const char *reason);
bool spy_takes_its_close(const struct replay *r, uint64_t patience_ms);
bool spy_closed(const struct replay *r);
void spy_drop(struct replay *r);

#endif
