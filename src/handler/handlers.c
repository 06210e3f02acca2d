#include "handler/handlers.h"

/* Beside these an echo is one part of a mock. */
static bool has_mock_keys(const struct route_config *r) {
    return r->messages_count || r->rules_count || r->methods_count || r->has_fallback || r->script.text ||
           r->script_file || r->scheduled_count || r->broadcast.interval_ms || r->state_initial || r->steps_count;
}

const struct endpoint_type *handler_endpoint(const struct route_config *route) {
    switch (route->type) {
    case HANDLER_PROXY:
        return &upstream_endpoint;
    case HANDLER_REPLAY:
        return &replay_endpoint;
    case HANDLER_DEFAULT:
        return &default_endpoint;
    case HANDLER_ECHO:
        return has_mock_keys(route) ? &stub_endpoint : &echo_endpoint;
    default:
        return &stub_endpoint;
    }
}
