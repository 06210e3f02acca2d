#include "replay/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "replay/bytes.h"
#include "replay/strength.h"

/* What a hostile recording can make of it: places beyond these are in no rule. */
#define KEYS_MAX (1u << 18)
#define KEY_TEXT_MAX 512u

void keys_init(struct keys *k, const struct path_table *paths) {
    *k = (struct keys){.paths = path_count(paths)};
    k->of_path = malloc((k->paths + 1) * sizeof *k->of_path);
    k->of_names = malloc((k->paths + 1) * sizeof *k->of_names);
    k->failed = !k->of_path || !k->of_names;
    for (uint32_t i = 0; !k->failed && i < k->paths; i++)
        k->of_path[i] = k->of_names[i] = KEY_NONE;
}

void keys_fini(struct keys *k) {
    free(k->items);
    free(k->slots);
    free(k->of_path);
    free(k->of_names);
    slab_fini(&k->slab);
    buf_fini(&k->text);
    *k = (struct keys){0};
}

/* ---- the table ---- */

static uint32_t *slot_of(const struct keys *k, const char *text) {
    uint32_t i = (uint32_t)hash_bytes(text, strlen(text)) & k->mask;
    while (k->slots[i] && strcmp(k->items[k->slots[i] - 1].text, text) != 0)
        i = (i + 1) & k->mask;
    return &k->slots[i];
}

/* Room for one more, with half of the slots free. */
static bool grow(struct keys *k) {
    if (k->count < k->cap)
        return true;
    uint32_t cap = k->cap ? k->cap * 2 : 64;
    struct key *items = realloc(k->items, cap * sizeof *items);
    if (!items)
        return false;
    k->items = items;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return false;
    free(k->slots);
    k->slots = slots;
    k->mask = cap * 2 - 1;
    k->cap = cap;
    for (uint32_t i = 0; i < k->count; i++)
        *slot_of(k, k->items[i].text) = i + 1;
    return true;
}

/* The key with the text in k->text; a new one is empty but for its text. */
static uint32_t intern(struct keys *k, bool *is_new) {
    *is_new = false;
    const char *text = buf_cstr(&k->text);
    if (k->text.failed || !grow(k)) {
        k->failed = true;
        return KEY_NONE;
    }
    uint32_t *slot = slot_of(k, text);
    if (*slot)
        return *slot - 1;
    if (k->count == KEYS_MAX || k->text.len > KEY_TEXT_MAX)
        return KEY_NONE;
    const char *copy = slab_copy(&k->slab, text, strlen(text));
    if (!copy) {
        k->failed = true;
        return KEY_NONE;
    }
    k->items[k->count] = (struct key){.text = copy, .part = KEY_NONE};
    *slot = ++k->count;
    *is_new = true;
    return k->count - 1;
}

/* ---- names ---- */

static void set_name(struct key *key, const char *name, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < sizeof key->name; i++) {
        char c = name[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80)
            key->name[n++] = c;
    }
    key->name[n] = '\0';
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool is_one_of(const char *name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, list[i]))
            return true;
    return false;
}

/* By convention, and no protocol's: values at these names tell sorts of messages apart. */
static bool is_tag(const char *name) {
    static const char *const tags[] = {"op", "event", "action", "method", "command", "cmd", "kind", "t", "e", "evt"};
    return ends_with(name, "type") || is_one_of(name, tags, ARRAY_LEN(tags));
}

static bool is_state(const char *name) {
    static const char *const states[] = {"status", "state",   "code", "level", "version", "v",
                                         "ok",     "success", "lang", "mode",  "result",  "error"};
    return is_one_of(name, states, ARRAY_LEN(states));
}

bool key_is_id(const struct keys *k, uint32_t key) {
    static const char *const ids[] = {"replyto", "ack",     "nonce",   "seq",         "token",   "request", "req",
                                      "handle",  "receipt", "session", "correlation", "inreply", "cookie",  "ref"};
    const char *name = k->items[key].name;
    return ends_with(name, "id") || ends_with(name, "ref") || is_one_of(name, ids, ARRAY_LEN(ids));
}

/* "receipt" and "receiptid". */
static bool is_with_id(const char *longer, const char *name) {
    size_t n = strlen(name);
    return n >= 2 && !strncmp(longer, name, n) && (!strcmp(longer + n, "id") || !strcmp(longer + n, "ref"));
}

bool keys_alike(const struct keys *k, uint32_t a, uint32_t b) {
    const struct key *p = &k->items[a], *q = &k->items[b];
    if (p->positional || q->positional)
        return false;
    if (a == b)
        return true;
    if (!*p->name || !*q->name)
        return false;
    return !strcmp(p->name, q->name) || is_with_id(p->name, q->name) || is_with_id(q->name, p->name);
}

/* ---- of paths ---- */

static bool is_index(const char *segment, size_t len) {
    return len <= 7 && text_is_digits(segment, len);
}

/* The path with the indices of lists as stars. The outermost array's elements and a text's words are not a list: each
 * place has a meaning of its own. Of several JSON texts in a message each is as the first. */
static void write_pattern(struct buf *out, const char *path) {
    if (!strncmp(path, "@record/", 8)) {
        path += 8;
        path += strcspn(path, "/");
    }
    bool outermost = true;
    while (*path) {
        size_t slash = *path == '/', len = strcspn(path + slash, "/");
        const char *segment = path + slash;
        bool last = !segment[len];
        if (slash)
            buf_putc(out, '/');
        if (slash && is_index(segment, len) && !(last && outermost))
            buf_putc(out, '*');
        else
            buf_append(out, segment, len);
        outermost = *segment == '@'; /* @head, @word, @json */
        path = segment + len;
    }
}

static uint16_t field_of(const struct path_table *paths, const char *path) {
    const struct bytes_schema *schema = path_table_bytes(paths);
    char name[BYTES_NAME_MAX];
    for (uint32_t i = 0; schema && i < schema->field_count; i++) {
        bytes_field_name(&schema->fields[i], name);
        if (!strcmp(name, path))
            return (uint16_t)(i + 1);
    }
    return 0;
}

static void describe(struct key *key, const char *path, const char *name) {
    bool word = !strncmp(path, "@word/", 6), head = !strncmp(path, "@head/", 6);
    set_name(key, name, strlen(name));
    if (word || head) {
        key->name[0] = '\0';
        key->tag = !strcmp(path + 5, "/0");
        key->positional = word;
    }
    key->tag |= is_tag(key->name);
    key->state = is_state(key->name);
    if (!strncmp(path, "/@path/", 7)) { /* of a request: a place, and no name */
        key->name[0] = '\0';
        key->positional = key->state = true;
    }
    key->asked = !strncmp(path, "/@query/", 8);
    key->leading = !strcmp(key->text, "/0");
}

uint32_t key_of_path(struct keys *k, const struct path_table *paths, uint32_t path) {
    if (path >= k->paths || k->failed)
        return KEY_NONE;
    if (k->of_path[path] != KEY_NONE)
        return k->of_path[path];
    buf_reset(&k->text);
    write_pattern(&k->text, path_text(paths, path));
    bool is_new;
    uint32_t key = intern(k, &is_new);
    if (is_new)
        describe(&k->items[key], path_text(paths, path), path_name(paths, path));
    if (is_new && !strncmp(path_text(paths, path), "@bytes/", 7))
        k->items[key].field = field_of(paths, path_text(paths, path));
    return k->of_path[path] = key;
}

uint32_t key_of_names(struct keys *k, const struct path_table *paths, uint32_t path) {
    if (path >= k->paths || k->failed)
        return KEY_NONE;
    if (k->of_names[path] != KEY_NONE)
        return k->of_names[path];
    buf_reset(&k->text);
    write_pattern(&k->text, path_text(paths, path));
    buf_puts(&k->text, "/@name");
    bool is_new;
    uint32_t key = intern(k, &is_new);
    if (is_new)
        set_name(&k->items[key], "id", 2); /* it names what stands there */
    return k->of_names[path] = key;
}

/* ---- of parts ---- */

uint32_t key_behind(struct keys *k, uint32_t key, const char *prefix, size_t len) {
    bool is_new;
    buf_reset(&k->text);
    buf_printf(&k->text, "%s %.*s\u2026", k->items[key].text, (int)len, prefix);
    return intern(k, &is_new);
}

bool keys_are_siblings(const struct keys *k, uint32_t a, uint32_t b) {
    const char *p = k->items[a].text, *q = k->items[b].text, *space = strchr(p, ' ');
    size_t n = 0;
    while (p[n] && p[n] == q[n])
        n++;
    return space && n > (size_t)(space - p) && (uint8_t)p[n] != 0xe2 && (uint8_t)q[n] != 0xe2; /* before the dots */
}

uint32_t key_named(struct keys *k, const char *name, size_t len) {
    bool is_new;
    buf_reset(&k->text);
    buf_printf(&k->text, "@word %.*s:\u2026", (int)len, name);
    uint32_t key = intern(k, &is_new);
    if (is_new) {
        struct key *new_key = &k->items[key];
        set_name(new_key, name, len);
        new_key->tag = is_tag(new_key->name);
        new_key->state = is_state(new_key->name);
    }
    return key;
}

uint32_t key_part(struct keys *k, uint32_t key) {
    if (k->items[key].part != KEY_NONE)
        return k->items[key].part;
    buf_reset(&k->text);
    buf_printf(&k->text, "%s \u2026", k->items[key].text);
    bool is_new;
    uint32_t part = intern(k, &is_new);
    if (is_new) {
        struct key *p = &k->items[part];
        const struct key *whole = &k->items[key];
        memcpy(p->name, whole->name, sizeof p->name);
        p->tag = whole->tag;
        p->state = whole->state;
        p->positional = whole->positional;
    }
    if (part != KEY_NONE)
        k->items[key].part = part;
    return part;
}
