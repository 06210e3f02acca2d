#include "replay/atoms.h"

#include <stdlib.h>

#include "base/hash.h"

#define PARTS_VALUE_MAX 64u     /* of one value */
#define PARTS_MESSAGE_MAX 4096u /* of one message */
#define BEHIND_MAX 3u           /* digits that may stand in front of a number in the same word */
#define NAME_MAX_BYTES 32u      /* of what names a word */

struct reading {
    struct atoms *a;
    const struct structure *s;
    const char *data;
    uint32_t parts;
};

static void add(struct atoms *a, struct atom atom) {
    if (atom.key == KEY_NONE || atom.end == atom.begin || atom.end - atom.begin > ATOM_LENGTH_MAX)
        return;
    if (a->count == a->cap) {
        uint32_t cap = a->cap ? a->cap * 2 : 64;
        struct atom *items = realloc(a->items, cap * sizeof *items);
        if (!items) {
            a->failed = true;
            return;
        }
        a->items = items;
        a->cap = cap;
    }
    const char *text = atom_text(a, &atom);
    size_t len = atom.end - atom.begin;
    atom.hash = hash_bytes(text, len);
    atom.strength = (uint8_t)strength_of(text, len);
    /* Counting from 0, an id in quotes or behind other digits is one from the beginning. */
    if (len == 1 && *text == '0' && (atom.form == ATOM_BEHIND || atom.kind == VALUE_STRING))
        atom.strength = STRENGTH_NUMBER;
    a->items[a->count++] = atom;
}

/* ---- a word's parts ---- */

/* "receipt:abc", or the word in front of this one and a '=' or ': ' between them. */
static void add_named(struct reading *r, struct atom whole) {
    struct atoms *a = r->a;
    const char *text = (const char *)a->text.data + whole.text;
    const char *colon = memchr(text, ':', whole.size);
    whole.form = ATOM_NAMED;
    if (colon && colon > text && colon + 1 < text + whole.size && colon[1] != '/' &&
        (size_t)(colon - text) <= NAME_MAX_BYTES) {
        struct atom named = whole;
        named.begin = (uint32_t)(colon - text) + 1;
        named.key = key_named(a->keys, text, (size_t)(colon - text));
        add(a, named);
    }
    const struct message_value *v = &r->s->values[whole.value], *before = v - 1;
    if (!whole.value || before->kind != VALUE_WORD || before->end >= v->begin)
        return;
    size_t len = before->end - before->begin, gap = v->begin - before->end;
    const char *name = r->data + before->begin;
    bool header = len > 1 && name[len - 1] == ':' && gap == 1 && name[len] == ' ';
    if ((header || (gap == 1 && name[len] == '=')) && len <= NAME_MAX_BYTES) {
        whole.key = key_named(a->keys, name, len - header);
        add(a, whole);
    }
}

/* Where the digits at a word's end begin. */
static uint32_t digits_begin(const char *text, uint32_t size) {
    uint32_t i = size;
    while (i && text[i - 1] >= '0' && text[i - 1] <= '9')
        i--;
    return i;
}

/* The number at a word's end: behind letters ("REQ17"), or behind the first digits of a head ("421", "451-7"). */
static void add_behind(struct reading *r, struct atom whole, bool head) {
    struct atoms *a = r->a;
    const char *text = (const char *)a->text.data + whole.text;
    uint32_t digits = digits_begin(text, whole.size), key = whole.key;
    whole.form = ATOM_BEHIND;
    if (digits == whole.size || whole.size > NAME_MAX_BYTES)
        return;
    uint32_t last = digits ? digits : head ? BEHIND_MAX : 0;
    for (uint32_t at = digits ? digits : 1; at <= last && at < whole.size; at++) {
        if (text[at] == '0' && at + 1 < whole.size)
            continue; /* numbers do not begin with 0 */
        text = (const char *)a->text.data + whole.text;
        whole.begin = at;
        whole.key = key_behind(a->keys, key, text, at);
        add(a, whole);
    }
}

/* ---- words within a text ---- */

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' ||
           (unsigned char)c >= 0x80;
}

static bool is_joint(char c) {
    return c == '.' || c == ':' || c == '/' || c == '@' || c == '+' || c == '#';
}

static void add_part(struct reading *r, struct atom part, uint32_t begin, uint32_t end) {
    if (end - begin < 3 || end - begin == part.size)
        return;
    part.begin = begin;
    part.end = end;
    add(r->a, part);
    r->parts++;
}

/* "room:lobby/bob" is a word, and so are room, lobby and bob. */
static void add_parts(struct reading *r, struct atom whole) {
    struct atoms *a = r->a;
    const char *text = (const char *)a->text.data + whole.text;
    uint32_t limit = r->parts + PARTS_VALUE_MAX;
    whole.form = ATOM_PART;
    whole.key = key_part(a->keys, whole.key);
    for (uint32_t i = 0; i < whole.size && r->parts < MIN(limit, PARTS_MESSAGE_MAX);) {
        if (!is_plain(text[i])) {
            i++;
            continue;
        }
        uint32_t end = i, joined, pieces = 0;
        while (end < whole.size && (is_plain(text[end]) || is_joint(text[end])))
            end++;
        for (joined = end; is_joint(text[joined - 1]);) /* "hello, bob." */
            joined--;
        for (uint32_t j = i; j < joined; j++)
            pieces += is_joint(text[j]);
        add_part(r, whole, i, joined);
        for (uint32_t j = i; pieces && j < joined; j++) {
            uint32_t from = j;
            while (j < joined && is_plain(text[j]))
                j++;
            if (j > from)
                add_part(r, whole, from, j);
        }
        i = end;
    }
}

/* ---- a message ---- */

void atoms_fini(struct atoms *a) {
    free(a->items);
    buf_fini(&a->text);
    *a = (struct atoms){0};
}

static void read_value(struct reading *r, uint32_t index) {
    const struct message_value *v = &r->s->values[index];
    struct atoms *a = r->a;
    bool scalar = v->kind == VALUE_NUMBER || v->kind == VALUE_STRING || v->kind == VALUE_WORD;
    if (!scalar || v->path == PATH_UNKNOWN || a->excluded[v->path] || v->end - v->begin > 8 * ATOM_TEXT_MAX)
        return;
    uint32_t at = (uint32_t)a->text.len, key = key_of_path(a->keys, a->paths, v->path);
    value_text(&a->text, r->data, v);
    size_t size = a->text.len - at;
    if (a->text.failed || !size || size > ATOM_TEXT_MAX || key == KEY_NONE)
        return;
    struct atom whole = {.value = index,
                         .key = key,
                         .text = at,
                         .size = (uint32_t)size,
                         .end = (uint32_t)size,
                         .form = ATOM_WHOLE,
                         .kind = v->kind};
    add(a, whole);
    const char *text = (const char *)a->text.data + at;
    if (v->kind == VALUE_WORD) {
        add_named(r, whole);
        add_behind(r, whole, r->s->form == FORM_PREFIXED);
    }
    if (v->kind != VALUE_NUMBER && size > 3 && !text_is_number(text, size))
        add_parts(r, whole);
}

void atoms_read(struct atoms *a, const struct structure *s, const void *data) {
    struct reading r = {.a = a, .s = s, .data = data};
    a->count = 0;
    buf_reset(&a->text);
    for (uint32_t i = 0; i < s->count; i++)
        read_value(&r, i);
    a->failed |= a->text.failed || a->keys->failed;
}
