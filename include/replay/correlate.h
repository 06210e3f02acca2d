/* Correlation: which values of a conversation were made up by one side and said again by the other, so that they must
 * be carried over from whoever is live now. Found by comparing a recording with itself.
 *
 *     client  {"type":"subscribe","id":"a7"}       /id is the client's: a variable is born here
 *     server  {"type":"next","id":"a7",…}          /id is that variable: replaced by the live client's id
 *     server  {"session":"S-99"}                   /session is the server's: a variable is born here
 *     client  {"cmd":"resume","session":"S-99"}    …and said again: replaced when the client's half is driven
 *
 * What is inferred does not depend on any protocol: values stand at paths (structure.h); a rule says that what stands
 * at path P of messages of shape A comes again at path Q of messages of shape B in the other direction. Values that are
 * hardly a coincidence (UUIDs, long or random strings and numbers) prove a rule alone; others (1, "orders") need the
 * same name at both ends, or to hold wherever these shapes meet, with at least two different values. true, false, null,
 * "" and 0 never do. In words, a common beginning or end may stay ("420" -> "430": only the 0 is the variable).
 *
 * A struct correlation belongs to one source, is immutable, and may be read by any thread. */
#ifndef MF_REPLAY_CORRELATE_H
#define MF_REPLAY_CORRELATE_H

#include "replay/source.h"
#include "replay/structure.h"

struct correlation;

struct correlate_options {
    bool off;                 /* infer nothing; rules still count */
    const char *const *rules; /* --correlate "incoming /id = outgoing /id": further rules, taken without proof */
    size_t rules_count;
    const char *const *except; /* --no-correlate PATH: paths (patterns) that are in no rule */
    size_t except_count;
    bool refresh_time;                                          /* times and counters too: see below */
    void (*progress)(uint64_t done, uint64_t total, void *arg); /* messages; may be NULL */
    void *arg;
};
/* Takes a reference of source. MF_EINVAL: a rule cannot be read (err says which, and what was expected); MF_ENOMEM.
 * Time and memory are linear in the recording: beyond CORRELATE_MESSAGES_MAX messages of a connection nothing is
 * inferred from the rest, but the rules that were found hold there too. */
#define CORRELATE_MESSAGES_MAX 200000u
MF_MUSTCHECK int correlation_new(struct replay_source *source, const struct correlate_options *options,
                                 struct correlation **out, struct err *err);
struct correlation *correlation_ref(struct correlation *c);
void correlation_unref(struct correlation *c);

struct replay_source *correlation_source(const struct correlation *c); /* borrowed */
const struct path_table *correlation_paths(const struct correlation *c);
/* The structure of a recorded message; kept for messages of both directions. Borrowed. */
const struct structure *correlation_structure(const struct correlation *c, size_t connection, size_t message);
/* Does anything come again that the client said in its handshake? */
bool correlation_hears_handshake(const struct correlation *c, size_t connection);
/* For match_hints.free_paths of that message. */
void correlation_free_paths(const struct correlation *c, size_t connection, size_t message, const uint32_t **paths,
                            size_t *count);

/* A place in a recorded message that is filled anew when the message is played. Ordered by `begin`. */
enum slot_kind {
    SLOT_VARIABLE, /* the variable's live value; the recorded one while there is none */
    SLOT_TIME,    /* a point in time near the recording's: moved by how much later it is now. ISO 8601 and Unix seconds,
                   * milliseconds, microseconds, nanoseconds keep their form and precision */
    SLOT_COUNTER, /* grows steadily over the recording: when it is played again in a loop, it goes on growing */
};
struct slot {
    uint32_t begin, end; /* bytes of the message */
    uint32_t variable;   /* SLOT_VARIABLE */
    uint8_t kind;        /* enum slot_kind */
    uint8_t value_kind;  /* enum value_kind, as recorded */
    uint8_t nested;
    uint8_t code; /* of a binary message: enum bytes_code */
};
const struct slot *correlation_slots(const struct correlation *c, size_t connection, size_t message, size_t *count);

/* What `ws replay --explain` prints: each rule with its proof (how often it held, an example), times and counters, the
 * values that look as if they were correlated but are not, and why. JSON: one object, documented in docs/replay.md. */
void correlation_explain(const struct correlation *c, struct buf *out, bool json);

/* ---- one replay's values ---- */

struct bindings; /* of one live conversation; owned by it */
MF_MUSTCHECK int bindings_new(const struct correlation *c, size_t connection, struct bindings **out);
/* The same values, to go on apart: two messages of one kind under way at once have an id each. */
MF_MUSTCHECK int bindings_clone(const struct bindings *b, struct bindings **out);
void bindings_free(struct bindings *b); /* NULL is accepted */
/* A live message was found to be this recorded one: the variables that are born there get the live values. `live` was
 * read with correlation_paths(). MF_ENOMEM. */
MF_MUSTCHECK int bindings_learn(struct bindings *b, size_t message, const struct structure *live, const void *data,
                                size_t len);
/* The live client's handshake (handshake.h has its text; a NUL follows): variables that are born there. MF_ENOMEM. */
MF_MUSTCHECK int bindings_learn_handshake(struct bindings *b, const char *text, size_t len);
/* A live message that may be this recorded one: does it say again what is known by now (a client that names its
 * subscription a second time)? 1: yes, all of it; 0: there is nothing to compare; -1: something else stands there, so
 * that another recorded message suits it better. Ask before bindings_learn(). */
int bindings_agree(struct bindings *b, size_t message, const struct structure *live, const void *data, size_t len);
/* The message as it is to be sent now: 1 and it is in out (emptied first); 0: nothing differs, send the recorded bytes.
 * shift_us: now minus the time of recording, for SLOT_TIME; round: how often the recording was played before (--loop).
 */
MF_MUSTCHECK int bindings_render(struct bindings *b, size_t message, int64_t shift_us, uint64_t round, struct buf *out);

#endif
