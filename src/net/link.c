#include "net/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/link_private.h"

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

struct link *link_new(struct loop *loop, int fd, SSL *ssl, const struct link_events *events, void *owner) {
    struct link *link = calloc(1, sizeof *link);
    if (!link) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    link->loop = loop;
    link->fd = fd;
    link->ssl = ssl;
    link->events = events;
    link->owner = owner;
    list_init(&link->lingering);
    list_init(&link->unread);
    event_assign(&link->read_event, loop->base, fd, EV_READ | EV_PERSIST, on_readable, link);
    event_assign(&link->write_event, loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, link);
    if (ssl)
        link_tls_attach(link);
    else
        link->secure = true;
    event_add(&link->read_event, NULL);
    if (ssl && !SSL_is_server(ssl)) /* the client speaks first */
        event_active(&link->read_event, EV_READ, 0);
    return link;
}

void link_set_owner(struct link *link, const struct link_events *events, void *owner) {
    link->events = events;
    link->owner = owner;
}

void link_fail(struct link *link, enum link_end end) {
    if (link->ended)
        return;
    link->ended = true;
    event_del(&link->read_event);
    if (link->events)
        link->events->on_end(link, end, link->owner);
}

/* ---- reading ---- */

static ssize_t read_plain(struct link *link, size_t room) {
    ssize_t n;
    do {
        n = recv(link->fd, link->loop->scratch, room, 0);
    } while (n < 0 && errno == EINTR);
    if (MF_LIKELY(n > 0))
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n < 0)
        link->error = errno;
    link_fail(link, n == 0 ? LINK_END_EOF : LINK_END_ERROR);
    return -1;
}

/* After link_close(FINISH|WAIT): what still comes is thrown away until the peer ends. */
static void discard(struct link *link) {
    ssize_t n = recv(link->fd, link->loop->scratch, LOOP_SCRATCH, 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (n == 0)
        link_tls_shutdown(link);
    link_close(link, LINK_CLOSE_NOW);
}

/* In the loop's next turn. An event that is made active in its own callback runs again in the same turn, before any
 * timer, other socket or burial, for as long as its peer keeps up. */
static void read_again(struct link *link) {
    const struct timeval at_once = {0};
    if (list_empty(&link->loop->unread))
        event_add(link->loop->unread_event, &at_once);
    list_remove(&link->unread);
    list_append(&link->loop->unread, &link->unread);
}

int link_give_back(struct link *link, const uint8_t *data, size_t len) {
    if (link->back) { /* the data came from there */
        link->back_at -= len;
    } else {
        link->back = malloc(len);
        if (!link->back)
            return MF_ENOMEM;
        memcpy(link->back, data, len);
        link->back_len = len;
        link->back_at = 0;
        event_del(&link->read_event);
    }
    read_again(link);
    return MF_OK;
}

static void forget_back(struct link *link) {
    free(link->back);
    link->back = NULL;
    link->back_len = link->back_at = 0;
}

/* Up to room bytes of what was given back. */
static void hand_back(struct link *link, size_t room) {
    const struct link_events *events = link->events;
    uint8_t *data = link->back + link->back_at;
    size_t len = MIN(room, link->back_len - link->back_at);
    link->back_at += len;
    events->on_data(link, data, len, link->owner);
    if (!link->events) /* closed, and buried */
        return;
    if (link->back_at < link->back_len) {
        read_again(link);
        return;
    }
    forget_back(link);
    if (!link->paused && !link->ended)
        event_add(&link->read_event, NULL);
    if (link->more)
        read_again(link);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct link *link = arg;
    if (MF_UNLIKELY(!link->events)) {
        discard(link);
        return;
    }
    if (link->ended || (link->paused && link->secure))
        return;
    size_t room = LOOP_SCRATCH;
    if (link->events->on_room && link->secure) {
        /* Once: it may close the link, so it is no argument for MIN(). */
        size_t wanted = link->events->on_room(link, link->owner);
        if (wanted == 0)
            return;
        room = MIN(wanted, room);
    }
    if (MF_UNLIKELY(link->back)) {
        hand_back(link, room);
        return;
    }
    link->drained = false;
    ssize_t n = link->ssl ? link_tls_read(link, room) : read_plain(link, room);
    if (n <= 0)
        return;
    /* More may wait inside SSL; say so before on_data, which may close the link. Level-triggered readiness tells only
     * of what is still in the socket. */
    if (link->more)
        read_again(link);
    link->events->on_data(link, link->loop->scratch, (size_t)n, link->owner);
}

void link_read_unread(struct loop *loop) {
    struct list now;
    list_init(&now);
    while (!list_empty(&loop->unread)) { /* those that have still more go to the list anew */
        struct list *it = loop->unread.next;
        list_remove(it);
        list_append(&now, it);
    }
    while (!list_empty(&now)) {
        struct link *link = container_of(now.next, struct link, unread);
        list_remove(&link->unread);
        if (!link->paused)
            on_readable(link->fd, EV_READ, link);
    }
}

void link_pause(struct link *link) {
    if (link->paused)
        return;
    link->paused = true;
    if (link->secure) /* a handshake goes on whether its owner reads or not */
        event_del(&link->read_event);
}

void link_resume(struct link *link) {
    if (!link->paused)
        return;
    link->paused = false;
    if (link->ended)
        return;
    if (!link->back)
        event_add(&link->read_event, NULL);
    if (link->more || link->back)
        read_again(link);
}

/* ---- writing ---- */

static int set_aside(struct link *link, const uint8_t *data, size_t len) {
    if (link->pending_cap - link->pending_len < len) {
        if (link->pending_at) { /* reuse what has left already */
            memmove(link->pending, link->pending + link->pending_at, link->pending_len - link->pending_at);
            link->pending_len -= link->pending_at;
            link->pending_at = 0;
        }
        if (link->pending_cap - link->pending_len < len) {
            size_t cap = link->pending_len + len;
            uint8_t *p = realloc(link->pending, cap);
            if (!p)
                return MF_ENOMEM;
            link->pending = p;
            link->pending_cap = cap;
        }
    }
    memcpy(link->pending + link->pending_len, data, len);
    link->pending_len += len;
    return MF_OK;
}

static int set_aside_from(struct link *link, const struct iovec *iov, int count, size_t skip) {
    for (int i = 0; i < count; i++) {
        size_t at = MIN(skip, iov[i].iov_len);
        skip -= at;
        if (iov[i].iov_len > at && set_aside(link, (const uint8_t *)iov[i].iov_base + at, iov[i].iov_len - at) < 0)
            return MF_ENOMEM;
    }
    return MF_OK;
}

static bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

static ssize_t send_some(struct link *link, const struct iovec *iov, int count) {
    ssize_t n;
    do {
        if (count == 1) {
            n = send(link->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
            n = sendmsg(link->fd, &msg, MSG_NOSIGNAL);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

int link_send_raw(struct link *link, const struct iovec *iov, int count) {
    size_t total = 0, sent = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    if (total == 0)
        return MF_OK;
    if (!link->pending) {
        ssize_t n = send_some(link, iov, count);
        if (MF_LIKELY(n == (ssize_t)total))
            return MF_OK;
        if (n < 0 && !would_block(errno)) {
            link->error = errno;
            return MF_ECLOSED;
        }
        sent = n < 0 ? 0 : (size_t)n;
    }
    if (set_aside_from(link, iov, count, sent) < 0)
        return MF_ENOMEM;
    if (!link->write_armed) {
        link->write_armed = true;
        link->blocked_since_ms = link->loop->now_ms;
        event_add(&link->write_event, NULL);
    }
    return MF_OK;
}

int link_write(struct link *link, const struct iovec *iov, int count) {
    if (link->ended && link->error)
        return MF_ECLOSED;
    return link->ssl ? link_tls_write(link, iov, count) : link_send_raw(link, iov, count);
}

static void release_pending(struct link *link) {
    free(link->pending);
    link->pending = NULL;
    link->pending_len = link->pending_at = link->pending_cap = 0;
    link->blocked_since_ms = 0;
    link->write_armed = false;
    event_del(&link->write_event);
}

static void end_our_side(struct link *link) {
    link->finish_after_flush = false;
    link_tls_shutdown(link);
    shutdown(link->fd, SHUT_WR);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct link *link = arg;
    const struct iovec rest = {link->pending + link->pending_at, link->pending_len - link->pending_at};
    ssize_t n = send_some(link, &rest, 1);
    if (n < 0) {
        if (would_block(errno))
            return;
        link->error = errno;
        release_pending(link);
        if (link->events)
            link_fail(link, LINK_END_ERROR);
        else
            link_close(link, LINK_CLOSE_NOW);
        return;
    }
    link->pending_at += (size_t)n;
    link->blocked_since_ms = link->loop->now_ms;
    if (link->pending_at < link->pending_len)
        return;
    release_pending(link);
    if (link->events)
        link->events->on_drained(link, link->owner);
    else if (link->finish_after_flush)
        end_our_side(link);
    if (!link->events && link->ended) /* both sides have ended */
        link_close(link, LINK_CLOSE_NOW);
}

bool link_blocked(const struct link *link) {
    return link->pending;
}

size_t link_pending(const struct link *link) {
    return link->pending_len - link->pending_at;
}

uint64_t link_blocked_since_ms(const struct link *link) {
    return link->blocked_since_ms;
}

/* ---- the end ---- */

static void link_free(void *object) {
    struct link *link = object;
    SSL_free(link->ssl);
    free(link->pending);
    free(link->back);
    free(link->error_text);
    free(link);
}

static void drop(struct link *link) {
    list_remove(&link->lingering);
    list_remove(&link->unread);
    event_del(&link->read_event);
    event_del(&link->write_event);
    close(link->fd);
    loop_bury(link->loop, link, link_free);
}

void link_close(struct link *link, enum link_close_mode mode) {
    if (!link)
        return;
    bool finished = link->ended && !link->pending;
    link->events = NULL;
    if (mode == LINK_CLOSE_NOW || link->error || finished) {
        if (link->ssl && mode != LINK_CLOSE_NOW && !link->error)
            link_tls_shutdown(link);
        drop(link);
        return;
    }
    link->linger_until_ms = link->loop->now_ms + LINK_LINGER_MS;
    link->linger_end_ms = link->loop->now_ms + LINK_LINGER_MAX_MS;
    list_append(&link->loop->lingering, &link->lingering);
    if (link->paused || link->back)
        event_add(&link->read_event, NULL);
    if (mode == LINK_CLOSE_WAIT)
        return;
    if (link->pending)
        link->finish_after_flush = true;
    else
        end_our_side(link);
}

/* A slow peer may finish what it is reading. */
static bool takes_more(const struct link *link) {
    uint64_t now_ms = link->loop->now_ms;
    return link->pending && now_ms - link->blocked_since_ms < LINK_LINGER_MS && now_ms < link->linger_end_ms;
}

void link_expire_lingering(struct loop *loop) {
    LIST_EACH_SAFE(&loop->lingering, it) {
        struct link *link = container_of(it, struct link, lingering);
        if (link->linger_until_ms > loop->now_ms)
            break; /* in order of their deadlines */
        list_remove(&link->lingering);
        if (takes_more(link)) {
            link->linger_until_ms = loop->now_ms + LINK_LINGER_MS;
            list_append(&loop->lingering, &link->lingering);
        } else {
            drop(link);
        }
    }
}

void link_abort_lingering(struct loop *loop) {
    LIST_EACH_SAFE(&loop->lingering, it)
        drop(container_of(it, struct link, lingering));
}

int link_fd(const struct link *link) {
    return link->fd;
}

bool link_is_tls(const struct link *link) {
    return link->ssl;
}

const char *link_error_text(const struct link *link, char *out, size_t size) {
    if (link->error_text)
        snprintf(out, size, "%s", link->error_text);
    else if (link->error)
        snprintf(out, size, "%s", strerror(link->error));
    else
        snprintf(out, size, "closed by the peer");
    return out;
}
