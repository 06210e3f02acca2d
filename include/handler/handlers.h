/* The endpoints there are: one row here, one file beside handlers.c for each. */
#ifndef MF_HANDLER_HANDLERS_H
#define MF_HANDLER_HANDLERS_H

#include "relay/endpoint.h"

extern const struct endpoint_type echo_endpoint;     /* sends back what comes, frame by frame */
extern const struct endpoint_type default_endpoint;  /* answers {"type":"ping"}, echoes everything else */
extern const struct endpoint_type upstream_endpoint; /* relays to a WebSocket server */

/* By enum handler_type. */
extern const struct endpoint_type *const handler_endpoints[];

#endif
