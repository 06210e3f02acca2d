/* UTF-8 against a check written the slow way, from the table of RFC 3629 section 4; whole, by bytes, at every split,
 * plain and masked. */
#include <check.h>
#include <stdlib.h>

#include "base/rng.h"
#include "protocol/mask.h"
#include "protocol/utf8.h"

static const uint8_t key[4] = {0xff, 0x80, 0x01, 0x7e};

/* Decodes one character: its size, or 0 when s does not begin with a valid one. */
static size_t reference_character(const uint8_t *s, size_t len) {
    static const struct {
        uint8_t lead_mask, lead;
        size_t size;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        if ((s[0] & forms[f].lead_mask) != forms[f].lead || len < forms[f].size)
            continue;
        uint32_t c = s[0] & (uint8_t)~forms[f].lead_mask;
        for (size_t i = 1; i < forms[f].size; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (s[i] & 0x3f);
        }
        return c >= forms[f].least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? forms[f].size : 0;
    }
    return 0;
}

static bool reference_valid(const uint8_t *s, size_t len) {
    while (len) {
        size_t n = reference_character(s, len);
        if (!n)
            return false;
        s += n;
        len -= n;
    }
    return true;
}

static bool feed_pieces(const uint8_t *data, size_t len, const uint8_t *with_key, uint64_t offset, size_t first,
                        size_t step) {
    struct utf8 u;
    utf8_init(&u);
    size_t at = 0;
    for (size_t n = first; at < len; at += n, n = step) {
        n = MIN(n, len - at);
        bool ok = with_key ? utf8_feed_masked(&u, data + at, n, with_key, offset + at) : utf8_feed(&u, data + at, n);
        if (!ok)
            return false;
    }
    return utf8_complete(&u);
}

/* Every way of feeding must agree with `expected`. */
static void check_all_ways(const uint8_t *data, size_t len, bool expected) {
    ck_assert_int_eq(utf8_valid(data, len), expected);
    for (uint64_t offset = 0; offset < 5; offset++) {
        /* An exact allocation: reading past its end is seen by the sanitizers. */
        uint8_t *masked = malloc(len + 1);
        ck_assert_ptr_nonnull(masked);
        mask_copy(masked + 1, data, len, key, offset);
        ck_assert_int_eq(feed_pieces(masked + 1, len, key, offset, len, 1), expected);
        ck_assert_int_eq(feed_pieces(masked + 1, len, key, offset, 1, 1), expected);
        for (size_t split = 1; split < MIN(len, 24); split++) {
            ck_assert_int_eq(feed_pieces(data, len, NULL, 0, split, len), expected);
            ck_assert_int_eq(feed_pieces(masked + 1, len, key, offset, split, len), expected);
            ck_assert_int_eq(feed_pieces(masked + 1, len, key, offset, split, split), expected);
        }
        free(masked);
    }
}

static const struct {
    const char *text;
    bool valid;
} cases[] = {
    {"", true},
    {"plain", true},
    {"\xc2\x80\xdf\xbf", true},                 /* U+0080, U+07FF */
    {"\xe0\xa0\x80\xef\xbf\xbf", true},         /* U+0800, U+FFFF */
    {"\xed\x9f\xbf\xee\x80\x80", true},         /* around the surrogates */
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true}, /* U+10000, U+10FFFF */
    {"\x80", false},                            /* a continuation alone */
    {"\xbf", false},
    {"\xc0\x80", false}, /* overlong */
    {"\xc1\xbf", false},
    {"\xe0\x9f\xbf", false},
    {"\xf0\x8f\xbf\xbf", false},
    {"\xed\xa0\x80", false}, /* surrogates */
    {"\xed\xbf\xbf", false},
    {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", false},
    {"\xfe", false},
    {"\xff", false},
    {"\xc3", false}, /* cut */
    {"\xe6\x97", false},
    {"\xf0\x9f\x98", false},
    {"\xc3(", false}, /* a continuation that is none */
    {"\xe6\x97(", false},
    {"\xe6(\xa5", false},
    {"\xf0\x9f\x98(", false},
    {"\xf0\x9f(\x80", false},
    {"\xf0(\x98\x80", false},
    {"\xe6\x97\xa5\xe6\x9c\xac", true},             /* two of three bytes */
    {"\xe6\x97\xa5\xe0\x9f\xbf", false},            /* the second overlong */
    {"\xed\xa0\x80\xe6\x9c\xac\xe8\xaa\x9e", false}, /* the first a surrogate */
};

START_TEST(known_cases) {
    const char *text = cases[_i].text;
    size_t n = strlen(text);
    ck_assert_int_eq(reference_valid((const uint8_t *)text, n), cases[_i].valid);
    /* At every place relative to the machine words, with ASCII on both sides. */
    for (size_t before = 0; before < 20; before++)
        for (size_t after = 0; after < 70; after += 3) {
            uint8_t buffer[128];
            memset(buffer, 'a', sizeof buffer);
            memcpy(buffer + before, text, n);
            bool valid = cases[_i].valid;
            check_all_ways(buffer, before + n + after, valid);
        }
}
END_TEST

/* All pairs, and all triples and quadruples of bytes at the borders of the table. */
START_TEST(exhaustive_short) {
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            uint8_t s[16] = {(uint8_t)a, (uint8_t)b, 'x', 'x', 'x', 'x', 'x', 'x', 'x'};
            ck_assert_int_eq(utf8_valid(s, 2), reference_valid(s, 2));
            ck_assert_int_eq(utf8_valid(s, 9), reference_valid(s, 9));
        }
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                    0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const size_t n = ARRAY_LEN(edges);
    for (size_t i = 0; i < n * n * n * n; i++) {
        uint8_t s[12] = {edges[i % n], edges[i / n % n], edges[i / n / n % n], edges[i / n / n / n]};
        ck_assert_int_eq(utf8_valid(s, 4), reference_valid(s, 4));
        ck_assert_int_eq(utf8_valid(s, 12), reference_valid(s, 12));
    }
}
END_TEST

/* Valid text with, half of the time, one byte spoilt. */
START_TEST(random_text) {
    static const char *const pieces[] = {"a", "hello ", "\xc3\xa4", "\xe6\x97\xa5", "\xf0\x9f\x98\x80",
                                         "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"};
    struct rng rng;
    rng_init(&rng, 7);
    for (int round = 0; round < 400; round++) {
        uint8_t text[600];
        size_t len = 0, want = (size_t)rng_range(&rng, 0, 500);
        while (len < want) {
            const char *piece = pieces[rng_range(&rng, 0, ARRAY_LEN(pieces) - 1)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        if (len && round % 2)
            text[rng_range(&rng, 0, (int64_t)len - 1)] = (uint8_t)rng_u64(&rng);
        check_all_ways(text, len, reference_valid(text, len));
    }
}
END_TEST

/* RFC 6455 section 8.1 lets a server fail as soon as it can tell: no later byte is waited for. */
START_TEST(fails_at_the_first_wrong_byte) {
    static const char *const prefixes[] = {"ab\xc0", "ab\xe0\x80", "ab\xed\xa0", "ab\xf4\x90", "ab\xf5", "ab\xe6\x97q"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct utf8 u;
        utf8_init(&u);
        size_t n = strlen(prefixes[i]);
        ck_assert(utf8_feed(&u, (const uint8_t *)prefixes[i], n - 1));
        ck_assert(!utf8_feed(&u, (const uint8_t *)prefixes[i] + n - 1, 1));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("utf8");
    TCase *tc = tcase_create("utf8");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, known_cases, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, exhaustive_short);
    tcase_add_test(tc, random_text);
    tcase_add_test(tc, fails_at_the_first_wrong_byte);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
