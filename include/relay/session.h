/* A session joins two endpoints: the client's WebSocket and the other side. START READING HERE.
 *
 *     client link -> peer_feed() -> session_on_fragment() -> chain FROM_CLIENT -> endpoint->on_fragment()
 *     client link <- peer_send() <-        sink           <- chain TO_CLIENT   <- session_from_endpoint()
 *
 * session_new() takes an accepted socket; upgrade.c reads its head, finds the route and makes the endpoint, which
 * accepts or refuses. session_end() is the one way out, with a reason from the table.
 * Thread: its worker. It frees itself; nobody else holds a pointer to it. */
#ifndef MF_RELAY_SESSION_H
#define MF_RELAY_SESSION_H

#include "base/connection.h"
#include "relay/endpoint.h"
#include "relay/hub.h"
#include "relay/peer.h"
#include "relay/stage.h"
#include "relay/worker.h"

struct session {
    /* identity */
    struct worker *worker;
    struct connection connection;
    struct plan *plan;         /* counted; NULL until the head is read */
    const struct route *route;
    struct chunk_set *chunks;  /* the plan's Lua; counted */
    const char *path_suffix;   /* what "**" stood for; borrowed from connection.path */

    /* links */
    struct peer client;
    struct endpoint *endpoint;
    struct stage *chains[2]; /* first stages, by enum direction */
    struct stage sinks[2];
    struct stage *client_door; /* what stands last before the client: its tap, or the sink */
    struct capture *capture; /* NULL: not recorded */
    struct hub_member *member; /* of its route and of rooms; NULL: of nothing */
    struct push_queue *queue;  /* what waits for a client that is slower than what it is sent; NULL: nothing */
    struct script_env *env;  /* what scripts know of this connection, the same for both directions; NULL: none has run yet */
    const struct headers *response_fields; /* of the upstream's 101, borrowed while the session opens */

    /* state */
    enum session_state state;
    struct list in_state;    /* in worker->states[state] */
    uint64_t deadline_ms;    /* loop time; of the state's list */
    struct list waiting;     /* in worker->waiting_for_recorder */
    struct buf head;         /* request head, and what came behind it; empty once open */
    char *handshake_key;
    bool asked_with_head;    /* method HEAD: what it is answered with has no content */
    enum end_reason reason;  /* once closing */
    enum end_by by;
    unsigned close_code;     /* of the first close frame; 0: none came or went */
    bool counted;            /* in shared->open */
    bool client_blocked;     /* the endpoint was told so */

    /* counters, for the log */
    uint64_t messages[2], bytes[2]; /* by enum direction, as the client saw them */
};

/* Open sessions are looked at this often at least (heartbeat, stalled output). */
#define SESSION_CHECK_MS 1000

/* Takes a connected socket. */
void session_new(struct worker *w, MF_TAKES int fd, const struct sockaddr *remote);

/* For endpoints: the client gets its 101. `fields` are the upstream's answer (NULL for a mock). The session is then
 * open, and the endpoint may send. */
void session_accept(struct session *s, const char *subprotocol, const struct headers *fields);
/* For endpoints: the client gets this status and a one-line text (or the upstream's own body), and the session ends. */
void session_refuse(struct session *s, int status, const char *why, const struct headers *fields, const void *body,
                    size_t body_len);

/* For peers: a fragment that the peer at this leg sent. */
void session_on_fragment(struct session *s, struct peer *from, struct fragment *f);
/* For endpoints: a fragment for the client, through the chain. */
void session_from_endpoint(struct session *s, struct fragment *f);
/* The environment that this connection's scripts run in, made for the first of them. The worker has a script_vm. */
MF_MUSTCHECK int session_script_env(struct session *s, struct script_env **out);

/* template(s) of scripts: appends the text with its placeholders filled. */
MF_MUSTCHECK int session_render_text(struct session *s, const char *text, struct buf *out, struct err *err);

/* Does what an endpoint sends go to the client as it is, with no stage to see it: neither recorded nor transformed? */
static inline bool session_passes_all(const struct session *s) {
    return s->chains[TO_CLIENT] == &s->sinks[TO_CLIENT];
}
/* For mocks: one whole message or control frame for the client, through the chain. */
void session_send(struct session *s, uint8_t opcode, const void *payload, size_t len);
/* For mocks: the same, for a client that may be slower than what it is sent: while its socket takes nothing, messages wait,
 * within websocket.send_queue. `shared` holds the same bytes, where there is such a thing; it is counted, not copied.
 * session_flush() sends what was gathered. */
void session_push(struct session *s, bool binary, const void *data, size_t len, struct hub_message *shared);
/* After an event: what waits from now on waits because the client is slow. session_flush() calls it. */
void session_settle_queue(struct session *s);
/* For mocks: may anything still be sent? While the session is open, and when the client has closed it until we answer. */
static inline bool session_may_send(const struct session *s) {
    bool client_closed = s->state == SESSION_CLOSING && s->reason == END_CLOSED && s->by == END_BY_CLIENT;
    return s->client.link && !s->client.close_sent && (s->state == SESSION_OPEN || client_closed);
}
/* For mocks: our close frame. The client answers it, and the session ends. */
void session_close_by_endpoint(struct session *s, unsigned code, const char *reason, size_t len);
/* For mocks: answers ping and close as an endpoint must (RFC 6455 sections 5.5.1, 5.5.2). true: it was one of them, or a pong. */
bool session_answer_control(struct session *s, const struct fragment *f);

/* The one exit. Close frames are sent where they can be, then the links end. `detail` is for the log and the close
 * reason. Idempotent: the first call counts. */
void session_end(struct session *s, enum end_reason reason, enum end_by by, const char *detail);
/* While closing: ends it now; the time for the close handshake is over. */
void session_give_up(struct session *s);
/* May it have more time to close? Only while a side still takes what ends with a close frame. */
bool session_closes_slowly(const struct session *s);
/* A close frame of that side has crossed, or a link ended while closing: is everything over? */
void session_check_closed(struct session *s);
/* A peer's link has ended. */
void session_link_ended(struct session *s, struct peer *p, enum link_end end);

/* After a burst: what was gathered for either side is sent. */
void session_flush(struct session *s);
/* How much may be read now for this session: the recorder decides. 0: the peer is held until there is room. */
size_t session_room(struct session *s, struct peer *p);
void session_set_state(struct session *s, enum session_state state, uint64_t deadline_ms);

/* For the worker: deadlines, heartbeats. */
void sessions_tick(struct worker *w);
/* The recorder has room again. */
void sessions_recorder_ready(struct worker *w);
/* Ends all: SHUTDOWN with close frames, or at once. */
void sessions_shut_down(struct worker *w, bool at_once);
bool sessions_any(const struct worker *w);
/* A reload: those whose route is in the worker's new plan too go on with that. */
void sessions_adopt_plan(struct worker *w);

/* The client takes again: what waits goes first. all: whether it takes or not, because a close frame comes behind. */
void session_send_queue(struct session *s, bool all);
void session_drop_queue(struct session *s);
/* Sends the client a close frame of the gateway's own, so that it is recorded too; false in the middle of a frame. */
bool session_close_client(struct session *s, unsigned code, const char *reason);

/* upgrade.c: what the client sends before its session is open. */
extern const struct link_events upgrade_link_events;
/* session_io.c: the client's link once open. */
extern const struct link_events session_link_events;

#endif
