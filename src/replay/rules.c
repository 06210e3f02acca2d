#include "replay/rules.h"

#include <stdlib.h>

#include "base/hash.h"
#include "replay/bytes.h"
#include "replay/paths.h"

#define EXAMPLE_MAX 48u
#define RECENT 16u
#define COUNTING_LEAST 4u /* values, so that going up is no chance */
#define RARE 16u
#define SURE_LENGTH 12u     /* bytes: shorter random values do meet in a long recording */
#define TELLING_TIME 13u    /* digits of a time that is no coincidence where names agree: milliseconds */
#define TELLING_DIGITS 4u   /* of a whole number where names agree: 1004, but not 1000 */
#define NUMBERS_DISTINCT 4u /* values of small numbers under different names */

void rules_fini(struct rules *r) {
    free(r->items);
    free(r->slots);
    free(r->of_target);
    slab_fini(&r->slab);
    *r = (struct rules){0};
}

/* ---- the table ---- */

static bool is_text(const char *text, const char *other, size_t len) {
    if (!text || !other)
        return !text && !other;
    return strlen(text) == len && !memcmp(text, other, len);
}

static bool is(const struct rule *r, const struct rule_id *id) {
    return r->from == id->from && r->source == id->source && r->target == id->target && r->outline == id->outline &&
           is_text(r->before, id->before, id->before_len) && is_text(r->behind, id->behind, id->behind_len);
}

static struct rule_id id_of(const struct rule *r) {
    return (struct rule_id){
        r->from,
        r->source,
        r->target,
        r->outline,
        r->before,
        r->behind,
        r->before ? strlen(r->before) : 0,
        r->behind ? strlen(r->behind) : 0,
    };
}

static uint64_t hash_of(const struct rule_id *id) {
    uint64_t h = path_mix((uint64_t)id->source << 32 | id->target, id->outline ^ id->from);
    if (id->before)
        h = path_mix(h, hash_bytes(id->before, id->before_len));
    if (id->behind)
        h = path_mix(h, hash_bytes(id->behind, id->behind_len));
    return h;
}

static uint32_t *slot_of(const struct rules *r, const struct rule_id *id) {
    uint32_t i = (uint32_t)hash_of(id) & r->mask;
    while (r->slots[i] && !is(&r->items[r->slots[i] - 1], id))
        i = (i + 1) & r->mask;
    return &r->slots[i];
}

uint32_t rules_find(const struct rules *r, const struct rule_id *id) {
    return r->slots ? *slot_of(r, id) - 1 : RULE_NONE; /* 0 - 1 is RULE_NONE */
}

/* Room for one more, with half of the slots free. */
static bool grow(struct rules *r) {
    if (r->count < r->cap)
        return true;
    uint32_t cap = r->cap ? r->cap * 2 : 64;
    struct rule *items = realloc(r->items, cap * sizeof *items);
    if (!items)
        return false;
    r->items = items;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return false;
    free(r->slots);
    r->slots = slots;
    r->mask = cap * 2 - 1;
    r->cap = cap;
    for (uint32_t i = 0; i < r->count; i++) {
        struct rule_id id = id_of(&r->items[i]);
        *slot_of(r, &id) = i + 1;
    }
    return true;
}

static bool copy_text(struct rules *r, const char **out, const char *text, size_t len) {
    *out = text ? slab_copy(&r->slab, text, len) : NULL;
    r->failed |= text && !*out;
    return !r->failed;
}

uint32_t rules_add(struct rules *r, const struct rule_id *id) {
    uint32_t found = rules_find(r, id);
    if (found != RULE_NONE || r->count == RULES_MAX || r->failed)
        return found;
    struct rule rule = {.source = id->source,
                        .target = id->target,
                        .outline = id->outline,
                        .from = id->from,
                        .next = RULE_NONE,
                        .verdict = VERDICT_FEW};
    r->failed |= !grow(r);
    if (r->failed || !copy_text(r, &rule.before, id->before, id->before_len) ||
        !copy_text(r, &rule.behind, id->behind, id->behind_len))
        return RULE_NONE;
    *slot_of(r, id) = r->count + 1;
    r->items[r->count] = rule;
    return r->count++;
}

/* ---- evidence ---- */

static void add_distinct(struct rule *rule, uint64_t hash) {
    for (uint32_t i = 0; i < rule->distinct; i++)
        if (rule->values[i] == hash)
            return;
    if (rule->distinct < RULE_DISTINCT_MAX)
        rule->values[rule->distinct++] = hash;
}

/* Of a whole number; zeros at its end are round, and say nothing. */
static size_t significant_digits(const char *text, size_t len) {
    while (len && text[len - 1] == '0')
        len--;
    return len;
}

/* Would one such value do where the names at both ends are the same? */
static bool is_telling(const struct rules *r, const struct rule *rule, const struct atom *a, const char *text) {
    if (a->strength >= STRENGTH_WORD)
        return true;
    if (a->strength == STRENGTH_DECIMAL)
        return a->end - a->begin >= TELLING_TIME;
    if (a->kind == VALUE_STRING && rule->source == rule->target)
        return true; /* digits in quotes, at the same place: a name rather than an amount */
    if (significant_digits(text, a->end - a->begin) >= TELLING_DIGITS)
        return true;
    return key_is_id(r->key_table, rule->source) || !*r->key_table->items[rule->source].name;
}

static void note_step(struct rule *rule, uint32_t place, uint32_t said) {
    rule->steps += rule->held && said == rule->said && place == rule->place + 1;
    rule->place = place;
    rule->said = said;
}

void rule_held(struct rules *r, struct rule *rule, const struct place_said *source, const struct atom *target,
               const char *text, uint32_t recency) {
    note_step(rule, source->ordinal, source->ordinal + recency);
    if (!rule->example) {
        size_t len = MIN(target->end - target->begin, EXAMPLE_MAX);
        while (len && len == EXAMPLE_MAX && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--; /* not within a character */
        rule->from_message = source->last;
        rule->example = slab_copy(&r->slab, text, len);
        r->failed |= !rule->example;
    }
    rule->held++;
    rule->proofs += target->strength == STRENGTH_PROOF;
    rule->topics += target->strength == STRENGTH_TOPIC;
    rule->words += target->strength >= STRENGTH_WORD;
    rule->quoted += source->kind == VALUE_STRING && target->kind == VALUE_STRING;
    rule->recent += recency < RECENT;
    rule->rare += recency < RARE && source->ordinal <= RARE;
    if (target->strength == STRENGTH_PROOF)
        rule->longest = MAX(rule->longest, target->end - target->begin);
    rule->telling += is_telling(r, rule, target, text);
    rule->is_behind = target->form == ATOM_BEHIND;
    add_distinct(rule, target->hash);
}

/* ---- by target ---- */

static int more_held(const void *a, const void *b) {
    const struct rule *const *p = a, *const *q = b;
    if ((*p)->target != (*q)->target)
        return (*p)->target < (*q)->target ? -1 : 1;
    if ((*p)->held != (*q)->held)
        return (*p)->held > (*q)->held ? -1 : 1;
    return *p < *q ? -1 : *p > *q;
}

void rules_chain(struct rules *r) {
    r->keys = r->key_table->count;
    free(r->of_target);
    r->of_target = malloc((r->keys + 1) * sizeof *r->of_target);
    struct rule **sorted = malloc((r->count + 1) * sizeof(struct rule *));
    r->failed |= !r->of_target || !sorted;
    if (!r->failed) {
        memset(r->of_target, 0xff, (r->keys + 1) * sizeof *r->of_target);
        for (uint32_t i = 0; i < r->count; i++)
            sorted[i] = &r->items[i];
        qsort(sorted, r->count, sizeof(struct rule *), more_held);
        for (uint32_t i = 0, n = 0; i < r->count; i++) {
            struct rule *rule = sorted[i];
            n = i && sorted[i - 1]->target == rule->target ? n + 1 : 0;
            if (n >= RULES_TARGET_MAX)
                continue;
            rule->next = r->of_target[rule->target];
            r->of_target[rule->target] = (uint32_t)(rule - r->items);
        }
    }
    free(sorted);
}

/* ---- the verdict ---- */

bool rule_is_consistent(const struct rule *r) {
    return r->held && r->could >= r->held && (r->could - r->held) * 20 <= r->held;
}

static bool tells_messages_apart(const struct rules *r, const struct rule *rule) {
    const struct key *source = &r->key_table->items[rule->source], *target = &r->key_table->items[rule->target];
    if (rule->is_behind)
        return false;
    return source->tag || target->tag || ((source->leading || target->leading) && rule->words);
}

/* The same value each time, and no telling one: a constant of the protocol. */
static bool is_constant(const struct rules *r, const struct rule *rule) {
    const struct keys *k = r->key_table;
    if (k->items[rule->source].state || k->items[rule->target].state)
        return rule->distinct < 2;
    /* Digits in quotes at the same place are a name, however often they come: a channel is joined once, under a number.
     */
    bool name = rule->source == rule->target && rule->quoted == rule->held;
    return rule->distinct == 1 && rule->held >= 3 && !rule->words && !name && !key_is_id(k, rule->source);
}

/* Without a proof: by what the ends are called, and by how many values it held. */
static enum verdict judge_weak(const struct rules *r, const struct rule *rule) {
    const struct keys *k = r->key_table;
    if (is_constant(r, rule))
        return VERDICT_CONSTANT;
    if (rule->is_behind)
        return rule->distinct >= 2 ? VERDICT_HELD : VERDICT_FEW;
    if (keys_alike(k, rule->source, rule->target))
        return rule->telling || rule->distinct >= 2 ? VERDICT_NAMED : VERDICT_FEW;
    if (key_is_id(k, rule->source) && key_is_id(k, rule->target) && rule->distinct >= 2)
        return VERDICT_IDS;
    if (rule->topics || (rule->words == rule->held && rule->distinct >= 2))
        return VERDICT_HELD;
    bool numbers = rule->distinct >= NUMBERS_DISTINCT && rule->recent == rule->held;
    return numbers ? VERDICT_HELD : VERDICT_FEW;
}

/* Fields were compared byte by byte already: they belong together or do not. */
static bool is_linked(const struct rules *r, const struct rule *rule) {
    unsigned source = r->key_table->items[rule->source].field, target = r->key_table->items[rule->target].field;
    for (uint32_t i = 0; source && target && i < r->bytes->link_count; i++) {
        const struct bytes_link *l = &r->bytes->links[i];
        if (l->from + 1u == source && l->to + 1u == target && l->direction == rule->from)
            return true;
    }
    return false;
}

static enum verdict judge(const struct rules *r, const struct rule *rule) {
    bool consistent = rule_is_consistent(rule);
    if (is_linked(r, rule))
        return VERDICT_BYTES;
    if (!rule->proofs && (r->key_table->items[rule->source].field || r->key_table->items[rule->target].field))
        return VERDICT_FEW;
    if (tells_messages_apart(r, rule))
        return rule->proofs && rule->longest >= SURE_LENGTH ? VERDICT_STRONG : VERDICT_TAG;
    if (rule->before) { /* among many words some meet */
        bool enough = rule->distinct >= 2 || rule->rare;
        return !consistent ? VERDICT_FAILED : enough ? VERDICT_TEXT : VERDICT_FEW;
    }
    if (rule->proofs && consistent)
        return VERDICT_PROVEN;
    if (rule->proofs && (rule->longest >= SURE_LENGTH || rule->held * 4 >= rule->could))
        return VERDICT_STRONG;
    if (!consistent)
        return VERDICT_FAILED;
    if (rule->outline && rule->distinct < 2)
        return VERDICT_FEW; /* a few messages were picked out: one value is not enough then */
    return judge_weak(r, rule);
}

/* What fails for all messages together may hold for those of one sort; words in a text do at the same place. */
static bool may_split(const struct rules *r, const struct rule *rule) {
    bool same_word = rule->source == rule->target && rule->words == rule->held;
    return !rule->outline && !rule->before && !rule->is_behind && rule->held >= 2 && rule->distinct >= 2 &&
           (same_word || keys_alike(r->key_table, rule->source, rule->target));
}

/* By source and side: how often its best answer came. NULL: no memory. */
static uint64_t *count_answers(const struct rules *r) {
    uint64_t *answers = calloc((size_t)r->key_table->count * 2 + 1, sizeof *answers);
    for (uint32_t i = 0; answers && i < r->count; i++) {
        const struct rule *rule = &r->items[i];
        uint64_t *held = &answers[(size_t)rule->source * 2 + rule->from];
        if (rule->verdict == VERDICT_PROVEN || rule->verdict == VERDICT_NAMED)
            *held = MAX(*held, rule->held);
    }
    return answers;
}

/* Numbers that go up by themselves, while the client says nothing, met its ids on the way: a feed's sequence numbers,
 * and requests 1 to 9. Who answers requests that were under way at once goes up like that as well, but there nothing
 * else answers them. */
static bool is_counting(const struct rule *rule, const uint64_t *answers) {
    uint64_t answered = answers[(size_t)rule->source * 2 + rule->from];
    if (rule->words || rule->held < COUNTING_LEAST || rule->steps + 2 < rule->held)
        return false;
    if (rule->verdict == VERDICT_NAMED) /* that is an answer itself: not the best one */
        return rule->source != rule->target && answered > rule->held;
    return (rule->verdict == VERDICT_IDS || rule->verdict == VERDICT_HELD) && answered >= rule->held;
}

static void reject_counters(struct rules *r) {
    uint64_t *answers = count_answers(r);
    r->failed |= !answers;
    for (uint32_t i = 0; answers && i < r->count; i++)
        if (is_counting(&r->items[i], answers))
            r->items[i].verdict = VERDICT_COUNTING;
    free(answers);
}

void rules_judge(struct rules *r) {
    for (uint32_t i = 0; i < r->count; i++) {
        struct rule *rule = &r->items[i];
        rule->verdict = (uint8_t)judge(r, rule);
        bool failed = rule->verdict == VERDICT_FAILED || rule->verdict == VERDICT_STRONG;
        rule->split = failed && may_split(r, rule);
    }
    reject_counters(r);
    rules_judge_together(r);
}
