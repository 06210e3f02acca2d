#include "replay/paths.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "replay/bytes.h"
#include "replay/slab.h"

/* What a hostile recording can make of a table: paths that do not fit are not known, nothing more. */
#define PATHS_MAX (1u << 20)
#define PATH_TEXT_MAX 4096u /* bytes of one */
#define TABLE_BYTES_MAX ((size_t)128 << 20)

struct path {
    uint32_t parent;
    uint32_t text_len, segment_len;
    uint32_t hash;
    uint64_t shape;
    const char *text;
    const char *segment; /* without escapes; ends with a NUL, and may hold others */
    const char *name;    /* the segment, or for elements the name of what they are in */
    uint8_t flags;
};

struct path_table {
    struct path *paths;
    uint32_t count, cap;
    uint32_t *slots; /* open addressing: index + 1; 0: free */
    uint32_t mask;
    uint64_t seed; /* so that nobody can prepare names that meet in one slot */
    struct slab slab;
    struct bytes_schema *bytes;
};

/* ---- hashes ---- */

/* Up to eight bytes as a number, by two loads that may overlap. */
static uint64_t load(const char *p, size_t len) {
    uint64_t first = 0, last = 0;
    if (len == 8)
        memcpy(&first, p, 8);
    else if (len >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
    } else if (len)
        return (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[len / 2] << 8 | (uint8_t)p[len - 1];
    return first | last << 32;
}

/* Segments are short: eight bytes at a time. */
static inline uint64_t hash_segment(uint64_t seed, const char *p, size_t len) {
    uint64_t h = seed ^ len;
    for (; len > 8; p += 8, len -= 8)
        h = path_mix(h, load(p, 8));
    return path_mix(h, load(p, len));
}

struct place path_root(unsigned root) {
    return (struct place){.path = root, .shape = path_mix(0x6d6f636b, root)};
}

#define SHAPE_ELEMENT 0x656c656d656e74

static uint64_t shape_below(uint64_t parent, const char *segment, size_t len, bool alike) {
    return alike ? path_mix(parent, SHAPE_ELEMENT) : hash_segment(parent, segment, len);
}

static uint32_t hash_below(const struct path_table *t, uint32_t parent, const char *segment, size_t len, bool element) {
    return (uint32_t)hash_segment(t->seed ^ ((uint64_t)parent << 1 | element), segment, len);
}

/* ---- the table ---- */

static uint32_t find(const struct path_table *t, uint32_t parent, const char *segment, size_t len, bool element,
                     uint32_t hash) {
    for (uint32_t i = hash & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
        const struct path *p = &t->paths[t->slots[i] - 1];
        if (p->hash == hash && p->parent == parent && p->segment_len == len && (p->flags & PATH_ELEMENT) == element &&
            !memcmp(p->segment, segment, len))
            return t->slots[i] - 1;
    }
    return PATH_UNKNOWN;
}

static void put(struct path_table *t, uint32_t index) {
    uint32_t i = t->paths[index].hash & t->mask;
    while (t->slots[i])
        i = (i + 1) & t->mask;
    t->slots[i] = index + 1;
}

/* Room for one path more, with half of the slots free. */
static int grow(struct path_table *t) {
    if (t->count < t->cap)
        return MF_OK;
    uint32_t cap = t->cap ? t->cap * 2 : 64;
    struct path *paths = realloc(t->paths, cap * sizeof *paths);
    if (!paths)
        return MF_ENOMEM;
    t->paths = paths;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return MF_ENOMEM;
    free(t->slots);
    t->slots = slots;
    t->mask = cap * 2 - 1;
    t->cap = cap;
    for (uint32_t i = 0; i < t->count; i++)
        put(t, i);
    return MF_OK;
}

/* "/" and the segment with RFC 6901's escapes, behind the parent's text. A NUL would end the text: it is shown as
 * U+FFFD. */
static void write_text(struct buf *out, const struct path *parent, const char *segment, size_t len) {
    buf_append(out, parent->text, parent->text_len);
    buf_putc(out, '/');
    for (size_t i = 0; i < len; i++) {
        if (segment[i] == '~')
            buf_puts(out, "~0");
        else if (segment[i] == '/')
            buf_puts(out, "~1");
        else if (segment[i] == '\0')
            buf_puts(out, "\xef\xbf\xbd");
        else
            buf_putc(out, segment[i]);
    }
}

static bool is_tag(const char *name) {
    static const char *const tags[] = {"type", "op", "event", "action", "method", "command", "cmd", "kind"};
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (!strcasecmp(name, tags[i]))
            return true;
    return false;
}

static void describe(const struct path_table *t, struct path *p, bool element) {
    const struct path *parent = &t->paths[p->parent];
    if (element || (parent->flags & PATH_BELOW))
        p->flags |= PATH_BELOW;
    if (element) {
        p->flags |= PATH_ELEMENT;
        if (p->parent < PATH_RECORD && p->segment_len == 1 && *p->segment == '0')
            p->flags |= PATH_FIRST;
        p->name = parent->name;
    } else if (!strcmp(p->segment, "@json")) {
        p->name = parent->name; /* a JSON text has the name of the string that it stands in */
    } else {
        p->name = p->segment;
        if (!(p->flags & PATH_BELOW) && is_tag(p->name))
            p->flags |= PATH_TAG;
    }
}

/* Adds a path; its index, or PATH_UNKNOWN when it has no room. */
static int add_path(struct path_table *t, struct place parent, const char *segment, size_t len, bool element,
                    uint32_t hash, uint64_t shape, uint32_t *out) {
    struct path p = {.parent = parent.path, .segment_len = (uint32_t)len, .hash = hash, .shape = shape};
    struct buf text = BUF_INIT;
    *out = PATH_UNKNOWN;
    if (t->count == PATHS_MAX || t->slab.bytes > TABLE_BYTES_MAX ||
        len + t->paths[parent.path].text_len >= PATH_TEXT_MAX)
        return MF_OK;
    if (grow(t) < 0)
        return MF_ENOMEM;
    write_text(&text, &t->paths[parent.path], segment, len);
    p.text_len = (uint32_t)text.len;
    p.text = text.failed ? NULL : slab_copy(&t->slab, text.data, text.len);
    if (p.text && len <= text.len && !memcmp(p.text + text.len - len, segment, len))
        p.segment = p.text + text.len - len;
    else if (p.text)
        p.segment = slab_copy(&t->slab, segment, len);
    buf_fini(&text);
    if (!p.text || !p.segment)
        return MF_ENOMEM;
    describe(t, &p, element);
    *out = t->count;
    t->paths[t->count++] = p;
    put(t, *out);
    return MF_OK;
}

int path_below(const struct path_table *t, struct path_table *add, struct place parent, const char *segment, size_t len,
               bool element, bool alike, struct place *out) {
    if (parent.path != PATH_UNKNOWN) {
        uint32_t hash = hash_below(t, parent.path, segment, len, element);
        uint32_t found = find(t, parent.path, segment, len, element, hash);
        if (MF_LIKELY(found != PATH_UNKNOWN)) {
            *out = (struct place){found, t->paths[found].shape};
            return MF_OK;
        }
        out->shape = shape_below(parent.shape, segment, len, alike);
        out->path = PATH_UNKNOWN;
        return add ? add_path(add, parent, segment, len, element, hash, out->shape, &out->path) : MF_OK;
    }
    *out = (struct place){PATH_UNKNOWN, shape_below(parent.shape, segment, len, alike)};
    return MF_OK;
}

static int add_roots(struct path_table *t) {
    static const char *const texts[PATH_ROOTS] = {[PATH_JSON] = "",
                                                  [PATH_HEAD] = "@head",
                                                  [PATH_WORD] = "@word",
                                                  [PATH_RECORD] = "@record",
                                                  [PATH_BYTES] = "@bytes"};
    if (grow(t) < 0)
        return MF_ENOMEM;
    for (uint32_t i = 0; i < PATH_ROOTS; i++)
        /* Nothing finds them by their segment: no path is its own parent's child. */
        t->paths[t->count++] = (struct path){.parent = PATH_UNKNOWN,
                                             .text = texts[i],
                                             .text_len = (uint32_t)strlen(texts[i]),
                                             .segment = "",
                                             .name = "",
                                             .shape = path_root(i).shape};
    return MF_OK;
}

int path_table_new(struct path_table **out) {
    struct path_table *t = calloc(1, sizeof *t);
    if (!t)
        return MF_ENOMEM;
    t->seed = hash_bytes("paths", 5);
    if (add_roots(t) < 0) {
        path_table_free(t);
        return MF_ENOMEM;
    }
    *out = t;
    return MF_OK;
}

void path_table_free(struct path_table *t) {
    if (!t)
        return;
    free(t->paths);
    free(t->slots);
    free(t->bytes);
    slab_fini(&t->slab);
    free(t);
}

void path_table_set_bytes(struct path_table *t, struct bytes_schema *schema) {
    free(t->bytes);
    t->bytes = schema;
}

const struct bytes_schema *path_table_bytes(const struct path_table *t) {
    return t->bytes;
}

uint32_t path_count(const struct path_table *t) {
    return t->count;
}

const char *path_text(const struct path_table *t, uint32_t path) {
    return path < t->count ? t->paths[path].text : "?";
}

const char *path_name(const struct path_table *t, uint32_t path) {
    return path < t->count ? t->paths[path].name : "";
}

uint32_t path_parent(const struct path_table *t, uint32_t path) {
    return path < t->count && path >= PATH_ROOTS ? t->paths[path].parent : PATH_UNKNOWN;
}

unsigned path_flags_of(const struct path_table *t, uint32_t path) {
    return path < t->count ? t->paths[path].flags : 0;
}

/* ---- text to path ---- */

/* A segment without its escapes; its length. */
static size_t unescape(char *out, const char *segment, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool escape = segment[i] == '~' && i + 1 < len && (segment[i + 1] == '0' || segment[i + 1] == '1');
        out[n++] = escape ? (segment[i + 1] == '0' ? '~' : '/') : segment[i];
        i += escape;
    }
    return n;
}

static uint32_t find_below(const struct path_table *t, uint32_t parent, const char *segment, size_t len) {
    uint32_t path = PATH_UNKNOWN;
    for (int element = 0; element < 2 && path == PATH_UNKNOWN; element++)
        path = find(t, parent, segment, len, element, hash_below(t, parent, segment, len, element));
    return path;
}

uint32_t path_find(const struct path_table *t, const char *text) {
    uint32_t path = PATH_JSON;
    size_t len = strlen(text), first = strcspn(text, "/");
    char segment[PATH_TEXT_MAX];
    if (len >= 2 * sizeof segment)
        return PATH_UNKNOWN;
    while (path < PATH_ROOTS && (strlen(t->paths[path].text) != first || memcmp(t->paths[path].text, text, first)))
        path++;
    if (path == PATH_ROOTS)
        return PATH_UNKNOWN;
    for (text += first; *text && path != PATH_UNKNOWN; text += len) {
        len = strcspn(++text, "/");
        if (len > sizeof segment)
            return PATH_UNKNOWN;
        path = find_below(t, path, segment, unescape(segment, text, len));
    }
    return path;
}

bool paths_include(const uint32_t *sorted, size_t count, uint32_t path) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < path)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == path;
}
