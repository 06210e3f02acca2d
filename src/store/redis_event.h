/* hiredis on libevent. Its own adapter header ignores failed allocations and is not written for our warnings. */
#ifndef MF_STORE_REDIS_EVENT_H
#define MF_STORE_REDIS_EVENT_H

#include <event2/event.h>
#include <hiredis/async.h>

#include "base/defs.h"

/* The context reads and writes on this base until it is freed. MF_ENOMEM. */
MF_MUSTCHECK int redis_event_attach(redisAsyncContext *context, struct event_base *base);

#endif
