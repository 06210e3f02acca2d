/* Compares what one live server says with what the recorded one said.
 *
 * What the player recognised is compared at once. What it did not recognise is kept until the end and then paired with
 * what is missing at that place of the conversation, so that one odd answer is one difference rather than two.
 * Thread: the owner's. */
#ifndef MF_DRIVE_VERIFY_H
#define MF_DRIVE_VERIFY_H

#include "replay/compare.h"

/* Unrecognised messages that are kept; those beyond are extra at once. */
#define VERIFY_KEPT_MAX 1000u
#define VERIFY_KEPT_BYTES_MAX ((size_t)16 << 20)
#define VERIFY_KEPT_TOGETHER_MAX ((size_t)128 << 20) /* by all verifiers of a run */

struct verifier;
/* Everything is borrowed. awaited, by recorded message: it must come, once (player_plan_awaits()). One for each time
 * that a recorded connection is played; differences go to `into`. kept_bytes: what all verifiers of the run keep. */
MF_MUSTCHECK int verifier_new(const struct correlation *c, const struct replay_source *source, size_t connection,
                              const uint8_t *awaited, const struct compare_options *options,
                              struct structure_scratch *scratch, size_t *kept_bytes, struct comparison *into,
                              struct verifier **out);
void verifier_free(struct verifier *v); /* NULL is accepted */

/* The subprotocol that the live server agreed to; NULL: none. */
MF_MUSTCHECK int verifier_opened(struct verifier *v, const char *subprotocol);
/* A message that is the recorded one of this index (which comes once, if it is awaited), or none that is known. A NUL
 * follows data. MF_ENOMEM. */
MF_MUSTCHECK int verifier_matched(struct verifier *v, uint32_t message, bool binary, const void *data, size_t len);
MF_MUSTCHECK int verifier_unmatched(struct verifier *v, bool binary, const void *data, size_t len);
/* Everything was played: what has not come is missing. code: of the server's close frame; 0: none. by_us: our close
 * frame was first. Not to be called when it was interrupted. */
MF_MUSTCHECK int verifier_finish(struct verifier *v, unsigned code, bool by_us);

#endif
