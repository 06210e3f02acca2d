/* What {{message…}} and {{params…}} name: values in a message's JSON tape.
 *
 *     struct json_values v = {.text = …, .len = …, .tape = …, .params = JSON_NO_NODE, .scratch = …};
 *     json_values_init(&v);
 *     ctx.values = &v.values;
 *
 * Lives on the stack of whoever answers a message, borrows all that it names; the message's bytes are copied as they
 * are, numbers included. Thread: the owner's. */
#ifndef MF_TEMPLATE_JSON_VALUES_H
#define MF_TEMPLATE_JSON_VALUES_H

#include "protocol/json.h"
#include "template/template.h"

struct json_values {
    struct template_values values; /* set by json_values_init() */
    const char *text;              /* the message; NULL: there is none, or it is binary */
    size_t len;
    const struct json_tape *tape; /* NULL: not JSON; `message` and `message.text` are then the text itself */
    uint32_t message;             /* node of what {{message}} means: 0, or one request of a batch */
    uint32_t params;              /* node of what {{params}} means; JSON_NO_NODE: there are none */
    struct buf *scratch;          /* for names with escapes */
    const struct template_values *rest; /* asked for the other roots (state); NULL: they are missing */
};

void json_values_init(struct json_values *v);

#endif
