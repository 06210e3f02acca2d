/* Two recordings: which connection is which, and each pair compared. */
#include "replay/diff.h"

#include <stdlib.h>
#include <string.h>

#include "replay/diff_private.h"

#define KEPT_MAX 50000u /* differences of all cases; after that few of each are kept */
#define KEPT_THEN 20u

/* ---- which connection is which ---- */

static int by_name(const void *x, const void *y) {
    const struct replay_connection *const *p = x, *const *q = y;
    return strcmp((*p)->name, (*q)->name);
}

static const struct replay_connection **sorted_by_name(const struct replay_source *s) {
    const struct replay_connection **list = calloc(s->count + 1, sizeof(struct replay_connection *));
    for (size_t i = 0; list && i < s->count; i++)
        list[i] = &s->connections[i];
    if (list)
        qsort(list, s->count, sizeof *list, by_name);
    return list;
}

/* partner[i]: b's index of a's i-th connection, where both have the same names. */
static int pair_by_name(const struct replay_source *a, const struct replay_source *b, size_t *partner, bool *same) {
    const struct replay_connection **x = sorted_by_name(a), **y = sorted_by_name(b);
    int rc = x && y ? MF_OK : MF_ENOMEM;
    *same = rc == MF_OK && a->count == b->count;
    for (size_t i = 0; *same && i < a->count; i++) {
        *same = !strcmp(x[i]->name, y[i]->name) && (i == 0 || strcmp(x[i - 1]->name, x[i]->name) != 0);
        partner[x[i] - a->connections] = (size_t)(y[i] - b->connections);
    }
    free(x);
    free(y);
    return rc;
}

/* ---- cases ---- */

struct run {
    const struct diff_options *o;
    struct replay_source *a, *b;
    struct correlation *a_correlation, *b_correlation;
    size_t kept;
};

static char *pair_name(const char *a, const char *b) {
    struct buf out = BUF_INIT;
    buf_puts(&out, a);
    if (strcmp(a, b) != 0) {
        buf_puts(&out, " and ");
        buf_puts(&out, b);
    }
    char *name = out.len ? buf_steal(&out) : strdup("");
    buf_fini(&out);
    return name;
}

/* Memory must not grow with the number of connections that differ in everything. */
static void bound(struct run *r, struct comparison *c) {
    while (r->kept > KEPT_MAX && c->count > KEPT_THEN) {
        struct difference *d = &c->items[--c->count];
        free(d->path);
        free(d->expected);
        free(d->got);
    }
    r->kept += c->count;
}

static int compare_pair(struct run *r, struct diff_case *out, size_t i, size_t j) {
    const struct replay_connection *a = &r->a->connections[i], *b = &r->b->connections[j];
    out->name = pair_name(a->name, b->name);
    if (!out->name)
        return MF_ENOMEM;
    int rc = diff_connection(&out->comparison, r->o, r->a_correlation, i, a, r->b_correlation, j, b);
    bound(r, &out->comparison);
    return rc;
}

static int add_unpaired(struct diff_case *out, const struct replay_connection *c, bool expected) {
    struct buf what = BUF_INIT;
    buf_printf(&what, "%zu message%s", c->message_count, c->message_count == 1 ? "" : "s");
    out->name = strdup(c->name);
    int rc = out->name ? compare_handshake(&out->comparison, "connection", expected ? buf_cstr(&what) : NULL,
                                           expected ? NULL : buf_cstr(&what))
                       : MF_ENOMEM;
    buf_fini(&what);
    return rc;
}

static int compare_all(struct run *r, struct diff *out, const size_t *partner) {
    size_t pairs = MIN(r->a->count, r->b->count);
    int rc = MF_OK;
    for (size_t i = 0; rc >= 0 && i < pairs; i++) {
        if (r->o->progress)
            r->o->progress(i, pairs, r->o->arg);
        rc = compare_pair(r, &out->cases[out->count++], i, out->by_name ? partner[i] : i);
    }
    for (size_t i = pairs; rc >= 0 && i < r->a->count; i++, out->only_a++)
        rc = add_unpaired(&out->cases[out->count++], &r->a->connections[i], true);
    for (size_t i = pairs; rc >= 0 && i < r->b->count; i++, out->only_b++)
        if (!r->o->compare.allow_extra)
            rc = add_unpaired(&out->cases[out->count++], &r->b->connections[i], false);
    return rc < 0 ? rc : MF_OK;
}

int diff_recordings(struct replay_source *a, struct replay_source *b, const struct diff_options *options,
                    struct diff *out, struct err *err) {
    struct run r = {.o = options, .a = a, .b = b};
    const struct correlate_options how = {.off = options->no_correlate};
    size_t *partner = calloc(a->count + 1, sizeof *partner);
    *out = (struct diff){.cases = calloc(a->count + b->count + 1, sizeof *out->cases)};
    int rc = partner && out->cases ? pair_by_name(a, b, partner, &out->by_name) : MF_ENOMEM;
    if (rc == MF_OK)
        rc = correlation_new(a, &how, &r.a_correlation, err);
    if (rc == MF_OK)
        rc = correlation_new(b, &how, &r.b_correlation, err);
    if (rc == MF_OK)
        rc = compare_all(&r, out, partner);
    if (rc == MF_ENOMEM)
        err_set(err, rc, "out of memory");
    correlation_unref(r.a_correlation);
    correlation_unref(r.b_correlation);
    free(partner);
    return rc;
}

void diff_fini(struct diff *d) {
    for (size_t i = 0; i < d->count; i++) {
        free(d->cases[i].name);
        comparison_fini(&d->cases[i].comparison);
    }
    free(d->cases);
    *d = (struct diff){0};
}
