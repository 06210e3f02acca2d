/* Listening sockets: each worker has one of its own on the same address (SO_REUSEPORT), so that no accept is shared.
 *
 * Out of descriptors the listener rests for LISTENER_REST_MS and tries again; the process stays up. */
#ifndef MF_NET_LISTENER_H
#define MF_NET_LISTENER_H

#include <sys/socket.h>

#include "base/err.h"
#include "net/loop.h"

#define LISTENER_REST_MS 200

/* Binds `count` sockets to host:port and listens. Port 0 takes a free one, the same for all. An address that another
 * process listens on is an error, though SO_REUSEPORT would share it. On success fds[] are the caller's and *bound is
 * their address. Main thread; blocks on the resolution of a host name. */
MF_MUSTCHECK int listener_bind(const char *host, uint16_t port, int *fds, unsigned count, struct sockaddr_storage *bound,
                               struct err *err);
/* "127.0.0.1:8080", "[::1]:8080". Returns out. */
#define ADDRESS_TEXT_LEN 64
char *address_text(const struct sockaddr *address, char out[ADDRESS_TEXT_LEN]);

struct listener;
/* fd: the connected socket, non-blocking, TCP_NODELAY; now the callee's. */
typedef void (*listener_accept_fn)(void *owner, MF_TAKES int fd, const struct sockaddr *peer);
struct listener *listener_new(struct loop *loop, MF_TAKES int fd, struct metrics *metrics, listener_accept_fn on_accept,
                              void *owner);
/* Stops accepting and closes. NULL is accepted. */
void listener_free(struct listener *l);

#endif
