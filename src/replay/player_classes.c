/* Which messages of a recording are the same but for what their sender chose freely: their class. A live message finds
 * its own with one look into a table, however long the recording is. */
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "player_plan.h"
#include "replay/correlation.h"
#include "replay/paths.h"

#define PLAIN_WORD_MAX 64u

/* ---- tables ---- */

static uint64_t mix(uint64_t x) { /* splitmix64's finish */
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

typedef uint64_t hash_of_fn(const struct player_plan *plan, uint32_t index);

static int table_grow(struct plan_table *t, const struct player_plan *plan, hash_of_fn *hash_of) {
    if (t->slots && t->count < t->mask / 2)
        return MF_OK;
    uint32_t mask = t->slots ? t->mask * 2 + 1 : 15;
    uint32_t *slots = malloc(((size_t)mask + 1) * sizeof *slots);
    if (slots == NULL)
        return MF_ENOMEM;
    for (uint32_t i = 0; i <= mask; i++)
        slots[i] = REPLAY_NONE;
    for (uint32_t i = 0; t->slots && i <= t->mask; i++) {
        if (t->slots[i] == REPLAY_NONE)
            continue;
        uint32_t at = (uint32_t)hash_of(plan, t->slots[i]) & mask;
        while (slots[at] != REPLAY_NONE)
            at = (at + 1) & mask;
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->mask = mask;
    return MF_OK;
}

static uint64_t form_hash(const struct player_plan *plan, uint32_t index) {
    return mix(plan->forms[index].shape);
}
static uint64_t class_hash(const struct player_plan *plan, uint32_t index) {
    return mix(plan->classes[index].key + plan->classes[index].form);
}

/* ---- what counts ---- */

static const uint32_t *free_paths_of(const struct player_plan *plan, const struct plan_form *form) {
    return form->free_count ? plan->free_paths + form->free_paths : NULL;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static uint64_t number_at(const char *s, size_t len) {
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n = n * 10 + (uint64_t)(s[i] - '0');
    return n;
}

/* 2024-01-15T10:30: the days since 1970, or 0. */
static uint64_t iso_days(const char *s, size_t len) {
    static const char like[] = "0000-00-00T00:00";
    if (len < sizeof like - 1)
        return 0;
    for (size_t i = 0; i < sizeof like - 1; i++) {
        bool fits = like[i] == '0' ? is_digit(s[i]) : s[i] == like[i] || (like[i] == 'T' && s[i] == ' ');
        if (!fits)
            return 0;
    }
    uint64_t year = number_at(s, 4), month = number_at(s + 5, 2), day = number_at(s + 8, 2);
    return year < 1970 ? 0 : (year - 1970) * 365 + (year - 1969) / 4 + month * 30 + day; /* a few days off */
}

/* A point in time between the recording and now, more or less: Unix seconds to nanoseconds, or ISO 8601. No two runs
 * have the same. */
static bool is_time(const struct player_plan *plan, const char *s, size_t len) {
    size_t digits = 0;
    while (digits < len && is_digit(s[digits]))
        digits++;
    if (digits < 10) {
        uint64_t days = iso_days(s, len);
        return days && days >= plan->time_from_s / 86400 && days <= plan->time_until_s / 86400;
    }
    /* Seconds, milliseconds, microseconds, nanoseconds; seconds and milliseconds may have a fraction. */
    if (digits != 10 && digits != 13 && digits != 16 && digits != 19)
        return false;
    size_t i = digits;
    if (i < len && s[i] == '.' && digits <= 13) {
        i++;
        while (i < len && is_digit(s[i]))
            i++;
    }
    uint64_t seconds = number_at(s, 10);
    return i == len && seconds >= plan->time_from_s && seconds <= plan->time_until_s;
}

/* Letters, and what joins them. */
static bool is_plain_word(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z') && !strchr("_-.:/@ ", s[i]))
            return false;
    }
    return len > 0 && len <= PLAIN_WORD_MAX;
}

bool plan_value_counts(const struct player_plan *plan, const struct plan_form *form, uint32_t path, const char *text,
                       size_t len) {
    if (path == PATH_UNKNOWN)
        return true;
    if (plan->any_paths && plan->any_paths[path])
        return false;
    if (is_time(plan, text, len))
        return false;
    return !paths_include(free_paths_of(plan, form), form->free_count, path) || is_plain_word(text, len);
}

static int mark_any_paths(struct player_plan *plan) {
    const struct path_table *paths = correlation_paths(plan->correlation);
    uint32_t count = path_count(paths);
    if (plan->any_count == 0)
        return MF_OK;
    plan->any_paths = calloc((size_t)count + 1, sizeof *plan->any_paths);
    if (plan->any_paths == NULL)
        return MF_ENOMEM;
    for (uint32_t path = 0; path < count; path++) {
        for (size_t i = 0; i < plan->any_count && !plan->any_paths[path]; i++)
            plan->any_paths[path] = path_matches(plan->any[i], path_text(paths, path));
    }
    return MF_OK;
}

/* "ping:1705314600000": how much of it stands before a time; all of it, when there is none. */
static size_t len_before_time(const struct player_plan *plan, const char *s, size_t len) {
    size_t at = len;
    while (at > 0 && is_digit(s[at - 1]))
        at--;
    return at > 0 && is_time(plan, s + at, len - at) ? at : len;
}

/* Sums, so that the order of members does not matter. */
static uint64_t key_of(const struct player_plan *plan, const struct structure *s, const void *data, size_t len,
                       const struct plan_form *form, struct buf *text) {
    uint64_t key = mix(s->shape + s->form);
    if (s->count == 0)
        return key + hash_bytes(data, len);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct message_value *v = &s->values[i];
        buf_reset(text);
        value_text(text, data, v);
        const char *value = (const char *)text->data;
        if (plan_value_counts(plan, form, v->path, value, text->len))
            key += mix(hash_bytes(value, len_before_time(plan, value, text->len)) + v->path);
    }
    return key;
}

/* ---- finding and adding ---- */

static uint32_t find_forms(const struct player_plan *plan, uint64_t shape) {
    const struct plan_table *t = &plan->form_table;
    if (t->slots == NULL)
        return REPLAY_NONE;
    for (uint32_t at = (uint32_t)mix(shape) & t->mask; t->slots[at] != REPLAY_NONE; at = (at + 1) & t->mask) {
        if (plan->forms[t->slots[at]].shape == shape)
            return t->slots[at];
    }
    return REPLAY_NONE;
}

static uint32_t find_class(const struct player_plan *plan, uint64_t key, uint32_t form) {
    const struct plan_table *t = &plan->class_table;
    if (t->slots == NULL)
        return REPLAY_NONE;
    for (uint32_t at = (uint32_t)mix(key + form) & t->mask; t->slots[at] != REPLAY_NONE; at = (at + 1) & t->mask) {
        const struct plan_class *class = &plan->classes[t->slots[at]];
        if (class->key == key && class->form == form)
            return t->slots[at];
    }
    return REPLAY_NONE;
}

static bool same_freedom(const struct player_plan *plan, const struct plan_form *form, const uint32_t *paths,
                         uint32_t count) {
    return form->free_count == count &&
           (count == 0 || !memcmp(free_paths_of(plan, form), paths, count * sizeof *paths));
}

/* Is every path of a among those of b? */
static bool is_within(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count) {
    for (size_t i = 0; i < a_count; i++) {
        if (!paths_include(b, b_count, a[i]))
            return false;
    }
    return true;
}

static void table_add(struct plan_table *t, uint64_t hash, uint32_t index) {
    uint32_t at = (uint32_t)hash & t->mask;
    while (t->slots[at] != REPLAY_NONE)
        at = (at + 1) & t->mask;
    t->slots[at] = index;
    t->count++;
}

static int add_form(struct player_plan *plan, uint64_t shape, const uint32_t *paths, uint32_t count) {
    if (!ARRAY_ROOM(plan->forms, plan->form_count, plan->form_cap, 8))
        return MF_ENOMEM;
    if (plan->free_count + count > plan->free_cap) {
        uint32_t cap = (plan->free_count + count) * 2;
        uint32_t *free_paths = realloc(plan->free_paths, cap * sizeof *free_paths);
        if (free_paths == NULL)
            return MF_ENOMEM;
        plan->free_paths = free_paths;
        plan->free_cap = cap;
    }
    if (count)
        memcpy(plan->free_paths + plan->free_count, paths, count * sizeof *paths);
    plan->forms[plan->form_count] =
        (struct plan_form){.shape = shape, .free_paths = plan->free_count, .free_count = count, .next = REPLAY_NONE};
    plan->free_count += count;
    return MF_OK;
}

/* The form of a message that says something again at `paths`. MF_ENOMEM. */
static int form_for(struct player_plan *plan, const struct plan_connection *pc, uint32_t message, uint64_t shape,
                    const uint32_t *paths, uint32_t count, uint32_t *out) {
    uint32_t first = find_forms(plan, shape), last = REPLAY_NONE;
    const uint32_t *may_be_free;
    size_t may_count;
    unsigned seen = 0;
    correlation_free_paths(plan->correlation, pc->connection, message, &may_be_free, &may_count);
    for (uint32_t i = first; i != REPLAY_NONE; i = plan->forms[i].next) {
        const struct plan_form *form = &plan->forms[i];
        const uint32_t *its = free_paths_of(plan, form);
        /* A request that got no answer is like those that did. */
        bool covers =
            is_within(paths, count, its, form->free_count) && is_within(its, form->free_count, may_be_free, may_count);
        if (same_freedom(plan, form, paths, count) || covers) {
            *out = i;
            return MF_OK;
        }
        last = i;
        seen++;
    }
    *out = seen < PLAN_CLASSES_MAX ? plan->form_count : first;
    if (*out == first)
        return MF_OK;
    if (add_form(plan, shape, paths, count) < 0)
        return MF_ENOMEM;
    if (last != REPLAY_NONE)
        plan->forms[last].next = *out;
    else if (table_grow(&plan->form_table, plan, form_hash) < 0)
        return MF_ENOMEM;
    else
        table_add(&plan->form_table, mix(shape), *out);
    plan->form_count++;
    return MF_OK;
}

/* Puts message `number` into the class of that key. */
static int add_member(struct player_plan *plan, uint32_t number, uint64_t key, uint32_t form) {
    uint32_t index = find_class(plan, key, form);
    if (index != REPLAY_NONE) {
        struct plan_class *class = &plan->classes[index];
        plan->messages[class->last].twin = number;
        class->last = number;
        if (class->count++ == 1)
            class->slot = plan->slot_count++;
        plan->messages[number].class = index;
        return MF_OK;
    }
    if (!ARRAY_ROOM(plan->classes, plan->class_count, plan->class_cap, 16))
        return MF_ENOMEM;
    if (table_grow(&plan->class_table, plan, class_hash) < 0)
        return MF_ENOMEM;
    index = plan->class_count++;
    plan->classes[index] =
        (struct plan_class){.key = key, .form = form, .first = number, .last = number, .count = 1, .slot = REPLAY_NONE};
    table_add(&plan->class_table, mix(key + form), index);
    plan->messages[number].class = index;
    return MF_OK;
}

/* ---- recorded messages ---- */

#define SAID_AGAIN_MAX 64u /* paths of one message: the others are not free */

/* Where this message says something that is said again, sorted. */
static uint32_t said_again(const struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                           uint32_t paths[SAID_AGAIN_MAX]) {
    const struct connection_plan *found = &plan->correlation->plans[pc->connection];
    const struct structure *s = correlation_structure(plan->correlation, pc->connection, message);
    uint32_t count = 0;
    size_t slot_count, at = 0;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, message, &slot_count);
    uint32_t birth = found->births_of ? found->births_of[message] : 0;
    uint32_t births_end = found->births_of ? found->births_of[message + 1] : 0;
    for (; birth < births_end && count < SAID_AGAIN_MAX; birth++)
        paths[count++] = s->values[found->births[birth].value].path;
    for (uint32_t i = 0; i < s->count && at < slot_count && count < SAID_AGAIN_MAX; i++) {
        while (at < slot_count && slots[at].end <= s->values[i].begin)
            at++;
        if (at < slot_count && slots[at].begin < s->values[i].end)
            paths[count++] = s->values[i].path;
    }
    for (uint32_t i = 1; i < count; i++) { /* few */
        uint32_t path = paths[i], k = i;
        for (; k > 0 && paths[k - 1] > path; k--)
            paths[k] = paths[k - 1];
        paths[k] = path;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || paths[kept - 1] != paths[i])
            paths[kept++] = paths[i];
    }
    return kept;
}

static int classify_theirs(struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                           struct buf *text) {
    const struct replay_message *m = &plan_recorded(plan, pc)->messages[message];
    const struct structure *s = correlation_structure(plan->correlation, pc->connection, message);
    uint32_t paths[SAID_AGAIN_MAX], count = said_again(plan, pc, message, paths), form;
    if (form_for(plan, pc, message, s->shape, paths, count, &form) < 0)
        return MF_ENOMEM;
    uint64_t key = key_of(plan, s, m->data, m->len, &plan->forms[form], text);
    return text->failed ? MF_ENOMEM : add_member(plan, pc->first + message, key, form);
}

/* Ours are the same when they say the same, apart from what is filled in when they are played, and from times. */
static int classify_ours(struct player_plan *plan, const struct plan_connection *pc, uint32_t message,
                         struct buf *text) {
    const struct replay_message *m = &plan_recorded(plan, pc)->messages[message];
    const struct structure *s = correlation_structure(plan->correlation, pc->connection, message);
    size_t count, at = 0;
    const struct slot *slots = correlation_slots(plan->correlation, pc->connection, message, &count);
    uint64_t key = mix(s->shape + m->binary);
    if (s->count == 0)
        key += hash_bytes(m->data, m->len);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct message_value *v = &s->values[i];
        while (at < count && slots[at].end <= v->begin)
            at++;
        if (at < count && slots[at].begin < v->end)
            continue;
        buf_reset(text);
        value_text(text, m->data, v);
        const char *value = (const char *)text->data;
        if (!is_time(plan, value, text->len))
            key += mix(hash_bytes(value, len_before_time(plan, value, text->len)) + v->path);
    }
    return text->failed ? MF_ENOMEM : add_member(plan, pc->first + message, key, REPLAY_NONE);
}

int plan_classify(struct player_plan *plan) {
    struct buf text = BUF_INIT;
    int rc = mark_any_paths(plan);
    for (size_t c = 0; c < plan->count && rc == MF_OK; c++) {
        const struct plan_connection *pc = &plan->connections[c];
        const struct replay_connection *recorded = plan_recorded(plan, pc);
        for (uint32_t i = 0; i < recorded->message_count && rc == MF_OK; i++) {
            rc = recorded->messages[i].direction == plan->plays ? classify_ours(plan, pc, i, &text)
                                                                : classify_theirs(plan, pc, i, &text);
        }
    }
    buf_fini(&text);
    return rc;
}

size_t plan_classes_of(const struct player_plan *plan, const struct structure *s, const void *data, size_t len,
                       uint32_t classes[PLAN_CLASSES_MAX], struct buf *text) {
    size_t count = 0;
    for (uint32_t i = find_forms(plan, s->shape); i != REPLAY_NONE; i = plan->forms[i].next) {
        const struct plan_form *form = &plan->forms[i];
        uint32_t found = find_class(plan, key_of(plan, s, data, len, form, text), i);
        if (found == REPLAY_NONE)
            continue;
        size_t at = count++;
        for (; at > 0 && plan->forms[plan->classes[classes[at - 1]].form].free_count > form->free_count; at--)
            classes[at] = classes[at - 1];
        classes[at] = found;
    }
    return count;
}

void plan_classes_fini(struct player_plan *plan) {
    free(plan->classes);
    free(plan->forms);
    free(plan->free_paths);
    free(plan->form_table.slots);
    free(plan->class_table.slots);
    free(plan->any_paths);
}
