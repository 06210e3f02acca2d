/* Recorded connections that begin alike: a greeting, a login, the same first subscription. What the client says next
 * may tell them apart, and then the one that it means takes over.
 *
 * While more than one is in question, what was said so far is kept, within bounds: whoever takes over is played through
 * it without a word being sent, and goes on from there. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "handler/replay.h"

#define RIVALS_MAX 64u
/* Of a conversation that is kept: who is not told apart by then stays what it is. */
#define KEPT_MAX 64u
#define KEPT_BYTES_MAX (32u << 10)
/* structure_similarity() of what the client heard to what it would have heard. */
#define HEARD_LEAST 700u
#define IDLE_STEPS_MAX 64u /* of a player that is played through, until it says something */

/* Something the client said (data), or a message that it heard. */
struct kept {
    bool heard, binary;
    size_t len;
    char *data; /* a NUL follows; NULL: heard */
};

struct replay_choice {
    struct kept *kept;
    size_t kept_count, kept_cap, kept_bytes;
    uint32_t said; /* messages of the client */
    size_t count;
    uint32_t rivals[]; /* many clients may never say anything: no more than there are */
};

void replay_choice_free(struct replay_choice *c) {
    for (size_t i = 0; c && i < c->kept_count; i++)
        free(c->kept[i].data);
    if (c)
        free(c->kept);
    free(c);
}

static void end_choice(struct replay *r) {
    replay_choice_free(r->choice);
    r->choice = NULL;
}

/* What the handshake says is said. */
static bool has_subprotocol_of(const struct replay *r, uint32_t rival) {
    const char *a = replay_connection(r)->subprotocol, *b = replay_program(r)->source->connections[rival].subprotocol;
    return !strcmp(a ? a : "", b ? b : "");
}

void replay_choice_begin(struct replay *r, const uint32_t *rivals, size_t count) {
    count = MIN(count, RIVALS_MAX);
    if (count < 2 || replay_program(r)->options.mode == PLAYER_TIMED)
        return;
    struct replay_choice *c = r->choice = calloc(1, sizeof *c + count * sizeof *rivals);
    if (!c) /* then it stays as it is */
        return;
    for (size_t i = 0; i < count; i++)
        if (has_subprotocol_of(r, rivals[i]))
            c->rivals[c->count++] = rivals[i];
    if (c->count < 2)
        end_choice(r);
}

/* Room for one more of so many bytes. */
static bool has_room(struct replay_choice *c, size_t len) {
    if (c->kept_count == KEPT_MAX || len > KEPT_BYTES_MAX - c->kept_bytes)
        return false;
    return ARRAY_ROOM(c->kept, c->kept_count, c->kept_cap, 4);
}

static void keep(struct replay *r, bool heard, bool binary, const void *data, size_t len) {
    struct replay_choice *c = r->choice;
    struct kept k = {.heard = heard, .binary = binary, .len = len};
    if (!has_room(c, len) || (!heard && !(k.data = malloc(len + 1)))) {
        end_choice(r);
        return;
    }
    if (k.data) {
        memcpy(k.data, data, len);
        k.data[len] = '\0';
        c->said++;
    }
    c->kept_bytes += len;
    c->kept[c->kept_count++] = k;
}

void replay_choice_heard(struct replay *r) {
    if (r->choice)
        keep(r, true, false, NULL, 0);
}

/* ---- who else would have come so far ---- */

static const struct replay_message *next_ours(const struct replay_connection *rc, uint32_t *at) {
    while (*at < rc->message_count && rc->messages[*at].direction != EVENT_OUTGOING)
        ++*at;
    return *at < rc->message_count ? &rc->messages[*at] : NULL;
}

static unsigned alike(const struct correlation *c, uint32_t a, uint32_t at_a, uint32_t b, uint32_t at_b) {
    const struct replay_message *ma = &correlation_source(c)->connections[a].messages[at_a];
    const struct replay_message *mb = &correlation_source(c)->connections[b].messages[at_b];
    struct match_hints hints = {0};
    correlation_free_paths(c, a, at_a, &hints.free_paths, &hints.free_count);
    return structure_similarity(correlation_paths(c), correlation_structure(c, a, at_a), ma->data, ma->len,
                                correlation_structure(c, b, at_b), mb->data, mb->len, &hints, NULL);
}

/* Has the client heard from the present one what it would have heard from this one? */
static bool would_be_here(const struct replay *r, uint32_t rival) {
    const struct correlation *c = replay_program(r)->correlation;
    const struct replay_connection *now = replay_connection(r), *then = &replay_program(r)->source->connections[rival];
    uint32_t at_now = 0, at_then = 0;
    for (size_t i = 0; i < r->choice->kept_count; i++) {
        if (!r->choice->kept[i].heard)
            continue;
        if (!next_ours(now, &at_now) || !next_ours(then, &at_then) ||
            alike(c, (uint32_t)r->connection, at_now, rival, at_then) < HEARD_LEAST)
            return false;
        at_now++;
        at_then++;
    }
    return true;
}

/* ---- taking over ---- */

/* Until it says what was heard already. False: it does not. */
static bool skip_message(struct player *p, uint64_t now_us) {
    for (unsigned i = 0; i < IDLE_STEPS_MAX; i++) {
        struct player_action a;
        player_next(p, now_us, &a);
        if (a.step == PLAYER_SEND && a.frame->message != REPLAY_NONE && a.frame->fin)
            return true;
        if (a.step != PLAYER_SEND && (a.step != PLAYER_WAIT || a.awaited != REPLAY_NONE || !a.until_us))
            return false;
        if (a.step == PLAYER_WAIT)
            now_us = MAX(now_us, a.until_us);
    }
    return false;
}

static bool play_through(const struct replay_choice *c, struct player *p) {
    uint64_t now_us = clock_mono_us();
    uint32_t message;
    for (size_t i = 0; i < c->kept_count; i++) {
        const struct kept *k = &c->kept[i];
        if (k->heard ? !skip_message(p, now_us)
                     : player_take(p, now_us, k->binary, k->data, k->len, &message, NULL) != PLAYER_MATCHED)
            return false;
    }
    return true;
}

static bool take_over(struct replay *r, uint32_t rival) {
    struct player *before = r->player;
    size_t connection = r->connection;
    r->connection = rival;
    r->player = NULL;
    if (replay_start_player(r) == MF_OK && play_through(r->choice, r->player)) {
        player_free(before);
        return true;
    }
    player_free(r->player);
    r->player = before;
    r->connection = connection;
    return false;
}

/* Those that suit this message best stay, of those that would have come so far. Of them the first `*foremost` are those
 * that it overtakes nothing in. */
static size_t narrow_rivals(struct replay *r, bool binary, const void *data, size_t len, size_t *foremost) {
    struct replay_choice *c = r->choice;
    const struct replay_program *p = replay_program(r);
    unsigned scores[RIVALS_MAX], best = 1;
    size_t kept = 0;
    *foremost = 0;
    if (player_later_message(p->correlation, c->rivals, c->count, EVENT_INCOMING, c->said, &p->hints, binary, data, len,
                             scores) < 0)
        return 0;
    for (size_t i = 0; i < c->count; i++) {
        uint32_t rival = c->rivals[i];
        if (scores[i] / 2 < best || (rival != r->connection && !would_be_here(r, rival)))
            continue;
        if (scores[i] / 2 > best)
            kept = *foremost = 0;
        best = scores[i] / 2;
        c->rivals[kept] = rival;
        if (scores[i] & 1) {
            c->rivals[kept] = c->rivals[*foremost];
            c->rivals[(*foremost)++] = rival;
        }
        kept++;
    }
    *foremost = *foremost ? *foremost : kept;
    return kept;
}

void replay_choice_said(struct replay *r, bool binary, const void *data, size_t len) {
    struct replay_choice *c = r->choice;
    size_t foremost = 0;
    if (!c)
        return;
    size_t kept = !r->in_message ? narrow_rivals(r, binary, data, len, &foremost) : 0;
    bool present = !kept; /* what is like nothing tells nobody apart */
    for (size_t i = 0; i < foremost && !present; i++)
        present = c->rivals[i] == r->connection;
    if (kept)
        c->count = kept;
    if (!present)
        take_over(r, replay_next_in_turn(replay_program(r), c->rivals, foremost));
    if (c->count < 2)
        end_choice(r);
    else
        keep(r, false, binary, data, len);
}
