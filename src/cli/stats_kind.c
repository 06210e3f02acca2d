#include "cli/stats_kind.h"

#include <string.h>

#include "base/hash.h"

#define PREFIX_MAX 8u
#define WORD_MAX 32u

static const char *const telling_names[] = {"type", "op", "event", "action", "method", "command", "cmd", "kind"};

/* Capitals and digits in front of a JSON text, as Engine.IO and STOMP-like protocols have them. */
static size_t prefix_len(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && n <= PREFIX_MAX && ((text[n] >= '0' && text[n] <= '9') || (text[n] >= 'A' && text[n] <= 'Z')))
        n++;
    return n && n <= PREFIX_MAX && n < len && (text[n] == '[' || text[n] == '{') ? n : 0;
}

static void put_value(struct buf *name, const char *text, const struct json_node *n) {
    if (n->kind == JSON_STRING)
        json_unescape(name, text + n->begin + 1, n->end - n->begin - 2);
    else if (n->kind == JSON_OBJECT || n->kind == JSON_ARRAY)
        buf_puts(name, n->kind == JSON_OBJECT ? "(object)" : "(array)");
    else
        buf_append(name, text + n->begin, n->end - n->begin);
}

struct by_path {
    struct buf *name;
    const char *text;
};

static bool on_value(const struct json_tape *tape, uint32_t at, void *arg) {
    const struct by_path *b = arg;
    put_value(b->name, b->text, &tape->nodes[at]);
    return true;
}

static bool is_short_scalar(const struct json_node *n) {
    return n->kind < JSON_ARRAY && n->kind != JSON_NULL;
}

/* One pass over the outermost members. name NULL: for the id alone. */
static void read_object(struct message_kind *k, struct buf *name, const char *text, const struct json_tape *tape) {
    size_t best = ARRAY_LEN(telling_names);
    uint32_t best_at = 0;
    for (uint32_t at = 1; at < tape->nodes[0].next; at = tape->nodes[at].next) {
        const struct json_node *n = &tape->nodes[at];
        const char *key = text + n->key;
        if (n->key_escaped || !is_short_scalar(n))
            continue;
        if (n->key_len == 2 && key[0] == 'i' && key[1] == 'd') {
            k->has_id = true;
            k->id = hash_bytes(text + n->begin, n->end - n->begin);
        }
        for (size_t i = 0; i < best; i++)
            if (strlen(telling_names[i]) == n->key_len && !memcmp(telling_names[i], key, n->key_len)) {
                best = i;
                best_at = at;
            }
    }
    if (best_at && name)
        put_value(name, text, &tape->nodes[best_at]);
}

static void read_json(struct message_kind *k, struct buf *name, const char *text, const struct json_tape *tape) {
    size_t before = name->len;
    const struct json_node *root = &tape->nodes[0];
    if (root->kind == JSON_OBJECT)
        read_object(k, name, text, tape);
    else if (root->kind == JSON_ARRAY && root->count && tape->nodes[1].kind == JSON_STRING)
        put_value(name, text, &tape->nodes[1]);
    if (name->len == before)
        buf_puts(name, root->kind == JSON_OBJECT ? "(object)" : root->kind == JSON_ARRAY ? "(array)" : "(value)");
}

static void read_word(struct buf *name, const char *text, size_t len) {
    size_t n = 0;
    while (n < len && n <= WORD_MAX &&
           ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') || text[n] == '_'))
        n++;
    if (n && n <= WORD_MAX)
        buf_append(name, text, n);
    else
        buf_puts(name, len ? "(text)" : "(empty)");
}

void message_kind_read(struct message_kind *k, struct buf *name, const char *text, size_t len,
                       const struct json_path *by_path, struct json_tape *tape, struct buf *scratch) {
    *k = (struct message_kind){0};
    size_t prefix = prefix_len(text, len), before = name->len, error_at;
    const char *json = text + prefix;
    bool parsed = len && json_tape_parse(tape, json, len - prefix, &error_at) == MF_OK;
    if (by_path) {
        struct by_path arg = {name, json};
        if (parsed && tape->nodes[0].kind == JSON_OBJECT)
            read_object(k, NULL, json, tape);
        if (parsed)
            json_path_find(by_path, json, tape, on_value, &arg, scratch);
        if (name->len == before)
            buf_puts(name, parsed ? "(none)" : "(no JSON)");
        return;
    }
    if (parsed && prefix) {
        buf_append(name, text, prefix);
        buf_putc(name, ' ');
    }
    if (parsed)
        read_json(k, name, json, tape);
    else
        read_word(name, text, len);
}
