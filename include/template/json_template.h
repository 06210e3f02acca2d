/* A JSON value with placeholders, compiled once (DESIGN section 3): what a mock sends.
 *
 *     {type: ack, id: "{{message.id}}", at: "{{now}}", note: "seen {{message.note | default none}}"}
 *
 * A text that is exactly one placeholder takes the JSON type of what it names: a number, an object, null when there is
 * nothing. Within longer text it is inserted as text: strings without their quotes, other values as JSON, nothing for
 * null; escaped for where it stands. What was inserted is never expanded again. Plain scalars of the file keep their
 * types: 5, true, null; members keep their order. Keys are not templates. Immutable once compiled: any thread. */
#ifndef MF_TEMPLATE_JSON_TEMPLATE_H
#define MF_TEMPLATE_JSON_TEMPLATE_H

#include "config/config.h"
#include "template/template.h"

struct json_template;

/* roots: bits of enum template_root that may be named. MF_EINVAL: err has line and column in the file (no file name). */
MF_MUSTCHECK int json_template_compile(const struct config_value *value, unsigned roots, struct json_template **out,
                                       struct err *err);
void json_template_free(struct json_template *t);
/* No placeholder in it: renders the same each time. */
bool json_template_is_constant(const struct json_template *t);
/* As template_uses(): does it ask for "message", "state"? */
bool json_template_uses(const struct json_template *t, const char *prefix);
/* Appends the JSON text, valid UTF-8; nothing when it fails. MF_ENOMEM; MF_ELIMIT: longer than TEMPLATE_OUTPUT_MAX. */
MF_MUSTCHECK int json_template_render(const struct json_template *t, const struct template_context *ctx, struct buf *out);

#endif
