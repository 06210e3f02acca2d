#include "base/inbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int inbox_init(struct inbox *box) {
    box->first = NULL;
    box->last = &box->first;
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0)
        return MF_EIO;
    pthread_mutex_init(&box->lock, NULL);
    return MF_OK;
}

void inbox_fini(struct inbox *box, void *receiver) {
    inbox_deliver(box, receiver);
    close(box->fd);
    pthread_mutex_destroy(&box->lock);
}

void inbox_post(struct inbox *box, struct inbox_item *item) {
    item->next = NULL;
    pthread_mutex_lock(&box->lock);
    bool was_empty = !box->first;
    *box->last = item;
    box->last = &item->next;
    pthread_mutex_unlock(&box->lock);
    if (was_empty) {
        uint64_t one = 1;
        while (write(box->fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
}

void inbox_deliver(struct inbox *box, void *receiver) {
    uint64_t count;
    while (read(box->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&box->lock);
    struct inbox_item *item = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);
    while (item) {
        struct inbox_item *next = item->next;
        item->deliver(item, receiver);
        item = next;
    }
}
