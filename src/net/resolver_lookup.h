/* The resolver's insides, for its unit test: another function in the place of getaddrinfo(3). */
#ifndef MF_NET_RESOLVER_LOOKUP_H
#define MF_NET_RESOLVER_LOOKUP_H

#include <netdb.h>

#include "net/resolver.h"

/* As getaddrinfo(3) and freeaddrinfo(3); called on the helper threads. */
struct resolver_lookup {
    int (*look_up)(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list);
    void (*free_list)(struct addrinfo *list);
};

MF_MUSTCHECK int resolver_new_with(unsigned threads, struct resolver_lookup lookup, struct resolver **out,
                                   struct err *err);
/* Copies a list, families in turn (RFC 8305 section 4), each address once, as many as fit. */
void resolver_interleave(const struct addrinfo *list, struct resolver_answer *answer);

#endif
