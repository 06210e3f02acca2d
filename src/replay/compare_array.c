/* Arrays: element by element, or in any order where the user says so. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "replay/compare_private.h"
#include "replay/pairing.h"

/* ---- in their order ---- */

static void compare_in_order(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                             const struct json_doc *got, uint32_t g) {
    const struct json_node *x = expected->tape.nodes, *y = got->tape.nodes;
    uint32_t i = e + 1, j = g + 1;
    for (uint32_t n = 0; (i < x[e].next || j < y[g].next) && run->rc == MF_OK; n++) {
        bool both = i < x[e].next && j < y[g].next;
        if (run->o->types_only && !both)
            return;
        size_t up = run_down_index(run, n);
        if (both)
            compare_nodes(run, expected, i, got, j);
        else if (i < x[e].next)
            add_missing_node(run, expected, i);
        else
            add_extra_node(run, got, j);
        run_up(run, up);
        i = i < x[e].next ? x[i].next : i;
        j = j < y[g].next ? y[j].next : j;
    }
}

/* ---- in any order ---- */

static bool ends_with_stars(const char *pattern) {
    size_t len = strlen(pattern);
    return len >= 2 && !strcmp(pattern + len - 2, "**");
}

/* A pattern covers what is below it too; what is meant is the array itself: its parent is not covered. */
static bool names_array(const char *pattern, const char *path) {
    if (!*pattern || !strcmp(pattern, "/") || !path_matches(pattern, path))
        return false;
    const char *slash = strrchr(path, '/');
    if (!slash || ends_with_stars(pattern))
        return true;
    char *parent = strndup(path, (size_t)(slash - path));
    bool covered = parent && path_matches(pattern, parent);
    free(parent);
    return !covered;
}

static bool is_unordered(struct compare_run *run) {
    for (size_t i = 0; i < run->o->unordered_count; i++)
        if (names_array(run->o->unordered[i], buf_cstr(&run->path)))
            return true;
    return false;
}

/* What two equal values have in common, however they are written; others may have it too. */
static uint64_t hash_node(struct compare_run *run, const struct json_doc *doc, uint32_t at) {
    const struct json_node *nodes = doc->tape.nodes, *n = &nodes[at];
    uint64_t hash = n->kind;
    const char *text;
    size_t len;
    run->work++;
    switch (n->kind) {
    case JSON_OBJECT:
    case JSON_ARRAY: /* sums: arrays in arrays may be unordered too */
        for (uint32_t i = at + 1; i < n->next; i = nodes[i].next)
            hash += hash_node(run, doc, i) * (nodes[i].key_escaped ? 3 : nodes[i].key_len * 2 + 5);
        return hash_bytes(&hash, sizeof hash);
    case JSON_STRING:
        text = string_text(doc, n, &run->one, &len);
        return hash_bytes(text, len);
    case JSON_INTEGER:
    case JSON_DECIMAL: {
        double d = strtod(doc->text + n->begin, NULL) + 0.0; /* -0 becomes 0 */
        return hash_bytes(&d, sizeof d);
    }
    default:
        return hash_bytes(&hash, sizeof hash);
    }
}

struct elements {
    struct compare_run *run;
    const struct json_doc *expected, *got;
    uint32_t *e, *g; /* their nodes */
    size_t e_count, g_count;
};

static uint8_t element_cost(void *arg, size_t i, size_t j) {
    struct elements *l = arg;
    if (l->run->work > COMPARE_WORK_MAX)
        return PAIRING_NEVER;
    size_t up = run_down_index(l->run, (uint32_t)i);
    uint8_t cost = count_nodes(l->run, l->expected, l->e[i], l->got, l->g[j]);
    run_up(l->run, up);
    return cost;
}

static void list_elements(const struct json_doc *doc, uint32_t array, uint32_t *out) {
    const struct json_node *nodes = doc->tape.nodes;
    for (uint32_t at = array + 1; at < nodes[array].next; at = nodes[at].next)
        *out++ = at;
}

/* Those that have nothing in common with any are paired with what is left, in their order: one changed value then
 * shows as one. */
static void pair_leftovers(struct pairing *p) {
    size_t j = 0;
    for (size_t i = 0; i < p->expected_count; i++) {
        if (p->partner[i] != PAIRING_NONE)
            continue;
        while (j < p->got_count && p->taken[j])
            j++;
        if (j == p->got_count)
            return;
        p->partner[i] = (uint32_t)j;
        p->taken[j] = true;
    }
}

static void compare_pairs(struct elements *l, const struct pairing *p) {
    for (uint32_t i = 0; i < p->expected_count; i++) {
        size_t up = run_down_index(l->run, i);
        if (p->partner[i] == PAIRING_NONE)
            add_missing_node(l->run, l->expected, l->e[i]);
        else
            compare_nodes(l->run, l->expected, l->e[i], l->got, l->g[p->partner[i]]);
        run_up(l->run, up);
    }
    for (uint32_t j = 0; j < p->got_count; j++) {
        if (p->taken[j])
            continue;
        size_t up = run_down_index(l->run, j);
        add_extra_node(l->run, l->got, l->g[j]);
        run_up(l->run, up);
    }
}

static int pair_and_compare(struct elements *l, uint64_t *e_hash, uint64_t *g_hash, uint32_t *partner, bool *taken) {
    struct pairing p = {.expected_count = l->e_count,
                        .got_count = l->g_count,
                        .expected_hash = e_hash,
                        .got_hash = g_hash,
                        .cost = element_cost,
                        .arg = l,
                        .partner = partner,
                        .taken = taken};
    for (size_t i = 0; i < l->e_count; i++)
        e_hash[i] = hash_node(l->run, l->expected, l->e[i]);
    for (size_t j = 0; j < l->g_count; j++)
        g_hash[j] = hash_node(l->run, l->got, l->g[j]);
    bool tired = l->run->work > COMPARE_WORK_MAX;
    int rc = pairing_run(&p);
    if (rc < 0)
        return rc;
    if (!tired && l->run->work > COMPARE_WORK_MAX)
        l->run->c->in_order++;
    pair_leftovers(&p);
    compare_pairs(l, &p);
    return MF_OK;
}

static void compare_in_any_order(struct compare_run *run, const struct json_doc *expected, uint32_t e,
                                 const struct json_doc *got, uint32_t g) {
    size_t n = expected->tape.nodes[e].count, m = got->tape.nodes[g].count;
    uint64_t *hashes = calloc(n + m + 1, sizeof *hashes);
    uint32_t *numbers = calloc(2 * n + m + 1, sizeof *numbers);
    bool *taken = calloc(m + 1, sizeof *taken);
    int rc = MF_ENOMEM;
    if (hashes && numbers && taken) {
        struct elements l = {run, expected, got, numbers, numbers + n, n, m};
        list_elements(expected, e, l.e);
        list_elements(got, g, l.g);
        rc = pair_and_compare(&l, hashes, hashes + n, numbers + n + m, taken);
    }
    free(hashes);
    free(numbers);
    free(taken);
    if (rc < 0)
        run->rc = rc;
}

void compare_arrays(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                    uint32_t g) {
    bool large = MAX(expected->tape.nodes[e].count, got->tape.nodes[g].count) > COMPARE_UNORDERED_MAX;
    bool unordered = is_unordered(run);
    if (unordered && large && !run->counting)
        run->c->in_order++;
    if (unordered && !large)
        compare_in_any_order(run, expected, e, got, g);
    else
        compare_in_order(run, expected, e, got, g);
}
