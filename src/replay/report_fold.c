/* What many messages share is said once. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "protocol/text.h"
#include "replay/report_private.h"

#define RANGES_MAX 8u

struct keyed {
    uint64_t key;
    uint32_t index;
};

static bool is_index(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

/* With `*` for each segment that is a number. */
static void generalize(const char *path, struct buf *out) {
    while (*path) {
        size_t len = strcspn(path, "/");
        if (is_index(path, len))
            buf_putc(out, '*');
        else
            buf_append(out, path, len);
        path += len;
        if (*path == '/')
            buf_putc(out, *path++);
    }
}

static uint64_t key_of(const struct difference *d, struct buf *scratch) {
    buf_reset(scratch);
    buf_printf(scratch, "%d ", (int)d->kind);
    generalize(d->path, scratch);
    return hash_bytes(scratch->data, scratch->len);
}

static int by_key(const void *a, const void *b) {
    const struct keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* One run of equal keys becomes a group, when it is long enough. */
static void make_group(struct report_fold *f, const struct keyed *run, size_t count) {
    if (count <= REPORT_FOLD_ABOVE)
        return;
    f->size[run[0].index] = (uint32_t)count;
    for (size_t i = 1; i < count; i++) {
        f->size[run[i].index] = 0;
        f->next[run[i - 1].index] = run[i].index;
    }
}

static void make_groups(struct report_fold *f, struct keyed *keys, size_t count) {
    qsort(keys, count, sizeof *keys, by_key);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && keys[end].key == keys[begin].key;)
            end++;
        make_group(f, keys + begin, end - begin);
    }
}

bool report_fold(struct report_fold *f, const struct comparison *c) {
    struct keyed *keys = calloc(c->count + 1, sizeof *keys);
    struct buf scratch = BUF_INIT;
    *f = (struct report_fold){calloc(c->count + 1, sizeof *f->size), calloc(c->count + 1, sizeof *f->next)};
    bool ok = keys && f->size && f->next;
    for (size_t i = 0; ok && i < c->count; i++) {
        f->size[i] = 1;
        f->next[i] = UINT32_MAX;
        keys[i] = (struct keyed){key_of(&c->items[i], &scratch), (uint32_t)i};
    }
    ok = ok && !scratch.failed;
    if (ok)
        make_groups(f, keys, c->count);
    else
        report_fold_fini(f);
    free(keys);
    buf_fini(&scratch);
    return ok;
}

void report_fold_fini(struct report_fold *f) {
    free(f->size);
    free(f->next);
    *f = (struct report_fold){0};
}

void report_fold_path(const struct report_fold *f, const struct comparison *c, size_t first, struct buf *out) {
    const char *path = c->items[first].path;
    for (uint32_t i = f->next[first]; i != UINT32_MAX; i = f->next[i])
        if (strcmp(c->items[i].path, path) != 0) {
            generalize(path, out);
            return;
        }
    buf_puts(out, path);
}

static int by_number(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The messages of a group, each once, in their order; the count. */
static size_t list_messages(const struct report_fold *f, const struct comparison *c, size_t first, size_t *list) {
    size_t n = 0, unique = 0;
    for (uint32_t i = (uint32_t)first; i != UINT32_MAX; i = f->next[i])
        list[n++] = c->items[i].message;
    qsort(list, n, sizeof *list, by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || list[i] != list[i - 1])
            list[unique++] = list[i];
    return unique;
}

void report_fold_messages(const struct report_fold *f, const struct comparison *c, size_t first, struct buf *out,
                          size_t *count) {
    size_t *list = calloc(f->size[first], sizeof *list), ranges = 0;
    size_t n = *count = list ? list_messages(f, c, first, list) : 0;
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && list[end] == list[end - 1] + 1;)
            end++;
        if (++ranges > RANGES_MAX) {
            buf_puts(out, ", …");
            break;
        }
        buf_printf(out, begin ? ", %zu" : "%zu", list[begin] + 1);
        if (end - begin > 1)
            buf_printf(out, end - begin == 2 ? ", %zu" : "-%zu", list[end - 1] + 1);
    }
    free(list);
}
