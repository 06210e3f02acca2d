/* A worker's hub: who listens to what, and how one message reaches all of them on every worker.
 *
 *     rooms.join -> hub_join()        broadcast -> hub_publish() -> one counted message to each worker's inbox
 *                                                               -> hub_deliver() -> session_push() for each member
 *
 * A session is a member of its route from its opening on, and of the rooms that it joins; when it ends it is gone from
 * all of them. Membership lives in its worker alone. Who is in a room elsewhere is known from short notes between the
 * workers (hub_members), which may be a turn of the loop late. No locks: a publish is one inbox item for each worker. A
 * worker that is sent more than it delivers loses what exceeds 64 MiB in its mail: logged, and counted among the pushes
 * dropped. Thread: the worker's, but for hub_publish_from(). */
#ifndef MF_RELAY_HUB_H
#define MF_RELAY_HUB_H

#include <stdatomic.h>

#include "base/defs.h"

struct session;
struct worker;
struct hub;
struct hub_member; /* one session's memberships; made by hub_add(), gone with hub_remove() */

#define HUB_ROOM_NAME_MAX 256 /* bytes */
#define HUB_ROOMS_PER_SESSION_MAX 1024

/* One message on its way to many: serialised once. */
struct hub_message {
    atomic_uint refs;
    bool binary;
    size_t len;
    uint8_t data[];
};
/* Copies; one reference for the caller; NULL: no memory. Any thread. */
struct hub_message *hub_message_new(bool binary, const void *data, size_t len);
struct hub_message *hub_message_ref(struct hub_message *m);
void hub_message_unref(struct hub_message *m);

enum hub_audience { HUB_ROOM, HUB_ROUTE, HUB_ALL };

struct hub_target {
    enum hub_audience audience;
    const char *name; /* of the room, or the route's path; HUB_ALL: unused */
    size_t len;
};
/* "/x" is a route, anything else a room. */
struct hub_target hub_target_of(const char *text, size_t len);

MF_MUSTCHECK int hub_new(struct worker *w, struct hub **out);
void hub_free(struct hub *h);

/* The session is open: a member of its route and of everything. MF_ENOMEM. */
MF_MUSTCHECK int hub_add(struct hub *h, struct session *s);
/* It ends: a member of nothing. */
void hub_remove(struct hub *h, struct session *s);
/* MF_ELIMIT: in too many rooms, or the name is too long; MF_ENOMEM. Twice is once. */
MF_MUSTCHECK int hub_join(struct hub *h, struct session *s, const char *room, size_t len);
void hub_leave(struct hub *h, struct session *s, const char *room, size_t len);
/* The rooms that the session is in, in the order of joining. */
void hub_rooms_of(const struct session *s, void (*each)(void *arg, const char *room, size_t len), void *arg);
/* Connection ids of a room's members, on all workers as far as is known here. */
void hub_members(struct hub *h, const char *room, size_t len, void (*each)(void *arg, const char *id), void *arg);

/* To every member on every worker: this worker's get it in this turn, the others' in their next. The bus, where there is
 * one, carries it to the other gateways. */
void hub_publish(struct hub *h, const struct hub_target *to, struct hub_message *m);
/* From any thread: to the members of all workers, and not to the bus. For what the bus brought, and for what every
 * gateway says by itself. */
struct shared;
void hub_publish_from(struct shared *shared, const struct hub_target *to, struct hub_message *m);

#endif
