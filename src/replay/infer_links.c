/* The texts that rules carry over, where they are born and where they go: passes CARRY and FILL. */
#include "replay/infer.h"

/* ---- CARRY and FILL: links ---- */

/* The rule by which a place's text comes again here, if there is one. */
static struct rule *rule_for(struct inference *f, const struct text_said *t, const struct place_said *p,
                             const struct atom *a) {
    struct rules *rules = &f->c->rules;
    struct rule_id id = infer_link_id(f, p, a, 0);
    if (f->c->asked_count && infer_asked_for(f, p, a)) {
        uint32_t index = rules_add(rules, &id);
        if (index != RULE_NONE) {
            struct rule *rule = &rules->items[index];
            if (!rule->held)
                infer_note(f, p, a, 0);
            rule->verdict = VERDICT_ASKED;
            return rule;
        }
    }
    uint32_t index = rules_find(rules, &id);
    struct rule *rule = index == RULE_NONE ? NULL : &rules->items[index];
    if (!rule || rule->verdict == VERDICT_ASKED)
        return NULL;
    if (rule_is_general(rule) || (rule->verdict == VERDICT_STRONG && a->strength == STRENGTH_PROOF))
        return infer_is_theirs(f, t, p, a, false) ? rule : NULL;
    if (!rule->split || !infer_is_theirs(f, t, p, a, true))
        return NULL;
    id.outline = f->outline;
    index = rules_find(rules, &id);
    return index != RULE_NONE && rule_is_general(&rules->items[index]) ? &rules->items[index] : NULL;
}

/* How good a link is; of equal ones the latest place is taken. */
static unsigned rank_of(const struct inference *f, const struct rule *rule, const struct atom *a) {
    const struct keys *k = &f->c->keys;
    return 16u * (rule->verdict == VERDICT_ASKED) + 8u * (rule->source == rule->target) +
           4u * keys_alike(k, rule->source, rule->target) + 2u * (a->form == ATOM_NAMED) + rule_is_general(rule);
}

bool infer_find_link(struct inference *f, const struct atom *a, struct said_again *best) {
    best->rule = NULL;
    if (!f->keys[a->key].reached[!f->direction] && !f->c->asked_count)
        return false;
    const struct text_said *t = spoken_find(&f->spoken, a->hash);
    for (uint32_t i = t ? t->places[!f->direction] : SPOKEN_NONE; i != SPOKEN_NONE; i = f->spoken.places[i].next) {
        const struct place_said *p = &f->spoken.places[i];
        struct rule *rule = infer_may_link(f, p, a) || f->c->asked_count ? rule_for(f, t, p, a) : NULL;
        unsigned rank = rule ? rank_of(f, rule, a) : 0;
        if (rule && (!best->rule || rank > best->rank || (rank == best->rank && p->last > best->place->last)))
            *best = (struct said_again){rule, p, rank};
    }
    return best->rule;
}

/* A text that is carried over on this connection: by itself, when it is no coincidence, else what stands at a key. */
static uint64_t carried_number(const struct inference *f, uint64_t hash, bool proof, uint32_t key, uint8_t from) {
    uint64_t place = proof ? UINT64_MAX : (uint64_t)key << 1 | from;
    uint64_t h = path_mix(path_mix(hash, place), (uint64_t)f->connection << 1 | from);
    return h + !h;
}

void infer_carry(struct inference *f, const struct atom *a, const struct said_again *link) {
    bool proof = a->strength == STRENGTH_PROOF;
    f->failed |= numbers_add(&f->carried, carried_number(f, a->hash, proof, link->place->key, !f->direction)) < 0;
    link->rule->used++;
    if (rule_is_general(link->rule))
        f->keys[link->place->key].carried[!f->direction] = true;
}

void infer_fill_slot(struct inference *f, const struct atom *a, const struct said_again *link) {
    struct connection_plan *plan = &f->c->plans[f->connection];
    if (a->form == ATOM_NAME) {
        /* As text within quotes: it is escaped once. */
        struct slot name = {a->begin, a->end, link->place->variable, SLOT_VARIABLE, VALUE_WORD, 1, CODE_NONE};
        f->failed |= link->place->variable != SPOKEN_NONE && !plan_slot(plan, name);
        return;
    }
    const struct message_value *v = &f->structure->values[a->value];
    const char *text = (const char *)f->atoms.text.data + a->text;
    if (link->place->variable == SPOKEN_NONE)
        return;
    struct slot slot = {v->begin, v->end, link->place->variable, SLOT_VARIABLE, v->kind, v->nested, v->code};
    if (a->end - a->begin != a->size) {
        if (!part_in_message(f->recorded->data, v, text, a->size, a->begin, a->end, &slot.begin, &slot.end))
            return;
        slot.value_kind = VALUE_WORD; /* as text; within a string it is escaped once more */
        slot.nested = (uint8_t)(v->nested + (v->kind == VALUE_STRING));
        slot.code = v->code ? CODE_PART : CODE_NONE;
    }
    f->failed |= !plan_slot(plan, slot);
    if (f->direction == EVENT_INCOMING)
        f->failed |= !plan_free(plan, v->path);
}

uint32_t infer_link_value(struct inference *f, uint32_t from) {
    const struct atom *items = f->atoms.items;
    uint32_t to = from, taken = 0, best_at = from;
    struct said_again best = {0}, link;
    while (to < f->atoms.count && items[to].value == items[from].value)
        to++;
    for (uint32_t i = from; i < to && items[i].form < ATOM_PART; i++)
        if (infer_find_link(f, &items[i], &link) && (!best.rule || link.rank > best.rank)) {
            best = link;
            best_at = i;
        }
    for (uint32_t i = best.rule ? best_at : from; i < to; i++) {
        if (!best.rule &&
            (items[i].form < ATOM_PART || items[i].begin < taken || !infer_find_link(f, &items[i], &link)))
            continue;
        const struct said_again *chosen = best.rule ? &best : &link;
        if (f->pass == PASS_CARRY)
            infer_carry(f, &items[i], chosen);
        else
            infer_fill_slot(f, &items[i], chosen);
        taken = items[i].end;
        if (best.rule)
            break;
    }
    return to;
}

/* ---- what is said ---- */

bool infer_may_be_said(const struct atom *a) {
    return a->form != ATOM_PART || a->strength == STRENGTH_PROOF;
}

/* Live messages may differ there; a handshake is not compared. */
static void free_path(struct inference *f, uint32_t path) {
    if (f->message != MESSAGE_HANDSHAKE)
        f->failed |= !plan_free(&f->c->plans[f->connection], path);
}

/* A variable is born with each saying of a text that is carried over: what is rendered later takes the nearest. */
static void bear(struct inference *f, const struct atom *a, struct place_said *p, struct text_said *t) {
    struct connection_plan *plan = &f->c->plans[f->connection];
    uint8_t d = f->direction;
    bool proof = a->strength == STRENGTH_PROOF && numbers_has(&f->carried, carried_number(f, a->hash, true, 0, d));
    uint32_t path = f->structure->values[a->value].path;
    if (!proof && !numbers_has(&f->carried, carried_number(f, a->hash, false, a->key, d))) {
        if (f->keys[a->key].carried[d])
            free_path(f, path);
        return;
    }
    free_path(f, path);
    if (p->birth == f->number)
        return;
    p->birth = f->number;
    p->variable = plan_variable(plan, proof ? t->variable[d] : p->variable);
    f->failed |= p->variable == SPOKEN_NONE;
    if (proof)
        t->variable[d] = p->variable;
    struct birth birth = {f->message, a->value, a->begin, a->end, p->variable, a->end - a->begin == a->size};
    f->failed |= !plan_birth(plan, birth);
}

void infer_say(struct inference *f, const struct atom *a) {
    struct key_state *key = &f->keys[a->key];
    key->said[f->direction] = f->connection + 1;
    if (f->pass == PASS_COUNT && a->form != ATOM_BEHIND)
        return;
    struct text_said *t;
    struct place_said *p = spoken_say(&f->spoken, a, f->direction, f->number, ++key->ordinal[f->direction], &t);
    if (p && p->first == f->number)
        p->outline = f->outline;
    if (p && f->pass == PASS_FILL)
        bear(f, a, p, t);
}
