#include "base/headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"

void headers_fini(struct headers *h) {
    for (size_t i = 0; i < h->count; i++) {
        free(h->items[i].name);
        free(h->items[i].value);
    }
    free(h->items);
    *h = (struct headers){0};
}

int headers_add_n(struct headers *h, const char *name, size_t name_len, const char *value, size_t value_len) {
    if (!ARRAY_ROOM(h->items, h->count, h->cap, 8))
        return MF_ENOMEM;
    char *n = strndup(name, name_len), *v = strndup(value, value_len);
    if (!n || !v) {
        free(n);
        free(v);
        return MF_ENOMEM;
    }
    h->items[h->count++] = (struct header){n, v};
    return MF_OK;
}

int headers_add(struct headers *h, const char *name, const char *value) {
    return headers_add_n(h, name, strlen(name), value, strlen(value));
}

static void remove_from(struct headers *h, const char *name, size_t from) {
    size_t kept = from;
    for (size_t i = from; i < h->count; i++) {
        if (!strcasecmp(h->items[i].name, name)) {
            free(h->items[i].name);
            free(h->items[i].value);
        } else {
            h->items[kept++] = h->items[i];
        }
    }
    h->count = kept;
}

int headers_set(struct headers *h, const char *name, const char *value) {
    for (size_t i = 0; i < h->count; i++) {
        if (strcasecmp(h->items[i].name, name))
            continue;
        char *v = strdup(value);
        if (!v)
            return MF_ENOMEM;
        free(h->items[i].value);
        h->items[i].value = v;
        remove_from(h, name, i + 1);
        return MF_OK;
    }
    return headers_add(h, name, value);
}

void headers_remove(struct headers *h, const char *name) {
    remove_from(h, name, 0);
}

const char *headers_get(const struct headers *h, const char *name) {
    for (size_t i = 0; i < h->count; i++)
        if (!strcasecmp(h->items[i].name, name))
            return h->items[i].value;
    return NULL;
}

size_t headers_count(const struct headers *h, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < h->count; i++)
        n += !strcasecmp(h->items[i].name, name);
    return n;
}

static bool list_has_token(const char *list, const char *token) {
    size_t want = strlen(token);
    while (*list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ",");
        size_t trimmed = len;
        while (trimmed && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == want && !strncasecmp(list, token, want))
            return true;
        list += len;
    }
    return false;
}

bool headers_has_token(const struct headers *h, const char *name, const char *token) {
    for (size_t i = 0; i < h->count; i++)
        if (!strcasecmp(h->items[i].name, name) && list_has_token(h->items[i].value, token))
            return true;
    return false;
}

int headers_copy(struct headers *to, const struct headers *from) {
    for (size_t i = 0; i < from->count; i++)
        if (headers_add(to, from->items[i].name, from->items[i].value) < 0)
            return MF_ENOMEM;
    return MF_OK;
}
