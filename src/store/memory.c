/* Values in this process: a hash table with expiry. The store's thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "protocol/json.h"
#include "store/store_private.h"

#define SWEEP_BUCKETS 4096u /* looked at in one tick */
/* What the allocator and the table need for one entry. */
#define OVERHEAD (2 * 2 * sizeof(void *) + sizeof(struct entry *))

struct entry {
    struct entry *next;
    uint64_t hash;
    uint64_t expires_us; /* monotonic; 0: never */
    size_t key_len, len;
    char *json;
    char key[];
};

struct memory {
    struct entry **buckets;
    size_t bucket_count, count; /* bucket_count: a power of two */
    size_t bytes;
    size_t swept; /* the next bucket to look at */
};

struct memory *memory_new(void) {
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->bucket_count = 256;
    m->buckets = calloc(m->bucket_count, sizeof(struct entry *));
    if (m->buckets)
        return m;
    free(m);
    return NULL;
}

static size_t cost(const struct entry *e) {
    return OVERHEAD + sizeof *e + e->key_len + e->len;
}

static void remove_entry(struct memory *m, struct entry **link) {
    struct entry *e = *link;
    *link = e->next;
    m->count--;
    m->bytes -= cost(e);
    free(e->json);
    free(e);
}

void memory_free(struct memory *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->bucket_count; i++)
        while (m->buckets[i])
            remove_entry(m, &m->buckets[i]);
    free(m->buckets);
    free(m);
}

static struct entry **find(struct memory *m, const char *key, size_t len) {
    uint64_t hash = hash_bytes(key, len);
    struct entry **link = &m->buckets[hash & (m->bucket_count - 1)];
    while (*link && ((*link)->hash != hash || (*link)->key_len != len || memcmp((*link)->key, key, len) != 0))
        link = &(*link)->next;
    if (*link && (*link)->expires_us && (*link)->expires_us <= clock_mono_us())
        remove_entry(m, link); /* another of the same key there is none */
    return *link && (*link)->hash == hash && (*link)->key_len == len && !memcmp((*link)->key, key, len) ? link : NULL;
}

static void grow(struct memory *m) {
    size_t count = m->bucket_count * 2;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    if (!buckets)
        return; /* longer chains will do */
    for (size_t i = 0; i < m->bucket_count; i++)
        for (struct entry *e = m->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
    m->swept = 0;
}

static struct entry *add(struct memory *m, const char *key, size_t len) {
    struct entry *e = calloc(1, sizeof *e + len + 1);
    if (!e)
        return NULL;
    e->hash = hash_bytes(key, len);
    e->key_len = len;
    memcpy(e->key, key, len);
    if (m->count >= m->bucket_count)
        grow(m);
    struct entry **bucket = &m->buckets[e->hash & (m->bucket_count - 1)];
    e->next = *bucket;
    *bucket = e;
    m->count++;
    m->bytes += cost(e);
    return e;
}

static uint64_t expiry(uint64_t ms) {
    return ms ? clock_mono_us() + MIN(ms, STORE_EXPIRE_MAX_MS) * 1000 : 0;
}

/* NULL, or why it cannot be. */
static const char *put(struct memory *m, const char *key, size_t key_len, const char *json, size_t len, struct entry **out) {
    struct entry **link = find(m, key, key_len);
    size_t old = link ? cost(*link) : 0;
    if (m->bytes - old + cost(&(struct entry){.key_len = key_len, .len = len}) > STORE_MEMORY_MAX) {
        memory_sweep(m); /* the next one may be luckier */
        return "the shared state is full";
    }
    char *copy = malloc(len + 1);
    struct entry *e = !copy ? NULL : link ? *link : add(m, key, key_len);
    if (!e) {
        free(copy);
        return "out of memory";
    }
    memcpy(copy, json, len);
    copy[len] = '\0';
    m->bytes = m->bytes - e->len + len;
    free(e->json);
    e->json = copy;
    e->len = len;
    *out = e;
    return NULL;
}

static void set(struct memory *m, struct store *s, struct store_request *r) {
    const struct script_shared_request *q = &r->request;
    struct entry *e;
    const char *why = put(m, q->key, q->key_len, q->value, q->value_len, &e);
    if (why) {
        store_fail(s, r, "%s", why);
        return;
    }
    e->expires_us = expiry(q->expire_ms);
    store_answer_boolean(s, r, true);
}

static bool is_integer(const char *json, size_t len) {
    size_t digits = len - (len && *json == '-');
    if (!digits || digits > 19 || strspn(json + (len - digits), "0123456789") < digits)
        return false;
    struct json_tape tape = {.max = 1};
    size_t error_at;
    bool yes = json_tape_parse(&tape, json, len, &error_at) == MF_OK && tape.nodes[0].kind == JSON_INTEGER;
    json_tape_fini(&tape);
    return yes;
}

static void add_to(struct memory *m, struct store *s, struct store_request *r, int64_t by) {
    const struct script_shared_request *q = &r->request;
    struct entry **link = find(m, q->key, q->key_len), *e;
    int64_t n = 0;
    if (link && !is_integer((*link)->json, (*link)->len)) {
        store_fail(s, r, "the value is not a whole number");
        return;
    }
    if (link)
        n = json_read_integer((*link)->json, (*link)->len);
    if (__builtin_add_overflow(n, by, &n)) {
        store_fail(s, r, "the number would overflow");
        return;
    }
    struct buf text = BUF_INIT;
    json_write_integer(&text, n);
    const char *why = put(m, q->key, q->key_len, buf_cstr(&text), text.len, &e);
    buf_fini(&text);
    if (why)
        store_fail(s, r, "%s", why);
    else
        store_answer_integer(s, r, n);
}

void memory_do(struct memory *m, struct store *s, struct store_request *r) {
    const struct script_shared_request *q = &r->request;
    struct entry **link;
    switch (q->op) {
    case SHARED_GET:
        link = find(m, q->key, q->key_len);
        store_answer(s, r, link ? (*link)->json : NULL, link ? (*link)->len : 0);
        break;
    case SHARED_SET:
        set(m, s, r);
        break;
    case SHARED_INCR:
        add_to(m, s, r, q->by);
        break;
    case SHARED_DECR:
        if (q->by == INT64_MIN)
            store_fail(s, r, "the number would overflow");
        else
            add_to(m, s, r, -q->by);
        break;
    case SHARED_DEL:
        link = find(m, q->key, q->key_len);
        if (link)
            remove_entry(m, link);
        store_answer_boolean(s, r, link);
        break;
    case SHARED_EXPIRE:
        link = find(m, q->key, q->key_len);
        if (link)
            (*link)->expires_us = expiry(MAX(q->expire_ms, (uint64_t)1));
        store_answer_boolean(s, r, link);
        break;
    }
}

void memory_sweep(struct memory *m) {
    uint64_t now_us = clock_mono_us();
    for (size_t i = 0; i < MIN((size_t)SWEEP_BUCKETS, m->bucket_count); i++) {
        struct entry **link = &m->buckets[m->swept++ & (m->bucket_count - 1)];
        while (*link)
            if ((*link)->expires_us && (*link)->expires_us <= now_us)
                remove_entry(m, link);
            else
                link = &(*link)->next;
    }
}
