/* What of a message may be a variable: its values, and parts of them that stand for themselves.
 *
 *     {"id":"a7"}          WHOLE   a7 at /id
 *     receipt:abc          WHOLE   receipt:abc at @word/0, NAMED abc at "@word receipt:…"
 *     id=7                 WHOLE   7 at @word/1, NAMED 7 at "@word id:…"
 *     421["chat",…]        WHOLE   421 at @head/0, BEHIND 21 at "@head/0 4…", 1 at "@head/0 42…"
 *     {"text":"hello bob"} WHOLE, PART hello, PART bob at "/text …"
 *
 *     {"a7":{"n":1}}       NAME a7 at "/@name": it may say again what was a value elsewhere, but is never said itself
 *
 * Thread: the owner's. */
#ifndef MF_REPLAY_ATOMS_H
#define MF_REPLAY_ATOMS_H

#include "replay/keys.h"
#include "replay/strength.h"

#define ATOM_LENGTH_MAX 512u /* bytes of what is correlated */
#define ATOM_TEXT_MAX 4096u  /* bytes of a value that is searched for parts */

enum atom_form { ATOM_WHOLE, ATOM_NAMED, ATOM_BEHIND, ATOM_PART, ATOM_NAME };

struct atom {
    uint32_t value;      /* index in the structure */
    uint32_t key;        /* of a PART: of all words within that value */
    uint32_t text, size; /* of the value: in atoms.text */
    uint32_t begin, end; /* of the atom in the value's text; of a NAME in the message */
    uint64_t hash;       /* of the atom's text */
    uint8_t form;        /* enum atom_form */
    uint8_t strength;    /* enum strength */
    uint8_t kind;        /* enum value_kind, of the value */
};

struct atoms {
    struct atom *items; /* those of a value stand together: WHOLE first, longer ones before what is within them */
    uint32_t count, cap;
    struct atom *names; /* of members, without escapes; begin, end: of the message; value: the first one within it */
    uint32_t name_count, name_cap;
    bool with_names;
    enum strength parts_from; /* words within a text that say less are left out */
    bool sought_alone;        /* and where nothing is sought in the text, all but PROOF */
    bool without_hashes;      /* but of BEHIND */
    struct buf text;
    struct keys *keys; /* borrowed */
    const struct path_table *paths;
    const uint8_t *excluded; /* by path: no atoms */
    bool failed;             /* out of memory */
};

void atoms_fini(struct atoms *a);
void atoms_read(struct atoms *a, const struct structure *s, const void *data);

static inline const char *atom_text(const struct atoms *a, const struct atom *atom) {
    return (const char *)a->text.data + atom->text + atom->begin;
}

#endif
