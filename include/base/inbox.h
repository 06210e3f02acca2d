/* Mail to a thread's event loop: many senders, one receiver.
 *
 * The receiver polls inbox_fd(); the eventfd is written only when the box was empty, and inbox_take() takes the whole
 * list at once, so a burst costs one wake-up. Items carry ids, counted objects or plain values, never pointers into a
 * worker's sessions. An item belongs to the box from inbox_post() until inbox_take() hands it over. */
#ifndef MF_BASE_INBOX_H
#define MF_BASE_INBOX_H

#include <pthread.h>

#include "base/defs.h"

struct inbox_item {
    struct inbox_item *next;
    /* Called on the receiving thread; owns the item from then on. `receiver` is what inbox_deliver() was given. */
    void (*deliver)(struct inbox_item *item, void *receiver);
};

struct inbox {
    pthread_mutex_t lock;
    struct inbox_item *first, **last;
    int fd;
};

MF_MUSTCHECK int inbox_init(struct inbox *box);
/* Delivers what is left (so that nothing leaks), then frees. The receiving thread, or after it has ended. */
void inbox_fini(struct inbox *box, void *receiver);
/* Any thread. */
void inbox_post(struct inbox *box, MF_TAKES struct inbox_item *item);
/* The receiving thread: delivers everything posted so far, in order. */
void inbox_deliver(struct inbox *box, void *receiver);
static inline int inbox_fd(const struct inbox *box) {
    return box->fd;
}

#endif
