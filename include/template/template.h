/* Text with {{placeholders}}, compiled once and rendered many times (DESIGN section 3).
 *
 *     Bearer {{env.API_TOKEN}}    {{now+1h}}    {{random_int 1 6}}    {{header.x-user | default "nobody" | upper}}
 *
 * A placeholder is a name, its arguments, and filters after '|', separated by spaces. An argument with spaces or braces in
 * it stands in double or single quotes. A quoted string in a name's place stands for itself: {{"{{"}} writes "{{".
 *
 * A value is a text or JSON: numbers, truth values, objects, null. In a text, JSON's strings stand without their
 * quotes, other JSON as it is, and null as nothing. json_template.h is for JSON with placeholders.
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

/* Values that templates name by a path: {{message.user.id}}, {{params.0}}, {{state.count}}. */
enum template_root {
    TEMPLATE_MESSAGE = 1, /* the message that is answered, parsed as JSON */
    TEMPLATE_PARAMS = 2,  /* a JSON-RPC request's params */
    TEMPLATE_STATE = 4,   /* the connection's state */
};
struct template_values {
    /* Appends the JSON text of what the path's segments name below the root (none: the root itself); false, and nothing
     * appended: there is no such thing. */
    bool (*find)(const struct template_values *values, enum template_root root, char *const *segments, size_t count,
                 struct buf *json);
};

/* The most that one rendering makes: a message that echoes itself a few times is not to fill the memory. */
#define TEMPLATE_OUTPUT_MAX (16u << 20)

struct template_context {
    const struct connection *connection; /* may be NULL: its fields are then missing */
    struct rng *rng;                     /* uuid, random_*; may be NULL: they are then missing */
    uint64_t connection_count;
    uint64_t cluster_connection_count; /* of all gateways on one Redis; 0, as without one: connection_count */
    const struct template_values *values; /* NULL: message, params and state are missing */
    bool file_name; /* what a client chose becomes part of a file's name: no '/', no control, no leading '.' in it */
};

/* Compiles text. MF_EINVAL: err's line and column count characters within `text` (1-based) and no file is set; a caller
 * whose text comes from a file puts its own place there. The names and filters are in the tables below; message, params
 * and state are refused. */
MF_MUSTCHECK int template_compile(const char *text, struct template **out, struct err *err);
/* The same for the text of a message, where bits of enum template_root may be named too: message.PATH, params.PATH,
 * state.PATH. A path's segments are separated by '.', numbers index arrays, and a segment with odd characters stands in
 * quotes: message."a b".0. What is rendered is valid UTF-8: of a peer's bytes, those that are not become U+FFFD. */
MF_MUSTCHECK int template_compile_roots(const char *text, unsigned roots, struct template **out, struct err *err);
void template_free(struct template *t);
/* No placeholder in it that asks for a value: renders the same each time. */
bool template_is_constant(const struct template *t);
/* Does it use a name that begins with `prefix` ("connection.", "uuid")? Names as written: "now+1h" begins with "now". */
bool template_uses(const struct template *t, const char *prefix);
/* Appends the rendered text; nothing when it fails. MF_ENOMEM; MF_ELIMIT: longer than TEMPLATE_OUTPUT_MAX. */
MF_MUSTCHECK int template_render(const struct template *t, const struct template_context *ctx, struct buf *out);

/* The names it knows, with one line of help each; end with NULL. Of template_faker, the help is an example. */
struct template_function_info {
    const char *name;
    const char *arguments; /* as they stand right behind the name: "[+1h]", " LOW HIGH"; "": none */
    const char *help;
};
extern const struct template_function_info template_functions[], template_faker[], template_filters[];
/* The chapter on templates of the reference page, in Markdown. MF_ENOMEM. */
MF_MUSTCHECK int template_print_reference(struct buf *out);

#endif
