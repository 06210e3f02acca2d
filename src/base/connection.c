#include "base/connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void connection_init(struct connection *c, uint64_t number) {
    *c = (struct connection){.number = number, .opened_us = clock_mono_us()};
    snprintf(c->id, sizeof c->id, "conn-%" PRIu64, number);
}

void connection_fini(struct connection *c) {
    free(c->path);
    free(c->query);
    free(c->remote_addr);
    free(c->subprotocol);
    headers_fini(&c->headers);
    c->path = c->query = c->remote_addr = c->subprotocol = NULL;
}

static bool copy_string(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

int connection_copy(struct connection *to, const struct connection *from) {
    connection_init(to, from->number);
    to->opened_us = from->opened_us;
    if (copy_string(&to->path, from->path) && copy_string(&to->query, from->query) &&
        copy_string(&to->remote_addr, from->remote_addr) && copy_string(&to->subprotocol, from->subprotocol) &&
        headers_copy(&to->headers, &from->headers) == MF_OK)
        return MF_OK;
    connection_fini(to);
    return MF_ENOMEM;
}
