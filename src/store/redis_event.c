#include "store/redis_event.h"

#include <stdlib.h>

struct redis_events {
    redisAsyncContext *context;
    struct event *read, *write;
};

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    redisAsyncHandleRead(((struct redis_events *)arg)->context);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    redisAsyncHandleWrite(((struct redis_events *)arg)->context);
}

static void add_read(void *arg) {
    event_add(((struct redis_events *)arg)->read, NULL);
}

static void del_read(void *arg) {
    event_del(((struct redis_events *)arg)->read);
}

static void add_write(void *arg) {
    event_add(((struct redis_events *)arg)->write, NULL);
}

static void del_write(void *arg) {
    event_del(((struct redis_events *)arg)->write);
}

static void cleanup(void *arg) {
    struct redis_events *e = arg;
    if (e->read)
        event_free(e->read);
    if (e->write)
        event_free(e->write);
    free(e);
}

int redis_event_attach(redisAsyncContext *context, struct event_base *base) {
    struct redis_events *e = calloc(1, sizeof *e);
    if (!e)
        return MF_ENOMEM;
    e->context = context;
    e->read = event_new(base, context->c.fd, EV_READ, on_readable, e);
    e->write = event_new(base, context->c.fd, EV_WRITE, on_writable, e);
    if (!e->read || !e->write) {
        cleanup(e);
        return MF_ENOMEM;
    }
    context->ev.data = e;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleanup;
    return MF_OK;
}
