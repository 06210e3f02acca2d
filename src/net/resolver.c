/* Each question is one heap object, which holds its answer from the beginning: once resolver_ask() has said yes, no
 * lack of memory can keep the answer back. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "net/resolver_lookup.h"

#define THREADS_MAX 16
#define STACK_BYTES ((size_t)512 * 1024) /* glibc and its plug-ins keep answers on it */
#define HOST_MAX 255
#define HOST_SHOWN 64 /* of the name, in an error: the reason must fit behind it */

struct question {
    struct list link; /* in waiting or under_way, or (abandoned) in none */
    struct resolver_answer *answer;
    struct inbox *to;
    bool abandoned; /* resolver_free() has answered: the thread may only free */
    char service[6];
    char host[HOST_MAX + 1];
};

/* Held by its owner and by each thread; the last one frees it. */
struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t work;  /* waiting is not empty, or stopping */
    pthread_cond_t ended; /* a thread has ended */
    struct resolver_lookup lookup;
    struct list waiting, under_way;
    size_t waiting_count;
    unsigned threads; /* alive */
    bool stopping, orphaned;
};

/* ---- answers ---- */

void resolver_answer_free(struct resolver_answer *a) {
    free(a);
}

static void question_free(struct question *q) {
    resolver_answer_free(q->answer);
    free(q);
}

/* Sends the answer and frees the question. */
static void reply(struct question *q) {
    struct resolver_answer *answer = q->answer;
    q->answer = NULL;
    inbox_post(q->to, &answer->item);
    question_free(q);
}

static void fail(struct question *q, const char *why) {
    q->answer->count = 0;
    snprintf(q->answer->why, sizeof q->answer->why, "cannot resolve %.*s: %s", HOST_SHOWN, q->host, why);
}

static bool is_known(const struct resolver_answer *answer, const struct addrinfo *ai) {
    for (size_t i = 0; i < answer->count; i++)
        if (answer->addresses[i].len == ai->ai_addrlen &&
            !memcmp(&answer->addresses[i].addr, ai->ai_addr, ai->ai_addrlen))
            return true;
    return false;
}

/* The next entry of a family that is (or, with other, is not) `family`. */
static const struct addrinfo *next_of(const struct addrinfo *ai, int family, bool other) {
    while (ai && ((ai->ai_family == family) == other || ai->ai_addrlen > sizeof(struct sockaddr_storage)))
        ai = ai->ai_next;
    return ai;
}

void resolver_interleave(const struct addrinfo *list, struct resolver_answer *answer) {
    answer->count = 0;
    if (!list)
        return;
    int first = list->ai_family; /* what the system prefers (RFC 6724) */
    const struct addrinfo *turn[2] = {next_of(list, first, false), next_of(list, first, true)};
    for (unsigned i = 0; (turn[0] || turn[1]) && answer->count < RESOLVER_ADDRESSES_MAX; i ^= 1) {
        const struct addrinfo *ai = turn[i];
        if (!ai)
            continue;
        turn[i] = next_of(ai->ai_next, first, i == 1);
        if (is_known(answer, ai)) { /* /etc/hosts often names 127.0.0.1 twice: the turn is not used up */
            i ^= 1;
            continue;
        }
        struct resolver_address *address = &answer->addresses[answer->count++];
        memcpy(&address->addr, ai->ai_addr, ai->ai_addrlen);
        address->len = ai->ai_addrlen;
    }
}

static void look_up(const struct resolver_lookup *lookup, struct question *q, int flags) {
    /* Not AI_ADDRCONFIG: where only the loopback device has IPv6 it hides ::1, on which many a "localhost" listens. */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags}, *list = NULL;
    int rc = lookup->look_up(q->host, q->service, &hints, &list);
    if (rc != 0) {
        fail(q, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return;
    }
    resolver_interleave(list, q->answer);
    lookup->free_list(list);
    if (q->answer->count == 0)
        fail(q, "no usable address");
}

/* ---- threads ---- */

static void resolver_destroy(struct resolver *r) {
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* With the lock held: takes a question, looks it up without the lock, answers. */
static void work_on_one(struct resolver *r) {
    struct question *q = container_of(list_first(&r->waiting), struct question, link);
    list_remove(&q->link);
    r->waiting_count--;
    list_append(&r->under_way, &q->link);
    pthread_mutex_unlock(&r->lock);
    look_up(&r->lookup, q, 0);
    pthread_mutex_lock(&r->lock);
    if (q->abandoned) {
        question_free(q);
        return;
    }
    list_remove(&q->link);
    reply(q); /* under the lock, so that resolver_free() cannot return before it */
}

static void *resolver_thread(void *arg) {
    struct resolver *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        if (list_empty(&r->waiting))
            pthread_cond_wait(&r->work, &r->lock);
        else
            work_on_one(r);
    }
    bool last = --r->threads == 0 && r->orphaned;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->lock);
    if (last)
        resolver_destroy(r);
    return NULL;
}

/* Signals are for the main thread: ours take none. */
static int start_thread(struct resolver *r) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&r->lock); /* it cannot have ended before it has its name */
    int rc = pthread_create(&thread, &attr, resolver_thread, r);
    if (rc == 0) {
        r->threads++;
        pthread_setname_np(thread, "mf-resolver");
    }
    pthread_mutex_unlock(&r->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int resolver_new_with(unsigned threads, struct resolver_lookup lookup, struct resolver **out, struct err *err) {
    struct resolver *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->lookup = lookup;
    list_init(&r->waiting);
    list_init(&r->under_way);
    threads = MAX(1U, MIN(threads, (unsigned)THREADS_MAX));
    int rc = 0;
    while (rc == 0 && threads-- > 0)
        rc = start_thread(r);
    if (rc != 0) {
        resolver_free(r);
        return err_set(err, MF_ENOMEM, "cannot start a resolver thread: %s", strerror(rc));
    }
    *out = r;
    return MF_OK;
}

int resolver_new(unsigned threads, struct resolver **out, struct err *err) {
    return resolver_new_with(threads, (struct resolver_lookup){getaddrinfo, freeaddrinfo}, out, err);
}

static struct timespec grace_ends(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* not the clock module: pthread_cond_timedwait() waits by this one */
    t.tv_sec += RESOLVER_GRACE_MS / 1000;
    t.tv_nsec += (long)(RESOLVER_GRACE_MS % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

void resolver_free(struct resolver *r) {
    if (!r)
        return;
    struct timespec deadline = grace_ends();
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->work);
    LIST_EACH_SAFE(&r->waiting, it) {
        struct question *q = container_of(it, struct question, link);
        list_remove(&q->link);
        fail(q, "shutting down");
        reply(q);
    }
    while (r->threads > 0 && pthread_cond_timedwait(&r->ended, &r->lock, &deadline) == 0)
        ;
    LIST_EACH_SAFE(&r->under_way, it) {
        struct question *q = container_of(it, struct question, link);
        list_remove(&q->link);
        q->abandoned = true;
        /* The thread is writing into q->answer perhaps: the asker gets another. */
        struct resolver_answer *answer = calloc(1, sizeof *answer);
        if (!answer)
            continue; /* the process is ending, and nobody waits any more */
        answer->item.deliver = q->answer->item.deliver;
        answer->tag = q->answer->tag;
        snprintf(answer->why, sizeof answer->why, "cannot resolve %.*s: shutting down", HOST_SHOWN, q->host);
        inbox_post(q->to, &answer->item);
    }
    r->orphaned = true;
    bool last = r->threads == 0;
    pthread_mutex_unlock(&r->lock);
    if (last)
        resolver_destroy(r);
}

/* ---- asking ---- */

static struct question *question_new(const char *host, size_t len, uint16_t port, struct inbox *to,
                                     void (*deliver)(struct inbox_item *item, void *receiver), uint64_t tag) {
    struct question *q = calloc(1, sizeof *q);
    struct resolver_answer *answer = calloc(1, sizeof *answer);
    if (!q || !answer) {
        free(q);
        free(answer);
        return NULL;
    }
    answer->item.deliver = deliver;
    answer->tag = tag;
    q->answer = answer;
    q->to = to;
    snprintf(q->service, sizeof q->service, "%u", port);
    memcpy(q->host, host, MIN(len, (size_t)HOST_MAX));
    return q;
}

int resolver_ask(struct resolver *r, const char *host, uint16_t port, struct inbox *to,
                 void (*deliver)(struct inbox_item *item, void *receiver), uint64_t tag) {
    size_t len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    struct question *q = question_new(host, len, port, to, deliver, tag);
    if (!q)
        return MF_ENOMEM;
    if (len == 0 || len > HOST_MAX) {
        fail(q, len == 0 ? "the name is empty" : "the name is too long");
        reply(q);
        return MF_OK;
    }
    look_up(&(struct resolver_lookup){getaddrinfo, freeaddrinfo}, q, AI_NUMERICHOST); /* asks nobody */
    if (q->answer->count > 0) {
        reply(q);
        return MF_OK;
    }
    pthread_mutex_lock(&r->lock);
    if (r->stopping || r->waiting_count >= RESOLVER_QUEUE_MAX) {
        fail(q, r->stopping ? "shutting down" : "too many look-ups are waiting");
        reply(q);
    } else {
        q->answer->why[0] = '\0';
        list_append(&r->waiting, &q->link);
        r->waiting_count++;
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    return MF_OK;
}
