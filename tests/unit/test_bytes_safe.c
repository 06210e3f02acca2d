/* Binary messages are never made worse than they were recorded: whatever is not sure is sent as it was. Conversations
 * are drawn at random, by a seed of their own each. */
#include "replay/bytes.h"
#include "talk.h"

#define EXCHANGES_MAX 24u
#define HEX_MAX 900u

static uint32_t seed;
static uint32_t any(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 8) * below) >> 24);
}

/* ---- protocols ---- */

enum number_code {
    NUMBER_U8,
    NUMBER_U16_BE,
    NUMBER_U16_LE,
    NUMBER_U32_BE,
    NUMBER_U32_LE,
    NUMBER_VARINT,
    NUMBER_MSGPACK,
    NUMBER_CBOR,
    NUMBER_CODES
};
enum text_code { TEXT_U8, TEXT_U16_BE, TEXT_VARINT, TEXT_MSGPACK, TEXT_CBOR, TEXT_FRAMED, TEXT_CODES };

/* tag, numbers that change or do not, and then an id, a text and a payload in any order. */
struct protocol {
    enum number_code id;
    enum text_code text;
    unsigned order, constant, noise, payload; /* payload: at most so many bytes; noise: bytes in front that change */
    bool payload_varies, tagged;
};

struct exchange {
    uint32_t id;
    char name[40];
    uint8_t noise[8], payload[2][24]; /* the answer has one of its own */
    unsigned payload_len;
};

static void put_number(struct buf *out, enum number_code code, uint32_t n) {
    static const unsigned sizes[] = {1, 2, 2, 4, 4};
    unsigned size;
    switch (code) {
    case NUMBER_VARINT:
        for (; n >= 128; n >>= 7)
            buf_putc(out, (char)(n | 128));
        buf_putc(out, (char)n);
        return;
    case NUMBER_MSGPACK:
        size = n < 128 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : 4;
        if (!size)
            buf_putc(out, (char)n);
        else
            buf_putc(out, (char)(0xcc + size / 2));
        break;
    case NUMBER_CBOR:
        size = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : 4;
        buf_putc(out, (char)(size ? 24 + size / 2 : n));
        break;
    default:
        size = sizes[code];
    }
    for (unsigned i = 0; i < size; i++)
        buf_putc(out, (char)(n >> 8 * (code == NUMBER_U16_LE || code == NUMBER_U32_LE ? i : size - 1 - i)));
}

static void put_text(struct buf *out, enum text_code code, const char *text) {
    unsigned n = (unsigned)strlen(text);
    switch (code) {
    case TEXT_U16_BE:
        put_number(out, NUMBER_U16_BE, n);
        break;
    case TEXT_MSGPACK:
        if (n < 32)
            buf_putc(out, (char)(0xa0 + n));
        else {
            buf_putc(out, (char)0xd9);
            buf_putc(out, (char)n);
        }
        break;
    case TEXT_CBOR:
        if (n < 24)
            buf_putc(out, (char)(0x60 + n));
        else {
            buf_putc(out, 0x78);
            buf_putc(out, (char)n);
        }
        break;
    case TEXT_FRAMED: /* a length around the length, as of a message within a message */
        put_number(out, NUMBER_VARINT, n + 2);
        buf_putc(out, 0x0a);
        put_number(out, NUMBER_VARINT, n);
        break;
    default:
        put_number(out, NUMBER_VARINT, n);
    }
    buf_puts(out, text);
}

/* An answer says the id and the name again, and the rest of it is the exchange's own. */
static void put_message(struct buf *out, const struct protocol *p, const struct exchange *e, bool answer, uint32_t id,
                        const char *name) {
    buf_reset(out);
    if (p->tagged)
        buf_putc(out, answer ? 2 : 1);
    for (unsigned i = 0; i < p->constant; i++)
        buf_putc(out, (char)(0x90 + i));
    for (unsigned i = 0; !answer && i < p->noise; i++)
        buf_putc(out, (char)e->noise[i]);
    for (unsigned i = 0; i < 3; i++) {
        unsigned part = (p->order + i) % 3;
        if (part == 0)
            put_number(out, p->id, id);
        else if (part == 1)
            put_text(out, p->text, name);
        else
            buf_append(out, e->payload[answer], e->payload_len);
    }
}

static void draw_protocol(struct protocol *p) {
    *p = (struct protocol){.id = any(NUMBER_CODES), .text = any(TEXT_CODES), .order = any(3), .constant = any(4)};
    p->noise = any(3) ? 0 : any(5);
    p->payload = any(20);
    p->payload_varies = any(2);
    p->tagged = any(4) != 0;
}

static void draw_exchange(const struct protocol *p, struct exchange *e, uint32_t id) {
    unsigned len = 1 + any(any(4) ? 12 : 35);
    e->id = p->id == NUMBER_U8 ? id & 255 : p->id <= NUMBER_U16_LE ? id & 65535 : id;
    for (unsigned i = 0; i < len; i++)
        e->name[i] = (char)('a' + any(26));
    e->name[len] = '\0';
    for (unsigned i = 0; i < sizeof e->noise; i++)
        e->noise[i] = (uint8_t)any(any(2) ? 256 : 8);
    for (unsigned i = 0; i < sizeof e->payload; i++)
        e->payload[i % 2][i / 2] = (uint8_t)any(256);
    e->payload_len = p->payload_varies ? any(p->payload + 1) : p->payload;
}

/* Ids that a client draws: one after the other from anywhere, or at random. */
static uint32_t draw_id(unsigned kind, uint32_t first, unsigned i) {
    return kind == 0 ? first % 20 + i : kind == 1 ? first % 300 + i : kind == 2 ? first + i * 7 : any(1u << 24);
}

struct conversation {
    struct protocol protocol;
    struct exchange exchanges[EXCHANGES_MAX];
    unsigned count;
    struct talk talk;
};

static void begin(struct conversation *c) {
    static char lines[2 * EXCHANGES_MAX][HEX_MAX];
    const char *list[2 * EXCHANGES_MAX + 1] = {NULL};
    struct buf m = BUF_INIT;
    unsigned kind = any(4);
    uint32_t first = any(70000);
    draw_protocol(&c->protocol);
    c->count = 2 + any(EXCHANGES_MAX - 2);
    for (unsigned i = 0; i < 2 * c->count; i++) {
        struct exchange *e = &c->exchanges[i / 2];
        if (i % 2 == 0)
            draw_exchange(&c->protocol, e, draw_id(kind, first, i / 2));
        put_message(&m, &c->protocol, e, i % 2, e->id, e->name);
        lines[i][0] = i % 2 ? '>' : '<';
        ck_assert_uint_lt(2 * m.len + 2, HEX_MAX);
        talk_write_hex(lines[i] + 1, m.data, m.len);
        list[i] = lines[i];
    }
    talk_begin(&c->talk, list);
    buf_fini(&m);
}

static void say(struct conversation *c, unsigned message, const struct buf *m) {
    char text[HEX_MAX];
    talk_write_hex(text, m->data, m->len);
    talk_learn(&c->talk, message, text);
}

#define ROUNDS 250u
#define SEEDS 8

/* Who says what was recorded is answered what was recorded. */
START_TEST(the_same_is_answered_the_same) {
    struct conversation c;
    struct buf m = BUF_INIT;
    char want[HEX_MAX];
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed = (uint32_t)_i * 1000003u + round * 13u + 1;
        begin(&c);
        for (unsigned i = 0; i < c.count; i++) {
            const struct exchange *e = &c.exchanges[i];
            put_message(&m, &c.protocol, e, false, e->id, e->name);
            say(&c, 2 * i, &m);
            put_message(&m, &c.protocol, e, true, e->id, e->name);
            talk_write_hex(want, m.data, m.len);
            ck_assert_str_eq(talk_render_bytes(&c.talk, 2 * i + 1), want);
        }
        talk_end(&c.talk);
    }
    buf_fini(&m);
}
END_TEST

/* Is it the recorded answer, with the live id or name where they were understood? *carried: at least one of them. */
static bool is_right(const struct conversation *c, const struct exchange *e, const struct exchange *live,
                     const char *got, bool *carried) {
    struct buf m = BUF_INIT;
    char want[HEX_MAX];
    bool right = false;
    *carried = false;
    for (unsigned k = 0; k < 4 && !right; k++) {
        put_message(&m, &c->protocol, e, true, k & 1 ? live->id : e->id, k & 2 ? live->name : e->name);
        talk_write_hex(want, m.data, m.len);
        right = !strcmp(got, want);
        *carried = right && k;
    }
    buf_fini(&m);
    return right;
}

/* Who says something else is answered as recorded, or rightly. */
START_TEST(others_are_answered_as_recorded_or_rightly) {
    struct conversation c;
    struct exchange live;
    struct buf m = BUF_INIT;
    unsigned carried = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed = (uint32_t)_i * 7919u * 1000u + round * 31u + 5;
        begin(&c);
        for (unsigned i = 0; i < c.count; i++) {
            const struct exchange *e = &c.exchanges[i];
            bool some;
            draw_exchange(&c.protocol, &live, draw_id(any(4), any(70000), i));
            put_message(&m, &c.protocol, &live, false, live.id, live.name);
            say(&c, 2 * i, &m);
            const char *got = talk_render_bytes(&c.talk, 2 * i + 1);
            if (!is_right(&c, e, &live, got, &some))
                ck_abort_msg("round %u: %s for id %u, name %s, recorded %u, %s", round, got, live.id, live.name, e->id,
                             e->name);
            carried += some;
        }
        talk_end(&c.talk);
    }
    buf_fini(&m);
    ck_assert_uint_gt(carried, ROUNDS / 10);
}
END_TEST

/* Noise has no fields. */
START_TEST(noise_has_no_fields) {
    static char lines[40][HEX_MAX];
    uint8_t data[120];
    unsigned found = 0;
    for (unsigned round = 0; round < 2 * ROUNDS; round++) {
        const char *list[41] = {NULL};
        struct talk t;
        seed = (uint32_t)_i * 104729u * 100u + round * 17u + 3;
        unsigned count = 4 + any(36), tags = 1 + any(any(2) ? 4 : 256), len_max = 4 + any(100), turn = any(2);
        for (unsigned i = 0; i < count; i++) {
            unsigned len = 3 + any(len_max);
            for (unsigned k = 0; k < len; k++)
                data[k] = (uint8_t)any(256);
            data[0] = (uint8_t)any(tags);
            lines[i][0] = (turn ? any(2) : i % 2) ? '>' : '<';
            talk_write_hex(lines[i] + 1, data, len);
            list[i] = lines[i];
        }
        talk_begin(&t, list);
        const struct bytes_schema *schema = path_table_bytes(correlation_paths(t.correlation));
        found += schema && schema->link_count;
        talk_end(&t);
    }
    ck_assert_uint_eq(found, 0);
}
END_TEST

static Suite *make(void) {
    Suite *s = suite_create("bytes_safe");
    TCase *t = tcase_create("bytes_safe");
    tcase_add_unchecked_fixture(t, sample_setup, sample_teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, the_same_is_answered_the_same, 0, SEEDS);
    tcase_add_loop_test(t, others_are_answered_as_recorded_or_rightly, 0, SEEDS);
    tcase_add_loop_test(t, noise_has_no_fields, 0, SEEDS);
    suite_add_tcase(s, t);
    return s;
}

int main(void) {
    return sample_run(make());
}
