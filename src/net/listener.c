#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG 4096
#define ACCEPTS_PER_EVENT 32 /* so that a storm of connections does not starve those that are open */

char *address_text(const struct sockaddr *address, char out[ADDRESS_TEXT_LEN]) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(out, ADDRESS_TEXT_LEN, "%s:%u", ip, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(out, ADDRESS_TEXT_LEN, "[%s]:%u", ip, ntohs(in6->sin6_port));
    }
    return out;
}

static int bind_one(const struct sockaddr *address, socklen_t len, bool share, int *error) {
    const int on = 1, off = 0;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (share)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (address->sa_family == AF_INET6) /* "::" listens for both families */
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
            return fd;
    }
    *error = errno;
    if (fd >= 0)
        close(fd);
    return -1;
}

static uint16_t port_of(const struct sockaddr *address) { /* at the same place in both families */
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

/* SO_REUSEPORT would let a second gateway of the same user take half of the connections in silence: a socket without it
 * finds out whether the address is free. */
static bool is_free(const struct sockaddr *address, socklen_t len, int *error) {
    int fd = bind_one(address, len, false, error);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int bind_all(struct sockaddr_storage *address, socklen_t len, int *fds, unsigned count, int *error) {
    struct sockaddr *sa = (struct sockaddr *)address;
    /* The port that 0 becomes is free, and is kept from then on: given back for a moment, it could become another's. */
    if (port_of(sa) && !is_free(sa, len, error))
        return MF_EIO;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = bind_one(sa, len, true, error);
        if (fds[i] < 0) {
            while (i--)
                close(fds[i]);
            return MF_EIO;
        }
        getsockname(fds[i], sa, &len); /* the first one's port is the others' */
    }
    return MF_OK;
}

int listener_bind(const char *host, uint16_t port, int *fds, unsigned count, struct sockaddr_storage *bound,
                  struct err *err) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, MF_EINVAL, "cannot listen on \"%s\": %s", host, gai_strerror(rc));
    memset(bound, 0, sizeof *bound);
    memcpy(bound, found->ai_addr, found->ai_addrlen);
    int error = 0;
    rc = bind_all(bound, found->ai_addrlen, fds, count, &error);
    freeaddrinfo(found);
    if (rc < 0)
        return err_set(err, MF_EIO, "cannot listen on %s port %u: %s%s", host, port, strerror(error),
                       error == EADDRINUSE ? " (is another gateway running? websocket.port, --ws-port, --listen or --port, and admin.port, choose others)"
                       : error == EACCES        ? " (ports below 1024 need a privilege)"
                       : error == EADDRNOTAVAIL ? " (this machine has no such address)"
                                                : "");
    return MF_OK;
}

struct listener {
    struct loop *loop;
    struct metrics *metrics;
    listener_accept_fn on_accept;
    void *owner;
    int fd;
    struct event *accept_event, *rest_event;
};

static void rest(struct listener *l, int error) {
    metrics_inc(l->metrics, METRIC_ERRORS_ACCEPT);
    LOG_LIMITED(LOG_ERROR, "accept_failed", "error=%s retry_ms=%d", log_quote(strerror(error)), LISTENER_REST_MS);
    const struct timeval pause = {.tv_usec = LISTENER_REST_MS * 1000};
    event_del(l->accept_event);
    event_add(l->rest_event, &pause);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct listener *l = arg;
    const int on = 1;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            l->on_accept(l->owner, client, (struct sockaddr *)&peer);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(l, errno);
            return;
        } /* anything else is that one connection's fault: ECONNABORTED, network errors (accept(2)) */
    }
}

static void on_rested(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct listener *l = arg;
    event_add(l->accept_event, NULL);
}

struct listener *listener_new(struct loop *loop, int fd, struct metrics *metrics, listener_accept_fn on_accept,
                              void *owner) {
    struct listener *l = calloc(1, sizeof *l);
    if (!l) {
        close(fd);
        return NULL;
    }
    *l = (struct listener){.loop = loop, .metrics = metrics, .on_accept = on_accept, .owner = owner, .fd = fd};
    l->accept_event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest_event = evtimer_new(loop->base, on_rested, l);
    if (!l->accept_event || !l->rest_event || event_add(l->accept_event, NULL) < 0) {
        listener_free(l);
        return NULL;
    }
    return l;
}

void listener_free(struct listener *l) {
    if (!l)
        return;
    if (l->accept_event)
        event_free(l->accept_event);
    if (l->rest_event)
        event_free(l->rest_event);
    close(l->fd);
    free(l);
}
