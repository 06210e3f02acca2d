/* The endpoints there are: one row here, one file beside handlers.c for each. */
#ifndef MF_HANDLER_HANDLERS_H
#define MF_HANDLER_HANDLERS_H

#include "config/config.h"
#include "relay/endpoint.h"

extern const struct endpoint_type echo_endpoint;     /* sends back what comes, frame by frame */
extern const struct endpoint_type default_endpoint;  /* answers {"type":"ping"}, echoes everything else */
extern const struct endpoint_type upstream_endpoint; /* relays to a WebSocket server */
extern const struct endpoint_type replay_endpoint;   /* plays a recording */
extern const struct endpoint_type stub_endpoint;     /* whatever mock keys the route has, together */

/* What answers on this route. */
const struct endpoint_type *handler_endpoint(const struct route_config *route);

#endif
