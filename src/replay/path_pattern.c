#include <string.h>

#include "replay/structure.h"

/* A pattern or a path, read segment by segment. */
struct segments {
    const char *at, *separators;
};

/* The next segment's length, at *s; -1 at the end. */
static int next(struct segments *g, const char **s) {
    if (!*g->at)
        return -1;
    size_t n = strcspn(g->at, g->separators);
    *s = g->at;
    g->at += n + (g->at[n] != '\0');
    return (int)n;
}

static struct segments begin(const char *text, bool dots) {
    return (struct segments){text + (*text == '/'), dots ? "." : "/"};
}

static bool is(const char *s, int len, const char *word) {
    return (size_t)len == strlen(word) && !memcmp(s, word, (size_t)len);
}

bool path_matches(const char *pattern, const char *path) {
    bool dots = *pattern != '/' && *pattern != '@' && !strchr(pattern, '/');
    struct segments want = begin(pattern, dots), have = begin(path, false);
    struct segments want_again = {NULL, NULL}, have_again = have; /* where the last `**` may take a segment more */
    for (;;) {
        const char *w = NULL, *h = NULL;
        int wn = next(&want, &w);
        if (wn < 0)
            return true; /* what is below is covered */
        if (is(w, wn, "**")) {
            want_again = want;
            have_again = have;
            continue;
        }
        int hn = next(&have, &h);
        if (hn >= 0 && (is(w, wn, "*") || (wn == hn && !memcmp(w, h, (size_t)wn))))
            continue;
        if (!want_again.at || hn < 0)
            return false;
        if (next(&have_again, &h) < 0)
            return false;
        want = want_again;
        have = have_again;
    }
}
