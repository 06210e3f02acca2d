/* What a live message is in the recording. */
#include <stdlib.h>

#include "batch.h"
#include "player_private.h"

/* What is less like a recorded message than this is another one: half of what it is made of is missing. Not so for what
 * is awaited right now, and for bytes, of which only their number and the first ones are compared. */
#define SIMILAR_MIN 400u
/* Answering is worse than asking upstream when it is wrong: but for a member more or less it must be the same. */
#define LOOKUP_SIMILAR_MIN 700u
#define LOOKUP_CLASSES_MAX 512u /* compared with one by one, when the message is in no class */
/* Against similarity: that it says again what is known (bindings_agree()), or something else. */
#define AGREEMENT 100
/* And that it is the one whose turn it is, where none is the same: "say good evening" is in its turn "say hello all",
 * and not a later "say bye". */
#define IN_TURN 60

/* So long a message that came ahead of its turn goes unanswered: those that are only in another order come by then.
 * Less where the answer has an id of its own, so that it matters little what else is answered first; and less once that
 * was waited for in vain. */
#define PATIENCE_US 250000u
#define PATIENCE_LESS_US 25000u

#define FRESH_LOOK_AHEAD 64u /* answers of one message */

struct candidate {
    uint32_t number; /* REPLAY_NONE: none */
    int score;
};

static unsigned similarity(const struct player *p, uint32_t number, const struct live_message *live, struct buf *why) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    const struct replay_message *m = &plan_recorded(p->plan, pc)->messages[message];
    struct match_hints hints = {0};
    if (p->options.hints)
        hints = *p->options.hints;
    correlation_free_paths(p->plan->correlation, pc->connection, message, &hints.free_paths, &hints.free_count);
    return structure_similarity(correlation_paths(p->plan->correlation),
                                correlation_structure(p->plan->correlation, pc->connection, message), m->data, m->len,
                                &live->structure, live->data, live->len, &hints, why);
}

static int agreement(struct player *p, uint32_t number, const struct live_message *live) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    struct bindings *b = player_bindings_of(p, pc);
    return b ? bindings_agree(b, message, &live->structure, live->data, live->len) : 0;
}

/* ---- in order ---- */

static bool is_of_class(const struct live_message *live, uint32_t class) {
    for (size_t i = 0; i < live->class_count; i++) {
        if (live->classes[i] == class)
            return true;
    }
    return false;
}

/* Comparing values is what costs: even an equal message would not be better, with what it says again. */
static bool cannot_be_better(struct player *p, uint32_t number, const struct live_message *live, int score) {
    return score >= ((int)SIMILARITY_EQUAL - AGREEMENT) * 2 &&
           score >= ((int)SIMILARITY_EQUAL + AGREEMENT * agreement(p, number, live)) * 2;
}

/* The best of the awaited ones that have not come; of equals the earliest. `alike`: among those alone that are the same
 * but for what its sender chose freely. */
static struct candidate best_awaited(struct player *p, const struct live_message *live, bool alike) {
    struct candidate best = {REPLAY_NONE, 0};
    uint32_t end = MIN(p->window + PLAYER_WINDOW, p->pc->awaited_count), open = window_first_open(p);
    for (uint32_t i = p->window; i < end; i++) {
        uint32_t number = p->pc->awaited[i];
        if (!window_is_open(p, i) || (alike && !is_of_class(live, p->plan->messages[number].class)))
            continue;
        if (!alike && best.number != REPLAY_NONE && cannot_be_better(p, number, live, best.score))
            continue;
        unsigned similar = similarity(p, number, live, NULL);
        if (similar < (i < p->before || live->structure.form == FORM_BINARY ? 1 : SIMILAR_MIN))
            continue;
        int agrees = agreement(p, number, live);
        int score = ((int)similar + AGREEMENT * agrees + (!alike && i == open ? IN_TURN : 0)) * 2;
        if (player_in_order(p) && (p->passed >> (i - p->window) & 1) && !p->plan->messages[number].push)
            score--; /* given up: it may be late, but one that is waited for comes first */
        if (best.number == REPLAY_NONE || score > best.score)
            best = (struct candidate){number, score};
        if (similar == SIMILARITY_EQUAL && agrees >= 0 && (score & 1) == 0 && alike)
            break;
    }
    return best;
}

/* Which member of a class is next. NULL: there is but one, or no memory (then it is always the first). */
static uint32_t *turn_of(struct player *p, uint32_t class) {
    const struct plan_class *c = &p->plan->classes[class];
    if (c->slot == REPLAY_NONE)
        return NULL;
    if (p->turns == NULL) {
        p->turns = malloc(p->plan->slot_count * sizeof *p->turns);
        for (uint32_t i = 0; p->turns && i < p->plan->slot_count; i++)
            p->turns[i] = REPLAY_NONE;
    }
    return p->turns ? &p->turns[c->slot] : NULL;
}

/* The member of a class whose turn it is: one after the other, then the last again (heartbeats), or the first (lookup:
 * what was recorded several times is told in the same order). */
static uint32_t next_member(struct player *p, uint32_t class, bool around) {
    const struct plan_class *c = &p->plan->classes[class];
    uint32_t *turn = turn_of(p, class);
    if (turn == NULL)
        return c->first;
    uint32_t number = *turn == REPLAY_NONE ? c->first : *turn;
    uint32_t twin = p->plan->messages[number].twin;
    *turn = twin != REPLAY_NONE ? twin : around ? c->first : number;
    return number;
}

/* This one had its turn, outside the row. */
static void had_turn(struct player *p, uint32_t number) {
    const struct plan_message *m = &p->plan->messages[number];
    uint32_t *turn = p->plan->classes[m->class].optional ? turn_of(p, m->class) : NULL;
    if (turn && m->twin != REPLAY_NONE)
        *turn = m->twin;
}

static int learn(struct player *p, uint32_t number, const struct live_message *live) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    struct bindings *b = player_bindings_of(p, pc);
    return b ? bindings_learn(b, message, &live->structure, live->data, live->len) : MF_ENOMEM;
}

/* A heartbeat, also one more than were recorded. */
static int take_heartbeat(struct player *p, uint64_t now_us, const struct live_message *live, uint32_t class,
                          uint32_t *number) {
    *number = next_member(p, class, false);
    if (learn(p, *number, live) < 0)
        return MF_ENOMEM;
    p->beats += p->plan->messages[*number].has_tied;
    const struct answer kind = {.to = *number, .live_us = now_us, .linked_only = true, .until = SIZE_MAX};
    return player_in_order(p) ? answers_begin(p, &kind, live) : MF_OK;
}

/* All of its kind have come: is there an answer that can be given once more? REPLAY_NONE: no. */
static uint32_t answered_before(const struct player *p, uint32_t class) {
    const struct plan_class *c = &p->plan->classes[class];
    const struct plan_message *m = &p->plan->messages[c->last];
    if (m->ordinal == REPLAY_NONE || (m->ordinal >= p->window && window_is_open(p, m->ordinal)))
        m = &p->plan->messages[c->first];
    if (m->ordinal == REPLAY_NONE || m->ordinal >= p->window + PLAYER_WINDOW ||
        (m->ordinal >= p->window && window_is_open(p, m->ordinal)))
        return REPLAY_NONE; /* not yet */
    bool answered = m->has_linked || (c->lockstep && m->answer_count);
    return answered ? (uint32_t)(m - p->plan->messages) : REPLAY_NONE;
}

/* One that came already, again: answered as it was, without touching what the others are told. */
static int take_again(struct player *p, uint64_t now_us, const struct live_message *live, uint32_t number) {
    bool lockstep = p->plan->classes[p->plan->messages[number].class].lockstep;
    const struct answer kind = {.to = number, .live_us = now_us, .linked_only = !lockstep, .until = SIZE_MAX};
    return answers_begin(p, &kind, live);
}

/* Nobody awaits it, but the recording knows what to say. False: it does not. */
static bool take_unawaited(struct player *p, uint64_t now_us, const struct live_message *live, uint32_t *number,
                           int *rc) {
    for (size_t i = 0; i < live->class_count; i++) {
        if (p->plan->classes[live->classes[i]].optional) {
            *rc = take_heartbeat(p, now_us, live, live->classes[i], number);
            return true;
        }
    }
    for (size_t i = 0; i < live->class_count && player_in_order(p); i++) {
        *number = answered_before(p, live->classes[i]);
        if (*number != REPLAY_NONE) {
            *rc = take_again(p, now_us, live, *number);
            return true;
        }
    }
    return false;
}

/* Does all that answers it say ids that were chosen for it alone? */
static bool has_fresh_answer(const struct player *p, uint32_t number) {
    const struct plan_message *to = &p->plan->messages[number];
    uint32_t end = MIN(to->answer_count, FRESH_LOOK_AHEAD);
    for (uint32_t i = 0; i < end; i++) {
        const struct plan_message *m = &p->plan->messages[p->plan->answers[to->answers + i]];
        if (m->link == LINK_VARIABLE && !m->fresh)
            return false;
    }
    return end > 0;
}

static uint64_t patience_with(const struct player *p, uint32_t number) {
    return p->impatient || has_fresh_answer(p, number) ? PATIENCE_LESS_US : PATIENCE_US;
}

/* One that was awaited, in its turn, ahead of it, or after it was given up. */
static int take_awaited(struct player *p, uint64_t now_us, const struct live_message *live, uint32_t number) {
    uint32_t ordinal = p->plan->messages[number].ordinal;
    bool late = player_in_order(p) && window_was_passed(p, ordinal);
    struct answer kind = {.to = number, .live_us = now_us, .linked_only = true, .until = p->frame};
    player_awaited_came(p, now_us, ordinal);
    if (p->plan->messages[number].has_tied && player_in_order(p)) {
        p->beats++;
        kind.until = SIZE_MAX;
        return answers_begin(p, &kind, live);
    }
    if (late) /* what says again what it said was left out until now */
        return answers_begin(p, &kind, live);
    /* Ahead of its turn, which may never come if its sender waits for the answer first; or others are missing that were
     * under way at once in the recording, and are not now. */
    if (player_in_order(p) && player_is_held(p)) {
        kind = (struct answer){.to = number, .live_us = time_add(now_us, patience_with(p, number)), .until = SIZE_MAX};
        kind.linked_only = kind.early = true;
        kind.fresh_only = ordinal < p->before || ordinal < window_first_open(p);
        return answers_begin(p, &kind, live);
    }
    return MF_OK;
}

static int take_in_order(struct player *p, uint64_t now_us, const struct live_message *live, uint32_t *number) {
    struct candidate best = {REPLAY_NONE, 0};
    int rc;
    if (live->class_count)
        best = best_awaited(p, live, true);
    if (best.number == REPLAY_NONE && take_unawaited(p, now_us, live, number, &rc))
        return rc;
    if (best.number == REPLAY_NONE)
        best = best_awaited(p, live, false);
    *number = best.number;
    if (best.number == REPLAY_NONE)
        return MF_OK;
    if (learn(p, best.number, live) < 0)
        return MF_ENOMEM;
    had_turn(p, best.number);
    return take_awaited(p, now_us, live, best.number);
}

/* ---- lookup ---- */

/* Something that looks as if a program had made it up for this run alone: 12 characters or more of letters and digits,
 * both, and no word of language. */
static bool is_made_up(const char *s, size_t len) {
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < len; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9', letter = (s[i] | 32) >= 'a' && (s[i] | 32) <= 'z';
        if (!digit && !letter && s[i] != '-' && s[i] != '_' && s[i] != '=' && s[i] != '+' && s[i] != '/')
            return false;
        digits += digit;
        letters += letter;
    }
    return len >= 12 && digits >= 3 && letters >= 1;
}

/* Does anything that both say differ, and not by chance? */
static bool differs(const struct player *p, uint32_t number, const struct live_message *live, struct buf *text) {
    uint32_t message;
    const struct plan_connection *pc = plan_locate(p->plan, number, &message);
    const struct replay_message *m = &plan_recorded(p->plan, pc)->messages[message];
    const struct structure *s = correlation_structure(p->plan->correlation, pc->connection, message);
    const struct plan_form *form = &p->plan->forms[p->plan->classes[p->plan->messages[number].class].form];
    for (uint32_t i = 0; i < live->structure.count; i++) {
        const struct message_value *v = &live->structure.values[i];
        const struct message_value *r = v->path == PATH_UNKNOWN ? NULL : structure_find(s, v->path);
        if (r == NULL)
            continue;
        buf_reset(text);
        value_text(text, live->data, v);
        size_t len = text->len;
        value_text(text, m->data, r);
        if (text->len - len == len && (len == 0 || !memcmp(text->data, text->data + len, len)))
            continue;
        const char *a = (const char *)text->data, *b = a + len;
        size_t b_len = text->len - len;
        if (!plan_value_counts(p->plan, form, v->path, a, len) && !plan_value_counts(p->plan, form, v->path, b, b_len))
            continue;
        if (!is_made_up(a, len) || !is_made_up(b, b_len))
            return true;
    }
    return false;
}

/* In no class: one that has a member more or less, or a value that a program made up. */
static uint32_t nearly_the_same(struct player *p, const struct live_message *live, struct buf *text) {
    uint32_t best = REPLAY_NONE;
    unsigned best_similar = LOOKUP_SIMILAR_MIN - 1;
    uint32_t compared = 0;
    for (uint32_t i = 0; i < p->plan->class_count && compared < LOOKUP_CLASSES_MAX; i++) {
        if (p->plan->classes[i].form == REPLAY_NONE)
            continue;
        compared++;
        uint32_t number = p->plan->classes[i].first;
        unsigned similar = similarity(p, number, live, NULL);
        if (similar > best_similar && live->structure.form != FORM_BINARY && !differs(p, number, live, text)) {
            best = i;
            best_similar = similar;
        }
    }
    return best;
}

static int look_up(struct player *p, uint64_t now_us, const struct live_message *live, struct buf *text,
                   uint32_t *number) {
    uint32_t class = live->class_count ? live->classes[0] : nearly_the_same(p, live, text);
    *number = REPLAY_NONE;
    if (text->failed)
        return MF_ENOMEM;
    if (class == REPLAY_NONE)
        return MF_OK;
    *number = next_member(p, class, true);
    if (learn(p, *number, live) < 0)
        return MF_ENOMEM;
    /* Where a message's answers are marked as its own, what merely came next is not among them. */
    bool linked_only = p->plan->messages[*number].has_tied;
    const struct answer kind = {.to = *number, .live_us = now_us, .linked_only = linked_only, .until = SIZE_MAX};
    return answers_begin(p, &kind, live);
}

/* ---- both ---- */

/* One line about what is awaited. */
static void tell_why(struct player *p, const struct live_message *live, struct buf *why) {
    uint32_t ordinal = window_first_open(p);
    if (p->options.mode == PLAYER_LOOKUP) {
        buf_puts(why, "nothing in the recording is like it");
        return;
    }
    if (ordinal >= p->pc->awaited_count) {
        buf_puts(why, "nothing is awaited any more");
        return;
    }
    uint32_t number = p->pc->awaited[ordinal];
    buf_puts(why, "awaited is ");
    player_describe(p, number, why);
    struct buf reason = BUF_INIT;
    if (similarity(p, number, live, &reason) == 0 && reason.len) {
        buf_puts(why, "; ");
        buf_append(why, reason.data, reason.len);
    }
    buf_fini(&reason);
}

/* Of one message, or of one in a batch. */
static int take_message(struct player *p, uint64_t now_us, bool binary, const void *data, size_t len, uint32_t *number,
                        struct buf *why) {
    struct structure_scratch scratch = {0};
    struct live_message live = {.data = data, .len = len};
    struct buf text = BUF_INIT;
    *number = REPLAY_NONE;
    int rc =
        structure_read(&live.structure, &scratch, correlation_paths(p->plan->correlation), NULL, data, len, binary);
    if (rc == MF_OK) {
        live.class_count = plan_classes_of(p->plan, &live.structure, data, len, live.classes, &text);
        rc = text.failed                        ? MF_ENOMEM
             : p->options.mode == PLAYER_LOOKUP ? look_up(p, now_us, &live, &text, number)
                                                : take_in_order(p, now_us, &live, number);
    }
    if (rc == MF_OK && *number == REPLAY_NONE && why)
        tell_why(p, &live, why);
    structure_scratch_fini(&scratch);
    structure_fini(&live.structure);
    buf_fini(&text);
    return rc;
}

/* Clients that send what they have to say in one message when it comes up at the same moment, and else in several.
 * *number is the first that was found. */
static int take_batch(struct player *p, uint64_t now_us, const struct batch *batch, uint32_t *number) {
    struct buf item = BUF_INIT;
    int rc = MF_OK;
    for (uint32_t i = 0; rc == MF_OK && batch_item(batch, i, &item); i++) {
        uint32_t found;
        rc = item.failed ? MF_ENOMEM : take_message(p, now_us, false, buf_cstr(&item), item.len, &found, NULL);
        if (rc == MF_OK && *number == REPLAY_NONE)
            *number = found;
    }
    buf_fini(&item);
    return rc;
}

enum player_taken player_take(struct player *p, uint64_t now_us, bool binary, const void *data, size_t len,
                              uint32_t *message, struct buf *why) {
    struct batch batch = {0};
    int rc = take_message(p, now_us, binary, data, len, message, why);
    if (rc == MF_OK && *message == REPLAY_NONE && player_in_order(p) && !binary && batch_read(&batch, data, len))
        rc = take_batch(p, now_us, &batch, message);
    batch_fini(&batch);
    if (rc < 0)
        return PLAYER_NO_MEMORY;
    p->ignored += *message == REPLAY_NONE;
    return *message == REPLAY_NONE ? PLAYER_UNMATCHED : PLAYER_MATCHED;
}

#define FIRST_MESSAGES_MAX 4u /* a client may begin with several, in any order */

/* A free value that is the same all the same tells more than one that is free: an id is new each time, the name of a
 * channel is echoed like an id and is not. */
static unsigned first_score(const struct correlation *c, uint32_t connection, uint32_t message,
                            const struct match_hints *given, const struct live_message *live) {
    const struct replay_message *m = &correlation_source(c)->connections[connection].messages[message];
    const struct structure *recorded = correlation_structure(c, connection, message);
    struct match_hints hints = given ? *given : (struct match_hints){0};
    unsigned strict = structure_similarity(correlation_paths(c), recorded, m->data, m->len, &live->structure,
                                           live->data, live->len, &hints, NULL);
    correlation_free_paths(c, connection, message, &hints.free_paths, &hints.free_count);
    unsigned free = structure_similarity(correlation_paths(c), recorded, m->data, m->len, &live->structure, live->data,
                                         live->len, &hints, NULL);
    return free ? free + 2 * strict : 0;
}

static unsigned suits(const struct correlation *c, uint32_t connection, enum event_direction from,
                      const struct match_hints *hints, const struct live_message *live) {
    const struct replay_connection *rc = &correlation_source(c)->connections[connection];
    unsigned best = 0, seen = 0;
    for (uint32_t i = 0; i < rc->message_count && seen < FIRST_MESSAGES_MAX; i++) {
        const struct replay_message *m = &rc->messages[i];
        if (m->direction != from && seen > 0)
            break; /* answered: what comes now is not the beginning */
        if (m->direction != from)
            continue;
        unsigned score = first_score(c, connection, i, hints, live);
        /* The very first one suits best, but for what is not alike at all. */
        best = MAX(best, score > seen ? score - seen : score);
        seen++;
    }
    return best;
}

#define OVERTAKING_MAX 8u

static unsigned suits_later(const struct correlation *c, uint32_t connection, enum event_direction from, uint32_t said,
                            const struct match_hints *hints, const struct live_message *live) {
    const struct replay_connection *rc = &correlation_source(c)->connections[connection];
    uint32_t ordinal = 0;
    unsigned best = 0, in_place = 0;
    for (uint32_t i = 0; i < rc->message_count && ordinal <= said + OVERTAKING_MAX; i++) {
        if (rc->messages[i].direction != from)
            continue;
        if (ordinal + OVERTAKING_MAX >= said) {
            unsigned score = first_score(c, connection, i, hints, live);
            best = MAX(best, score);
            in_place = ordinal == said ? score : in_place;
        }
        ordinal++;
    }
    return 2 * best + (best && in_place == best);
}

int player_later_message(const struct correlation *c, const uint32_t *connections, size_t count,
                         enum event_direction from, uint32_t said, const struct match_hints *hints, bool binary,
                         const void *data, size_t len, unsigned *scores) {
    struct structure_scratch scratch = {0};
    struct live_message live = {.data = data, .len = len};
    int rc = structure_read(&live.structure, &scratch, correlation_paths(c), NULL, data, len, binary);
    for (size_t i = 0; rc == MF_OK && i < count; i++)
        scores[i] = suits_later(c, connections[i], from, said, hints, &live);
    structure_scratch_fini(&scratch);
    structure_fini(&live.structure);
    return rc;
}

int player_first_message(const struct correlation *c, const uint32_t *connections, size_t count,
                         enum event_direction from, const struct match_hints *hints, bool binary, const void *data,
                         size_t len, unsigned *scores) {
    struct structure_scratch scratch = {0};
    struct live_message live = {.data = data, .len = len};
    int rc = structure_read(&live.structure, &scratch, correlation_paths(c), NULL, data, len, binary);
    for (size_t i = 0; rc == MF_OK && i < count; i++)
        scores[i] = suits(c, connections[i], from, hints, &live);
    structure_scratch_fini(&scratch);
    structure_fini(&live.structure);
    return rc;
}
