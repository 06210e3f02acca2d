/* What the user says about correlation: --correlate and --no-correlate. */
#include <stdlib.h>

#include "replay/correlation.h"

#define SYNTAX                                                                                                         \
    "expected \"incoming PATH = outgoing PATH\" or \"outgoing PATH = incoming PATH\", for example \"incoming /id = "   \
    "outgoing /id\""

static const char *skip_space(const char *s) {
    return s + strspn(s, " \t");
}

/* "incoming" or "outgoing" and space; where the path begins, or NULL. */
static const char *read_direction(const char *s, uint8_t *direction) {
    s = skip_space(s);
    size_t len = strcspn(s, " \t");
    for (unsigned i = EVENT_INCOMING; i <= EVENT_OUTGOING; i++) {
        if (len == strlen(event_direction_names[i]) && !memcmp(s, event_direction_names[i], len)) {
            *direction = (uint8_t)i;
            return skip_space(s + len);
        }
    }
    return NULL;
}

static size_t trimmed(const char *s, size_t len) {
    while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    return len;
}

/* The '=' between the two ends, which is one before a direction (a name may hold another). */
static const char *find_equals(const char *s) {
    uint8_t direction;
    for (; (s = strchr(s, '=')); s++)
        if (read_direction(s + 1, &direction))
            return s;
    return NULL;
}

static int read_rule(const char *text, struct asked_rule *rule, struct err *err) {
    uint8_t to;
    const char *source = read_direction(text, &rule->from), *equals = source ? find_equals(source) : NULL;
    const char *target = equals ? read_direction(equals + 1, &to) : NULL;
    size_t source_len = target ? trimmed(source, (size_t)(equals - source)) : 0;
    size_t target_len = target ? trimmed(target, strlen(target)) : 0;
    if (!source_len || !target_len)
        return err_set(err, MF_EINVAL, "correlation \"%s\": " SYNTAX, text);
    if (to == rule->from)
        return err_set(
            err, MF_EINVAL,
            "correlation \"%s\": both ends are %s; one is what a side makes up, the other where the other side "
            "says it again: " SYNTAX,
            text, event_direction_names[to]);
    rule->source = strndup(source, source_len);
    rule->target = strndup(target, target_len);
    return rule->source && rule->target ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

int asked_rules_read(struct correlation *c, const struct correlate_options *o, struct err *err) {
    if (o->rules_count > ASKED_MAX)
        return err_set(err, MF_EINVAL, "%zu correlations are given; at most %u are possible", o->rules_count,
                       ASKED_MAX);
    for (size_t i = 0; i < o->rules_count; i++) {
        int rc = read_rule(o->rules[i], &c->asked[i], err);
        c->asked_count = i + 1; /* a half-read one is freed with the others */
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < o->except_count; i++)
        if (!*skip_space(o->except[i]))
            return err_set(err, MF_EINVAL,
                           "a path that is not to be correlated is empty; expected one such as /id or "
                           "/payload/**/id");
    return MF_OK;
}

void path_marks_fini(struct path_marks *m) {
    free(m->excluded);
    free(m->source);
    free(m->target);
}

int path_marks_init(struct path_marks *m, const struct correlation *c, const struct correlate_options *o) {
    uint32_t count = path_count(c->paths);
    m->excluded = calloc(count + 1, sizeof *m->excluded);
    m->source = calloc(count + 1, sizeof *m->source);
    m->target = calloc(count + 1, sizeof *m->target);
    if (!m->excluded || !m->source || !m->target)
        return MF_ENOMEM;
    for (uint32_t p = 0; p < count; p++) {
        const char *text = path_text(c->paths, p);
        for (size_t i = 0; i < o->except_count && !m->excluded[p]; i++)
            m->excluded[p] = path_matches(o->except[i], text);
        for (size_t i = 0; i < c->asked_count; i++) {
            m->source[p] |= (uint64_t)path_matches(c->asked[i].source, text) << i;
            m->target[p] |= (uint64_t)path_matches(c->asked[i].target, text) << i;
        }
    }
    return MF_OK;
}
