/* What templates, scripts and recordings may know of a client's connection.
 *
 * Owned by the session; filled at the handshake and not changed after it, so that any of them may borrow it for the
 * session's life. Thread: the session's worker; a copy (connection_copy) may cross. */
#ifndef MF_BASE_CONNECTION_H
#define MF_BASE_CONNECTION_H

#include "base/headers.h"

#define CONNECTION_ID_LEN 26 /* "conn-" and up to 20 digits, with the NUL */

struct connection {
    uint64_t number;             /* never reused while the process lives; 1 for the first */
    char id[CONNECTION_ID_LEN];  /* "conn-<number>" */
    char *path;                  /* request target without its query, as it came: "/chat" */
    char *query;                 /* what follows '?', as it came, or NULL */
    char *remote_addr;           /* "127.0.0.1:50312", "[::1]:50312" */
    char *subprotocol;           /* as agreed with the client, or NULL */
    uint64_t opened_us;          /* clock_mono_us() when it came */
    struct headers headers;      /* the client's request headers, as they came */
};

void connection_init(struct connection *c, uint64_t number);
void connection_fini(struct connection *c);
MF_MUSTCHECK int connection_copy(struct connection *to, const struct connection *from);

#endif
