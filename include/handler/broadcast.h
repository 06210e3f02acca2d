/* `broadcast:` of routes: one message to all of a route's connections at each tick, rendered once for all of them.
 *
 * One worker ticks for the whole gateway. Thread: that worker's, or none yet. */
#ifndef MF_HANDLER_BROADCAST_H
#define MF_HANDLER_BROADCAST_H

#include "base/defs.h"

struct worker;
struct broadcasts;

/* Begins to tick for the worker's plan. MF_ENOMEM. */
MF_MUSTCHECK int broadcasts_new(struct worker *w, struct broadcasts **out);
void broadcasts_free(struct broadcasts *b);

#endif
