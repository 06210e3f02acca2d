/* Reading a message into its values: which form it has, and then one walk over it. */
#include "replay/structure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/utf8.h"
#include "replay/bytes.h"
#include "replay/paths.h"

#define HEAD_MAX 64u         /* bytes in front of JSON */
#define HEAD_LINES_MAX 1024u /* of header lines, as in HTTP: they end with an empty one */
#define HEAD_TRIES 4         /* brackets in front of which a head may end */
#define WORDS_ALONE 8u       /* so many of a text's first words count in its shape, each for itself */
#define NODES_MAX 262144u    /* of a JSON text; larger ones are words */
#define NODES_NESTED_MAX 65536u

/* A JSON string that was opened: how its text lies in the one around it. Both positions only go forward, since values
 * are met in the order in which they stand. */
struct opened {
    const char *raw;       /* the text around it */
    uint32_t at, plain_at; /* the same place, there and in the opened text */
};

struct walk {
    struct structure *s;
    struct structure_scratch *scratch;
    const struct path_table *paths;
    struct path_table *add;
    const char *text[STRUCTURE_NESTED_MAX + 1];
    struct opened opened[STRUCTURE_NESTED_MAX + 1]; /* [0] is not used */
    uint32_t base;                                  /* where text[0] begins in the message */
    uint8_t repeats;
    bool in_array;
    int status;
};

/* ---- shape ---- */

#define SEEN_FIRST 64u
#define SEEN_KEPT 256u

static void seen_clear(struct structure_scratch *c) {
    if (c->seen_count > SEEN_KEPT) { /* one large message should not slow down those after it */
        free(c->seen);
        c->seen = NULL;
    } else if (c->seen_count) {
        memset(c->seen, 0, (c->seen_mask + 1) * sizeof *c->seen);
    }
    c->seen_count = 0;
}

static void seen_put(uint64_t *slots, uint32_t mask, uint64_t hash) {
    uint32_t i = (uint32_t)hash & mask;
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = hash;
}

static int seen_grow(struct structure_scratch *c) {
    uint32_t cap = c->seen ? (c->seen_mask + 1) * 2 : SEEN_FIRST;
    uint64_t *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return MF_ENOMEM;
    for (uint32_t i = 0; c->seen && i <= c->seen_mask; i++)
        if (c->seen[i])
            seen_put(slots, cap - 1, c->seen[i]);
    free(c->seen);
    c->seen = slots;
    c->seen_mask = cap - 1;
    return MF_OK;
}

/* 1: it was not there yet. */
static int seen_add(struct structure_scratch *c, uint64_t hash) {
    if ((!c->seen || c->seen_count * 2 > c->seen_mask) && seen_grow(c) < 0)
        return MF_ENOMEM;
    hash += !hash;
    for (uint32_t i = (uint32_t)hash & c->seen_mask; c->seen[i]; i = (i + 1) & c->seen_mask)
        if (c->seen[i] == hash)
            return 0;
    seen_put(c->seen, c->seen_mask, hash);
    c->seen_count++;
    return 1;
}

/* ---- values ---- */

static int more_values(struct structure *s) {
    uint32_t cap = s->cap ? s->cap * 2 : 16;
    struct message_value *values = realloc(s->values, cap * sizeof *values);
    if (!values)
        return MF_ENOMEM;
    s->values = values;
    s->cap = cap;
    return MF_OK;
}

static bool is_full(const struct walk *w) {
    return w->status < 0 || w->s->count == STRUCTURE_VALUES_MAX;
}

/* begin and end: bytes of the message. */
static void add_value(struct walk *w, struct place at, enum value_kind kind, unsigned level, uint32_t begin,
                      uint32_t end) {
    struct structure *s = w->s;
    if (is_full(w))
        return;
    if (s->count == s->cap && more_values(s) < 0) {
        w->status = MF_ENOMEM;
        return;
    }
    s->values[s->count++] = (struct message_value){at.path, begin, end, (uint8_t)kind, (uint8_t)level, w->repeats, 0};
    uint64_t hash = path_mix(at.shape, kind);
    int fresh = w->in_array ? seen_add(w->scratch, hash) : 1;
    if (fresh < 0)
        w->status = fresh;
    else if (fresh)
        s->shape += hash; /* in any order */
}

static struct place below(struct walk *w, struct place parent, const char *segment, size_t len, bool element,
                          bool alike) {
    struct place out = {PATH_UNKNOWN, 0};
    int rc = path_below(w->paths, w->add, parent, segment, len, element, alike, &out);
    if (rc < 0)
        w->status = rc;
    return out;
}

static struct place element(struct walk *w, struct place parent, uint32_t index, bool alike) {
    char digits[10], *p = digits + sizeof digits;
    do
        *--p = (char)('0' + index % 10);
    while (index /= 10);
    return below(w, parent, p, (size_t)(digits + sizeof digits - p), true, alike);
}

static struct place member(struct walk *w, struct place parent, const char *text, const struct json_node *n) {
    if (MF_LIKELY(!n->key_escaped))
        return below(w, parent, text + n->key, n->key_len, false, false);
    struct buf *name = &w->scratch->name;
    buf_reset(name);
    json_unescape(name, text + n->key, n->key_len);
    if (name->failed) {
        w->status = MF_ENOMEM;
        return parent;
    }
    return below(w, parent, (const char *)name->data, name->len, false, false);
}

/* ---- JSON in JSON strings ---- */

static unsigned hex4(const char *s) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (unsigned)(s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
    return v;
}

/* How many bytes the escape at s has, and how many (*plain) it stands for: as json_unescape() has it. `left`: to the
 * text's end. */
static uint32_t escape_size(const char *s, size_t left, uint32_t *plain) {
    *plain = 1;
    if (s[1] != 'u')
        return 2;
    unsigned c = hex4(s + 2);
    if (c >= 0xd800 && c < 0xdc00 && left >= 12 && s[6] == '\\' && s[7] == 'u') {
        unsigned low = hex4(s + 8);
        if (low >= 0xdc00 && low < 0xe000) {
            *plain = 4;
            return 12;
        }
    }
    *plain = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
    return 6;
}

/* Goes forward to a place in the opened text; returns it in the text around it. */
static uint32_t place_around(struct opened *o, uint32_t plain) {
    while (o->plain_at < plain) {
        const char *from = o->raw + o->at, *slash = memchr(from, '\\', plain - o->plain_at);
        uint32_t run = slash ? (uint32_t)(slash - from) : plain - o->plain_at;
        o->at += run;
        o->plain_at += run;
        if (!slash)
            break;
        uint32_t stands_for;
        o->at += escape_size(slash, SIZE_MAX, &stands_for);
        o->plain_at += stands_for;
    }
    return o->at;
}

/* A place in the text of a level, in the message. */
static inline uint32_t place_in_message(struct walk *w, unsigned level, uint32_t at) {
    for (; level; level--)
        at = place_around(&w->opened[level], at);
    return w->base + at;
}

static void walk_container(struct walk *w, unsigned level, uint32_t node, struct place at);

static bool is_text_container(const struct json_tape *tape) {
    return tape->count && tape->nodes[0].kind >= JSON_ARRAY;
}

/* May the inside of a string be an object or an array? Most are not. An escape may stand for anything. */
static bool may_be_json(const char *s, size_t len) {
    while (len && *s == ' ') {
        s++;
        len--;
    }
    return len >= 2 && (*s == '{' || *s == '[' || (*s == '\\' && strchr("nrtu", s[1])));
}

/* Opens the string at node n of this level: true when its values were walked over. */
static bool open_string(struct walk *w, unsigned level, const struct json_node *n, struct place at) {
    const char *inside = w->text[level] + n->begin + 1;
    size_t len = n->end - n->begin - 2, error_at;
    if (level == STRUCTURE_NESTED_MAX || !may_be_json(inside, len))
        return false;
    struct buf *text = &w->scratch->text[level + 1];
    struct json_tape *tape = &w->scratch->tape[level + 1];
    buf_reset(text);
    json_unescape(text, inside, len);
    const char *plain = buf_cstr(text);
    if (text->failed) {
        w->status = MF_ENOMEM;
        return true;
    }
    tape->max = NODES_NESTED_MAX;
    int rc = json_tape_parse(tape, plain, text->len, &error_at);
    if (rc == MF_ENOMEM)
        w->status = rc;
    if (rc < 0 || !is_text_container(tape))
        return rc == MF_ENOMEM;
    w->text[level + 1] = plain;
    w->opened[level + 1] = (struct opened){w->text[level], n->begin + 1, 0};
    walk_container(w, level + 1, 0, below(w, at, "@json", 5, false, false));
    return true;
}

/* ---- the walk ---- */

static void walk_value(struct walk *w, unsigned level, uint32_t node, struct place at) {
    static const uint8_t kinds[] = {
        [JSON_NULL] = VALUE_NULL,      [JSON_FALSE] = VALUE_BOOLEAN,  [JSON_TRUE] = VALUE_BOOLEAN,
        [JSON_INTEGER] = VALUE_NUMBER, [JSON_DECIMAL] = VALUE_NUMBER, [JSON_STRING] = VALUE_STRING,
    };
    const struct json_node *n = &w->scratch->tape[level].nodes[node];
    if (n->kind >= JSON_ARRAY) {
        walk_container(w, level, node, at);
        return;
    }
    if (n->kind == JSON_STRING && open_string(w, level, n, at))
        return;
    uint32_t begin = place_in_message(w, level, n->begin);
    add_value(w, at, kinds[n->kind], level, begin, place_in_message(w, level, n->end));
}

static void walk_container(struct walk *w, unsigned level, uint32_t node, struct place at) {
    /* Opened strings have tapes of their own: this one stays as it is. */
    const struct json_node *nodes = w->scratch->tape[level].nodes, *n = &nodes[node];
    bool array = n->kind == JSON_ARRAY, in_array = w->in_array;
    uint8_t repeats = w->repeats;
    if (n->next == node + 1) {
        uint32_t begin = place_in_message(w, level, n->begin);
        add_value(w, at, VALUE_EMPTY, level, begin, place_in_message(w, level, n->end));
        return;
    }
    w->in_array |= array;
    uint32_t index = 0;
    for (uint32_t i = node + 1; i < n->next && !is_full(w); i = nodes[i].next, index++) {
        struct place place = array ? element(w, at, index, true) : member(w, at, w->text[level], &nodes[i]);
        if (array && index && !repeats)
            w->repeats = node == 0 && level == 0 ? 2 : 1;
        walk_value(w, level, i, place);
    }
    w->in_array = in_array;
    w->repeats = repeats;
}

/* ---- words ---- */

/* Letters, digits, `_ - . : / @ + #`, and whatever is not ASCII. */
static const bool is_word[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['_'] = true,
    ['-'] = true,         ['.'] = true,         [':'] = true,         ['/'] = true,
    ['@'] = true,         ['+'] = true,         ['#'] = true,         [0x80 ... 0xff] = true};

static void cut_words(struct walk *w, enum message_form form, const uint8_t *text, size_t len) {
    struct place root = path_root(form == FORM_PREFIXED ? PATH_HEAD : PATH_WORD);
    uint32_t index = 0;
    for (size_t i = 0; i < len && index < STRUCTURE_WORDS_MAX && !is_full(w); i++) {
        if (!is_word[text[i]])
            continue;
        size_t begin = i;
        while (i < len && is_word[text[i]])
            i++;
        w->repeats = index > 0;
        w->in_array = index >= WORDS_ALONE;
        struct place at = element(w, root, index++, w->in_array);
        add_value(w, at, VALUE_WORD, 0, (uint32_t)begin, (uint32_t)i);
    }
    w->repeats = 0;
    w->in_array = false;
}

/* ---- which form ---- */

/* What may stand between two JSON texts of a message and behind the last: white space, <1E>, NUL. */
static size_t skip_controls(const uint8_t *text, size_t len, size_t from) {
    while (from < len && (text[from] <= ' ' || text[from] == 0x7f))
        from++;
    return from;
}

/* Is there an object or array at text[from], and then the end, or controls? Where it ends, or 0. *status: MF_ENOMEM. */
static size_t parse_record(struct json_tape *tape, const uint8_t *text, size_t len, size_t from, int *status) {
    size_t error_at;
    int rc = json_tape_parse(tape, (const char *)text + from, len - from, &error_at);
    if (rc == MF_ENOMEM)
        *status = rc;
    if (tape->count == 0 || tape->nodes[0].kind < JSON_ARRAY || tape->nodes[0].end == 0)
        return 0;
    size_t end = from + tape->nodes[0].end;
    if (rc == MF_OK)
        return end;
    if (rc != MF_EINVAL || end == len || (text[end] > ' ' && text[end] != 0x7f))
        return 0;
    return utf8_valid(text + from, end - from) ? end : 0;
}

/* The JSON texts behind the first, while they are some: what is left behind them must be controls. */
static bool records_follow(struct walk *w, const uint8_t *text, size_t len, size_t at) {
    struct json_tape *tape = &w->scratch->tape[0];
    while ((at = skip_controls(text, len, at)) < len)
        if ((at = parse_record(tape, text, len, at, &w->status)) == 0)
            return false;
    return true;
}

static void walk_record(struct walk *w, const uint8_t *text, size_t from, struct place at) {
    w->text[0] = (const char *)text + from;
    w->base = (uint32_t)from;
    walk_container(w, 0, 0, at);
}

/* Walks over the JSON texts from there on; false: it is not JSON. */
static bool read_records(struct walk *w, const uint8_t *text, size_t len, size_t from) {
    struct json_tape *tape = &w->scratch->tape[0];
    tape->max = NODES_MAX;
    size_t end = parse_record(tape, text, len, from, &w->status);
    if (!end)
        return false;
    if (skip_controls(text, len, end) < len) {
        if (!records_follow(w, text, len, end) || !(end = parse_record(tape, text, len, from, &w->status)))
            return false;
    }
    w->s->is_array = tape->nodes[0].kind == JSON_ARRAY;
    walk_record(w, text, from, path_root(PATH_JSON));
    struct place root = path_root(PATH_RECORD);
    for (uint32_t i = 1; (from = skip_controls(text, len, end)) < len && !is_full(w); i++) {
        if (!(end = parse_record(tape, text, len, from, &w->status)))
            break;
        w->repeats = 1;
        w->in_array = true;
        walk_record(w, text, from, element(w, root, i, true));
        w->repeats = 0;
        w->in_array = false;
    }
    return true;
}

/* How far JSON may begin: as long as a head may be. */
static bool is_head(const uint8_t *text, size_t len) {
    if (len <= HEAD_MAX)
        return true;
    return len <= HEAD_LINES_MAX && (!memcmp(text + len - 2, "\n\n", 2) || !memcmp(text + len - 4, "\r\n\r\n", 4));
}

/* true: it is a head with JSON behind it, and was read. */
static bool read_prefixed(struct walk *w, const uint8_t *text, size_t len) {
    int tries = 0;
    for (size_t i = 0; i < MIN(len, HEAD_LINES_MAX) && tries < HEAD_TRIES; i++) {
        if ((text[i] != '{' && text[i] != '[') || !is_head(text, i))
            continue;
        tries++;
        struct structure *s = w->s;
        s->form = FORM_PREFIXED;
        if (i && !utf8_valid(text, i))
            return false;
        /* The words come first, as they stand first; without JSON they are taken back. */
        cut_words(w, FORM_PREFIXED, text, i);
        if (w->status < 0 || read_records(w, text, len, i))
            return true;
        s->count = 0;
        s->shape = 0;
        seen_clear(w->scratch);
    }
    return false;
}

static bool begins_json(const uint8_t *text, size_t len, size_t *at) {
    size_t i = 0;
    while (i < len && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t'))
        i++;
    *at = i;
    return i < len && (text[i] == '{' || text[i] == '[');
}

/* A binary message that is text all the same. */
static bool is_plain_text(const uint8_t *text, size_t len) {
    while (len && text[len - 1] == '\0')
        len--;
    for (size_t i = 0; i < len; i++)
        if ((text[i] < ' ' && text[i] != '\n' && text[i] != '\r' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return len && utf8_valid(text, len);
}

/* ---- bytes ---- */

static void name_piece(const struct bytes_schema *schema, const struct bytes_piece *p, unsigned counts[2],
                       char name[BYTES_NAME_MAX]) {
    char field[BYTES_NAME_MAX];
    if (p->code == CODE_FIELD || p->code == CODE_VARINT) {
        bytes_field_name(&schema->fields[p->field], field);
        snprintf(name, BYTES_NAME_MAX, "%s", strrchr(field, '/') + 1);
    } else {
        bool text = bytes_is_text(p->code);
        snprintf(name, BYTES_NAME_MAX, "%s%u", text ? "text" : "gap", counts[text]++);
    }
}

static void read_bytes(struct walk *w, const uint8_t *data, size_t len) {
    const struct bytes_schema *schema = w->paths ? path_table_bytes(w->paths) : NULL;
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut(schema, data, len, pieces);
    unsigned tag = schema && !schema->tagged ? BYTES_TAG_ANY : bytes_tag(schema ? &schema->length : NULL, data, len);
    unsigned counts[2] = {0};
    char name[BYTES_NAME_MAX];
    bytes_tag_name(tag, name);
    const char *segment = strrchr(name, '/') + 1;
    struct place root = below(w, path_root(PATH_BYTES), segment, strlen(segment), false, false);
    for (size_t i = 0; i < count; i++) {
        const struct bytes_piece *p = &pieces[i];
        if (p->code == CODE_LENGTH)
            continue;
        name_piece(schema, p, counts, name);
        struct place at = below(w, root, name, strlen(name), false, false);
        uint32_t before = w->s->count;
        add_value(w, at, bytes_is_text(p->code) ? VALUE_WORD : VALUE_BYTES, 0, p->begin, p->end);
        if (w->s->count > before)
            w->s->values[before].code = p->code;
    }
}

/* ---- which of them ---- */

static void read_form(struct walk *w, const uint8_t *text, size_t len, bool binary) {
    size_t at;
    if (len >= UINT32_MAX)
        return; /* FORM_BINARY: offsets would not hold it */
    if (begins_json(text, len, &at) && read_records(w, text, len, at)) {
        w->s->form = FORM_JSON;
        return;
    }
    if (w->status < 0)
        return;
    if (binary && !is_plain_text(text, len)) {
        read_bytes(w, text, len);
        return;
    }
    if (read_prefixed(w, text, len))
        return;
    w->s->form = FORM_WORDS;
    if (w->status == MF_OK)
        cut_words(w, FORM_WORDS, text, len);
}

int structure_read(struct structure *s, struct structure_scratch *scratch, const struct path_table *paths,
                   struct path_table *add, const void *data, size_t len, bool binary) {
    struct walk w = {.s = s, .scratch = scratch, .paths = add ? add : paths, .add = add, .status = MF_OK};
    s->form = FORM_BINARY;
    s->is_array = false;
    s->count = 0;
    s->shape = 0;
    seen_clear(scratch);
    read_form(&w, data, len, binary);
    s->shape = path_mix(s->shape, (uint64_t)s->form << 1 | s->is_array);
    return w.status;
}

void structure_fini(struct structure *s) {
    free(s->values);
    *s = (struct structure){0};
}

void structure_scratch_fini(struct structure_scratch *s) {
    for (unsigned i = 0; i <= STRUCTURE_NESTED_MAX; i++) {
        json_tape_fini(&s->tape[i]);
        buf_fini(&s->text[i]);
    }
    buf_fini(&s->name);
    free(s->seen);
    *s = (struct structure_scratch){0};
}

const struct message_value *structure_find(const struct structure *s, uint32_t path) {
    for (uint32_t i = s->count; path != PATH_UNKNOWN && i; i--)
        if (s->values[i - 1].path == path)
            return &s->values[i - 1];
    return NULL;
}
