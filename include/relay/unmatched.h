/* The last messages that no rule matched, for the admin side: a bounded ring that all workers add to.
 *
 * One lock, held for a copy of a few hundred bytes; only messages that nobody answers come here. Any thread. */
#ifndef MF_RELAY_UNMATCHED_H
#define MF_RELAY_UNMATCHED_H

#include "base/buf.h"

#define UNMATCHED_WHY_MAX 256
#define UNMATCHED_TEXT_MAX 2048 /* bytes kept of a message */

struct session;
struct unmatched;

/* keep: messages; 0: none. NULL: no memory. */
struct unmatched *unmatched_new(unsigned keep);
void unmatched_free(struct unmatched *u);
/* u NULL is fine, here and below. */
void unmatched_add(struct unmatched *u, const struct session *s, bool binary, const char *text, size_t len, const char *why);
/* Appends {"unmatched":[{…}],"total":N}, newest last. MF_ENOMEM. */
MF_MUSTCHECK int unmatched_print(struct unmatched *u, struct buf *json);

#endif
