#include "net/dialer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/listener.h"

struct attempt {
    struct dial *dial;
    int fd;
    struct event *event;
};

struct dial {
    struct loop *loop;
    dial_done_fn on_done; /* NULL: cancelled, or told */
    void *owner;
    char *host;
    uint16_t port;
    SSL_CTX *tls;
    const struct upstream_tls_config *tls_config;

    struct event *deadline, *head_start;
    bool awaits_answer; /* the resolver holds our address as its tag */
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    struct attempt attempts[RESOLVER_ADDRESSES_MAX];
    size_t count, next, running;
    struct link *link; /* in its TLS handshake */
    enum dial_result failure;
    char why[320];
};

static void start_next(struct dial *d);

static void dial_free(void *object) {
    struct dial *d = object;
    event_free(d->deadline);
    event_free(d->head_start);
    free(d->host);
    free(d);
}

static void attempt_stop(struct attempt *a, bool keep_fd) {
    if (!a->event)
        return;
    event_free(a->event);
    a->event = NULL;
    a->dial->running--;
    if (!keep_fd)
        close(a->fd);
}

/* Ends every part of it but the answer that a resolver thread may still owe; that one frees what is left. */
static void stop(struct dial *d) {
    event_del(d->deadline);
    event_del(d->head_start);
    for (size_t i = 0; i < d->next; i++)
        attempt_stop(&d->attempts[i], false);
    link_close(d->link, LINK_CLOSE_NOW);
    d->link = NULL;
    d->on_done = NULL;
    if (!d->awaits_answer)
        loop_bury(d->loop, d, dial_free);
}

void dial_cancel(struct dial *d) {
    if (d && d->on_done)
        stop(d);
}

static void finish(struct dial *d, enum dial_result result) {
    dial_done_fn on_done = d->on_done;
    void *owner = d->owner;
    struct link *link = d->link;
    d->link = NULL;
    stop(d); /* d lives until the turn ends */
    if (result != DIAL_OK) {
        link_close(link, LINK_CLOSE_NOW);
        link = NULL;
    }
    on_done(owner, result, link, d->why);
}

static void fail_with(struct dial *d, enum dial_result result, const char *why) {
    d->failure = result;
    snprintf(d->why, sizeof d->why, "%s", why);
}

/* ---- TLS ---- */

static void on_secure(struct link *link, void *owner) {
    link_pause(link);
    link_set_owner(link, NULL, NULL);
    finish(owner, DIAL_OK);
}

static void on_tls_end(struct link *link, enum link_end end, void *owner) {
    struct dial *d = owner;
    char why[256];
    link_error_text(link, why, sizeof why);
    fail_with(d, DIAL_TLS_FAILED, end == LINK_END_EOF ? "closed by the peer during the TLS handshake" : why);
    link_close(link, LINK_CLOSE_NOW);
    d->link = NULL;
    finish(d, DIAL_TLS_FAILED);
}

static void on_tls_data(struct link *link, uint8_t *data, size_t len, void *owner) {
    (void)link, (void)data, (void)len, (void)owner;
    MUST(!"data before on_secure, or after its pause");
}

static void on_tls_drained(struct link *link, void *owner) {
    (void)link, (void)owner;
}

static const struct link_events tls_events = {
    .on_data = on_tls_data, .on_drained = on_tls_drained, .on_end = on_tls_end, .on_secure = on_secure};
static const struct link_events no_events = {
    .on_data = on_tls_data, .on_drained = on_tls_drained, .on_end = on_tls_end};

static void on_connected(struct dial *d, int fd) {
    for (size_t i = 0; i < d->next; i++)
        attempt_stop(&d->attempts[i], false);
    event_del(d->head_start);
    SSL *ssl = NULL;
    if (d->tls) {
        ssl = tls_client_session(d->tls, d->tls_config, d->host);
        if (!ssl) {
            close(fd);
            fail_with(d, DIAL_TLS_FAILED, "out of memory");
            finish(d, DIAL_TLS_FAILED);
            return;
        }
    }
    d->link = link_new(d->loop, fd, ssl, d->tls ? &tls_events : &no_events, d);
    if (!d->link) {
        fail_with(d, DIAL_CONNECT_FAILED, "out of memory");
        finish(d, DIAL_CONNECT_FAILED);
    } else if (!d->tls) {
        link_pause(d->link);
        finish(d, DIAL_OK);
    }
}

/* ---- TCP ---- */

static void attempt_failed(struct dial *d, size_t i, int error) {
    char address[ADDRESS_TEXT_LEN], why[256];
    snprintf(why, sizeof why, "%s: %s", address_text((struct sockaddr *)&d->addresses[i].addr, address),
             strerror(error));
    fail_with(d, DIAL_CONNECT_FAILED, why);
}

static void on_attempt(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct attempt *a = arg;
    struct dial *d = a->dial;
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0) {
        attempt_stop(a, true);
        on_connected(d, fd);
        return;
    }
    attempt_failed(d, (size_t)(a - d->attempts), error);
    attempt_stop(a, false);
    start_next(d);
}

static bool attempt_start(struct dial *d, size_t i) {
    const int on = 1;
    struct attempt *a = &d->attempts[i];
    const struct sockaddr *address = (struct sockaddr *)&d->addresses[i].addr;
    *a = (struct attempt){.dial = d, .fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (a->fd >= 0) {
        setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(a->fd, address, d->addresses[i].len) == 0 || errno == EINPROGRESS) {
            a->event = event_new(d->loop->base, a->fd, EV_WRITE, on_attempt, a);
            if (a->event && event_add(a->event, NULL) == 0) {
                d->running++;
                return true;
            }
            errno = ENOMEM;
        }
    }
    attempt_failed(d, i, errno);
    if (a->event)
        event_free(a->event);
    a->event = NULL;
    if (a->fd >= 0)
        close(a->fd);
    return false;
}

/* The next address, at once when one has failed, after the head start when one is merely slow. */
static void start_next(struct dial *d) {
    while (d->next < d->count) {
        if (!attempt_start(d, d->next++))
            continue;
        const struct timeval head_start = {.tv_usec = DIAL_HEAD_START_MS * 1000};
        if (d->next < d->count)
            event_add(d->head_start, &head_start);
        return;
    }
    if (d->running == 0)
        finish(d, d->failure);
}

static void on_head_start(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    start_next(arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct dial *d = arg;
    fail_with(d, DIAL_TIMED_OUT,
              d->awaits_answer ? "the look-up of its name took too long"
              : d->link        ? "the TLS handshake took too long"
                               : "connecting took too long");
    finish(d, DIAL_TIMED_OUT);
}

/* ---- the look-up ---- */

static void on_answer(struct inbox_item *item, void *receiver) {
    (void)receiver;
    struct resolver_answer *answer = container_of(item, struct resolver_answer, item);
    struct dial *d = (struct dial *)(uintptr_t)answer->tag;
    d->awaits_answer = false;
    if (!d->on_done) { /* cancelled meanwhile: this was the last that knew of it */
        loop_bury(d->loop, d, dial_free);
    } else if (answer->count == 0) {
        fail_with(d, DIAL_RESOLVE_FAILED, answer->why);
        finish(d, DIAL_RESOLVE_FAILED);
    } else {
        d->count = answer->count;
        memcpy(d->addresses, answer->addresses, answer->count * sizeof answer->addresses[0]);
        start_next(d);
    }
    resolver_answer_free(answer);
}

struct dial *dial_start(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
                        dial_done_fn on_done, void *owner) {
    struct dial *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dial){.loop = loop, .on_done = on_done, .owner = owner, .port = target->port, .tls = target->tls,
                       .tls_config = target->tls_config, .failure = DIAL_CONNECT_FAILED};
    d->host = strdup(target->host);
    d->deadline = evtimer_new(loop->base, on_deadline, d);
    d->head_start = evtimer_new(loop->base, on_head_start, d);
    const struct timeval deadline = {.tv_sec = target->timeout_ms / 1000, .tv_usec = target->timeout_ms % 1000 * 1000};
    if (d->host && d->deadline && d->head_start && event_add(d->deadline, &deadline) == 0) {
        /* The loop outlives the answer: resolver threads end before the loops are freed. */
        d->awaits_answer = true;
        if (resolver_ask(resolver, d->host, d->port, &loop->inbox, on_answer, (uint64_t)(uintptr_t)d) == MF_OK)
            return d;
    }
    if (d->deadline)
        event_free(d->deadline);
    if (d->head_start)
        event_free(d->head_start);
    free(d->host);
    free(d);
    return NULL;
}
