#include "handler/handlers.h"

#include "config/config.h"

const struct endpoint_type *const handler_endpoints[] = {
    [HANDLER_DEFAULT] = &default_endpoint,
    [HANDLER_ECHO] = &echo_endpoint,
    [HANDLER_PROXY] = &upstream_endpoint,
};
