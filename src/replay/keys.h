/* Places as correlation's rules name them: paths with the indices of lists left out ("/items/∗/id"), or a part of what
 * stands at a path ("the digits behind 42 in @head/0", "what is behind receipt: in a word").
 *
 * Names of members may be ids, too: "/items/∗/@name".
 *
 * Rules are about keys; evidence is pooled over all messages of the recording, whatever else they are made of.
 * Thread: the owner's. */
#ifndef MF_REPLAY_KEYS_H
#define MF_REPLAY_KEYS_H

#include "replay/slab.h"
#include "replay/structure.h"

#define KEY_NONE UINT32_MAX
#define KEY_NAME_MAX 32u

struct key {
    const char *text;        /* "/items/∗/id", "@head/0 42…", "@word receipt:…" */
    char name[KEY_NAME_MAX]; /* in small letters and digits alone; "" where the place has no name */
    uint32_t part;           /* key for words within what stands here; KEY_NONE: not asked for yet */
    uint32_t index;          /* scratch of whoever walks a connection */
    uint16_t field;          /* of binary messages: index in what was learnt about them, + 1 */
    bool tag;                /* says what sort of message it is: /type, /event, a leading word */
    bool state;              /* /status, /version: few values that mean the same everywhere */
    bool leading;            /* the first element of the outermost array: a word there is a tag, a number is none */
    bool asked;              /* a parameter of the request's query: the client chose it for what follows */
    bool sought;             /* of words within a text: some rule carries them over */
    bool positional;         /* a word's place in a text, which is not a name */
};

struct keys {
    struct key *items;
    uint32_t count, cap;
    uint32_t *slots; /* open addressing: index + 1 */
    uint32_t mask;
    uint32_t *of_path, *of_names; /* by path; KEY_NONE: not asked for yet */
    uint32_t paths;
    struct slab slab;
    struct buf text;
    bool failed; /* out of memory */
};

void keys_init(struct keys *k, const struct path_table *paths);
void keys_fini(struct keys *k);
/* KEY_NONE: there are too many, or no memory (failed). */
uint32_t key_of_path(struct keys *k, const struct path_table *paths, uint32_t path);
/* The names of the members of what stands at a path, where names are ids: {"a7":…,"b2":…}. */
uint32_t key_of_names(struct keys *k, const struct path_table *paths, uint32_t path);
/* What stands behind `prefix` in values at key. */
uint32_t key_behind(struct keys *k, uint32_t key, const char *prefix, size_t len);
/* Two such keys of the same values, neither prefix the beginning of the other: a value is behind one of them alone. */
bool keys_are_siblings(const struct keys *k, uint32_t a, uint32_t b);
/* What stands behind `name` and a ':' or '=' in a text, wherever in it. */
uint32_t key_named(struct keys *k, const char *name, size_t len);
/* Words within what stands at key. */
uint32_t key_part(struct keys *k, uint32_t key);

/* Do both ends have the same name ("id" and "/payload/id", "receipt" and "receipt-id"), or are they the same place? */
bool keys_alike(const struct keys *k, uint32_t a, uint32_t b);
/* Is it a name as ids have it: id, ref, reply_to, nonce…? */
bool key_is_id(const struct keys *k, uint32_t key);

#endif
