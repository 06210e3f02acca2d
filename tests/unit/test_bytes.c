/* Binary messages: what is found in them, and what is carried over. */
#include "replay/bytes.h"
#include "talk.h"

/* ---- cutting ---- */

static const struct {
    const char *message, *want; /* gap(…), text of n bytes behind a length of m: m>n; run: >n */
} cuts[] = {
    {"#01020304ff", "gap5"},
    {"#01 0005 68656c6c6f ff", "gap1 2>5 gap1"},
    {"#01 05 68656c6c6f 00", "gap1 1>5 gap1"},
    {"#01 0500 68656c6c6f 00", "gap1 2>5 gap1"},
    {"#01 05000000 68656c6c6f", "gap1 4>5"},
    /* The first two bytes of four may belong to an id: they are no part of the length. */
    {"#01 00000005 68656c6c6f", "gap3 2>5"},
    /* A length of one byte counts only where the text ends with it. */
    {"#01 03 68656c6c6f 00", "gap2 >5 gap1"},
    {"#01 04 68656c6c 24 35353065383430302d653239622d343164342d613731362d343436363535343430303030", "gap1 1>4 1>36"},
    /* Of two bytes it does for the first string; an id and text are not taken for another. */
    {"#30 0003 612f62 0002 68656c6c6f00", "gap1 2>3 gap2 >5 gap1"},
    {"#ff 616263646566 00", "gap1 >6 gap1"},
    {"#ff 616263 ff", "gap5"},
    {"#ff 61626364", "gap1 >4"},
    {"#00", "gap1"},
};

START_TEST(cutting) {
    struct talk_data d = talk_data(cuts[_i].message);
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    struct buf got = BUF_INIT;
    size_t count = bytes_cut(NULL, d.bytes, d.len, pieces), at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bytes_piece *p = &pieces[i];
        ck_assert_uint_eq(p->begin, at);
        at = p->end;
        buf_puts(&got, i ? " " : "");
        if (p->code == CODE_GAP)
            buf_printf(&got, "gap%u", p->end - p->begin);
        else if (p->code == CODE_RUN)
            buf_printf(&got, ">%u", p->end - p->begin);
        else
            buf_printf(&got, "%u>%u", p->text - p->begin, p->end - p->text);
    }
    ck_assert_uint_eq(at, d.len);
    ck_assert_str_eq(buf_cstr(&got), cuts[_i].want);
    buf_fini(&got);
}
END_TEST

/* Whatever the bytes are, the pieces cover them all, and a written value reads as it was written. */
START_TEST(any_bytes_are_cut) {
    struct bytes_piece pieces[BYTES_PIECES_MAX];
    uint8_t data[6000];
    uint32_t seed = 1;
    for (unsigned round = 0; round < 400; round++) {
        size_t len = 1 + round * 15;
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = (uint8_t)(round % 3 ? seed >> 24 : (seed >> 24) % 3 ? 'a' : seed >> 30);
        }
        size_t count = bytes_cut(NULL, data, len, pieces), at = 0;
        ck_assert_uint_le(count, BYTES_PIECES_MAX);
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_eq(pieces[i].begin, at);
            ck_assert_uint_gt(pieces[i].end, at);
            at = pieces[i].end;
        }
        ck_assert_uint_eq(at, len);
    }
}
END_TEST

/* ---- what is carried over ---- */

/* An id of two bytes behind the message's own length; in one sort of messages it stands behind a topic. */
START_TEST(packets_with_ids_and_topics) {
    struct talk t;
    talk_begin(&t, TALK("<#10 0b 0004 54455354 04 0002 6331", ">#20 02 0000", /* a client's name */
                        "<#82 08 5a31 0003 612f62 01", ">#90 03 5a31 01",     /* a topic */
                        "<#82 08 5a32 0003 632f64 01", ">#90 03 5a32 01",     /* another */
                        "<#32 09 0003 612f62 5a33 6869", ">#40 02 5a33", ">#30 07 0003 612f62 6869", /* a message */
                        "<#32 09 0003 632f64 5a34 6869", ">#40 02 5a34", ">#30 07 0003 632f64 6869"));
    talk_learn(&t, 2, "#82 0a 0102 0005 782f797979 01");
    ck_assert_str_eq(talk_render_bytes(&t, 3), "#9003010201");
    talk_learn(&t, 6, "#32 0b 0005 782f797979 c9c8 6869");
    ck_assert_str_eq(talk_render_bytes(&t, 7), "#4002c9c8");
    ck_assert_str_eq(talk_render_bytes(&t, 8), "#30090005782f7979796869"); /* longer, and both lengths say so */
    ck_assert_str_eq(talk_render_bytes(&t, 5), "#90035a3201");             /* not said yet: as recorded */
    talk_end(&t);
}
END_TEST

START_TEST(varints) {
    struct talk t;
    talk_begin(&t, TALK("<#08 05 1201ff", ">#08 05 18ff", "<#08 9601 1202ff", ">#08 9601 18fe", "<#08 07 1203ff",
                        ">#08 07 18fd", "<#08 ac02 1204ff", ">#08 ac02 18fc"));
    talk_learn(&t, 0, "#08 e807 1201ff");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#08e80718ff");
    talk_learn(&t, 2, "#08 09 1202ff");
    ck_assert_str_eq(talk_render_bytes(&t, 3), "#080918fe");
    talk_end(&t);
}
END_TEST

/* The id stands at the end, behind something of any length that ends alike; and at the very beginning, where others
 * have a tag. */
START_TEST(ids_at_the_end_and_at_the_beginning) {
    struct talk t;
    talk_begin(&t, TALK("<#01 f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f9 0101c8c9",
                        ">#02 e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e7 0101c8c9",
                        "<#01 f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f1f2f9 22d3a4e5",
                        ">#02 e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e7e8 22d3a4e5"));
    talk_learn(&t, 0, "#01 f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f9f1f2f3f4f5f6f7f8f9 99a8b7c6");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#02e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e7e8e9e1e2e3e4e5e6e799a8b7c6");
    talk_end(&t);
    talk_begin(&t, TALK("<#01000000 05ff", ">#01000000 86ff", "<#02000000 06ff", ">#02000000 87ff", "<#03000000 07ff",
                        ">#03000000 88ff", "<#04000000 08ff", ">#04000000 89ff"));
    talk_learn(&t, 0, "#0100aabb 05ff");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#0100aabb86ff");
    talk_end(&t);
}
END_TEST

/* ---- what is not ---- */

/* A byte that met twice, a counter of the server's own, what is always the same: chance, or nobody's choice. */
START_TEST(chance_is_no_rule) {
    struct talk t;
    talk_begin(&t, TALK("<#01 05 ff", ">#02 05 fe", "<#01 06 ff", ">#02 06 fe"));
    talk_has_no_slots(&t);
    talk_end(&t);
    talk_begin(&t, TALK("<#01 05 ff", ">#02 01 fe", ">#02 02 fe", "<#01 02 ff", ">#02 03 fe", "<#01 04 ff",
                        ">#02 04 fe", "<#01 07 ff", ">#02 05 fe"));
    talk_has_no_slots(&t);
    talk_end(&t);
    talk_begin(&t,
               TALK("<#01 cafe 01", ">#02 cafe 11", "<#01 cafe 02", ">#02 cafe 12", "<#01 cafe 03", ">#02 cafe 13"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* A number of one byte that never was above 127 may be a varint: a live one above it is not guessed at. */
START_TEST(what_is_not_sure_stays_as_recorded) {
    struct talk t;
    talk_begin(&t, TALK("<#01 21 ff", ">#02 21 fe", "<#01 33 ff", ">#02 33 fe", "<#01 45 ff", ">#02 45 fe"));
    talk_learn(&t, 0, "#01 57 ff");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#0257fe");
    talk_learn(&t, 2, "#01 c8 ff");
    ck_assert_str_eq(talk_render_bytes(&t, 3), "#0233fe");
    talk_end(&t);
    /* The byte before the text is the length of more than the text, and nothing says so: only as long a one fits. */
    talk_begin(&t, TALK("<#01 05 616c706861 ff", ">#02 08 05 616c706861 0101"));
    talk_learn(&t, 0, "#01 04 62657461 ff");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#020805616c7068610101");
    talk_learn(&t, 0, "#01 05 67616d6d61 ff");
    ck_assert_str_eq(talk_render_bytes(&t, 1), "#02080567616d6d610101");
    talk_end(&t);
}
END_TEST

START_TEST(nothing_is_found_when_told_so) {
    struct talk t;
    const struct correlate_options off = {.off = true};
    talk_begin_with(&t, TALK("<#01 5a31 ff", ">#02 5a31 fe", "<#01 5b32 ff", ">#02 5b32 fe"), &off);
    talk_has_no_slots(&t);
    talk_end(&t);
    const char *const except[] = {"@bytes/0x01"};
    const struct correlate_options some = {.except = except, .except_count = 1};
    talk_begin_with(&t, TALK("<#01 5a31 ff", ">#02 5a31 fe", "<#01 5b32 ff", ">#02 5b32 fe"), &some);
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

static Suite *make(void) {
    Suite *s = suite_create("bytes");
    TCase *t = tcase_create("bytes");
    tcase_add_unchecked_fixture(t, sample_setup, sample_teardown);
    tcase_add_loop_test(t, cutting, 0, ARRAY_LEN(cuts));
    tcase_add_test(t, any_bytes_are_cut);
    tcase_add_test(t, packets_with_ids_and_topics);
    tcase_add_test(t, varints);
    tcase_add_test(t, ids_at_the_end_and_at_the_beginning);
    tcase_add_test(t, chance_is_no_rule);
    tcase_add_test(t, what_is_not_sure_stays_as_recorded);
    tcase_add_test(t, nothing_is_found_when_told_so);
    suite_add_tcase(s, t);
    return s;
}

int main(void) {
    return sample_run(make());
}
