/* A recording as a configuration: a route for each recorded path, with pattern rules drawn from what was said there
 * (docs/tools.md, "A recording as a mock").
 *
 * For each kind of client message a rule: its match has the values that tell which message it is (structure.h), its
 * answer is what the server sent because of it: what says its id again, else what came before the client's next
 * message. Values that the client chose and the server said again in each recorded answer become {{message.…}}.
 * Bounded: MOCK_EXPORT_MAX bytes, as a configuration may have; what does not fit is left out and counted. Thread: the
 * caller's. */
#ifndef MF_REPLAY_MOCK_EXPORT_H
#define MF_REPLAY_MOCK_EXPORT_H

#include "replay/source.h"

#define MOCK_EXPORT_MAX (1000u << 10)

struct mock_export_result {
    uint64_t routes, rules;
    uint64_t exchanges; /* client messages with what followed them */
    uint64_t varying;   /* rules whose recorded answers differ in a way that nothing in the message explains */
    uint64_t left_out;  /* messages that a configuration cannot hold, and rules that had no room */
};

/* Appends the YAML text to out. */
MF_MUSTCHECK int mock_export(struct replay_source *source, struct buf *out, struct mock_export_result *result,
                             struct err *err);

#endif
