/* What may be linked with what, and the evidence for rules: passes COLLECT, COUNT and SPLIT. */
#include "replay/infer.h"

/* A word of weak evidence within a text is to be a good part of it. */
#define PART_SHARE 8u
#define PART_SLACK 24u

/* ---- what may be linked with what ---- */

/* A word that says little may be meant where it stands in a text, when it is what the other side had as a whole, and
 * not lost in the text. */
static bool is_word_of_text(const struct inference *f, const struct place_said *p, const struct atom *a) {
    const struct key *source = &f->c->keys.items[p->key];
    return p->form == ATOM_WHOLE && p->kind == VALUE_STRING && a->strength >= STRENGTH_WORD && !source->tag &&
           !source->state && !source->leading && a->size <= ATOM_LENGTH_MAX &&
           a->size <= PART_SHARE * (a->end - a->begin) + PART_SLACK;
}

bool infer_may_link(const struct inference *f, const struct place_said *p, const struct atom *a) {
    if (a->form == ATOM_NAME) { /* members have names of their own: what is said again was a whole value */
        const struct key *source = &f->c->keys.items[p->key];
        return p->form == ATOM_WHOLE && !source->tag && !source->state && !source->leading;
    }
    if (a->form == ATOM_BEHIND || p->form == ATOM_BEHIND)
        return a->form == p->form;
    return a->form != ATOM_PART || a->strength == STRENGTH_PROOF || is_word_of_text(f, p, a);
}

bool infer_is_theirs(const struct inference *f, const struct text_said *t, const struct place_said *p,
                     const struct atom *a, bool of_sort) {
    if (a->strength == STRENGTH_PROOF && t->first == f->direction)
        return false;
    const struct place_said *own = spoken_place(&f->spoken, t, f->direction, a->key);
    return !own || own->first > p->first || (of_sort && own->outline != f->outline);
}

struct rule_id infer_link_id(const struct inference *f, const struct place_said *p, const struct atom *a,
                             uint64_t outline) {
    struct rule_id id = {.from = !f->direction, .source = p->key, .target = a->key, .outline = outline};
    if (a->form == ATOM_PART && a->strength < STRENGTH_PROOF) {
        const char *text = (const char *)f->atoms.text.data + a->text;
        id.before = text;
        id.before_len = a->begin;
        id.behind = text + a->end;
        id.behind_len = a->size - a->end;
    }
    return id;
}

uint64_t infer_asked_for(const struct inference *f, const struct place_said *p, const struct atom *a) {
    const struct connection_plan *plan = &f->c->plans[f->connection];
    uint32_t said = p->last ? p->last - 1 : MESSAGE_HANDSHAKE;
    uint32_t source = plan_structure(plan, said)->values[p->value].path, target = f->structure->values[a->value].path;
    uint64_t asked = 0, both = f->marks->source[source] & f->marks->target[target];
    for (size_t i = 0; both && i < f->c->asked_count; i++)
        asked |= (uint64_t)(f->c->asked[i].from != f->direction) << i;
    return both & asked;
}

/* ---- COLLECT, COUNT and SPLIT: evidence ---- */

static uint32_t recency(const struct inference *f, const struct place_said *p) {
    return f->keys[p->key].ordinal[!f->direction] - p->ordinal;
}

static const char *text_of(const struct inference *f, const struct atom *a) {
    return a->form == ATOM_NAME ? (const char *)f->recorded->data + a->begin : atom_text(&f->atoms, a);
}

void infer_note(struct inference *f, const struct place_said *p, const struct atom *a, uint64_t outline) {
    struct rules *rules = &f->c->rules;
    struct rule_id id = infer_link_id(f, p, a, outline);
    uint32_t index = rules_add(rules, &id);
    if (index == RULE_NONE)
        return;
    struct rule *rule = &rules->items[index];
    if (!rule->held) {
        rule->connection = f->connection;
        rule->to_message = f->number;
    }
    f->has_names |= a->form == ATOM_NAME;
    rule_held(rules, rule, p, a, text_of(f, a), recency(f, p));
}

static bool is_split(const struct inference *f, const struct place_said *p, const struct atom *a) {
    struct rule_id id = infer_link_id(f, p, a, 0);
    uint32_t index = rules_find(&f->c->rules, &id);
    return index != RULE_NONE && f->c->rules.items[index].split;
}

void infer_collect(struct inference *f, const struct atom *a) {
    const struct text_said *t = a->strength == STRENGTH_NONE ? NULL : spoken_find(&f->spoken, a->hash);
    for (uint32_t i = t ? t->places[!f->direction] : SPOKEN_NONE; i != SPOKEN_NONE; i = f->spoken.places[i].next) {
        const struct place_said *p = &f->spoken.places[i];
        if (!infer_may_link(f, p, a) || !infer_is_theirs(f, t, p, a, f->pass == PASS_SPLIT))
            continue;
        if (f->pass == PASS_COLLECT)
            infer_note(f, p, a, 0);
        else if (is_split(f, p, a))
            infer_note(f, p, a, f->outline);
    }
}

static bool fits(const struct rule *rule, const char *text, size_t size) {
    if (!rule->before)
        return true;
    size_t before = strlen(rule->before), behind = strlen(rule->behind);
    return size > before + behind && !memcmp(text, rule->before, before) &&
           !memcmp(text + size - behind, rule->behind, behind);
}

/* The rule could hold here, when its source has said something by now. A number that stands at the target even before
 * that was made up there: when the source is heard of after all, those count as exceptions. */
static void count_rule(const struct inference *f, struct rule *rule, const struct atom *a) {
    bool said = f->keys[rule->source].said[!f->direction] == f->connection + 1;
    if (rule->early_connection != f->connection)
        rule->early = 0;
    rule->early_connection = f->connection;
    if (said) {
        rule->could += 1 + rule->early;
        rule->early = 0;
    } else {
        rule->early += a->strength <= STRENGTH_NUMBER;
    }
}

/* Of a rule that failed: that for messages like this one. */
static struct rule *part_of(struct inference *f, const struct rule *rule) {
    struct rules *rules = &f->c->rules;
    struct rule_id id = {.from = rule->from, .source = rule->source, .target = rule->target, .outline = f->outline};
    uint32_t part = rule->split ? rules_add(rules, &id) : RULE_NONE;
    return part == RULE_NONE ? NULL : &rules->items[part];
}

/* A number behind something else: "433" answers "451-3", and is no exception to that "430" answers "420". */
static bool is_from_sibling(const struct inference *f, const struct rule *rule, const struct atom *a) {
    bool behind = rule->is_behind && a->form == ATOM_BEHIND;
    const struct text_said *t = behind ? spoken_find(&f->spoken, a->hash) : NULL;
    bool found = false;
    for (uint32_t i = t ? t->places[rule->from] : SPOKEN_NONE; i != SPOKEN_NONE; i = f->spoken.places[i].next) {
        const struct place_said *p = &f->spoken.places[i];
        if (p->key == rule->source)
            return false;
        found |= p->form == ATOM_BEHIND && keys_are_siblings(&f->c->keys, p->key, rule->source);
    }
    return found;
}

static void count_target(struct inference *f, uint32_t key, const struct atom *a) {
    struct rules *rules = &f->c->rules;
    const char *text = a->form == ATOM_NAME ? text_of(f, a) : (const char *)f->atoms.text.data + a->text;
    uint32_t first = key < rules->keys ? rules->of_target[key] : RULE_NONE;
    for (uint32_t i = first, next; rules->items && i != RULE_NONE; i = next) {
        struct rule *rule = &rules->items[i];
        next = rule->next;
        if (rule->from == f->direction || !fits(rule, text, a->size) || is_from_sibling(f, rule, a))
            continue;
        if (f->pass == PASS_SPLIT)
            rule = part_of(f, rule);
        if (rule)
            count_rule(f, rule, a);
    }
}

void infer_count(struct inference *f, const struct atom *a) {
    if (a->strength == STRENGTH_NONE || a->form == ATOM_PART)
        return;
    count_target(f, a->key, a);
    uint32_t part = f->c->keys.items[a->key].part;
    if (a->form == ATOM_WHOLE && part != KEY_NONE)
        count_target(f, part, a);
}
