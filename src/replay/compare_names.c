#include "replay/compare_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SMALL 12u /* members; a search through so few is faster than sorting them */

/* Borrowed from the text, or from scratch. */
static const char *name_of(const struct json_doc *doc, uint32_t member, struct buf *scratch, size_t *len) {
    const struct json_node *n = &doc->tape.nodes[member];
    *len = n->key_len;
    if (!n->key_escaped)
        return doc->text + n->key;
    buf_reset(scratch);
    json_unescape(scratch, doc->text + n->key, n->key_len);
    *len = scratch->len;
    return buf_cstr(scratch);
}

static int by_hash(const void *a, const void *b) {
    const struct name_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->node < y->node) - (x->node > y->node);
}

int member_names_init(struct member_names *n, const struct json_doc *doc, uint32_t object) {
    const struct json_node *nodes = doc->tape.nodes;
    *n = (struct member_names){.doc = doc, .object = object};
    if (nodes[object].count <= SMALL)
        return MF_OK;
    n->entries = calloc(nodes[object].count, sizeof *n->entries);
    if (!n->entries)
        return MF_ENOMEM;
    for (uint32_t at = object + 1; at < nodes[object].next; at = nodes[at].next) {
        size_t len;
        const char *name = name_of(doc, at, &n->one, &len);
        n->entries[n->count++] = (struct name_entry){hash_bytes(name, len), at};
    }
    qsort(n->entries, n->count, sizeof *n->entries, by_hash);
    return n->one.failed ? MF_ENOMEM : MF_OK;
}

void member_names_fini(struct member_names *n) {
    free(n->entries);
    buf_fini(&n->one);
    buf_fini(&n->two);
}

static size_t first_with(const struct member_names *n, uint64_t hash) {
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (n->entries[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t member_names_find(struct member_names *n, const struct json_doc *doc, uint32_t member) {
    size_t len, other_len;
    const char *name = name_of(doc, member, &n->one, &len);
    if (!n->entries)
        return json_member(&n->doc->tape, n->doc->text, n->object, name, len, &n->two);
    uint64_t hash = hash_bytes(name, len);
    for (size_t i = first_with(n, hash); i < n->count && n->entries[i].hash == hash; i++) {
        const char *other = name_of(n->doc, n->entries[i].node, &n->two, &other_len);
        if (other_len == len && !memcmp(other, name, len))
            return n->entries[i].node;
    }
    return JSON_NO_NODE;
}
