/* A worker's thread: its loop, its listener, its sessions. What it owns is struct worker (relay/worker.h). */
#ifndef MF_GATEWAY_WORKER_H
#define MF_GATEWAY_WORKER_H

#include <pthread.h>

#include "net/listener.h"
#include "relay/session.h"

struct worker_thread {
    struct worker worker; /* the first: mail from other workers takes this for it */
    struct listener *listener;
    pthread_t thread;
    bool started;
    int ended_fd;
    uint64_t idle_ms; /* while it stops: loop time when the last session was seen */
    struct broadcasts *broadcasts; /* of the first worker alone */
    bool hurry; /* its own thread's: the next turn ends it whatever is open */
};

/* Makes everything but the thread; nothing is left on failure. listen_fd is taken. Main thread. */
MF_MUSTCHECK int worker_init(struct worker_thread *t, unsigned index, struct plan *plan, SSL_CTX *tls, struct shared *shared,
                             struct resolver *resolver, struct recorder *recorder, MF_TAKES int listen_fd,
                             struct err *err);
/* ended_fd: an eventfd that counts up by one when the thread ends. */
MF_MUSTCHECK int worker_start(struct worker_thread *t, int ended_fd);
/* Any thread: no new sessions, 1001 to those that are open, and its thread ends when they are gone; hurry: at once. */
void worker_stop(struct worker_thread *t, bool hurry);
/* Any thread: from its next turn on a worker's sessions begin with this plan, and those that are open take its
 * transforms. "reloaded" is logged when all of them have it. */
void workers_set_plan(struct worker_thread *workers, unsigned count, struct plan *plan);
void worker_join(struct worker_thread *t);
/* After worker_join() and after the resolver's threads have ended. */
void worker_fini(struct worker_thread *t);

#endif
