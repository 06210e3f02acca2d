/* Which --ignore options would make a comparison agree. */
#include <stdlib.h>

#include "drive/driver.h"

#define PATTERN_MAX 512u

struct patterns {
    char **items;
    size_t count, most;
};

static bool is_index(const char *segment, size_t len) {
    return len > 0 && strspn(segment, "0123456789") >= len;
}

/* "/items/3/id" -> "/items/\*\/id". The places of words and of a head have numbers too, but each means something else:
 * they stay. */
static void generalise(struct buf *out, const char *path) {
    bool places = false;
    while (*path == '/') {
        const char *segment = path + 1;
        size_t len = strcspn(segment, "/");
        buf_putc(out, '/');
        if (is_index(segment, len) && !places)
            buf_putc(out, '*');
        else
            buf_append(out, segment, len);
        places = *segment == '@';
        path = segment + len;
    }
}

static bool add(struct patterns *p, char *pattern) {
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->items[i], pattern)) {
            free(pattern);
            return true;
        }
    if (p->count == p->most || strlen(pattern) > PATTERN_MAX) {
        free(pattern);
        return false;
    }
    p->items[p->count++] = pattern;
    return true;
}

/* false: no option would help here. */
static bool add_difference(struct patterns *p, const struct difference *d) {
    bool of_value =
        d->kind == DIFFERENT_VALUE || d->kind == DIFFERENT_TYPE || d->kind == MISSING_VALUE || d->kind == EXTRA_VALUE;
    if (!of_value || d->path[0] != '/')
        return false;
    struct buf pattern = BUF_INIT;
    generalise(&pattern, d->path);
    char *text = buf_steal(&pattern);
    return text && add(p, text);
}

/* In single quotes where a shell would look into it. */
static void append_quoted(struct buf *out, const char *pattern) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.@:+,";
    if (strspn(pattern, plain) == strlen(pattern)) {
        buf_puts(out, pattern);
        return;
    }
    buf_putc(out, '\'');
    for (; *pattern; pattern++) {
        if (*pattern == '\'')
            buf_puts(out, "'\\''");
        else
            buf_putc(out, (unsigned char)*pattern < 0x20 || *pattern == 0x7f ? '?' : *pattern);
    }
    buf_putc(out, '\'');
}

void drive_hint(struct buf *out, const struct drive_case *cases, size_t count, size_t most) {
    struct patterns p = {.items = calloc(most + 1, sizeof *p.items), .most = most};
    bool helps = p.items;
    for (size_t i = 0; helps && i < count; i++) {
        const struct comparison *c = &cases[i].comparison;
        helps = !cases[i].error && c->total == c->count;
        for (size_t k = 0; helps && k < c->count; k++)
            helps = add_difference(&p, &c->items[k]);
    }
    for (size_t i = 0; i < p.count; i++) {
        if (helps) {
            buf_puts(out, i ? " --ignore " : "--ignore ");
            append_quoted(out, p.items[i]);
        }
        free(p.items[i]);
    }
    free(p.items);
}
