/* What a message must be like: a compiled `match:` (DESIGN section 3), as rules and scenarios have it.
 *
 *     match: {type: subscribe, channel: "*", limit: {$lte: 100}}
 *
 * - A mapping is a subset of the message parsed as JSON, at every depth: members that are not named do not matter.
 * - A list in a mapping's place is an array of the same length, element by element.
 * - A text is a glob over a string: `*` any run, `?` one character, `[a-z]`, `[!a-z]`, `\` takes the next as it is;
 *   "*" alone means that the member is there, with any value. Other scalars are equal by type and value: 5 is 5.0, and
 *   is not "5". Numbers are compared digit by digit, without rounding. Of a name that stands twice the last counts.
 * - Operators, alone or together in a mapping: $regex (PCRE2, UTF, unanchored), $exists, $in, $gt, $gte, $lt, $lte,
 *   $not. A member that is missing holds only {$exists: false} and what $not is about. "$$name" is the member "$name".
 * - In the whole message's place a text is a glob over the raw text, and {$regex: …}, $in, $gt… with texts look at the
 *   raw text as well. {$hex: "00ff*"} is a binary message's bytes, a final `*` for the rest. {$json: V} takes V for the
 *   parsed message, scalars too.
 *
 * Compiled once, immutable, any thread. The same input always gives the same answer; no input makes it slow: globs take
 * time as text and glob are long, regular expressions have a budget of steps, beyond which they do not match. */
#ifndef MF_MATCH_MATCH_H
#define MF_MATCH_MATCH_H

#include "config/config.h"
#include "protocol/json.h"

struct matcher;

/* A message, parsed once for all rules. */
struct match_input {
    const char *data; /* followed by a NUL */
    size_t len;
    bool binary;                  /* then it is never JSON, and texts do not match it */
    const struct json_tape *tape; /* of data; NULL: not JSON */
};

/* MF_EINVAL: err has line and column of what is wrong in the file (no file name), and says what was expected. */
MF_MUSTCHECK int matcher_compile(const struct config_value *value, struct matcher **out, struct err *err);
void matcher_free(struct matcher *m);
bool matcher_matches(const struct matcher *m, const struct match_input *in);

/* How far a message that does not match is from doing so. */
struct match_miss {
    unsigned held;  /* conditions that hold; the nearest rule has the most. To be an object, or an array of the right
                     * length, is one. */
    char text[200]; /* the first that does not: "channel: expected a value, missing"; values are cut to 40 bytes, and
                     * what a peer sent is escaped as JSON does. "" when the message matches. */
};
void matcher_explain(const struct matcher *m, const struct match_input *in, struct match_miss *out);

#endif
