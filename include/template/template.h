/* Text with {{placeholders}}, compiled once and rendered many times (DESIGN section 3).
 *
 *
 *     Bearer {{env.API_TOKEN}}    {{now+1h}}    {{random_int 1 6}}    {{header.x-user | default "nobody" | upper}}
 *
 * A placeholder is a name, its arguments, and filters after '|', separated by spaces. An argument with spaces or braces in
 * it stands in double or single quotes. A quoted string in a name's place stands for itself: {{"{{"}} writes "{{".
 *
 * An unknown name is refused when it is compiled; what is missing at run time renders as nothing (null where JSON is
 * wanted). What was inserted is never expanded again, and is inserted as it is: whoever makes a file name or a header
 * field of it answers for what a peer may have put there. A compiled template is immutable: any thread may render it. */
#ifndef MF_TEMPLATE_TEMPLATE_H
#define MF_TEMPLATE_TEMPLATE_H

#include "base/buf.h"
#include "base/connection.h"
#include "base/err.h"
#include "base/rng.h"

struct template;

struct template_context {
    const struct connection *connection; /* may be NULL: its fields are then missing */
    struct rng *rng;                     /* uuid, random_*; may be NULL: they are then missing */
    uint64_t connection_count;
    bool file_name; /* what a client chose becomes part of a file's name: no '/', no control, no leading '.' in it */
};

/* Compiles text. MF_EINVAL: err's line and column count characters within `text` (1-based) and no file is set; a caller
 * whose text comes from a file puts its own place there. Names: now (with +1h, -30m, +90s, +2d; the offset also after
 * date, time, timestamp), date, time, timestamp, uuid, connection.id, connection.number, connection.path,
 * connection.remote_addr, connection_count, env.NAME, header.NAME, query.NAME, random_int A B (randInt, rand.int),
 * random_float A B (rand.float). Filters: `default X` (for a value that is missing or empty), upper, lower (ASCII). */
MF_MUSTCHECK int template_compile(const char *text, struct template **out, struct err *err);
void template_free(struct template *t);
/* No placeholder in it that asks for a value: renders the same each time. */
bool template_is_constant(const struct template *t);
/* Does it use a name that begins with `prefix` ("connection.", "uuid")? Names as written: "now+1h" begins with "now". */
bool template_uses(const struct template *t, const char *prefix);
/* Appends the rendered text. MF_ENOMEM. */
MF_MUSTCHECK int template_render(const struct template *t, const struct template_context *ctx, struct buf *out);

/* The names it knows, with one line of help each, for the reference page; ends with NULL. */
struct template_function_info {
    const char *name, *arguments, *help;
};
extern const struct template_function_info template_functions[];

#endif
