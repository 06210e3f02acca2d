/* Comparing a recording with itself.
 *
 * All passes walk over the messages of each connection in their order, and look up what one side says among what the
 * other has said before. COLLECT finds rules, COUNT how often they could have held, SPLIT looks at those that failed
 * again, by sorts of messages. Then the rules are judged, CARRY finds the texts that they carry over, and FILL writes
 * down where these are born and where they go. */
#include <stdlib.h>

#include "replay/infer.h"

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
    struct said_again link;
    for (uint32_t i = 0; i < a->name_count; i++) {
        const struct atom *name = &a->names[i];
        if (f->pass == PASS_COLLECT || f->pass == PASS_SPLIT)
            infer_collect(f, name);
        if (f->pass == PASS_COUNT || f->pass == PASS_SPLIT)
            infer_count(f, name);
        if (f->pass >= PASS_CARRY && infer_find_link(f, name, &link)) {
            if (f->pass == PASS_CARRY)
                infer_carry(f, name, &link);
            else
                infer_fill_slot(f, name, &link);
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
            i = infer_link_value(f, i);
    }
    for (uint32_t i = 0; i < a->count && f->pass < PASS_CARRY; i++) {
        if (f->pass != PASS_COUNT)
            infer_collect(f, &a->items[i]);
        if (f->pass != PASS_COLLECT)
            infer_count(f, &a->items[i]);
    }
    walk_names(f);
    for (uint32_t i = 0; i < a->count; i++)
        if (infer_may_be_said(&a->items[i]))
            infer_say(f, &a->items[i]);
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

/* Words within texts are many. Those that say little are looked up, but neither counted nor said (infer_collect(),
 * infer_count(), infer_may_be_said()), and once the rules are known they matter only where one carries them over. */
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
