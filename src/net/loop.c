#include "net/loop.h"

#include <stdlib.h>

#include "base/clock.h"
#include "net/link.h"

struct buried {
    struct buried *next;
    void *object;
    void (*free_fn)(void *object);
};

static void on_mail(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct loop *loop = arg;
    inbox_deliver(&loop->inbox, loop->receiver);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct loop *loop = arg;
    loop->now_ms = clock_mono_us() / 1000;
    link_expire_lingering(loop);
    if (loop->on_tick)
        loop->on_tick(loop->receiver);
}

static void on_unread(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    link_read_unread(arg);
}

static struct event_base *new_base(void) {
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    /* One thread owns the base; other threads write to the inbox's eventfd instead. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int loop_init(struct loop *loop, void *receiver) {
    *loop = (struct loop){.receiver = receiver, .now_ms = clock_mono_us() / 1000};
    list_init(&loop->lingering);
    list_init(&loop->unread);
    if (inbox_init(&loop->inbox) < 0)
        return MF_EIO;
    loop->base = new_base();
    loop->scratch = malloc(LOOP_SCRATCH);
    if (!loop->base || !loop->scratch)
        goto fail;
    loop->inbox_event = event_new(loop->base, inbox_fd(&loop->inbox), EV_READ | EV_PERSIST, on_mail, loop);
    loop->tick_event = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
    const struct timeval tick = {.tv_usec = LOOP_TICK_MS * 1000};
    loop->unread_event = evtimer_new(loop->base, on_unread, loop);
    if (!loop->inbox_event || !loop->tick_event || !loop->unread_event || event_add(loop->inbox_event, NULL) < 0 ||
        event_add(loop->tick_event, &tick) < 0)
        goto fail;
    return MF_OK;
fail:
    loop_fini(loop);
    return MF_ENOMEM;
}

static void empty_graveyard(struct loop *loop) {
    while (loop->graveyard) {
        struct buried *b = loop->graveyard;
        loop->graveyard = b->next;
        b->free_fn(b->object);
        free(b);
    }
}

void loop_fini(struct loop *loop) {
    link_abort_lingering(loop);
    inbox_fini(&loop->inbox, loop->receiver);
    empty_graveyard(loop);
    if (loop->inbox_event)
        event_free(loop->inbox_event);
    if (loop->tick_event)
        event_free(loop->tick_event);
    if (loop->unread_event)
        event_free(loop->unread_event);
    if (loop->base)
        event_base_free(loop->base);
    free(loop->scratch);
    buf_fini(&loop->ciphertext);
}

void loop_run(struct loop *loop) {
    loop->stopping = false;
    while (!loop->stopping) {
        if (event_base_loop(loop->base, EVLOOP_ONCE) < 0)
            break;
        if (loop->graveyard)
            empty_graveyard(loop);
    }
}

void loop_stop(struct loop *loop) {
    loop->stopping = true;
}

void loop_bury(struct loop *loop, void *object, void (*free_fn)(void *object)) {
    struct buried *b = malloc(sizeof *b);
    MUST(b); /* 24 bytes: without them nothing can be freed safely any more */
    *b = (struct buried){loop->graveyard, object, free_fn};
    loop->graveyard = b;
}
