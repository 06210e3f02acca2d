/* The stages there are, and how they are put together for a session:
 *
 *     FROM_CLIENT  tap (leg client) -> transform -> tap (leg upstream) -> endpoint
 *     TO_CLIENT    tap (leg upstream) -> transform -> tap (leg client) -> client
 *
 * Thread: the session's worker. */
#ifndef MF_STAGE_STAGES_H
#define MF_STAGE_STAGES_H

#include "recording/event.h"
#include "relay/session.h"

/* Builds both chains of a session that is about to open, and joins its recording. MF_ENOMEM. */
MF_MUSTCHECK int chains_build(struct session *s);

/* Puts a stage before chains[direction]. */
void chain_push(struct session *s, enum direction direction, struct stage *stage);

/* Records what passes. s->capture is set. NULL: no memory. */
struct stage *tap_new(struct session *s, enum event_leg leg);
/* Runs the route's Lua transform on whole messages, where it has one; a reload may give it one. NULL: no memory. */
struct stage *transform_new(struct session *s, enum direction direction);

#endif
