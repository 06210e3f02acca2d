/* Where a field begins and ends. It stands where recorded messages had it, and is as wide as it was in them; a live
 * value may be written in more bytes or fewer, here or before (MessagePack, CBOR, numbers of seven bits a byte). So a
 * live message must look like the recorded ones around the field: what was always the same is the same there, up to the
 * byte behind the field. Where that byte was not always the same, the gap must be as long as it always was. What shows
 * neither is no field. */
#include <string.h>

#include "replay/bytes.h"

#define ANY_BYTE_MIN 5u /* first bytes below 128, and as many above: no encoding tells the width by so many */

#define LENGTHS_FORGIVEN 6u /* one value in so many may look like a length by chance */

/* A message's gaps, by part. */
struct gaps {
    uint32_t begin[LAYOUT_PARTS], len[LAYOUT_PARTS];
    uint32_t last_begin, last_len; /* 0: it ends with a string */
    uint32_t parts;
};

static void find_gaps(struct gaps *g, const struct bytes_schema *schema, const uint8_t *data, size_t len) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut_strings(&schema->length, data, len, pieces);
    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < count; i++) {
        const struct bytes_piece *p = &pieces[i];
        g->parts = p->part + 1u;
        if (p->code != CODE_GAP)
            continue;
        if (p->part < LAYOUT_PARTS) {
            g->begin[p->part] = p->begin;
            g->len[p->part] = p->end - p->begin;
        }
        if (i + 1 == count) {
            g->last_begin = p->begin;
            g->last_len = p->end - p->begin;
        }
    }
}

static unsigned tag_of(const struct bytes_schema *schema, const uint8_t *data, size_t len) {
    return schema->tagged ? bytes_tag(&schema->length, data, len) : BYTES_TAG_ANY;
}

/* ---- what is always the same ---- */

static bool is_fixed(const struct bytes_gap *gap) {
    return gap->shortest == gap->longest;
}

static bool is_constant(const struct bytes_gap *gap, unsigned at) {
    return at < LAYOUT_BYTES && !(gap->varies >> at & 1);
}

/* step: -1 for a gap that is read backwards. */
static void add_gap(struct bytes_gap *gap, bool first, const uint8_t *data, uint32_t len, int step) {
    gap->shortest = first ? len : MIN(gap->shortest, len);
    gap->longest = MAX(gap->longest, len);
    for (unsigned i = 0; i < LAYOUT_BYTES; i++) {
        if (i >= len)
            gap->varies |= 1u << i;
        else if (first)
            gap->bytes[i] = data[(int)i * step];
        else if (gap->bytes[i] != data[(int)i * step])
            gap->varies |= 1u << i;
    }
}

static struct bytes_layout *layout_of(struct bytes_schema *schema, unsigned direction, unsigned tag) {
    for (uint32_t i = 0; i < schema->layout_count; i++)
        if (schema->layouts[i].direction == direction && schema->layouts[i].tag == tag)
            return &schema->layouts[i];
    if (schema->layout_count == LAYOUTS_MAX)
        return NULL;
    struct bytes_layout *l = &schema->layouts[schema->layout_count++];
    *l = (struct bytes_layout){.tag = (uint16_t)tag, .direction = (uint8_t)direction};
    return l;
}

/* ---- values of the fields ---- */

static bool is_source(const struct bytes_schema *schema, const struct bytes_link *l, unsigned direction, unsigned tag) {
    return l->direction == direction && schema->fields[l->from].tag == tag;
}

/* Where field f stands, as bytes_cut() has it but for what it is not sure of. */
static bool find_field(const struct bytes_field *f, const struct gaps *g, size_t *begin) {
    if (f->from_end ? f->at > g->last_len : f->part >= LAYOUT_PARTS || f->at + f->width > g->len[f->part])
        return false;
    *begin = f->from_end ? g->last_begin + g->last_len - f->at : g->begin[f->part] + f->at;
    return true;
}

/* Do some bits of the byte say how much text is behind it? */
static bool counts_text(const uint8_t *data, size_t len) {
    size_t n = 0;
    while (n + 1 < len && n < 256 && data[n + 1] >= ' ' && data[n + 1] < 0x7f)
        n++;
    for (unsigned bits = 4; n && bits <= 8; bits++)
        if ((data[0] & ((1u << bits) - 1)) == n)
            return true;
    return false;
}

/* Or how much there is up to the end of something that has a length itself? */
static bool counts_length(const uint8_t *data, size_t len) {
    for (size_t q = 1; q < MIN(len, 5u); q++)
        if (data[q] && data[0] == q + data[q])
            return true;
    return false;
}

/* Is one of the field's bytes what is left from there to the end of a text, or of the message? */
static bool has_length(const struct bytes_schema *schema, const struct bytes_field *f, size_t at, const uint8_t *data,
                       size_t len) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut_strings(&schema->length, data, len, pieces);
    for (size_t p = at; p < at + f->width; p++) {
        if (counts_text(data + p, len - p) || counts_length(data + p, len - p))
            return true;
        for (size_t i = 0; i < count; i++)
            if (pieces[i].end > p && data[p] == pieces[i].end - p - 1)
                return true;
    }
    return false;
}

static void add_value(struct bytes_schema *schema, struct bytes_link *l, const struct gaps *g, const uint8_t *data,
                      size_t len) {
    size_t at;
    uint64_t n;
    if (!find_field(&schema->fields[l->from], g, &at))
        return;
    l->sizes |= (uint16_t)(1u << bytes_varint(data + at, len - at, &n));
    l->lengths += has_length(schema, &schema->fields[l->from], at, data, len);
    l->seen++;
    schema->firsts[l - schema->links][data[at] / 32] |= 1u << data[at] % 32;
}

void layout_add(struct bytes_schema *schema, unsigned direction, const uint8_t *data, size_t len) {
    unsigned tag = tag_of(schema, data, len);
    struct bytes_layout *layout = NULL;
    struct gaps g;
    for (uint32_t i = 0; i < schema->link_count; i++) {
        struct bytes_link *l = &schema->links[i];
        if (!is_source(schema, l, direction, tag))
            continue;
        if (!layout) {
            if (!(layout = layout_of(schema, direction, tag)))
                return;
            find_gaps(&g, schema, data, len);
        }
        l->layout = (uint8_t)(layout - schema->layouts);
        add_value(schema, l, &g, data, len);
    }
    if (!layout)
        return;
    for (unsigned p = 0; p < LAYOUT_PARTS; p++)
        add_gap(&layout->parts[p], !layout->count, data + g.begin[p], g.len[p], 1);
    add_gap(&layout->end, !layout->count, data + len - 1, g.last_len, -1);
    layout->count++;
}

/* ---- borders ---- */

static bool are_same(const struct bytes_gap *gap, unsigned until, const uint8_t *data, uint32_t len, int step) {
    for (unsigned i = 0; i < MIN(until, LAYOUT_BYTES); i++)
        if (is_constant(gap, i) && (i >= len || data[(int)i * step] != gap->bytes[i]))
            return false;
    return true;
}

/* Counted from the end the byte in front takes the place of the one behind. */
static bool may_be_seen(const struct bytes_schema *schema, const struct bytes_link *l) {
    const struct bytes_field *f = &schema->fields[l->from];
    const struct bytes_layout *layout = &schema->layouts[l->layout];
    if (f->from_end)
        return is_fixed(&layout->end) || is_constant(&layout->end, f->at) || l->any_byte;
    if (f->part >= LAYOUT_PARTS)
        return false;
    const struct bytes_gap *gap = &layout->parts[f->part];
    bool front = !f->at || is_constant(gap, f->at - 1u);
    if (is_fixed(gap) && (f->width > 1 || f->at + 1u == gap->longest))
        return true;
    return front && (f->varint || l->any_byte || is_constant(gap, f->at + f->width));
}

static bool ends_as_recorded(const struct bytes_link *l, const struct bytes_field *f, const struct bytes_gap *gap,
                             const uint8_t *data, uint32_t len) {
    uint64_t n;
    const uint8_t *value = f->from_end ? data + 1 - f->at : data + f->at;
    if (f->varint)
        return l->sizes >> bytes_varint(value, len - f->at, &n) & 1;
    unsigned border = f->from_end ? f->at : (unsigned)f->at + f->width;
    return is_constant(gap, border) || l->any_byte || (is_fixed(gap) && len == gap->longest);
}

static bool begins_as_recorded(const struct bytes_field *f, const struct bytes_gap *gap, uint32_t len) {
    return f->from_end || !f->at || is_constant(gap, f->at - 1u) || (is_fixed(gap) && len == gap->longest);
}

static bool fits(const struct bytes_schema *schema, const struct bytes_link *l, const uint8_t *data, size_t len) {
    const struct bytes_field *f = &schema->fields[l->from];
    const struct bytes_layout *layout = &schema->layouts[l->layout];
    struct gaps g;
    find_gaps(&g, schema, data, len);
    if (f->from_end)
        return are_same(&layout->end, f->at - f->width, data + len - 1, g.last_len, -1) &&
               (f->at >= LAYOUT_BYTES || !is_constant(&layout->end, f->at) ||
                (f->at < g.last_len && data[len - 1 - f->at] == layout->end.bytes[f->at])) &&
               ends_as_recorded(l, f, &layout->end, data + len - 1, g.last_len);
    for (unsigned p = 0; p < f->part; p++) {
        const struct bytes_gap *gap = &layout->parts[p];
        if (g.len[p] < gap->shortest || g.len[p] > gap->longest ||
            !are_same(gap, LAYOUT_BYTES, data + g.begin[p], g.len[p], 1))
            return false;
    }
    const struct bytes_gap *gap = &layout->parts[f->part];
    const uint8_t *at = data + g.begin[f->part];
    unsigned behind = (unsigned)f->at + f->width, before = f->at;
    bool same =
        are_same(gap, before, at, g.len[f->part], 1) &&
        (f->varint || !is_constant(gap, behind) || (behind < g.len[f->part] && at[behind] == gap->bytes[behind]));
    return same && begins_as_recorded(f, gap, g.len[f->part]) && ends_as_recorded(l, f, gap, at, g.len[f->part]);
}

bool layout_is_sure(const struct bytes_schema *schema, unsigned direction, const uint8_t *data, size_t len,
                    size_t begin) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut(schema, data, len, pieces), i = 0;
    while (i < count && pieces[i].begin != begin)
        i++;
    if (i == count || (pieces[i].code != CODE_FIELD && pieces[i].code != CODE_VARINT))
        return true;
    for (uint32_t k = 0; k < schema->link_count; k++) {
        const struct bytes_link *l = &schema->links[k];
        if (l->from == pieces[i].field && l->direction == direction)
            return fits(schema, l, data, len);
    }
    return false;
}

/* ---- texts ---- */

static bool goes_on(const uint8_t *data, size_t len, size_t at) {
    return at < len && data[at] >= ' ' && data[at] != 0x7f;
}

/* Text without a length has the same bytes around it. */
static bool is_run_alike(const struct bytes_piece *a, const uint8_t *data, size_t len, const struct bytes_piece *b,
                         const uint8_t *recorded, size_t recorded_len) {
    bool front = a->begin ? b->begin && data[a->begin - 1] == recorded[b->begin - 1] : !b->begin;
    bool at_end = a->end == len || b->end == recorded_len;
    return front && (at_end ? a->end == len && b->end == recorded_len : data[a->end] == recorded[b->end]);
}

static bool are_alike(const struct bytes_piece *a, const struct bytes_piece *b) {
    bool texts = bytes_is_text(a->code) && bytes_is_text(b->code);
    bool counted = texts && (a->code == CODE_U8 || a->code == CODE_VARINT_TEXT) &&
                   (b->code == CODE_U8 || b->code == CODE_VARINT_TEXT);
    if (a->code != b->code && !counted)
        return false;
    return texts || a->code == CODE_VARINT || a->code == CODE_LENGTH || a->end - a->begin == b->end - b->begin;
}

bool layout_text_is_sure(const struct bytes_schema *schema, const uint8_t *data, size_t len, size_t begin,
                         const uint8_t *recorded, size_t recorded_len) {
    struct bytes_piece live[BYTES_PIECES_MAX], pieces[BYTES_PIECES_MAX];
    size_t count = bytes_cut(schema, data, len, live);
    size_t recorded_count = bytes_cut(schema, recorded, recorded_len, pieces);
    for (size_t i = 0; i < MIN(count, recorded_count) && are_alike(&live[i], &pieces[i]); i++) {
        if (live[i].code == CODE_RUN && !is_run_alike(&live[i], data, len, &pieces[i], recorded, recorded_len))
            return false;
        if (live[i].begin == begin)
            return !goes_on(data, len, live[i].end) || goes_on(recorded, recorded_len, pieces[i].end);
    }
    return false;
}

/* ---- what is left ---- */

static unsigned count_bits(const uint32_t *words, unsigned count) {
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += (unsigned)__builtin_popcount(words[i]);
    return n;
}

static void drop_fields(struct bytes_schema *schema) {
    uint16_t now[BYTES_FIELDS_MAX];
    bool used[BYTES_FIELDS_MAX] = {false};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < schema->link_count; i++)
        used[schema->links[i].from] = used[schema->links[i].to] = true;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        now[i] = (uint16_t)kept;
        if (used[i])
            schema->fields[kept++] = schema->fields[i];
    }
    schema->field_count = kept;
    for (uint32_t i = 0; i < schema->link_count; i++) {
        schema->links[i].from = now[schema->links[i].from];
        schema->links[i].to = now[schema->links[i].to];
    }
}

void layout_finish(struct bytes_schema *schema) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < schema->link_count; i++) {
        struct bytes_link *l = &schema->links[i];
        const uint32_t *firsts = schema->firsts[i];
        l->any_byte = count_bits(firsts, 4) >= ANY_BYTE_MIN && count_bits(firsts + 4, 4) >= ANY_BYTE_MIN;
        bool seen = l->layout < schema->layout_count && l->seen && l->lengths * LENGTHS_FORGIVEN <= l->seen;
        if (seen && may_be_seen(schema, l))
            schema->links[kept++] = *l;
    }
    schema->link_count = kept;
    drop_fields(schema);
}
