/* Comparing a recording with itself.
 *
 * All passes walk over the messages of each connection in their order, and look up what one side says among what the
 * other has said before. COLLECT finds rules, COUNT how often they could have held, SPLIT looks at those that failed
 * again, by sorts of messages. Then the rules are judged, CARRY finds the texts that they carry over, and FILL writes
 * down where these are born and where they go. */
#include <stdlib.h>

#include "replay/bytes.h"
#include "replay/correlation.h"
#include "replay/paths.h"

enum pass { PASS_COLLECT, PASS_COUNT, PASS_SPLIT, PASS_CARRY, PASS_FILL, PASSES };

/* A word of weak evidence within a text is to be a good part of it. */
#define PART_SHARE 8u
#define PART_SLACK 24u

/* By key and direction, of the connection being walked over. */
struct key_state {
    uint32_t said[2]; /* connection + 1: it was said there by now */
    uint32_t ordinal[2];
    bool reached[2]; /* by some rule of that side's values */
    bool carried[2]; /* in the whole recording: what is said here is a variable by some rule */
};

struct inference {
    struct correlation *c;
    const struct correlate_options *options;
    const struct path_marks *marks;
    struct atoms atoms;
    struct spoken spoken;
    struct key_state *keys;
    uint32_t key_cap;
    struct numbers carried; /* texts of connections that rules carry over */
    uint64_t *outlines;     /* by path: hash of its first segment; 0: not asked for yet */
    struct refresh *refresh;
    uint64_t done, total; /* messages, for progress */
    enum pass pass;
    bool has_split, has_names, failed;
    /* where the walk is */
    uint32_t connection, message;
    uint32_t number; /* of the message, as spoken has it: the handshake is 0, the first message 1 */
    uint8_t direction;
    uint64_t outline;
    const struct structure *structure;
    const struct replay_message *recorded;
};

/* ---- what may be linked with what ---- */

/* A word that says little may be meant where it stands in a text, when it is what the other side had as a whole, and
 * not lost in the text. */
static bool is_word_of_text(const struct inference *f, const struct place_said *p, const struct atom *a) {
    const struct key *source = &f->c->keys.items[p->key];
    return p->form == ATOM_WHOLE && p->kind == VALUE_STRING && a->strength >= STRENGTH_WORD && !source->tag &&
           !source->state && !source->leading && a->size <= ATOM_LENGTH_MAX &&
           a->size <= PART_SHARE * (a->end - a->begin) + PART_SLACK;
}

static bool may_link(const struct inference *f, const struct place_said *p, const struct atom *a) {
    if (a->form == ATOM_NAME) { /* members have names of their own: what is said again was a whole value */
        const struct key *source = &f->c->keys.items[p->key];
        return p->form == ATOM_WHOLE && !source->tag && !source->state && !source->leading;
    }
    if (a->form == ATOM_BEHIND || p->form == ATOM_BEHIND)
        return a->form == p->form;
    return a->form != ATOM_PART || a->strength == STRENGTH_PROOF || is_word_of_text(f, p, a);
}

/* Did the other side say it first? Of what is no coincidence wherever it was, of the rest at these two places; of one
 * sort of messages alone, if asked so: who makes requests of his own has ids of his own there. */
static bool is_theirs(const struct inference *f, const struct text_said *t, const struct place_said *p,
                      const struct atom *a, bool of_sort) {
    if (a->strength == STRENGTH_PROOF && t->first == f->direction)
        return false;
    const struct place_said *own = spoken_place(&f->spoken, t, f->direction, a->key);
    return !own || own->first > p->first || (of_sort && own->outline != f->outline);
}

static struct rule_id link_id(const struct inference *f, const struct place_said *p, const struct atom *a,
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

static uint64_t asked_for(const struct inference *f, const struct place_said *p, const struct atom *a) {
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

static void note(struct inference *f, const struct place_said *p, const struct atom *a, uint64_t outline) {
    struct rules *rules = &f->c->rules;
    struct rule_id id = link_id(f, p, a, outline);
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
    struct rule_id id = link_id(f, p, a, 0);
    uint32_t index = rules_find(&f->c->rules, &id);
    return index != RULE_NONE && f->c->rules.items[index].split;
}

static void collect(struct inference *f, const struct atom *a) {
    const struct text_said *t = a->strength == STRENGTH_NONE ? NULL : spoken_find(&f->spoken, a->hash);
    for (uint32_t i = t ? t->places[!f->direction] : SPOKEN_NONE; i != SPOKEN_NONE; i = f->spoken.places[i].next) {
        const struct place_said *p = &f->spoken.places[i];
        if (!may_link(f, p, a) || !is_theirs(f, t, p, a, f->pass == PASS_SPLIT))
            continue;
        if (f->pass == PASS_COLLECT)
            note(f, p, a, 0);
        else if (is_split(f, p, a))
            note(f, p, a, f->outline);
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

static void count(struct inference *f, const struct atom *a) {
    if (a->strength == STRENGTH_NONE || a->form == ATOM_PART)
        return;
    count_target(f, a->key, a);
    uint32_t part = f->c->keys.items[a->key].part;
    if (a->form == ATOM_WHOLE && part != KEY_NONE)
        count_target(f, part, a);
}

/* ---- CARRY and FILL: links ---- */

struct link {
    struct rule *rule;
    const struct place_said *place;
    unsigned rank;
};

/* The rule by which a place's text comes again here, if there is one. */
static struct rule *rule_for(struct inference *f, const struct text_said *t, const struct place_said *p,
                             const struct atom *a) {
    struct rules *rules = &f->c->rules;
    struct rule_id id = link_id(f, p, a, 0);
    if (f->c->asked_count && asked_for(f, p, a)) {
        uint32_t index = rules_add(rules, &id);
        if (index != RULE_NONE) {
            struct rule *rule = &rules->items[index];
            if (!rule->held)
                note(f, p, a, 0);
            rule->verdict = VERDICT_ASKED;
            return rule;
        }
    }
    uint32_t index = rules_find(rules, &id);
    struct rule *rule = index == RULE_NONE ? NULL : &rules->items[index];
    if (!rule || rule->verdict == VERDICT_ASKED)
        return NULL;
    if (rule_is_general(rule) || (rule->verdict == VERDICT_STRONG && a->strength == STRENGTH_PROOF))
        return is_theirs(f, t, p, a, false) ? rule : NULL;
    if (!rule->split || !is_theirs(f, t, p, a, true))
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

static bool find_link(struct inference *f, const struct atom *a, struct link *best) {
    best->rule = NULL;
    if (!f->keys[a->key].reached[!f->direction] && !f->c->asked_count)
        return false;
    const struct text_said *t = spoken_find(&f->spoken, a->hash);
    for (uint32_t i = t ? t->places[!f->direction] : SPOKEN_NONE; i != SPOKEN_NONE; i = f->spoken.places[i].next) {
        const struct place_said *p = &f->spoken.places[i];
        struct rule *rule = may_link(f, p, a) || f->c->asked_count ? rule_for(f, t, p, a) : NULL;
        unsigned rank = rule ? rank_of(f, rule, a) : 0;
        if (rule && (!best->rule || rank > best->rank || (rank == best->rank && p->last > best->place->last)))
            *best = (struct link){rule, p, rank};
    }
    return best->rule;
}

/* A text that is carried over on this connection: by itself, when it is no coincidence, else what stands at a key. */
static uint64_t carried_number(const struct inference *f, uint64_t hash, bool proof, uint32_t key, uint8_t from) {
    uint64_t place = proof ? UINT64_MAX : (uint64_t)key << 1 | from;
    uint64_t h = path_mix(path_mix(hash, place), (uint64_t)f->connection << 1 | from);
    return h + !h;
}

static void carry(struct inference *f, const struct atom *a, const struct link *link) {
    bool proof = a->strength == STRENGTH_PROOF;
    f->failed |= numbers_add(&f->carried, carried_number(f, a->hash, proof, link->place->key, !f->direction)) < 0;
    link->rule->used++;
    if (rule_is_general(link->rule))
        f->keys[link->place->key].carried[!f->direction] = true;
}

static void fill_slot(struct inference *f, const struct atom *a, const struct link *link) {
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

/* The atoms of one value: the whole of it is taken where a rule holds, else parts that do not overlap. */
static uint32_t link_value(struct inference *f, uint32_t from) {
    const struct atom *items = f->atoms.items;
    uint32_t to = from, taken = 0, best_at = from;
    struct link best = {0}, link;
    while (to < f->atoms.count && items[to].value == items[from].value)
        to++;
    for (uint32_t i = from; i < to && items[i].form < ATOM_PART; i++)
        if (find_link(f, &items[i], &link) && (!best.rule || link.rank > best.rank)) {
            best = link;
            best_at = i;
        }
    for (uint32_t i = best.rule ? best_at : from; i < to; i++) {
        if (!best.rule && (items[i].form < ATOM_PART || items[i].begin < taken || !find_link(f, &items[i], &link)))
            continue;
        const struct link *chosen = best.rule ? &best : &link;
        if (f->pass == PASS_CARRY)
            carry(f, &items[i], chosen);
        else
            fill_slot(f, &items[i], chosen);
        taken = items[i].end;
        if (best.rule)
            break;
    }
    return to;
}

/* ---- what is said ---- */

static bool may_be_said(const struct atom *a) {
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

static void say(struct inference *f, const struct atom *a) {
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

/* ---- the walk ---- */

static bool more_keys(struct inference *f) {
    uint32_t count = f->c->keys.count;
    if (count <= f->key_cap)
        return true;
    uint32_t cap = MAX(count, f->key_cap * 2);
    struct key_state *keys = realloc(f->keys, cap * sizeof *keys);
    if (!keys)
        return false;
    memset(keys + f->key_cap, 0, (cap - f->key_cap) * sizeof *keys);
    f->keys = keys;
    f->key_cap = cap;
    return true;
}

static uint64_t first_segment(struct inference *f, uint32_t path) {
    uint64_t known = f->outlines[path];
    if (known)
        return known;
    const char *text = path_text(f->c->paths, path);
    uint64_t h = 0x6f75746c696e65;
    for (size_t i = *text == '/'; text[i] && text[i] != '/'; i++)
        h = path_mix(h, (uint8_t)text[i]);
    f->outlines[path] = h + !h; /* 0: not known yet */
    return f->outlines[path];
}

/* What sort of message it is: the outermost names, and the words that tell sorts apart. */
static uint64_t outline_of(struct inference *f) {
    uint64_t outline = 1 + f->structure->form, last = 0;
    for (uint32_t i = 0; i < f->structure->count; i++) {
        uint32_t path = f->structure->values[i].path;
        uint64_t segment = path == PATH_UNKNOWN ? 0 : first_segment(f, path);
        outline += segment == last ? 0 : segment;
        last = segment;
    }
    for (uint32_t i = 0; i < f->atoms.count; i++) {
        const struct atom *a = &f->atoms.items[i];
        const struct key *key = &f->c->keys.items[a->key];
        bool outermost = !strchr(key->text + 1, '/') || (key->positional && !strcmp(key->text, "@word/0"));
        if (a->form == ATOM_WHOLE && (key->tag || key->leading) && outermost)
            outline += path_mix(a->hash, a->key + 1);
    }
    return outline + !outline;
}

/* Is it a variable's birth? Few paths of a message are free. */
static bool is_free(const struct connection_plan *plan, uint32_t message, uint32_t path) {
    uint32_t from = plan->free_of[message], to = MIN(plan->free_count, from + 64);
    for (uint32_t i = from; i < to; i++)
        if (plan->free_paths[i] == path)
            return true;
    return false;
}

/* Times and counters, where no variable goes. */
static void fill_refreshed(struct inference *f) {
    struct connection_plan *plan = &f->c->plans[f->connection];
    uint32_t slots = plan->slot_count, at = plan->slots_of[f->message];
    for (uint32_t i = 0; i < f->structure->count; i++) {
        const struct message_value *v = &f->structure->values[i];
        struct slot slot = {
            .begin = v->begin, .end = v->end, .value_kind = v->kind, .nested = v->nested, .code = v->code};
        while (at < slots && plan->slots[at].end <= v->begin)
            at++;
        bool taken = at < slots && plan->slots[at].begin < v->end;
        if (!refresh_slot(f->refresh, f->connection, f->message, v, &slot))
            continue;
        if (taken ||
            (slot.kind == SLOT_COUNTER && f->direction == EVENT_INCOMING && is_free(plan, f->message, v->path))) {
            /* The live value of a variable goes there; of a time it is another one than was recorded, too. */
            f->failed |= slot.kind == SLOT_TIME && !plan_free(plan, v->path);
            continue;
        }
        f->failed |= !plan_slot(plan, slot) || !plan_free(plan, v->path);
        if (slot.kind == SLOT_TIME)
            f->c->times++;
        else
            f->c->counters[slot.variable].slots++;
    }
}

/* Of names there are many, and hardly any is an id: after COLLECT they are looked at only if some rule has one. */
static void walk_names(struct inference *f) {
    const struct atoms *a = &f->atoms;
    struct link link;
    for (uint32_t i = 0; i < a->name_count; i++) {
        const struct atom *name = &a->names[i];
        if (f->pass == PASS_COLLECT || f->pass == PASS_SPLIT)
            collect(f, name);
        if (f->pass == PASS_COUNT || f->pass == PASS_SPLIT)
            count(f, name);
        if (f->pass >= PASS_CARRY && find_link(f, name, &link)) {
            if (f->pass == PASS_CARRY)
                carry(f, name, &link);
            else
                fill_slot(f, name, &link);
        }
    }
}

static void walk_message(struct inference *f) {
    struct atoms *a = &f->atoms;
    atoms_read(a, f->structure, f->recorded->data);
    if (a->failed || !more_keys(f)) {
        f->failed = true;
        return;
    }
    for (uint32_t i = 0; i < a->count && f->pass != PASS_COUNT; i++)
        spoken_expect(&f->spoken, a->items[i].hash);
    f->outline = f->has_split ? outline_of(f) : 0;
    if (f->pass >= PASS_CARRY) {
        for (uint32_t i = 0; i < a->count;)
            i = link_value(f, i);
    }
    for (uint32_t i = 0; i < a->count && f->pass < PASS_CARRY; i++) {
        if (f->pass != PASS_COUNT)
            collect(f, &a->items[i]);
        if (f->pass != PASS_COLLECT)
            count(f, &a->items[i]);
    }
    walk_names(f);
    for (uint32_t i = 0; i < a->count; i++)
        if (may_be_said(&a->items[i]))
            say(f, &a->items[i]);
    f->failed |= f->spoken.failed || f->c->rules.failed || f->c->keys.failed;
}

static void report(struct inference *f) {
    if (f->options->progress && !(f->done & 255))
        f->options->progress(f->done, f->total, f->options->arg);
    f->done++;
}

/* What the client said before its first message: nothing comes again in it, but of it. */
static void walk_handshake(struct inference *f) {
    struct connection_plan *plan = &f->c->plans[f->connection];
    f->message = MESSAGE_HANDSHAKE;
    f->number = 0;
    f->recorded = &plan->handshake;
    f->direction = EVENT_INCOMING;
    f->structure = &plan->handshake_structure;
    walk_message(f);
    plan->handshake_variables = plan->variable_count;
}

static void walk_connection(struct inference *f, uint32_t connection) {
    const struct replay_connection *r = &f->c->source->connections[connection];
    struct connection_plan *plan = &f->c->plans[connection];
    f->connection = connection;
    spoken_clear(&f->spoken);
    walk_handshake(f);
    for (size_t m = 0; m < r->message_count && !f->failed; m++) {
        if (f->pass < PASS_CARRY && m >= CORRELATE_MESSAGES_MAX) {
            f->c->cut = true;
            return;
        }
        f->message = (uint32_t)m;
        f->number = f->message + 1;
        f->recorded = &r->messages[m];
        f->direction = f->recorded->direction;
        f->structure = &plan->structures[m];
        walk_message(f);
        if (f->pass == PASS_FILL) {
            if (f->refresh)
                fill_refreshed(f);
            plan_end_message(plan, m);
        }
        report(f);
    }
}

/* Words within texts are many. Those that say little are looked up, but neither counted nor said (collect(), count(),
 * may_be_said()), and once the rules are known they matter only where one carries them over. */
static enum strength parts_from(const struct inference *f, enum pass pass) {
    if (pass == PASS_COLLECT || pass == PASS_SPLIT)
        return STRENGTH_WORD;
    if (pass == PASS_COUNT)
        return STRENGTH_PROOF;
    return f->c->asked_count ? STRENGTH_NONE : STRENGTH_WORD;
}

static void begin_pass(struct inference *f, enum pass pass) {
    f->pass = pass;
    f->atoms.parts_from = parts_from(f, pass);
    f->atoms.sought_alone = pass >= PASS_CARRY && !f->c->asked_count;
    f->atoms.without_hashes = pass == PASS_COUNT;
}

static void walk(struct inference *f, enum pass pass) {
    begin_pass(f, pass);
    for (uint32_t i = 0; i < f->key_cap; i++) /* connections count anew */
        f->keys[i].said[0] = f->keys[i].said[1] = 0;
    for (uint32_t i = 0; i < f->c->source->count && !f->failed; i++)
        walk_connection(f, i);
}

/* Most keys are in no rule: these need not be looked up again. */
static void mark_reached(struct inference *f) {
    struct keys *keys = &f->c->keys;
    for (uint32_t i = 0; f->keys && i < f->c->rules.count; i++) {
        const struct rule *r = &f->c->rules.items[i];
        if (r->verdict <= VERDICT_STRONG || r->split)
            f->keys[r->target].reached[r->from] = true;
    }
    for (uint32_t i = 0; f->keys && i < keys->count; i++)
        keys->items[i].sought = f->keys[i].reached[0] || f->keys[i].reached[1];
}

static void find_rules(struct inference *f) {
    struct rules *rules = &f->c->rules;
    f->atoms.with_names = true;
    walk(f, PASS_COLLECT);
    f->atoms.with_names = f->has_names || f->c->asked_count;
    if (f->failed || !rules->count)
        return;
    rules_chain(rules);
    f->failed |= rules->failed;
    if (f->failed)
        return;
    walk(f, PASS_COUNT);
    rules_judge(rules);
    for (uint32_t i = 0; i < rules->count; i++)
        f->has_split |= rules->items[i].split;
    if (f->has_split && !f->failed) {
        walk(f, PASS_SPLIT);
        rules_judge(rules);
    }
    mark_reached(f);
}

static void fill(struct inference *f) {
    if (f->c->rules.count || f->c->asked_count)
        walk(f, PASS_CARRY);
    if (!f->carried.count && !f->refresh)
        return;
    begin_pass(f, PASS_FILL);
    for (uint32_t i = 0; i < f->c->source->count && !f->failed; i++) {
        struct connection_plan *plan = &f->c->plans[i];
        if (!plan_begin(plan, f->c->source->connections[i].message_count) ||
            (f->refresh && refresh_connection(f->refresh, i) < 0)) {
            f->failed = true;
            return;
        }
        walk_connection(f, i);
        plan_end(plan);
    }
}

int infer(struct correlation *c, const struct correlate_options *o, const struct path_marks *marks) {
    struct inference f = {.c = c, .options = o, .marks = marks};
    keys_init(&c->keys, c->paths);
    c->rules.key_table = &c->keys;
    c->rules.bytes = path_table_bytes(c->paths);
    f.atoms = (struct atoms){.keys = &c->keys, .paths = c->paths, .excluded = marks->excluded};
    f.outlines = calloc(path_count(c->paths) + 1, sizeof *f.outlines);
    for (size_t i = 0; i < c->source->count; i++)
        f.total += PASSES * (uint64_t)c->source->connections[i].message_count;
    f.failed = c->keys.failed || !f.outlines || (o->refresh_time && refresh_new(c, marks, &f.refresh) < 0);
    if (!f.failed && !o->off)
        find_rules(&f);
    if (!f.failed)
        fill(&f);
    if (!f.failed && o->progress)
        o->progress(f.total, f.total, o->arg);
    atoms_fini(&f.atoms);
    spoken_fini(&f.spoken);
    numbers_fini(&f.carried);
    refresh_free(f.refresh);
    free(f.keys);
    free(f.outlines);
    return f.failed ? MF_ENOMEM : MF_OK;
}
