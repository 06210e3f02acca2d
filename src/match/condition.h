/* The tree that a `match:` is compiled to, and how one of its conditions is asked.
 *
 * Owned by the matcher; immutable once compiled, any thread. Each condition looks at one place: the whole message, a
 * node of its tape, or nothing where a member is missing. */
#ifndef MF_MATCH_CONDITION_H
#define MF_MATCH_CONDITION_H

#include "match/match.h"
#include "match/pattern.h"

enum condition_kind {
    CONDITION_PRESENT, /* "*" */
    CONDITION_TEXT,    /* exactly these bytes */
    CONDITION_GLOB,
    CONDITION_NUMBER,
    CONDITION_WORD,   /* true, false, null */
    CONDITION_OBJECT, /* children are members, each with its name */
    CONDITION_ARRAY,
    CONDITION_ALL, /* the operators of one mapping */
    CONDITION_REGEX,
    CONDITION_EXISTS,
    CONDITION_IN,
    CONDITION_COMPARE,
    CONDITION_NOT,  /* one child */
    CONDITION_HEX,  /* the message's bytes */
    CONDITION_JSON, /* one child, for the message parsed */
};

enum comparison { COMPARE_GT, COMPARE_GTE, COMPARE_LT, COMPARE_LTE };

struct condition {
    enum condition_kind kind;
    enum comparison comparison; /* CONDITION_COMPARE */
    enum json_kind word;        /* CONDITION_WORD */
    bool wanted;                /* CONDITION_EXISTS: its operand */
    bool number;                /* CONDITION_COMPARE: numbers, not texts */
    bool prefix;                /* CONDITION_HEX: any bytes may follow */
    char *name;                 /* what an object's member is called */
    size_t name_len;
    char *text; /* the text, the number's digits, the bytes; a glob and a pattern as they were written */
    size_t len;
    struct glob *glob;
    struct regex *regex;
    struct condition *children;
    size_t count;
};

struct matcher {
    struct condition root;
};

/* ---- match.c: asking ---- */

/* In a node's place: the whole message, where texts mean its raw text. JSON_NO_NODE there is what is missing. */
#define WHOLE_MESSAGE (UINT32_MAX - 1)

/* One message while it is looked at. */
struct look {
    const struct match_input *in;
    const struct json_tape *tape; /* NULL: the message is not JSON */
    struct buf scratch;           /* names and strings without their escapes; the caller frees it */
};

void look_init(struct look *l, const struct match_input *in);
bool condition_holds(struct look *l, const struct condition *c, uint32_t at);
/* The JSON node at that place; NULL: there is none. */
const struct json_node *look_node(const struct look *l, uint32_t at);
/* The text at that place, a string without its escapes; false: there is none. Borrowed until the next look. */
bool look_text(struct look *l, uint32_t at, const char **s, size_t *len);

#endif
