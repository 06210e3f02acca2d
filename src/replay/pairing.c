#include "replay/pairing.h"

#include <stdlib.h>
#include <string.h>

struct hashed {
    uint64_t hash;
    uint32_t index;
};

static int by_hash(const void *a, const void *b) {
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static struct hashed *sorted(const uint64_t *hashes, size_t count) {
    struct hashed *list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        list[i] = (struct hashed){hashes[i], (uint32_t)i};
    if (list)
        qsort(list, count, sizeof *list, by_hash);
    return list;
}

static void pair(struct pairing *p, uint32_t expected, uint32_t got) {
    p->partner[expected] = got;
    p->taken[got] = true;
}

/* Equal ones keep the order in which they stand. */
static int pair_equal(struct pairing *p) {
    struct hashed *e = sorted(p->expected_hash, p->expected_count), *g = sorted(p->got_hash, p->got_count);
    int rc = e && g ? MF_OK : MF_ENOMEM;
    for (size_t i = 0, j = 0; rc == MF_OK && i < p->expected_count && j < p->got_count;) {
        if (e[i].hash < g[j].hash) {
            i++;
        } else if (e[i].hash > g[j].hash) {
            j++;
        } else {
            if (p->cost(p->arg, e[i].index, g[j].index) == 0)
                pair(p, e[i].index, g[j].index);
            i++;
            j++;
        }
    }
    free(e);
    free(g);
    return rc;
}

/* Those that have no partner yet. */
static size_t expected_left(const struct pairing *p, uint32_t *list) {
    size_t n = 0;
    for (size_t i = 0; i < p->expected_count; i++)
        if (p->partner[i] == PAIRING_NONE)
            list[n++] = (uint32_t)i;
    return n;
}

static size_t got_left(const struct pairing *p, uint32_t *list) {
    size_t n = 0;
    for (size_t i = 0; i < p->got_count; i++)
        if (!p->taken[i])
            list[n++] = (uint32_t)i;
    return n;
}

/* All pairs in the order of what they cost, then of where they stand; greedily taken. */
static void pair_cheapest(struct pairing *p, const uint32_t *e, const uint32_t *g, size_t got_count,
                          const uint8_t *costs, uint32_t *order, size_t count) {
    size_t begin[UINT8_MAX + 2] = {0};
    for (size_t i = 0; i < count; i++)
        begin[costs[i] + 1]++;
    for (size_t i = 1; i < ARRAY_LEN(begin); i++)
        begin[i] += begin[i - 1];
    size_t end = begin[PAIRING_NEVER];
    for (size_t i = 0; i < count; i++)
        order[begin[costs[i]]++] = (uint32_t)i;
    for (size_t i = 0; i < end; i++) {
        uint32_t expected = e[order[i] / got_count], got = g[order[i] % got_count];
        if (p->partner[expected] == PAIRING_NONE && !p->taken[got])
            pair(p, expected, got);
    }
}

static int pair_similar(struct pairing *p) {
    uint32_t e[PAIRING_MAX], g[PAIRING_MAX];
    size_t n = expected_left(p, e), m = got_left(p, g);
    if (n == 0 || m == 0)
        return MF_OK;
    uint8_t *costs = malloc(n * m);
    uint32_t *order = malloc(n * m * sizeof *order);
    int rc = costs && order ? MF_OK : MF_ENOMEM;
    for (size_t i = 0; rc == MF_OK && i < n; i++)
        for (size_t j = 0; j < m; j++)
            costs[i * m + j] = p->cost(p->arg, e[i], g[j]);
    if (rc == MF_OK)
        pair_cheapest(p, e, g, m, costs, order, n * m);
    free(costs);
    free(order);
    return rc;
}

int pairing_run(struct pairing *p) {
    MUST(p->expected_count <= PAIRING_MAX && p->got_count <= PAIRING_MAX);
    for (size_t i = 0; i < p->expected_count; i++)
        p->partner[i] = PAIRING_NONE;
    memset(p->taken, 0, p->got_count * sizeof *p->taken);
    int rc = pair_equal(p);
    return rc < 0 ? rc : pair_similar(p);
}
