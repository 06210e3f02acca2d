/* What `ws replay --explain` prints: the rules with their proof, and what looked like one. */
#include <stdlib.h>

#include "replay/correlation.h"

#define COUNTERS_MAX 20u /* printed for people */
#define RULES_LISTED_MAX 100u
#define REJECTED_MAX 20u /* printed; those that held most often */

/* Words for machines, and sentences for people. */
static const struct {
    const char *word, *text;
} verdicts[] = {
    [VERDICT_ASKED] = {"asked", "asked for with --correlate"},
    [VERDICT_PROVEN] = {"proven", "no coincidence"},
    [VERDICT_NAMED] = {"named", "the same name or place at both ends"},
    [VERDICT_IDS] = {"ids", "both are named as ids are"},
    [VERDICT_HELD] = {"held", "other names, but it always holds"},
    [VERDICT_TEXT] = {"text", "the word stands within a text"},
    [VERDICT_BYTES] = {"bytes", "the same bytes again, and no coincidence"},
    [VERDICT_TOGETHER] = {"together", "with others like it"},
    [VERDICT_STRONG] = {"strong", "not for every value: only for those that are no coincidence"},
    [VERDICT_FAILED] = {"failed", "it does not hold"},
    [VERDICT_FEW] = {"few", "too few different values to rule out chance"},
    [VERDICT_CONSTANT] = {"constant", "the same value each time, as constants have it"},
    [VERDICT_TAG] = {"tag", "values there say what sort of message it is"},
    [VERDICT_COUNTING] = {"counting", "numbers there go up by themselves, and other answers have these values"},
};

/* ---- what is worth telling ---- */

static bool is_rule(const struct rule *r) {
    return r->used && r->verdict <= VERDICT_STRONG;
}

/* Things that meet often enough to ask oneself why they are no rule. */
static bool is_notable(const struct correlation *c, const struct rule *r) {
    if (r->used || r->verdict <= VERDICT_STRONG || r->outline || r->before || !r->held)
        return false;
    return r->distinct >= 2 || r->words || keys_alike(&c->keys, r->source, r->target);
}

/* Most used first, then most held; in the order of their finding. */
static int by_use(const void *a, const void *b) {
    const struct rule *p = *(const struct rule *const *)a, *q = *(const struct rule *const *)b;
    if (p->used != q->used)
        return p->used > q->used ? -1 : 1;
    if (p->held != q->held)
        return p->held > q->held ? -1 : 1;
    return p < q ? -1 : p > q;
}

struct listing {
    const struct rule **rules;
    size_t count;
};

static void list_rules(const struct correlation *c, struct listing *l) {
    for (uint32_t i = 0; i < c->rules.count; i++)
        if (is_rule(&c->rules.items[i]))
            l->rules[l->count++] = &c->rules.items[i];
    if (l->count)
        qsort(l->rules, l->count, sizeof *l->rules, by_use);
}

/* Of targets that no rule reaches. */
static void list_rejected(const struct correlation *c, struct listing *l) {
    uint8_t *reached = calloc(c->keys.count + 1, 1);
    for (uint32_t i = 0; reached && i < c->rules.count; i++)
        reached[c->rules.items[i].target] |= (uint8_t)(is_rule(&c->rules.items[i]) << c->rules.items[i].from);
    for (uint32_t i = 0; reached && i < c->rules.count; i++) {
        const struct rule *r = &c->rules.items[i];
        if (is_notable(c, r) && !(reached[r->target] >> r->from & 1))
            l->rules[l->count++] = r;
    }
    free(reached);
    if (l->count)
        qsort(l->rules, l->count, sizeof *l->rules, by_use);
    l->count = MIN(l->count, REJECTED_MAX);
}

static uint64_t message_count(const struct correlation *c) {
    uint64_t n = 0;
    for (size_t i = 0; i < c->source->count; i++)
        n += c->source->connections[i].message_count;
    return n;
}

/* ---- for people ---- */

static const char *plural(uint64_t n) {
    return n == 1 ? "" : "s";
}

static void text_key(const struct correlation *c, struct buf *out, unsigned direction, uint32_t key) {
    buf_printf(out, "%s %s", event_direction_names[direction], c->keys.items[key].text);
}

static void text_ends(const struct correlation *c, struct buf *out, const struct rule *r) {
    text_key(c, out, r->from, r->source);
    buf_puts(out, " -> ");
    text_key(c, out, !r->from, r->target);
    buf_putc(out, '\n');
}

/* Control characters would play with the terminal. */
static void text_clean(struct buf *out, const char *text) {
    for (; *text; text++)
        buf_putc(out, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static void text_example(const struct correlation *c, struct buf *out, const struct rule *r) {
    buf_puts(out, "    \"");
    text_clean(out, r->example ? r->example : "");
    buf_printf(out, "\" in %s: ", c->source->connections[r->connection].name);
    if (r->from_message)
        buf_printf(out, "message %u", r->from_message);
    else
        buf_puts(out, "the handshake");
    buf_printf(out, ", again in message %u\n", r->to_message);
}

static void text_evidence(struct buf *out, const struct rule *r) {
    if (r->before) {
        buf_puts(out, "    within \"");
        text_clean(out, r->before);
        buf_puts(out, "\u2026");
        text_clean(out, r->behind);
        buf_puts(out, "\"\n");
    }
    if (r->outline)
        buf_puts(out, "    in messages like the example's alone\n");
    buf_printf(out, "    %s; held %llu", verdicts[r->verdict].text, (unsigned long long)r->held);
    if (r->could)
        buf_printf(out, " of %llu", (unsigned long long)r->could);
    buf_printf(out, " time%s, %s%u value%s\n", plural(r->could ? r->could : r->held),
               r->distinct == RULE_DISTINCT_MAX ? "at least " : "", r->distinct, plural(r->distinct));
}

static void text_rule(const struct correlation *c, struct buf *out, const struct rule *r) {
    buf_putc(out, '\n');
    text_ends(c, out, r);
    text_evidence(out, r);
    text_example(c, out, r);
}

static void text_rules(const struct correlation *c, struct buf *out, const struct listing *l) {
    for (size_t i = 0; i < MIN(l->count, RULES_LISTED_MAX); i++)
        text_rule(c, out, l->rules[i]);
    if (l->count > RULES_LISTED_MAX)
        buf_printf(out, "\n… and %zu more rules; --json has them all.\n", l->count - RULES_LISTED_MAX);
    if (!l->count)
        buf_puts(out, "\nNo value is carried over.\n");
}

static void text_rejected(const struct correlation *c, struct buf *out, const struct listing *l) {
    if (l->count)
        buf_puts(out, "\nNot carried over, though they met (--correlate \"… = …\" makes a rule of one):\n");
    for (size_t i = 0; i < l->count; i++)
        text_rule(c, out, l->rules[i]);
}

static void text_refreshed(const struct correlation *c, struct buf *out) {
    if (!c->refresh_time)
        return;
    if (!c->source->recorded_at_us)
        buf_puts(out, "\nTimes stay as they are: the recording does not say when it was made (recorded_at).\n");
    else
        buf_printf(out, "\nTimes: %llu value%s of the day of the recording move with the clock.\n",
                   (unsigned long long)c->times, plural(c->times));
    uint32_t listed = 0;
    for (uint32_t i = 0; i < c->counter_count; i++) {
        const struct counter *n = &c->counters[i];
        if (!n->slots || ++listed > COUNTERS_MAX)
            continue;
        buf_printf(out, "Counter: %s %s in %s, %lld to %lld in %u messages, goes on in each round of --loop.\n",
                   event_direction_names[n->direction], path_text(c->paths, n->path),
                   c->source->connections[n->connection].name, (long long)n->first, (long long)n->last, n->values);
    }
    if (listed > COUNTERS_MAX)
        buf_printf(out, "… and %u more counters.\n", listed - COUNTERS_MAX);
}

static void explain_text(const struct correlation *c, struct buf *out, const struct listing *rules,
                         const struct listing *rejected) {
    uint64_t messages = message_count(c);
    buf_printf(out, "%s: %zu connection%s, %llu message%s\n", c->source->file, c->source->count,
               plural(c->source->count), (unsigned long long)messages, plural(messages));
    if (c->off)
        buf_puts(out, "Nothing is inferred (--no-correlate): rules of --correlate alone.\n");
    if (c->cut)
        buf_printf(out, "Rules are drawn from the first %u messages of each connection.\n", CORRELATE_MESSAGES_MAX);
    text_rules(c, out, rules);
    text_refreshed(c, out);
    text_rejected(c, out, rejected);
}

/* ---- for machines ---- */

static void json_string(struct buf *out, const char *name, const char *text) {
    buf_printf(out, "\"%s\":", name);
    json_write_string(out, text, strlen(text));
}

static void json_rule(const struct correlation *c, struct buf *out, const struct rule *r) {
    buf_printf(out, "{\"from\":\"%s\",\"to\":\"%s\",", event_direction_names[r->from], event_direction_names[!r->from]);
    json_string(out, "source", c->keys.items[r->source].text);
    buf_putc(out, ',');
    json_string(out, "target", c->keys.items[r->target].text);
    if (r->before) {
        buf_putc(out, ',');
        json_string(out, "before", r->before);
        buf_putc(out, ',');
        json_string(out, "behind", r->behind);
    }
    buf_printf(out, ",\"similar_messages_only\":%s,\"verdict\":\"%s\",", r->outline ? "true" : "false",
               verdicts[r->verdict].word);
    json_string(out, "why", verdicts[r->verdict].text);
    buf_printf(out, ",\"held\":%llu,\"could\":%llu,\"values\":%u,\"used\":%llu,\"example\":{",
               (unsigned long long)r->held, (unsigned long long)r->could, r->distinct, (unsigned long long)r->used);
    json_string(out, "value", r->example ? r->example : "");
    buf_putc(out, ',');
    json_string(out, "connection", c->source->connections[r->connection].name);
    buf_printf(out, ",\"from_message\":%u,\"to_message\":%u}}", r->from_message, r->to_message);
}

static void json_listing(const struct correlation *c, struct buf *out, const char *name, const struct listing *l) {
    buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < l->count; i++) {
        if (i)
            buf_putc(out, ',');
        json_rule(c, out, l->rules[i]);
    }
    buf_putc(out, ']');
}

static void explain_json(const struct correlation *c, struct buf *out, const struct listing *rules,
                         const struct listing *rejected) {
    buf_putc(out, '{');
    json_string(out, "file", c->source->file);
    buf_printf(out, ",\"connections\":%zu,\"messages\":%llu,\"inferred\":%s,\"cut\":%s", c->source->count,
               (unsigned long long)message_count(c), c->off ? "false" : "true", c->cut ? "true" : "false");
    json_listing(c, out, "rules", rules);
    buf_printf(out, ",\"times\":%llu,\"counters\":[", (unsigned long long)c->times);
    for (uint32_t i = 0, listed = 0; i < c->counter_count; i++) {
        const struct counter *n = &c->counters[i];
        if (!n->slots)
            continue;
        buf_printf(out, "%s{\"direction\":\"%s\",", listed++ ? "," : "", event_direction_names[n->direction]);
        json_string(out, "connection", c->source->connections[n->connection].name);
        buf_putc(out, ',');
        json_string(out, "path", path_text(c->paths, n->path));
        buf_printf(out, ",\"first\":%lld,\"last\":%lld,\"messages\":%u}", (long long)n->first, (long long)n->last,
                   n->values);
    }
    buf_putc(out, ']');
    json_listing(c, out, "rejected", rejected);
    buf_puts(out, "}\n");
}

void correlation_explain(const struct correlation *c, struct buf *out, bool json) {
    struct listing rules = {0}, rejected = {0};
    rules.rules = malloc((c->rules.count + 1) * sizeof *rules.rules);
    rejected.rules = malloc((c->rules.count + 1) * sizeof *rejected.rules);
    if (rules.rules && rejected.rules) {
        list_rules(c, &rules);
        list_rejected(c, &rejected);
        (json ? explain_json : explain_text)(c, out, &rules, &rejected);
    } else {
        out->failed = true;
    }
    free(rules.rules);
    free(rejected.rules);
}
