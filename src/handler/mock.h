/* What the mocks share. */
#ifndef MF_HANDLER_MOCK_H
#define MF_HANDLER_MOCK_H

#include "relay/session.h"

/* Opens at once: 101, with a subprotocol of the route's list that the client offers too; without a list the first that
 * it offers (a browser fails the connection when it offered some and got none). */
void mock_open(struct endpoint *e);
/* A client that does not read its answers is not read from either. */
void mock_on_client_blocked(struct endpoint *e, bool blocked);

#endif
