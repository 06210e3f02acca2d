#include "batch.h"

#define NODES_MAX 65536u

bool batch_read(struct batch *b, const char *text, size_t len) {
    size_t error_at;
    b->tape.max = NODES_MAX;
    b->text = text;
    if (len == 0 || *text != '[' || json_tape_parse(&b->tape, text, len, &error_at) < 0)
        return false;
    const struct json_node *nodes = b->tape.nodes;
    if (nodes[0].count == 0 || nodes[0].count > BATCH_MAX)
        return false;
    for (uint32_t i = 1; i < b->tape.count; i = nodes[i].next)
        if (nodes[i].kind != JSON_OBJECT)
            return false;
    return true;
}

bool batch_item(const struct batch *b, uint32_t i, struct buf *out) {
    uint32_t node = json_element(&b->tape, 0, i);
    if (node == JSON_NO_NODE)
        return false;
    const struct json_node *n = &b->tape.nodes[node];
    buf_reset(out);
    buf_append(out, b->text + n->begin, n->end - n->begin);
    return true;
}

void batch_fini(struct batch *b) {
    json_tape_fini(&b->tape);
}
