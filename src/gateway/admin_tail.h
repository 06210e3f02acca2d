/* GET /__mockforge/ws/tail: recorded lines as they are written, to a few at a time who look on.
 *
 * Each has a tap (recording/tap.h) of its own: what its connection does not take fills the tap's buffer, and what does
 * not fit there is dropped and told in a gap line; nobody else notices. Thread: the admin side's. */
#ifndef MF_GATEWAY_ADMIN_TAIL_H
#define MF_GATEWAY_ADMIN_TAIL_H

#include "net/link.h"
#include "protocol/http_head.h"
#include "recording/tap.h"

#define ADMIN_TAIL_STALLED_MS 60000u /* who takes nothing for so long is dropped */

/* Reads ?connection=&path=&direction= into options, whose texts are *space's. False: *why says what is wrong. */
MF_MUSTCHECK bool admin_tail_options(const struct http_head *request, struct tap_options *options, struct buf *space,
                                     char *why, size_t why_size);
/* The answer's head. */
void admin_tail_head(struct buf *out, bool chunked);
/* Appends text as a chunk of the body, or as it is. */
void admin_tail_chunk(struct buf *out, bool chunked, const struct buf *text);

struct admin_tail;
/* Goes on with a link to which the head was written; frees tap with itself. `list` is where it hangs while it is open.
 * On failure the link is closed and the tap freed. */
MF_MUSTCHECK int admin_tail_start(struct loop *loop, struct list *list, MF_TAKES struct link *link,
                                  MF_TAKES struct tap *tap, bool chunked);
/* Of all in the list: closes those that have taken nothing for ADMIN_TAIL_STALLED_MS. */
void admin_tails_check(struct list *list);
/* Ends all of them. */
void admin_tails_end(struct list *list);

#endif
