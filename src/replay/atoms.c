#include "replay/atoms.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "replay/bytes.h"
#include "replay/paths.h"

#define PARTS_VALUE_MAX 64u     /* of one value */
#define PARTS_MESSAGE_MAX 4096u /* of one message */
#define PART_MIN 3u             /* bytes of a word within a text */
#define BEHIND_MAX 3u           /* digits that may stand in front of a number in the same word */
#define NAME_MAX_BYTES 32u      /* of what names a word */
#define NAME_ID_MAX 64u         /* bytes of a member's name that may be an id */

struct reading {
    struct atoms *a;
    const struct structure *s;
    const char *data;
    uint32_t parts;
    enum strength parts_from; /* in the value that is being read */
};

/* `least`: an atom that says less is left out. */
static void add(struct atoms *a, struct atom atom, enum strength least) {
    if (atom.key == KEY_NONE || atom.end == atom.begin || atom.end - atom.begin > ATOM_LENGTH_MAX)
        return;
    if (!ARRAY_ROOM(a->items, a->count, a->cap, 64)) {
        a->failed = true;
        return;
    }
    const char *text = atom_text(a, &atom);
    size_t len = atom.end - atom.begin;
    atom.strength = (uint8_t)strength_of(text, len);
    if (atom.strength < least)
        return;
    if (!a->without_hashes || atom.form == ATOM_BEHIND)
        atom.hash = hash_bytes(text, len);
    if (atom.kind == VALUE_BYTES) /* that it is said again is known already */
        atom.strength = MAX(atom.strength, STRENGTH_WORD);
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
        add(a, named, STRENGTH_NONE);
    }
    const struct message_value *v = &r->s->values[whole.value], *before = v - 1;
    if (!whole.value || before->kind != VALUE_WORD || before->end >= v->begin)
        return;
    size_t len = before->end - before->begin, gap = v->begin - before->end;
    const char *name = r->data + before->begin;
    bool header = len > 1 && name[len - 1] == ':' && gap == 1 && name[len] == ' ';
    if ((header || (gap == 1 && name[len] == '=')) && len <= NAME_MAX_BYTES) {
        whole.key = key_named(a->keys, name, len - header);
        add(a, whole, STRENGTH_NONE);
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
        add(a, whole, STRENGTH_NONE);
    }
}

/* ---- words within a text ---- */

/* What words are made of, and what joins several to one. */
enum sort { SORT_NONE, SORT_PLAIN, SORT_JOINT };

static const uint8_t sorts[256] = {
    ['0' ... '9'] = SORT_PLAIN, ['A' ... 'Z'] = SORT_PLAIN,   ['a' ... 'z'] = SORT_PLAIN, ['_'] = SORT_PLAIN,
    ['-'] = SORT_PLAIN,         [0x80 ... 0xff] = SORT_PLAIN, ['.'] = SORT_JOINT,         [':'] = SORT_JOINT,
    ['/'] = SORT_JOINT,         ['@'] = SORT_JOINT,           ['+'] = SORT_JOINT,         ['#'] = SORT_JOINT,
};

static inline unsigned sort_of(char c) {
    return sorts[(unsigned char)c];
}

static void add_part(struct reading *r, struct atom part, uint32_t begin, uint32_t end) {
    if (end - begin < PART_MIN || end - begin == part.size)
        return;
    r->parts++;
    if (r->parts_from == STRENGTH_PROOF && end - begin < STRENGTH_PROOF_MIN)
        return;
    part.begin = begin;
    part.end = end;
    add(r->a, part, r->parts_from);
}

/* "room:lobby/bob" is a word, and so are room, lobby and bob. */
static void add_joined(struct reading *r, struct atom whole, const char *text, uint32_t begin, uint32_t end) {
    uint32_t pieces = 0;
    while (sort_of(text[end - 1]) == SORT_JOINT) /* "hello, bob." */
        end--;
    for (uint32_t i = begin; i < end; i++)
        pieces += sort_of(text[i]) == SORT_JOINT;
    add_part(r, whole, begin, end);
    for (uint32_t i = begin; pieces && i < end; i++) {
        uint32_t from = i;
        while (i < end && sort_of(text[i]) == SORT_PLAIN)
            i++;
        if (i > from)
            add_part(r, whole, from, i);
    }
}

static void add_parts(struct reading *r, struct atom whole) {
    struct atoms *a = r->a;
    const char *text = (const char *)a->text.data + whole.text;
    uint32_t limit = MIN(r->parts + PARTS_VALUE_MAX, PARTS_MESSAGE_MAX);
    whole.form = ATOM_PART;
    whole.key = key_part(a->keys, whole.key);
    if (whole.key == KEY_NONE)
        return;
    r->parts_from = a->sought_alone && !a->keys->items[whole.key].sought ? STRENGTH_PROOF : a->parts_from;
    for (uint32_t i = 0; i < whole.size && r->parts < limit;) {
        uint32_t begin = i;
        while (i < whole.size && sort_of(text[i]) == SORT_PLAIN)
            i++;
        if (i == begin) {
            i++;
            continue;
        }
        if (i == whole.size || sort_of(text[i]) == SORT_NONE) {
            add_part(r, whole, begin, i);
            continue;
        }
        while (i < whole.size && sort_of(text[i]) != SORT_NONE)
            i++;
        add_joined(r, whole, text, begin, i);
    }
}

/* ---- names of members ---- */

static void add_name(struct reading *r, uint32_t value, uint32_t path, uint32_t begin, uint32_t end) {
    struct atoms *a = r->a;
    const char *text = r->data + begin;
    size_t len = end - begin;
    if (!len || len > NAME_ID_MAX || memchr(text, '\\', len))
        return;
    struct atom name = {.value = value, .begin = begin, .end = end, .text = begin, .size = end - begin};
    name.form = ATOM_NAME;
    name.kind = VALUE_STRING;
    name.hash = hash_bytes(text, len);
    name.strength = (uint8_t)strength_of(text, len);
    if (name.strength == STRENGTH_NONE)
        return;
    name.key = key_of_names(a->keys, a->paths, path);
    if (name.key == KEY_NONE)
        return;
    if (ARRAY_ROOM(a->names, a->name_count, a->name_cap, 64))
        a->names[a->name_count++] = name;
    else
        a->failed = true;
}

static uint32_t before_space(const char *data, uint32_t at, uint32_t from) {
    while (at > from && (data[at - 1] == ' ' || data[at - 1] == '\n' || data[at - 1] == '\r' || data[at - 1] == '\t'))
        at--;
    return at;
}

/* The names in front of a value: its own, and of what it is the first value in. So each name is met once. */
static void read_names(struct reading *r, uint32_t index) {
    const struct message_value *v = &r->s->values[index];
    uint32_t from = index ? r->s->values[index - 1].end : 0, at = v->begin, path = v->path;
    if (v->nested || v->kind == VALUE_WORD)
        return;
    while (path != PATH_UNKNOWN && !r->a->excluded[path]) {
        uint32_t parent = path_parent(r->a->paths, path);
        at = before_space(r->data, at, from);
        if (at > from && r->data[at - 1] == ':' && parent != PATH_UNKNOWN) {
            uint32_t end = before_space(r->data, at - 1, from);
            if (end < from + 2 || r->data[end - 1] != '"')
                return;
            const char *quote = memrchr(r->data + from, '"', end - 1 - from);
            if (!quote || (quote > r->data + from && quote[-1] == '\\'))
                return;
            at = (uint32_t)(quote - r->data);
            add_name(r, index, parent, at + 1, end - 1);
            at = before_space(r->data, at, from);
        }
        if (at == from || (r->data[at - 1] != '{' && r->data[at - 1] != '['))
            return;
        at--;
        path = parent;
    }
}

/* ---- a message ---- */

void atoms_fini(struct atoms *a) {
    free(a->items);
    free(a->names);
    buf_fini(&a->text);
    *a = (struct atoms){0};
}

static void read_value(struct reading *r, uint32_t index) {
    const struct message_value *v = &r->s->values[index];
    struct atoms *a = r->a;
    bool scalar = v->kind == VALUE_NUMBER || v->kind == VALUE_STRING || v->kind == VALUE_WORD ||
                  v->code == CODE_FIELD || v->code == CODE_VARINT;
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
    add(a, whole, STRENGTH_NONE);
    const char *text = (const char *)a->text.data + at;
    if (v->kind == VALUE_BYTES)
        return;
    if (v->kind == VALUE_WORD && !v->code) {
        add_named(r, whole);
        add_behind(r, whole, r->s->form == FORM_PREFIXED);
    }
    if (v->kind != VALUE_NUMBER && size > 3 && !text_is_number(text, size))
        add_parts(r, whole);
}

void atoms_read(struct atoms *a, const struct structure *s, const void *data) {
    struct reading r = {.a = a, .s = s, .data = data};
    a->count = a->name_count = 0;
    buf_reset(&a->text);
    for (uint32_t i = 0; i < s->count; i++) {
        read_value(&r, i);
        if (a->with_names && (s->form == FORM_JSON || s->form == FORM_PREFIXED))
            read_names(&r, i);
    }
    a->failed |= a->text.failed || a->keys->failed;
}
