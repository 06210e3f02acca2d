#include "relay/hub.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/numbers.h"
#include "relay/session.h"

/* What waits in one worker's mail may be so much; what goes beyond it is lost for that worker's members. */
#define MAIL_BYTES_MAX (64u << 20)

/* ---- messages ---- */

struct hub_message *hub_message_new(bool binary, const void *data, size_t len) {
    struct hub_message *m = malloc(sizeof *m + len);
    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->binary = binary;
    m->len = len;
    if (len)
        memcpy(m->data, data, len);
    return m;
}

struct hub_message *hub_message_ref(struct hub_message *m) {
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void hub_message_unref(struct hub_message *m) {
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        free(m);
}

struct hub_target hub_target_of(const char *text, size_t len) {
    return (struct hub_target){len && *text == '/' ? HUB_ROUTE : HUB_ROOM, text, len};
}

/* ---- groups: rooms, routes, and everybody ---- */

/* One session in one group. */
struct seat {
    struct list in_group, in_member;
    struct group *group;
    struct session *session; /* NULL: a mark, see deliver() */
};

struct group {
    struct group *next; /* in its bucket */
    enum hub_audience audience;
    uint64_t hash;
    struct list seats;        /* this worker's members */
    struct numbers strangers; /* a room's members on other workers: their connections' numbers */
    size_t len;
    char name[];
};

struct hub {
    struct worker *worker;
    struct group **buckets;
    size_t bucket_count, group_count; /* bucket_count: a power of two */
    struct group *all;
    atomic_size_t mail;  /* bytes of deliveries that are on their way here; whoever posts them adds */
    atomic_ullong lost;  /* deliveries that mail had no room for, until they are counted here */
};

struct hub_member {
    struct list seats; /* rooms in the order of joining, behind the route and everybody */
    unsigned rooms;
};

static uint64_t hash_of(enum hub_audience audience, const char *name, size_t len) {
    return hash_bytes(name, len) + audience;
}

static struct group **find(const struct hub *h, enum hub_audience audience, const char *name, size_t len) {
    uint64_t hash = hash_of(audience, name, len);
    struct group **link = &h->buckets[hash & (h->bucket_count - 1)];
    while (*link && ((*link)->hash != hash || (*link)->audience != audience || (*link)->len != len ||
                     memcmp((*link)->name, name, len) != 0))
        link = &(*link)->next;
    return link;
}

static void rehash(struct hub *h) {
    size_t count = h->bucket_count * 2;
    struct group **buckets = calloc(count, sizeof(struct group *));
    if (!buckets)
        return; /* longer chains will do */
    for (size_t i = 0; i < h->bucket_count; i++)
        for (struct group *g = h->buckets[i], *next; g; g = next) {
            next = g->next;
            g->next = buckets[g->hash & (count - 1)];
            buckets[g->hash & (count - 1)] = g;
        }
    free(h->buckets);
    h->buckets = buckets;
    h->bucket_count = count;
}

static struct group *get(struct hub *h, enum hub_audience audience, const char *name, size_t len) {
    struct group *g = *find(h, audience, name, len);
    if (g)
        return g;
    g = calloc(1, sizeof *g + len + 1);
    if (!g)
        return NULL;
    g->audience = audience;
    g->hash = hash_of(audience, name, len);
    g->len = len;
    list_init(&g->seats);
    memcpy(g->name, name, len);
    if (++h->group_count > h->bucket_count)
        rehash(h);
    struct group **bucket = &h->buckets[g->hash & (h->bucket_count - 1)];
    g->next = *bucket;
    *bucket = g;
    return g;
}

static void drop_if_empty(struct hub *h, struct group *g) {
    if (g == h->all || !list_empty(&g->seats) || g->strangers.count)
        return;
    *find(h, g->audience, g->name, g->len) = g->next;
    h->group_count--;
    numbers_fini(&g->strangers);
    free(g);
}

/* ---- who is in a room elsewhere ---- */

/* What one worker tells the others: a session of mine has joined, or left. Without memory for it rooms.members() is
 * wrong there; messages do not depend on it. */
struct note {
    struct inbox_item item;
    bool joined;
    uint64_t connection;
    size_t len;
    char room[];
};

static void on_note(struct inbox_item *item, void *receiver) {
    struct hub *h = ((struct worker *)receiver)->hub;
    struct note *n = container_of(item, struct note, item);
    struct group *g = n->joined ? get(h, HUB_ROOM, n->room, n->len) : *find(h, HUB_ROOM, n->room, n->len);
    if (g && !n->joined)
        numbers_remove(&g->strangers, n->connection);
    else if (g && numbers_add(&g->strangers, n->connection) < 0)
        LOG_LIMITED(LOG_WARN, "room_incomplete", "room=%s why=\"out of memory\"", log_quote_n(n->room, n->len));
    if (g)
        drop_if_empty(h, g);
    free(n);
}

static void tell_others(const struct hub *h, const struct session *s, const struct group *g, bool joined) {
    const struct shared *shared = h->worker->shared;
    for (unsigned i = 0; i < shared->worker_count; i++) {
        struct note *n = shared->workers[i] == h->worker ? NULL : malloc(sizeof *n + g->len);
        if (!n)
            continue;
        *n = (struct note){{.deliver = on_note}, joined, s->connection.number, g->len};
        memcpy(n->room, g->name, g->len);
        inbox_post(&shared->workers[i]->loop.inbox, &n->item);
    }
}

/* ---- membership ---- */

static int sit(struct session *s, struct group *g) {
    struct seat *seat = malloc(sizeof *seat);
    if (!seat)
        return MF_ENOMEM;
    seat->group = g;
    seat->session = s;
    list_append(&g->seats, &seat->in_group);
    list_append(&s->member->seats, &seat->in_member);
    return MF_OK;
}

static void leave_seat(struct hub *h, struct seat *seat) {
    struct group *g = seat->group;
    list_remove(&seat->in_group);
    list_remove(&seat->in_member);
    if (g->audience == HUB_ROOM) {
        seat->session->member->rooms--;
        tell_others(h, seat->session, g, false);
    }
    free(seat);
    drop_if_empty(h, g);
}

static struct seat *seat_of(const struct session *s, const char *room, size_t len) {
    for (struct list *it = s->member->seats.next; it != &s->member->seats; it = it->next) {
        struct seat *seat = container_of(it, struct seat, in_member);
        const struct group *g = seat->group;
        if (g->audience == HUB_ROOM && g->len == len && !memcmp(g->name, room, len))
            return seat;
    }
    return NULL;
}

int hub_add(struct hub *h, struct session *s) {
    const char *path = s->route->config->path;
    s->member = calloc(1, sizeof *s->member);
    if (!s->member)
        return MF_ENOMEM;
    list_init(&s->member->seats);
    struct group *route = get(h, HUB_ROUTE, path, strlen(path));
    if (!route)
        return MF_ENOMEM;
    int rc = sit(s, h->all);
    if (rc == MF_OK)
        rc = sit(s, route);
    drop_if_empty(h, route);
    return rc;
}

void hub_remove(struct hub *h, struct session *s) {
    struct hub_member *m = s->member;
    LIST_EACH_SAFE(&m->seats, it)
        leave_seat(h, container_of(it, struct seat, in_member));
    free(m);
    s->member = NULL;
}

int hub_join(struct hub *h, struct session *s, const char *room, size_t len) {
    if (!s->member || len > HUB_ROOM_NAME_MAX)
        return MF_ELIMIT;
    if (seat_of(s, room, len))
        return MF_OK;
    if (s->member->rooms >= HUB_ROOMS_PER_SESSION_MAX)
        return MF_ELIMIT;
    struct group *g = get(h, HUB_ROOM, room, len);
    if (!g)
        return MF_ENOMEM;
    if (sit(s, g) < 0) {
        drop_if_empty(h, g);
        return MF_ENOMEM;
    }
    s->member->rooms++;
    tell_others(h, s, g, true);
    return MF_OK;
}

void hub_leave(struct hub *h, struct session *s, const char *room, size_t len) {
    struct seat *seat = s->member ? seat_of(s, room, len) : NULL;
    if (seat)
        leave_seat(h, seat);
}

void hub_rooms_of(const struct session *s, void (*each)(void *arg, const char *room, size_t len), void *arg) {
    if (!s->member)
        return;
    for (struct list *it = s->member->seats.next; it != &s->member->seats; it = it->next) {
        const struct group *g = container_of(it, struct seat, in_member)->group;
        if (g->audience == HUB_ROOM)
            each(arg, g->name, g->len);
    }
}

void hub_members(struct hub *h, const char *room, size_t len, void (*each)(void *arg, const char *id), void *arg) {
    const struct group *g = *find(h, HUB_ROOM, room, len);
    if (!g)
        return;
    for (const struct list *it = g->seats.next; it != &g->seats; it = it->next) {
        const struct session *s = container_of(it, const struct seat, in_group)->session;
        if (s)
            each(arg, s->connection.id);
    }
    for (size_t i = 0; i < g->strangers.cap; i++) {
        struct connection other;
        if (!g->strangers.slots[i])
            continue;
        connection_init(&other, g->strangers.slots[i]);
        each(arg, other.id);
    }
}

/* ---- publishing ---- */

struct delivery {
    struct inbox_item item;
    struct hub_message *message; /* counted */
    enum hub_audience audience;
    size_t len;
    char name[];
};

/* Every seat goes once behind a mark, whatever happens to the others meanwhile: a member that ends takes its seat away,
 * one that joins sits behind the mark. Another delivery to the same group, from within this one, turns the whole circle,
 * our mark with it, and so leaves it as it was. */
static void deliver(struct hub *h, const struct hub_target *to, struct hub_message *m) {
    struct group *g = to->audience == HUB_ALL ? h->all : *find(h, to->audience, to->name, to->len);
    struct seat mark = {.group = g};
    if (!g)
        return;
    list_append(&g->seats, &mark.in_group); /* and the group lasts, even if its last member goes */
    while (g->seats.next != &mark.in_group) {
        struct list *it = g->seats.next;
        struct session *s = container_of(it, struct seat, in_group)->session;
        list_remove(it);
        list_append(&g->seats, it);
        if (!s)
            continue;
        session_push(s, m->binary, m->data, m->len, m);
        session_flush(s);
    }
    list_remove(&mark.in_group);
    drop_if_empty(h, g);
}

static size_t cost(const struct delivery *d) {
    return sizeof *d + d->len + sizeof *d->message + d->message->len;
}

static void count_lost(struct hub *h) {
    unsigned long long lost = atomic_exchange_explicit(&h->lost, 0, memory_order_relaxed);
    if (!lost)
        return;
    metrics_add(&h->worker->metrics, METRIC_PUSHES_DROPPED, lost);
    LOG_LIMITED(LOG_WARN, "broadcasts_dropped", "worker=%u count=%llu why=\"more are sent than this worker delivers\"",
                h->worker->index, lost);
}

static void on_delivery(struct inbox_item *item, void *receiver) {
    struct hub *h = ((struct worker *)receiver)->hub;
    struct delivery *d = container_of(item, struct delivery, item);
    const struct hub_target to = {d->audience, d->name, d->len};
    atomic_fetch_sub_explicit(&h->mail, cost(d), memory_order_relaxed);
    count_lost(h);
    worker_begin_burst(receiver);
    deliver(h, &to, d->message);
    hub_message_unref(d->message);
    free(d);
}

static void post(struct worker *w, const struct hub_target *to, struct hub_message *m) {
    size_t len = to->audience == HUB_ALL ? 0 : to->len;
    struct hub *h = w->hub;
    struct delivery *d = malloc(sizeof *d + len);
    if (!d) {
        atomic_fetch_add_explicit(&h->lost, 1, memory_order_relaxed);
        return;
    }
    *d = (struct delivery){{.deliver = on_delivery}, m, to->audience, len};
    if (len)
        memcpy(d->name, to->name, len);
    size_t size = cost(d), before = atomic_fetch_add_explicit(&h->mail, size, memory_order_relaxed);
    if (before + size > MAIL_BYTES_MAX && before) {
        atomic_fetch_sub_explicit(&h->mail, size, memory_order_relaxed);
        atomic_fetch_add_explicit(&h->lost, 1, memory_order_relaxed);
        free(d);
        return;
    }
    hub_message_ref(m);
    inbox_post(&w->loop.inbox, &d->item);
}

void hub_publish(struct hub *h, const struct hub_target *to, struct hub_message *m) {
    struct shared *shared = h->worker->shared;
    for (unsigned i = 0; i < shared->worker_count; i++)
        if (shared->workers[i] != h->worker)
            post(shared->workers[i], to, m);
    if (shared->publish_elsewhere)
        shared->publish_elsewhere(shared->bus, to, m);
    deliver(h, to, m);
}

void hub_publish_from(struct shared *shared, const struct hub_target *to, struct hub_message *m) {
    for (unsigned i = 0; i < shared->worker_count; i++)
        post(shared->workers[i], to, m);
}

/* ---- life ---- */

int hub_new(struct worker *w, struct hub **out) {
    struct hub *h = calloc(1, sizeof *h);
    if (!h)
        return MF_ENOMEM;
    h->worker = w;
    h->bucket_count = 64;
    h->buckets = calloc(h->bucket_count, sizeof(struct group *));
    h->all = h->buckets ? get(h, HUB_ALL, "", 0) : NULL;
    if (!h->all) {
        hub_free(h);
        return MF_ENOMEM;
    }
    *out = h;
    return MF_OK;
}

void hub_free(struct hub *h) {
    if (!h)
        return;
    for (size_t i = 0; h->buckets && i < h->bucket_count; i++)
        for (struct group *g = h->buckets[i], *next; g; g = next) {
            next = g->next;
            numbers_fini(&g->strangers);
            free(g);
        }
    free(h->buckets);
    free(h);
}
