/* message.user.id, params.0, state."odd name": what a path names in a JSON value. */
#include <stdlib.h>
#include <string.h>

#include "template/segment.h"

static int add_segment(struct call *call, const char *s, size_t len, struct err *err) {
    char **grown = realloc(call->path, (call->path_count + 1) * sizeof *grown);
    char *copy = grown ? strndup(s, len) : NULL;
    if (grown)
        call->path = grown;
    if (!copy)
        return err_set(err, MF_ENOMEM, "out of memory");
    call->path[call->path_count++] = copy;
    return MF_OK;
}

/* A segment without quotes at s; *len is its length. */
static int check_bare(const struct call *call, const char *s, size_t *len, struct err *err) {
    *len = strcspn(s, ".");
    if (*len == 0)
        return err_set(err, MF_EINVAL, "\"%.100s\": expected a name after each '.'", call->name);
    if (strcspn(s, "[]") < *len)
        return err_set(err, MF_EINVAL,
                       "\"%.100s\": elements are named by number, as in items.0, and a name with brackets in quotes",
                       call->name);
    return MF_OK;
}

int prepare_path(struct call *call, struct err *err) {
    for (const char *s = call->suffix; *s;) {
        size_t len, quotes = 0;
        if (*s++ != '.')
            return err_set(err, MF_EINVAL, "\"%.100s\": expected '.' after what stands in quotes", call->name);
        if (*s == '"' || *s == '\'') {
            const char *end = strchr(s + 1, *s);
            MUST(end); /* the name was read up to there */
            len = (size_t)(end - s) - 1;
            quotes = 1;
        } else if (check_bare(call, s, &len, err) < 0) {
            return MF_EINVAL;
        }
        int rc = add_segment(call, s + quotes, len, err);
        if (rc < 0)
            return rc;
        s += len + 2 * quotes;
    }
    return MF_OK;
}

enum form render_path(const struct call *call, const struct template_context *ctx, struct buf *out) {
    size_t from = out->len;
    const struct template_values *v = ctx->values;
    if (!v || !v->find(v, (enum template_root)call->function->root, call->path, call->path_count, out))
        return FORM_MISSING;
    if (out->len - from == 4 && !memcmp(out->data + from, "null", 4)) {
        out->len = from;
        return FORM_MISSING;
    }
    return FORM_JSON;
}
