/* Intrusive doubly linked list with a sentinel. An item is in one list at most for each of its links.
 *
 * Nothing is owned; removing is O(1) and needs no list. Thread: the owner's. */
#ifndef MF_BASE_LIST_H
#define MF_BASE_LIST_H

#include "base/defs.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l) {
    l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l) {
    return l->next == l;
}
static inline void list_append(struct list *l, struct list *item) {
    item->prev = l->prev;
    item->next = l;
    l->prev->next = item;
    l->prev = item;
}
/* Safe on an item that list_init() made and that is in no list. */
static inline void list_remove(struct list *item) {
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}
static inline struct list *list_first(struct list *l) {
    return list_empty(l) ? NULL : l->next;
}

/* The body may remove the current item. */
#define LIST_EACH_SAFE(head, it)                                                                                       \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

#endif
