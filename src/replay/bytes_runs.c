#include "replay/bytes_runs.h"

#include <stdlib.h>
#include <string.h>

#define SORTS (2 * BYTES_TAGS)
#define PAIRS_MAX 512u
#define CANDIDATES_MAX 2048u /* of a pair */
#define RUNS_MAX 64u         /* of a pair */

/* The byte at place x of the source comes again at place y of the target. */
struct candidate {
    uint8_t x, y;
    uint32_t held, missed;
};

struct pair_of_sorts {
    uint16_t source, target; /* sort.id */
    struct candidate *candidates;
    struct run *runs;
    uint32_t count, run_count;
    uint32_t source_places, target_places; /* the most that were compared */
};

static unsigned direction_of(unsigned sort) {
    return sort / BYTES_TAGS;
}

/* ---- a message by its places ---- */

static void put(struct saying *s, unsigned place, uint8_t byte) {
    s->at[place] = byte;
    s->places[s->count++] = (uint8_t)place;
}

void saying_read(struct saying *said, const struct bytes_length *length, const uint8_t *data, size_t len, bool tagged) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut_strings(length, data, len, pieces);
    said->count = 0;
    memset(said->at, 0xff, sizeof said->at); /* -1 */
    for (size_t i = 0; i < count; i++) {
        const struct bytes_piece *p = &pieces[i];
        if (p->code != CODE_GAP)
            continue;
        size_t n = p->part < PLACES_PARTS ? MIN(p->end - p->begin, PLACES_OF_PART) : 0;
        for (size_t k = tagged; k < n; k++) /* the tag stands first, or behind the length */
            put(said, p->part * PLACES_OF_PART + (unsigned)k, data[p->begin + k]);
        tagged = false;
        if (i + 1 == count && p->end - p->begin > PLACES_OF_PART)
            for (size_t k = 0; k < PLACES_OF_END; k++)
                put(said, PLACES_END + (unsigned)k, data[p->end - PLACES_OF_END + k]);
    }
}

static bool is_next(unsigned place) {
    return place + 1 < PLACES && (place + 1) % PLACES_OF_PART != 0;
}

void runs_note(struct runs *r, unsigned direction, const struct saying *said) {
    for (uint32_t i = 0; i < said->count; i++) {
        unsigned place = said->places[i];
        uint8_t byte = (uint8_t)said->at[place];
        if (!r->seen[direction][place]++)
            r->first[direction][place] = byte;
        r->varies[direction][place] |= byte != r->first[direction][place];
    }
}

/* ---- the first walk ---- */

static struct pair_of_sorts *pair_of(struct runs *r, unsigned source, unsigned target, bool *is_new) {
    *is_new = false;
    if (!r->index && !(r->index = calloc((size_t)SORTS * SORTS, sizeof *r->index)))
        return NULL;
    uint16_t *at = &r->index[(size_t)source * SORTS + target];
    if (*at)
        return &r->pairs[*at - 1];
    if (r->count == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 16;
        struct pair_of_sorts *pairs = realloc(r->pairs, cap * sizeof *pairs);
        if (!pairs)
            return NULL;
        r->pairs = pairs;
        r->cap = cap;
    }
    *is_new = true;
    r->pairs[r->count] = (struct pair_of_sorts){.source = (uint16_t)source, .target = (uint16_t)target};
    *at = (uint16_t)++r->count;
    return &r->pairs[r->count - 1];
}

static bool has_byte(const struct sort *s, unsigned place, int16_t byte) {
    for (uint32_t i = 0; i < s->count; i++)
        if (s->ring[i].at[place] == byte)
            return true;
    return false;
}

/* All that hold in the first message of the target. */
static bool find_candidates(struct pair_of_sorts *p, const struct sort *source, const struct saying *said) {
    struct candidate *list = malloc(CANDIDATES_MAX * sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = 0; i < said->count; i++) {
        unsigned y = said->places[i];
        for (unsigned x = 0; x < PLACES && p->count < CANDIDATES_MAX; x++)
            if (has_byte(source, x, said->at[y]))
                list[p->count++] = (struct candidate){(uint8_t)x, (uint8_t)y, 1, 0};
    }
    struct candidate *less = p->count ? realloc(list, p->count * sizeof *list) : NULL;
    p->candidates = less ? less : list;
    return true;
}

/* One exception in twenty is forgiven, once there are so many. */
static bool is_forgiven(uint32_t held, uint32_t missed) {
    return missed * 20 <= held;
}

static void drop_candidates(struct pair_of_sorts *p, const struct sort *source, const struct saying *said) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        struct candidate c = p->candidates[i];
        bool held = said->at[c.y] >= 0 && has_byte(source, c.x, said->at[c.y]);
        c.held += held;
        c.missed += !held;
        if (is_forgiven(c.held, c.missed))
            p->candidates[kept++] = c;
    }
    p->count = kept;
}

bool runs_narrow(struct runs *r, const struct sort *source, const struct sort *target, const struct saying *said) {
    bool is_new;
    if (r->count == PAIRS_MAX && !r->index[(size_t)source->id * SORTS + target->id])
        return true;
    struct pair_of_sorts *p = pair_of(r, source->id, target->id, &is_new);
    if (!p)
        return false;
    uint32_t latest = (source->next + RUNS_RECENT - 1) % RUNS_RECENT;
    p->source_places = MAX(p->source_places, source->ring[latest].count);
    p->target_places = MAX(p->target_places, said->count);
    if (is_new)
        return find_candidates(p, source, said);
    drop_candidates(p, source, said);
    return true;
}

/* ---- runs ---- */

#define RUN_VALUES_MAX 8u

struct run {
    uint8_t x, y, width;
    bool varint_fails, varint_long;
    uint32_t held, missed;
    uint32_t value_count;
    struct {
        uint8_t bytes[BYTES_WIDTH_MAX];
        uint8_t len;
    } values[RUN_VALUES_MAX]; /* different ones */
};

static int by_distance(const void *a, const void *b) {
    const struct candidate *p = a, *q = b;
    int d = (p->y - p->x) - (q->y - q->x);
    return d ? d : p->x - q->x;
}

static bool find_runs(struct pair_of_sorts *p) {
    struct run runs[RUNS_MAX];
    if (p->count)
        qsort(p->candidates, p->count, sizeof *p->candidates, by_distance);
    for (uint32_t i = 0, n; i < p->count && p->run_count < RUNS_MAX; i += n) {
        const struct candidate *c = &p->candidates[i];
        for (n = 1; i + n < p->count && n < BYTES_WIDTH_MAX; n++)
            if (c[n].x != c->x + n || c[n].y != c->y + n || !is_next(c[n - 1].x) || !is_next(c[n - 1].y))
                break;
        runs[p->run_count++] = (struct run){.x = c->x, .y = c->y, .width = (uint8_t)n};
    }
    free(p->candidates);
    p->candidates = NULL;
    p->count = 0;
    if (!p->run_count)
        return true;
    p->runs = malloc(p->run_count * sizeof *p->runs);
    if (p->runs)
        memcpy(p->runs, runs, p->run_count * sizeof *p->runs);
    return p->runs;
}

bool runs_begin(struct runs *r) {
    for (uint32_t i = 0; i < r->count; i++)
        if (!find_runs(&r->pairs[i]))
            return false;
    return true;
}

/* ---- the second walk ---- */

/* The bytes from a place on, at most `width`; their number. */
static size_t bytes_from(const struct saying *s, unsigned place, size_t width, uint8_t out[BYTES_WIDTH_MAX]) {
    size_t n = 0;
    while (n < width && s->at[place] >= 0) {
        out[n++] = (uint8_t)s->at[place];
        if (!is_next(place))
            break;
        place++;
    }
    return n;
}

static void add_value(struct run *run, const uint8_t *bytes, size_t len) {
    for (uint32_t i = 0; i < run->value_count; i++)
        if (run->values[i].len == len && !memcmp(run->values[i].bytes, bytes, len))
            return;
    if (run->value_count == RUN_VALUES_MAX)
        return;
    memcpy(run->values[run->value_count].bytes, bytes, len);
    run->values[run->value_count++].len = (uint8_t)len;
}

/* Is it the same as a varint, too? */
static void weigh_varint(struct run *run, const struct sort *source, const uint8_t *target, size_t len, size_t *size) {
    uint64_t want, got;
    bool found = false;
    *size = bytes_varint(target, len, &want);
    for (uint32_t i = 0; *size && i < source->count && !found; i++) {
        uint8_t bytes[BYTES_WIDTH_MAX];
        size_t n = bytes_from(&source->ring[i], run->x, sizeof bytes, bytes);
        found = bytes_varint(bytes, n, &got) && got == want;
    }
    run->varint_fails |= !found;
    run->varint_long |= *size > 1;
}

static void weigh_run(struct run *run, const struct sort *source, const struct saying *said) {
    uint8_t want[BYTES_WIDTH_MAX], have[BYTES_WIDTH_MAX];
    size_t n = bytes_from(said, run->y, sizeof want, want), size = 0;
    bool held = false;
    for (uint32_t i = 0; i < source->count && n >= run->width && !held; i++)
        held = bytes_from(&source->ring[i], run->x, run->width, have) == run->width && !memcmp(want, have, run->width);
    run->held += held;
    run->missed += !held;
    if (!held)
        return;
    if (run->width == 1)
        weigh_varint(run, source, want, n, &size);
    add_value(run, want, !run->varint_fails && size ? size : run->width);
}

bool runs_weigh(struct runs *r, const struct sort *source, const struct sort *target, const struct saying *said) {
    uint16_t at = r->index ? r->index[(size_t)source->id * SORTS + target->id] : 0;
    struct pair_of_sorts *p = at ? &r->pairs[at - 1] : NULL;
    for (uint32_t i = 0; p && i < p->run_count; i++)
        weigh_run(&p->runs[i], source, said);
    return true;
}

/* ---- how wide it is ---- */

static bool is_same_in_all(const struct run *run, unsigned i) {
    for (uint32_t v = 1; v < run->value_count; v++)
        if (run->values[v].bytes[i] != run->values[0].bytes[i])
            return false;
    return true;
}

static bool is_natural(unsigned width) {
    return width == 2 || width == 4 || width == 8 || width == 16;
}

/* From the changing byte `at` outwards: zeros may be a number's upper bytes, and one other byte too. More of those that
 * never change are what stands around the field, and need not be as wide elsewhere. Returns how many belong to it. */
static unsigned reach(const struct run *run, unsigned at, int step, unsigned room, unsigned core) {
    unsigned n = 0;
    while (n < room && !run->values[0].bytes[(int)at + step * (int)(n + 1)])
        n++;
    bool single = n == 0 && room && (room == 1 || !run->values[0].bytes[(int)at + step * 2]);
    return single && is_natural(core + 1) ? 1 : n;
}

/* Bytes that never change are not taken along with those that do. */
static void trim_run(struct run *run) {
    unsigned first = 0, last = run->width;
    if (run->value_count < 2 || run->varint_long)
        return;
    while (first < last && is_same_in_all(run, first))
        first++;
    while (last > first && is_same_in_all(run, last - 1))
        last--;
    if (first == last)
        return;
    unsigned left = reach(run, first, -1, first, last - first);
    unsigned right = reach(run, last - 1, 1, run->width - last, last - first + left);
    first -= left;
    last += right;
    for (uint32_t v = 0; v < run->value_count; v++) {
        memmove(run->values[v].bytes, run->values[v].bytes + first, last - first);
        run->values[v].len = (uint8_t)(last - first);
    }
    run->x = (uint8_t)(run->x + first);
    run->y = (uint8_t)(run->y + first);
    run->width = (uint8_t)(last - first);
}

/* What was seen once does not show how wide it is: a number or an id of a usual width, and no text. */
static bool is_plausible_once(const struct run *run) {
    unsigned printable = 0;
    for (unsigned i = 0; i < run->width; i++)
        printable += run->values[0].bytes[i] >= ' ' && run->values[0].bytes[i] < 0x7f;
    return is_natural(run->width) && printable * 2 <= run->width;
}

/* ---- the verdict ---- */

#define BITS_ENOUGH 9
#define BITS_ONCE 16        /* of a single value */
#define BITS_SAME_PLACE 3   /* the same place at both ends is where one looks first */
#define BITS_KNOWN_TARGET 3 /* and where other messages' ids are said again */
#define BITS_OF_VALUE 48
#define BITS_OF_BYTE 6
#define VALUES_OF_BYTE 2u
#define VALUES_OF_SMALL 3u /* different ones, where none has more than a byte that says something */
#define SESSION_WIDTH 8u   /* so long a run may be an id although it is always the same */
#define SESSION_BYTES 6u

static bool is_constant(const struct runs *r, unsigned direction, unsigned place) {
    return r->seen[direction][place] > 1 && !r->varies[direction][place];
}

/* How many of the value's bytes say something: they are not zero, and not always the same. */
static unsigned telling_bytes(const struct runs *r, const struct pair_of_sorts *p, const struct run *run, uint32_t v) {
    bool seen[256] = {false};
    unsigned n = 0;
    for (unsigned i = 0; i < run->values[v].len; i++) {
        uint8_t byte = run->values[v].bytes[i];
        bool constant = i < run->width && is_constant(r, direction_of(p->source), run->x + i);
        n += byte && byte != 0xff && !seen[byte] && !constant;
        seen[byte] = true;
    }
    return n;
}

static int bits_of_value(const struct run *run, uint32_t v, unsigned telling) {
    if (telling == 0)
        return 0;
    if (telling > 1)
        return MIN((int)telling * 7, BITS_OF_VALUE);
    for (unsigned i = 0; i < run->values[v].len; i++)
        if (run->values[v].bytes[i] >= 16)
            return BITS_OF_BYTE;
    return 3; /* a small number */
}

static int log2_of(uint32_t n) {
    int bits = 0;
    while (n >>= 1)
        bits++;
    return bits;
}

/* So many different values are needed: of small numbers more than of those that one would not guess. */
static unsigned values_needed(const struct run *run, unsigned telling, bool known_target) {
    unsigned small = 0;
    if (telling > 1)
        return 1;
    for (uint32_t v = 0; v < run->value_count; v++)
        small += bits_of_value(run, v, 1) < BITS_OF_BYTE;
    return small && !known_target ? VALUES_OF_SMALL : VALUES_OF_BYTE;
}

/* How unlikely it is that it holds by chance, in bits; 0: not enough. */
static int score_run(const struct runs *r, const struct pair_of_sorts *p, const struct run *run, bool known_target) {
    unsigned telling = 0;
    int bits = -log2_of(MAX(1u, p->source_places) * MAX(1u, p->target_places));
    if (!run->held || !is_forgiven(run->held, run->missed))
        return 0;
    for (uint32_t v = 0; v < run->value_count; v++) {
        unsigned n = telling_bytes(r, p, run, v);
        bits += bits_of_value(run, v, n);
        telling = MAX(telling, n);
    }
    if (run->value_count < 2 && !is_plausible_once(run))
        return 0;
    if (run->value_count < 2 && run->held > 1 && (run->width < SESSION_WIDTH || telling < SESSION_BYTES))
        return 0; /* always the same: nobody's choice */
    if (run->value_count < values_needed(run, telling, known_target))
        return 0;
    bits += BITS_SAME_PLACE * (run->x == run->y) + BITS_KNOWN_TARGET * known_target;
    return bits >= (run->value_count < 2 ? BITS_ONCE : BITS_ENOUGH) ? bits : 0;
}

struct scored {
    const struct pair_of_sorts *pair;
    const struct run *run;
    int bits;
};

static bool at_end(const struct run *run) {
    return run->x >= PLACES_END || run->y >= PLACES_END;
}

/* From the beginning before from the end; then the surest, at the same place, the widest. */
static int by_bits(const void *a, const void *b) {
    const struct scored *p = a, *q = b;
    if (at_end(p->run) != at_end(q->run))
        return at_end(p->run) - at_end(q->run);
    int same = (q->run->x == q->run->y) - (p->run->x == p->run->y);
    if (same)
        return same;
    if (p->bits != q->bits)
        return q->bits - p->bits;
    return q->run->width - p->run->width;
}

static struct bytes_field field_at(const struct run *run, unsigned sort, unsigned place) {
    uint64_t n;
    struct bytes_field f = {.tag = (uint16_t)(sort % BYTES_TAGS), .width = run->width};
    f.from_end = place >= PLACES_END;
    f.part = f.from_end ? 0 : (uint8_t)(place / PLACES_OF_PART);
    f.at = f.from_end ? (uint8_t)(PLACES - place) : (uint8_t)(place % PLACES_OF_PART);
    f.varint = run->width == 1 && run->varint_long && !run->varint_fails;
    f.chain = run->width > 1;
    for (uint32_t v = 0; v < run->value_count; v++) {
        f.high |= run->values[v].bytes[0] >= 0x80;
        f.chain &= bytes_varint(run->values[v].bytes, run->width, &n) == run->width;
    }
    return f;
}

static bool is_same_place(const struct bytes_field *a, const struct bytes_field *b) {
    return a->tag == b->tag && a->part == b->part && a->at == b->at && a->from_end == b->from_end;
}

static bool overlap(const struct bytes_field *a, const struct bytes_field *b) {
    if (a->tag != b->tag || a->from_end != b->from_end || a->part != b->part)
        return false;
    if (a->from_end)
        return a->at > b->at - b->width && b->at > a->at - a->width;
    return a->at < b->at + b->width && b->at < a->at + a->width;
}

/* The field's index, if it is in the schema or can be added to it; BYTES_FIELDS_MAX: it cannot. */
static uint32_t place_for(const struct bytes_schema *s, const struct bytes_field *f) {
    for (uint32_t i = 0; i < s->field_count; i++) {
        const struct bytes_field *g = &s->fields[i];
        if (is_same_place(f, g) && f->width == g->width && f->varint == g->varint)
            return i;
        if (overlap(f, g))
            return BYTES_FIELDS_MAX;
    }
    return s->field_count;
}

static uint32_t keep_field(struct bytes_schema *s, const struct bytes_field *f, uint32_t at) {
    if (at == s->field_count)
        s->fields[s->field_count++] = *f;
    struct bytes_field *kept = &s->fields[at];
    kept->high |= f->high;
    kept->chain &= f->chain;
    return at;
}

static void accept(struct bytes_schema *s, const struct scored *c) {
    struct bytes_field from = field_at(c->run, c->pair->source, c->run->x);
    struct bytes_field to = field_at(c->run, c->pair->target, c->run->y);
    uint8_t direction = (uint8_t)direction_of(c->pair->source);
    uint32_t x = place_for(s, &from), y = place_for(s, &to);
    if (s->field_count + 2 > BYTES_FIELDS_MAX || s->link_count == BYTES_LINKS_MAX || x == BYTES_FIELDS_MAX ||
        y == BYTES_FIELDS_MAX)
        return;
    if (x == s->field_count && y == s->field_count && !is_same_place(&from, &to) && overlap(&from, &to))
        return; /* one message has both */
    for (uint32_t i = 0; i < s->link_count; i++) {
        const struct bytes_link *l = &s->links[i];
        bool same_sorts = s->fields[l->from].tag == from.tag && s->fields[l->to].tag == to.tag;
        if (l->direction == direction && same_sorts && (l->to == y || l->from == x || at_end(c->run)))
            return; /* it is explained already, and better */
    }
    uint32_t from_index = keep_field(s, &from, x);
    y = place_for(s, &to); /* it may be the same as the one that was just added */
    if (y == BYTES_FIELDS_MAX)
        return;
    struct bytes_link link = {.from = (uint16_t)from_index, .direction = direction};
    link.to = (uint16_t)keep_field(s, &to, y);
    s->links[s->link_count++] = link;
}

/* Is something said again at this place of other messages, too? */
static bool is_known_target(const struct bytes_schema *s, const struct scored *c) {
    struct bytes_field to = field_at(c->run, c->pair->target, c->run->y);
    for (uint32_t i = 0; i < s->link_count; i++) {
        const struct bytes_field *f = &s->fields[s->links[i].to];
        if (s->links[i].direction == direction_of(c->pair->source) && f->part == to.part && f->at == to.at &&
            f->from_end == to.from_end && f->width == to.width)
            return true;
    }
    return false;
}

static void accept_all(const struct runs *r, struct scored *list, struct bytes_schema *schema, bool known) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->pairs[i].run_count; k++) {
            struct scored c = {&r->pairs[i], &r->pairs[i].runs[k], 0};
            c.bits = score_run(r, c.pair, c.run, known && is_known_target(schema, &c));
            if (c.bits)
                list[count++] = c;
        }
    if (count)
        qsort(list, count, sizeof *list, by_bits);
    for (uint32_t i = 0; i < count; i++)
        accept(schema, &list[i]);
}

void runs_judge(struct runs *r, struct bytes_schema *schema) {
    size_t count = 0;
    for (uint32_t i = 0; i < r->count; i++)
        count += r->pairs[i].run_count;
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t k = 0; k < r->pairs[i].run_count; k++)
            trim_run(&r->pairs[i].runs[k]);
    struct scored *list = malloc((count + 1) * sizeof *list);
    if (!list)
        return; /* nothing is carried over */
    accept_all(r, list, schema, false);
    if (schema->link_count)
        accept_all(r, list, schema, true);
    free(list);
}

void runs_fini(struct runs *r) {
    for (uint32_t i = 0; i < r->count; i++) {
        free(r->pairs[i].candidates);
        free(r->pairs[i].runs);
    }
    free(r->pairs);
    free(r->index);
    *r = (struct runs){0};
}
