#include "handler/mock.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/handshake.h"

static char *first_offered(const struct session *s) {
    const char *list = headers_get(&s->connection.headers, "Sec-WebSocket-Protocol");
    if (!list)
        return NULL;
    list += strspn(list, ", \t");
    size_t len = strcspn(list, ", \t");
    return len ? strndup(list, len) : NULL;
}

static char *choose_subprotocol(const struct session *s) {
    const struct route_config *c = s->route->config;
    if (c->subprotocols_count == 0)
        return first_offered(s);
    for (size_t i = 0; i < c->subprotocols_count; i++)
        if (ws_subprotocol_offered(&s->connection.headers, c->subprotocols[i]))
            return strdup(c->subprotocols[i]);
    return NULL;
}

void mock_open(struct endpoint *e) {
    char *subprotocol = choose_subprotocol(e->session);
    session_accept(e->session, subprotocol, NULL);
    free(subprotocol);
}

void mock_on_client_blocked(struct endpoint *e, bool blocked) {
    peer_hold(&e->session->client, HOLD_BLOCKED, blocked);
}
