/* Arbitrary bytes as two messages (what is before the first 0xFF, and what is behind it): values stand in order and
 * inside their message, each one written back in its place leaves the same message, paths are found by their text, and
 * likeness keeps to its bounds. */
#include "fuzz.h"
#include "replay/bytes.h"
#include "replay/structure.h"

static struct structure_scratch scratch;

struct message {
    const char *data;
    size_t len;
    bool binary;
    struct structure s;
};

static void read_message(struct message *m, struct path_table *paths, struct path_table *add) {
    MUST(structure_read(&m->s, &scratch, paths, add, m->data, m->len, m->binary) == MF_OK);
    size_t at = 0;
    for (uint32_t i = 0; i < m->s.count; i++) {
        const struct message_value *v = &m->s.values[i];
        MUST(v->begin >= at && v->begin < v->end && v->end <= m->len);
        MUST((v->code != CODE_NONE) == (m->s.form == FORM_BINARY));
        at = v->end;
    }
    MUST(m->s.form != FORM_BINARY || m->binary);
}

static void check_paths(const struct message *m, const struct path_table *paths) {
    for (uint32_t i = 0; i < m->s.count; i++) {
        uint32_t path = m->s.values[i].path;
        if (path == PATH_UNKNOWN)
            continue;
        const char *text = path_text(paths, path);
        uint32_t found = path_find(paths, text);
        MUST(found != PATH_UNKNOWN || strstr(text, "\xef\xbf\xbd")); /* a NUL in a name */
        MUST(found == PATH_UNKNOWN || !strcmp(path_text(paths, found), text));
        MUST(path_matches(text, text) || strstr(text, "*"));
        const struct message_value *last = structure_find(&m->s, path);
        MUST(last && last >= &m->s.values[i] && last->path == path);
    }
}

static void check_same_text(const struct message *a, const struct message *b, uint32_t i) {
    struct buf x = BUF_INIT, y = BUF_INIT;
    value_text(&x, a->data, &a->s.values[i]);
    value_text(&y, b->data, &b->s.values[i]);
    MUST(!x.failed && !y.failed && x.len == y.len && (!x.len || !memcmp(x.data, y.data, x.len)));
    buf_fini(&x);
    buf_fini(&y);
}

/* Every value out and in again. */
static void check_replaced(const struct message *m, struct path_table *paths) {
    struct buf whole = BUF_INIT, text = BUF_INIT;
    size_t at = 0;
    for (uint32_t i = 0; i < m->s.count; i++) {
        const struct message_value *v = &m->s.values[i];
        buf_append(&whole, m->data + at, v->begin - at);
        at = v->end;
        buf_reset(&text);
        value_text(&text, m->data, v);
        if (!v->code)
            value_write(&whole, v->nested, (enum value_kind)v->kind, (const char *)text.data, text.len);
        else if (!bytes_value_write(&whole, v->code, v->end - v->begin, (const char *)text.data, text.len)) {
            MUST(v->code == CODE_GAP); /* a long one is known by its hash, and never written */
            buf_append(&whole, m->data + v->begin, v->end - v->begin);
        }
    }
    buf_append(&whole, m->data + at, m->len - at);
    char *written = fuzz_copy(whole.data, whole.len);
    struct message again = {.data = written, .len = whole.len, .binary = m->binary};
    read_message(&again, paths, NULL);
    MUST(again.s.form == m->s.form && again.s.count == m->s.count && again.s.shape == m->s.shape);
    for (uint32_t i = 0; i < m->s.count; i++) {
        const struct message_value *a = &m->s.values[i], *b = &again.s.values[i];
        MUST(a->path == b->path && a->kind == b->kind && a->nested == b->nested && a->repeats == b->repeats);
        check_same_text(m, &again, i);
    }
    structure_fini(&again.s);
    free(written);
    buf_fini(&whole);
    buf_fini(&text);
}

static unsigned likeness(const struct message *a, const struct message *b, const struct path_table *paths) {
    struct buf why = BUF_INIT;
    unsigned n = structure_similarity(paths, &a->s, a->data, a->len, &b->s, b->data, b->len, NULL, &why);
    MUST(n <= SIMILARITY_EQUAL && (n == 0) == (why.len > 0));
    buf_fini(&why);
    return n;
}

static bool all_known(const struct message *m) {
    for (uint32_t i = 0; i < m->s.count; i++)
        if (m->s.values[i].path == PATH_UNKNOWN)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *cut = size ? memchr(data, 0xff, size) : NULL;
    size_t first = cut ? (size_t)(cut - data) : size, second = cut ? size - first - 1 : 0;
    char *one = fuzz_copy(data, first), *other = fuzz_copy(cut ? cut + 1 : data, second);
    struct message a = {.data = one, .len = first, .binary = size % 3 == 0};
    struct message b = {.data = other, .len = second, .binary = size % 3 == 0};
    struct path_table *paths;
    MUST(path_table_new(&paths) == MF_OK);
    read_message(&a, paths, paths);
    read_message(&b, paths, NULL);
    (void)likeness(&a, &b, paths);
    uint64_t shape = b.s.shape;
    read_message(&b, paths, paths);
    MUST(b.s.shape == shape); /* whether its paths are known or not */
    check_paths(&a, paths);
    check_replaced(&a, paths);
    check_replaced(&b, paths);
    MUST(!all_known(&a) || likeness(&a, &a, paths) == SIMILARITY_EQUAL);
    MUST((likeness(&a, &b, paths) == SIMILARITY_EQUAL) == (likeness(&b, &a, paths) == SIMILARITY_EQUAL));
    structure_fini(&a.s);
    structure_fini(&b.s);
    free(one);
    free(other);
    path_table_free(paths);
    return 0;
}
