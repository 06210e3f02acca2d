/* Rules that prove each other: too few values for each alone. */
#include <stdlib.h>

#include "base/hash.h"
#include "replay/paths.h"
#include "replay/rules.h"

#define TOGETHER_DISTINCT 3u /* values of all sorts of messages */
#define TOGETHER_MAX 64u     /* rules whose sorts are looked at */
#define ASKED_MIN 2u         /* times that a word of the query comes again */
#define SIBLINGS_MIN 2u      /* members of an object that come again without doubt: so do the others */

/* ---- sorts of messages ---- */

/* What a rule's parts have shown, each for messages of one sort. */
struct joint {
    uint64_t held, values[RULE_DISTINCT_MAX];
    uint32_t distinct, sorts, sorts_held;
    bool muddled; /* one holds now and then */
};

static void add_part(struct joint *joint, const struct rule *part) {
    joint->sorts++;
    if (!part->held)
        return; /* never: there stands something else */
    joint->sorts_held++;
    joint->muddled |= !rule_is_consistent(part) || part->recent != part->held;
    joint->held += part->held;
    for (uint32_t i = 0; i < part->distinct; i++) {
        uint32_t k = 0;
        while (k < joint->distinct && joint->values[k] != part->values[i])
            k++;
        if (k == joint->distinct && k < RULE_DISTINCT_MAX)
            joint->values[joint->distinct++] = part->values[i];
    }
}

/* A request of each sort, and its answer: one value proves nothing, but several do when there is no exception in any
 * sort where it held at all, and these are no handful of many. */
static void judge_together(struct rules *r, const struct rule *whole) {
    struct joint joint = {0};
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < r->count; i++) {
            struct rule *part = &r->items[i];
            if (!part->outline || part->source != whole->source || part->target != whole->target ||
                part->from != whole->from)
                continue;
            if (pass == 0)
                add_part(&joint, part);
            else if (part->held && part->verdict == VERDICT_FEW)
                part->verdict = VERDICT_TOGETHER;
        }
        if (joint.muddled || joint.distinct < TOGETHER_DISTINCT || joint.sorts_held * 2 < joint.sorts)
            return;
    }
}

static void judge_sorts(struct rules *r) {
    for (uint32_t i = 0, judged = 0; i < r->count && judged < TOGETHER_MAX; i++) {
        if (r->items[i].split && keys_alike(r->key_table, r->items[i].source, r->items[i].target)) {
            judge_together(r, &r->items[i]);
            judged++;
        }
    }
}

/* ---- objects ---- */

/* Of the objects that a rule's ends are members of. */
static uint64_t family_of(const struct rules *r, const struct rule *rule) {
    const char *ends[] = {r->key_table->items[rule->source].text, r->key_table->items[rule->target].text};
    uint64_t h = 1 + rule->from;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        const char *slash = strrchr(ends[i], '/');
        h = path_mix(h, hash_bytes(ends[i], slash ? (size_t)(slash - ends[i]) : 0));
    }
    return h;
}

static bool is_member(const struct rules *r, const struct rule *rule) {
    const struct key *source = &r->key_table->items[rule->source], *target = &r->key_table->items[rule->target];
    return !rule->outline && !rule->before && !rule->is_behind && *source->text == '/' && *source->name &&
           !strcmp(source->name, target->name);
}

static int by_number(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* How often a number stands in a sorted list. */
static size_t times_in(const uint64_t *sorted, size_t count, uint64_t number) {
    size_t low = 0, high = count, n = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + n < count && sorted[low + n] == number && n < SIBLINGS_MIN)
        n++;
    return n;
}

/* An object that comes again as a whole: two of its members are no coincidence, and no other ever differs. */
static void judge_objects(struct rules *r) {
    uint64_t *families = malloc((r->count + 1) * sizeof *families);
    size_t count = 0;
    if (!families) {
        r->failed = true;
        return;
    }
    for (uint32_t i = 0; i < r->count; i++)
        if (r->items[i].verdict == VERDICT_PROVEN && is_member(r, &r->items[i]))
            families[count++] = family_of(r, &r->items[i]);
    if (count)
        qsort(families, count, sizeof *families, by_number);
    for (uint32_t i = 0; i < r->count && count >= SIBLINGS_MIN; i++) {
        struct rule *rule = &r->items[i];
        if (rule->verdict == VERDICT_FEW && rule->held && rule->held == rule->could && is_member(r, rule) &&
            times_in(families, count, family_of(r, rule)) >= SIBLINGS_MIN)
            rule->verdict = VERDICT_TOGETHER;
    }
    free(families);
}

/* ---- numbers behind something ---- */

/* Where the numbers behind one thing come again, a single one behind another does so, too. */
static void judge_behind(struct rules *r) {
    for (uint32_t i = 0, judged = 0; i < r->count && judged < TOGETHER_MAX; i++) {
        struct rule *rule = &r->items[i];
        if (!rule->is_behind || rule->verdict != VERDICT_FEW || rule->held != rule->could)
            continue;
        judged++;
        for (uint32_t k = 0; k < r->count && rule->verdict == VERDICT_FEW; k++) {
            const struct rule *other = &r->items[k];
            if (other->verdict == VERDICT_HELD && other->is_behind && other->target == rule->target &&
                other->from == rule->from && keys_are_siblings(r->key_table, other->source, rule->source))
                rule->verdict = VERDICT_TOGETHER;
        }
    }
}

/* ---- what the request asked for ---- */

/* A word of the query that comes again, twice or more and wherever it comes without exception, is meant by it. */
static bool is_asked_word(const struct rules *r, const struct rule *rule) {
    const struct key *source = &r->key_table->items[rule->source], *target = &r->key_table->items[rule->target];
    return source->asked && !source->tag && !source->state && !target->tag && !target->state && !rule->outline &&
           rule->held && rule->held == rule->could && (rule->words == rule->held || rule->before);
}

static void judge_asked(struct rules *r) {
    uint64_t *held = calloc(r->key_table->count + 1, sizeof *held);
    if (!held) {
        r->failed = true;
        return;
    }
    for (uint32_t i = 0; i < r->count; i++)
        if (is_asked_word(r, &r->items[i]))
            held[r->items[i].source] += r->items[i].held;
    for (uint32_t i = 0; i < r->count; i++) {
        struct rule *rule = &r->items[i];
        if (rule->verdict == VERDICT_FEW && is_asked_word(r, rule) && held[rule->source] >= ASKED_MIN)
            rule->verdict = VERDICT_TOGETHER;
    }
    free(held);
}

void rules_judge_together(struct rules *r) {
    judge_behind(r);
    judge_sorts(r);
    judge_objects(r);
    judge_asked(r);
}
