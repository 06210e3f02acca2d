/* What counts as a difference between two messages, what does not, and how it is told. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failing_malloc.h"
#include "replay/diff.h"

/* ---- two messages ---- */

struct pair {
    struct path_table *paths;
    struct structure expected, got;
    struct comparison c;
    uint32_t free_path;
};

static void read_structure(struct pair *p, struct structure *s, const char *data, size_t len, bool binary) {
    struct structure_scratch scratch = {0};
    ck_assert_int_eq(structure_read(s, &scratch, p->paths, p->paths, data, len, binary), MF_OK);
    structure_scratch_fini(&scratch);
}

/* Returns how many differences there are. */
static int compare_data(struct pair *p, const struct compare_options *o, const char *expected, size_t expected_len,
                        bool expected_binary, const char *got, size_t got_len, bool got_binary, const char *free_path) {
    *p = (struct pair){0};
    ck_assert_int_eq(path_table_new(&p->paths), MF_OK);
    read_structure(p, &p->expected, expected, expected_len, expected_binary);
    read_structure(p, &p->got, got, got_len, got_binary);
    p->free_path = free_path ? path_find(p->paths, free_path) : PATH_UNKNOWN;
    ck_assert(!free_path || p->free_path != PATH_UNKNOWN);
    int n = compare_message(&p->c, o, p->paths, 0, &p->expected, expected, expected_len, &p->got, got, got_len,
                            &p->free_path, free_path ? 1 : 0);
    ck_assert_int_ge(n, 0);
    ck_assert_uint_eq(p->c.total, (uint64_t)n);
    ck_assert_uint_eq(p->c.compared, 1);
    return n;
}

static void pair_fini(struct pair *p) {
    structure_fini(&p->expected);
    structure_fini(&p->got);
    path_table_free(p->paths);
    comparison_fini(&p->c);
}

/* "value /a: 1 -> 2; missing /b: 3 -> -" */
static char *describe(const struct comparison *c) {
    static const char *const kinds[] = {
        [DIFFERENT_VALUE] = "value",           [DIFFERENT_TYPE] = "type",
        [MISSING_VALUE] = "missing",           [EXTRA_VALUE] = "extra",
        [MISSING_MESSAGE] = "no message",      [EXTRA_MESSAGE] = "a message",
        [DIFFERENT_CLOSE] = "different close", [DIFFERENT_FORM] = "different form",
        [DIFFERENT_HANDSHAKE] = "handshake",
    };
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < c->count; i++) {
        const struct difference *d = &c->items[i];
        buf_printf(&out, "%s%s %s: %s -> %s", i ? "; " : "", kinds[d->kind], d->path, d->expected ? d->expected : "-",
                   d->got ? d->got : "-");
    }
    char *text = strdup(buf_cstr(&out));
    buf_fini(&out);
    return text;
}

struct row {
    const char *expected, *got;
    const char *told; /* "": the same */
    const char *ignore, *unordered, *free_path;
    double tolerance, relative;
    bool allow_extra, types_only;
};
static const struct row rows[] = {
    /* how it is written does not count */
    {"{\"a\":1,\"b\":[true,null]}", " { \"b\" : [ true , null ] , \"a\" : 1 } ", .told = ""},
    {"{\"a\":\"\\u0041\\/b\"}", "{\"\\u0061\":\"A/b\"}", .told = ""},
    {"[1,10,0,1000,0.5]", "[1.0,1e1,-0,1E+3,5e-1]", .told = ""},
    {"[100000000000000000000000000000001]", "[100000000000000000000000000000002]",
     .told = "value /0: 100000000000000000000000000000001 -> 100000000000000000000000000000002"},
    {"[0.1]", "[0.10000000000000001]", .told = "value /0: 0.1 -> 0.10000000000000001"},
    /* of a repeated name the last counts */
    {"{\"a\":1,\"a\":2}", "{\"a\":9,\"a\":2}", .told = ""},
    {"{\"a\":1}", "{\"a\":1,\"a\":2}", .told = "value /a: 1 -> 2"},
    {"{\"a\":1,\"\\u0061\":2}", "{\"a\":2}", .told = ""},
    /* values, kinds, what is missing, what is more; both ways */
    {"{\"a\":{\"b\":[1,2,3]}}", "{\"a\":{\"b\":[1,5,3]}}", .told = "value /a/b/1: 2 -> 5"},
    {"{\"a\":1}", "{\"a\":\"1\"}", .told = "type /a: 1 -> \"1\""},
    {"{\"a\":null}", "{\"a\":false}", .told = "type /a: null -> false"},
    {"{\"a\":true}", "{\"a\":false}", .told = "value /a: true -> false"},
    {"{\"a\":{}}", "{\"a\":[]}", .told = "type /a: {} -> []"},
    {"{\"a\":1,\"b\":{\"c\": 2}}", "{\"a\":1}", .told = "missing /b: {\"c\":2} -> -"},
    {"{\"a\":1}", "{\"a\":1,\"b\":[ 1, \"x y\" ]}", .told = "extra /b: - -> [1,\"x y\"]"},
    {"{\"a\":1}", "{\"a\":1,\"b\":2}", .told = "", .allow_extra = true},
    {"{\"a\":1,\"b\":2}", "{\"a\":1}", .told = "missing /b: 2 -> -", .allow_extra = true},
    {"[1,2]", "[1,2,3]", .told = "extra /2: - -> 3"},
    {"[1,2]", "[1,2,3]", .told = "extra /2: - -> 3", .allow_extra = true},
    {"[1,2,3]", "[1]", .told = "missing /1: 2 -> -; missing /2: 3 -> -"},
    {"[1]", "{\"0\":1}", .told = "type : [1] -> {\"0\":1}"},
    {"{\"a/b~c\":1}", "{\"a/b~c\":2}", .told = "value /a~1b~0c: 1 -> 2"},
    {"{\"\":1}", "{\"\":2}", .told = "value /: 1 -> 2"},
    /* ignored: the path and what is below it */
    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":3}}", .told = "", .ignore = "/a"},
    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":3}}", .told = "missing /a/c: 2 -> -", .ignore = "/a/b"},
    {"{\"a\":[{\"t\":1},{\"t\":2}]}", "{\"a\":[{\"t\":3},{\"t\":4}]}", .told = "", .ignore = "a.*.t"},
    {"{\"a\":[{\"t\":1},{\"t\":2}]}", "{\"a\":[{\"t\":3},{\"t\":4}]}", .told = "", .ignore = "/**/t"},
    {"{\"a\":1}", "{\"a\":1,\"t\":2}", .told = "", .ignore = "/t"},
    {"{\"ab\":1}", "{\"ab\":2}", .told = "value /ab: 1 -> 2", .ignore = "/a"},
    /* free: the value, not its presence or kind */
    {"{\"id\":\"a7\"}", "{\"id\":\"b3\"}", .told = "", .free_path = "/id"},
    {"{\"id\":\"a7\"}", "{}", .told = "missing /id: \"a7\" -> -", .free_path = "/id"},
    {"{\"id\":\"a7\"}", "{\"id\":7}", .told = "type /id: \"a7\" -> 7", .free_path = "/id"},
    {"{\"id\":\"a7\",\"n\":\"x\"}", "{\"id\":\"b3\",\"n\":\"y\"}", .told = "value /n: \"x\" -> \"y\"",
     .free_path = "/id"},
    /* tolerance */
    {"[10]", "[10.4]", .told = "", .tolerance = 0.4},
    {"[10]", "[9.5]", .told = "value /0: 10 -> 9.5", .tolerance = 0.4},
    {"[0.3]", "[0.1]", .told = "", .tolerance = 0.2},
    {"[200]", "[198]", .told = "", .relative = 0.01},
    {"[200]", "[197]", .told = "value /0: 200 -> 197", .relative = 0.01},
    {"[-5]", "[5]", .told = "value /0: -5 -> 5", .relative = 0.5},
    {"[9007199254740993]", "[9007199254740991]", .told = "", .tolerance = 2},
    {"[9007199254740993]", "[9007199254740990]", .told = "value /0: 9007199254740993 -> 9007199254740990",
     .tolerance = 2},
    {"[1e999]", "[2e999]", .told = "value /0: 1e999 -> 2e999", .tolerance = 1},
    {"[\"10\"]", "[\"10.1\"]", .told = "value /0: \"10\" -> \"10.1\"", .tolerance = 1},
    /* kinds alone */
    {"{\"a\":1,\"b\":[\"x\"]}", "{\"a\":2.5,\"b\":[\"y\",\"z\"]}", .told = "", .types_only = true},
    {"{\"a\":1}", "{\"a\":\"1\"}", .told = "type /a: 1 -> \"1\"", .types_only = true},
    {"{\"a\":1}", "{\"b\":1}", .told = "missing /a: 1 -> -; extra /b: - -> 1", .types_only = true},
    {"some words", "other ones, and more", .told = "", .types_only = true},
    /* in any order */
    {"{\"a\":[1,2,3]}", "{\"a\":[3,1.0,2]}", .told = "", .unordered = "/a"},
    {"{\"a\":[1,2,3]}", "{\"a\":[3,1,2]}", .told = "value /a/0: 1 -> 3; value /a/1: 2 -> 1; value /a/2: 3 -> 2"},
    {"{\"a\":[1,2,3]}", "{\"a\":[3,1]}", .told = "missing /a/1: 2 -> -", .unordered = "/a"},
    {"{\"a\":[1]}", "{\"a\":[3,1]}", .told = "extra /a/0: - -> 3", .unordered = "/a"},
    {"{\"a\":[{\"k\":1,\"v\":\"x\"},{\"k\":2,\"v\":\"y\"}]}", "{\"a\":[{\"v\":\"z\",\"k\":2},{\"k\":1,\"v\":\"x\"}]}",
     .told = "value /a/1/v: \"y\" -> \"z\"", .unordered = "/a"},
    {"{\"a\":[[1,2],[3,4]]}", "{\"a\":[[4,3],[1,2]]}", .told = "value /a/1/0: 3 -> 4; value /a/1/1: 4 -> 3",
     .unordered = "/a"},
    {"{\"a\":[[1,2],[3,4]]}", "{\"a\":[[4,3],[1,2]]}", .told = "", .unordered = "/**"},
    {"{\"a\":[{\"t\":1,\"k\":1},{\"t\":2,\"k\":2}]}", "{\"a\":[{\"t\":8,\"k\":2},{\"t\":9,\"k\":1}]}", .told = "",
     .unordered = "/a", .ignore = "/a/*/t"},
    {"{\"a\":[1,1,2]}", "{\"a\":[1,2,2]}", .told = "value /a/1: 1 -> 2", .unordered = "/a"},
    {"[1,2]", "[2,1]", .told = "value /0: 1 -> 2; value /1: 2 -> 1", .unordered = "/"},
    /* JSON in strings */
    {"{\"d\":\"{\\\"a\\\":1,\\\"b\\\":2}\"}", "{\"d\":\"{\\\"b\\\":2, \\\"a\\\":1.0}\"}", .told = ""},
    {"{\"d\":\"{\\\"a\\\":1}\"}", "{\"d\":\"{\\\"a\\\":2}\"}", .told = "value /d/@json/a: 1 -> 2"},
    {"{\"d\":\"{\\\"a\\\":1}\"}", "{\"d\":\"{\\\"a\\\":2}\"}", .told = "", .ignore = "/d"},
    {"{\"d\":\"{\\\"a\\\":1}\"}", "{\"d\":\"{oops\"}", .told = "value /d: \"{\\\"a\\\":1}\" -> \"{oops\""},
    {"{\"d\":\"{\\\"id\\\":\\\"a7\\\"}\"}", "{\"d\":\"{\\\"id\\\":\\\"b3\\\"}\"}", .told = "",
     .free_path = "/d/@json/id"},
    /* something in front */
    {"42[\"chat\",{\"n\":1}]", "42[\"chat\", {\"n\":1.0}]", .told = ""},
    {"42[\"chat\",{\"n\":1}]", "43[\"chat\",{\"n\":2}]", .told = "value @head/0: 42 -> 43; value /1/n: 1 -> 2"},
    {"42[\"chat\",{\"n\":1}]", "42[\"chat\",{\"n\":2}]", .told = "", .ignore = "/1/n"},
    {"421[\"a\"]", "427[\"a\"]", .told = "", .free_path = "@head/0"},
    /* several in one message */
    {"{\"t\":6}\x1e{\"t\":7}\x1e", "{\"t\":6}\x1e{\"t\":8}\x1e", .told = "value @record/1/t: 7 -> 8"},
    {"{\"t\":6}\x1e{\"t\":7}\x1e", "{\"t\":6}\x1e", .told = "missing @record/1: {\"t\":7} -> -"},
    {"{\"t\":6}\x1e", "{\"t\":6}\n{\"t\":7}", .told = "extra @record/1: - -> {\"t\":7}"},
    /* words */
    {"SUBSCRIBE topic a7", "SUBSCRIBE  topic\ta7\r\n", .told = ""},
    {"SUBSCRIBE topic a7", "SUBSCRIBE topic b3", .told = "value @word/2: a7 -> b3"},
    {"SUBSCRIBE topic a7", "SUBSCRIBE topic b3", .told = "", .free_path = "@word/2"},
    {"SUBSCRIBE topic a7", "please SUBSCRIBE topic a7", .told = "extra @word/0: - -> please"},
    {"SUBSCRIBE topic a7", "topic a7", .told = "missing @word/0: SUBSCRIBE -> -"},
    {"one two three four", "one 2 three", .told = "value @word/1: two -> 2; missing @word/3: four -> -"},
    {"one two", "one 2", .told = "", .ignore = "@word/1"},
    {"temp 21.5 C", "temp 21.6 C", .told = "", .tolerance = 0.1},
    {"temp 21.5 C", "temp 21.6 C", .told = "value @word/1: 21.5 -> 21.6"},
    {"a=b", "a;b", .told = "value : a=b -> a;b"},
    {"!!!", "???", .told = "value : !!! -> ???"},
    /* forms */
    {"{\"a\":1}", "a is 1", .told = "different form : JSON: {\"a\":1} -> a text: a is 1"},
    {"42[1]", "42", .told = "different form : JSON with something before it: 42[1] -> a text: 42"},
    {"", "{}", .told = "different form : a text:  -> JSON: {}"},
    {"", "", .told = ""},
};

START_TEST(test_rows) {
    const struct row *r = &rows[_i];
    struct compare_options o = {.ignore = &r->ignore,
                                .ignore_count = r->ignore != NULL,
                                .unordered = &r->unordered,
                                .unordered_count = r->unordered != NULL,
                                .tolerance = r->tolerance,
                                .tolerance_relative = r->relative,
                                .allow_extra = r->allow_extra,
                                .types_only = r->types_only};
    struct pair p;
    int n = compare_data(&p, &o, r->expected, strlen(r->expected), false, r->got, strlen(r->got), false, r->free_path);
    char *told = describe(&p.c);
    ck_assert_msg(!strcmp(told, r->told), "%s | %s:\n  expected %s\n       got %s", r->expected, r->got, r->told, told);
    ck_assert_int_eq(n == 0, *r->told == '\0');
    free(told);
    pair_fini(&p);
    /* nothing differs from itself */
    ck_assert_int_eq(compare_data(&p, &o, r->got, strlen(r->got), false, r->got, strlen(r->got), false, NULL), 0);
    pair_fini(&p);
}
END_TEST

START_TEST(test_binary) {
    static const char a[] = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", b[] = "\x00\x01\x02\x03\x04\x05\xff\x07\x08";
    const struct compare_options o = {0}, types = {.types_only = true};
    struct pair p;
    ck_assert_int_eq(compare_data(&p, &o, a, 10, true, b, 9, true, NULL), 1);
    ck_assert_str_eq(p.c.items[0].expected, "10 bytes, from byte 2: 02 03 04 05 | 06 07 08 09");
    ck_assert_str_eq(p.c.items[0].got, "9 bytes, from byte 2: 02 03 04 05 | ff 07 08");
    pair_fini(&p);
    ck_assert_int_eq(compare_data(&p, &types, a, 10, true, b, 9, true, NULL), 0);
    pair_fini(&p);
    ck_assert_int_eq(compare_data(&p, &o, a, 10, true, a, 9, true, NULL), 1);
    pair_fini(&p);
    ck_assert_int_eq(compare_data(&p, &o, a, 10, true, "", 0, true, NULL), 1);
    ck_assert_str_eq(p.c.items[0].got, "0 bytes");
    pair_fini(&p);
}
END_TEST

/* Long strings are shown where they differ, cut between characters. */
START_TEST(test_excerpts) {
    struct buf a = BUF_INIT, b = BUF_INIT;
    const struct compare_options o = {0};
    struct pair p;
    buf_puts(&a, "{\"s\":\"");
    for (int i = 0; i < 500; i++)
        buf_puts(&a, "ü");
    buf_append(&b, a.data, a.len);
    buf_puts(&a, "HERE");
    buf_puts(&b, "there");
    for (int i = 0; i < 500; i++) {
        buf_puts(&a, "ß");
        buf_puts(&b, "ß");
    }
    buf_puts(&a, "\"}");
    buf_puts(&b, "\"}");
    ck_assert_int_eq(compare_data(&p, &o, buf_cstr(&a), a.len, false, buf_cstr(&b), b.len, false, NULL), 1);
    const struct difference *d = &p.c.items[0];
    ck_assert(strlen(d->expected) <= COMPARE_TEXT_MAX && strlen(d->got) <= COMPARE_TEXT_MAX);
    ck_assert_msg(strstr(d->expected, "HERE") && strstr(d->got, "there"), "%s | %s", d->expected, d->got);
    ck_assert(!strncmp(d->expected, "…ü", 5) && !strcmp(d->expected + strlen(d->expected) - 5, "ß…"));
    pair_fini(&p);
    buf_fini(&a);
    buf_fini(&b);
}
END_TEST

static void put_numbers(struct buf *out, int count, int step) {
    buf_puts(out, "{\"a\":[");
    for (int i = 0; i < count; i++)
        buf_printf(out, i ? ",%d" : "%d", i * step % count);
    buf_puts(out, "]}");
}

/* All are counted, some are kept; what is too large for any order is compared as it stands, and that is told. */
START_TEST(test_bounds) {
    struct buf a = BUF_INIT, b = BUF_INIT;
    const char *unordered = "/a";
    const struct compare_options ordered = {0}, any = {.unordered = &unordered, .unordered_count = 1};
    struct pair p;
    put_numbers(&a, 1999, 1);
    put_numbers(&b, 1999, 7);
    ck_assert_int_eq(compare_data(&p, &any, buf_cstr(&a), a.len, false, buf_cstr(&b), b.len, false, NULL), 0);
    pair_fini(&p);
    ck_assert_int_eq(compare_data(&p, &ordered, buf_cstr(&a), a.len, false, buf_cstr(&b), b.len, false, NULL), 1998);
    ck_assert_uint_eq(p.c.count, DIFFERENCES_MAX);
    pair_fini(&p);
    buf_reset(&a);
    buf_reset(&b);
    put_numbers(&a, 2003, 1);
    put_numbers(&b, 2003, 7);
    ck_assert_int_eq(compare_data(&p, &any, buf_cstr(&a), a.len, false, buf_cstr(&b), b.len, false, NULL), 2002);
    ck_assert_uint_eq(p.c.in_order, 1);
    pair_fini(&p);
    buf_fini(&a);
    buf_fini(&b);
}
END_TEST

/* Large objects find their members by name in whichever order. */
START_TEST(test_large_objects) {
    struct buf a = BUF_INIT, b = BUF_INIT;
    const struct compare_options o = {0};
    struct pair p;
    buf_putc(&a, '{');
    buf_putc(&b, '{');
    for (int i = 0; i < 5000; i++) {
        buf_printf(&a, "%s\"k%d\":%d", i ? "," : "", i, i);
        buf_printf(&b, "%s\"\\u006b%d\":%d", i ? "," : "", 4999 - i, i == 4900 ? -1 : 4999 - i);
    }
    buf_puts(&a, ",\"k5\":6}");
    buf_puts(&b, "}");
    ck_assert_int_eq(compare_data(&p, &o, buf_cstr(&a), a.len, false, buf_cstr(&b), b.len, false, NULL), 2);
    char *told = describe(&p.c);
    ck_assert_str_eq(told, "value /k99: 99 -> -1; value /k5: 6 -> 5");
    free(told);
    pair_fini(&p);
    buf_fini(&a);
    buf_fini(&b);
}
END_TEST

START_TEST(test_conversation) {
    struct replay_message messages[] = {{.time_us = 1250000, .direction = EVENT_OUTGOING}};
    struct replay_connection recorded = {.messages = messages, .message_count = 1};
    struct comparison c = {.expected = &recorded};
    ck_assert_int_eq(compare_missing(&c, 0, "{\"a\":1}", 7), 1);
    ck_assert_int_eq(compare_extra(&c, 4, "\x01\x02", 2), 1);
    ck_assert_int_eq(compare_close(&c, 1000, 1000), 0);
    ck_assert_int_eq(compare_close(&c, 1000, 0), 1);
    ck_assert_int_eq(compare_handshake(&c, "subprotocol", NULL, NULL), 0);
    ck_assert_int_eq(compare_handshake(&c, "subprotocol", "a", "a"), 0);
    ck_assert_int_eq(compare_handshake(&c, "subprotocol", "a", NULL), 1);
    ck_assert_int_eq(compare_opcode(&c, 0, true, true), 0);
    ck_assert_int_eq(compare_opcode(&c, 0, true, false), 1);
    char *told = describe(&c);
    ck_assert_str_eq(told, "no message : {\"a\":1} -> -; a message : - -> 2 bytes: 01 02; "
                           "different close close: 1000 -> no close frame; handshake subprotocol: a -> -; "
                           "different form : a binary message -> a text message");
    free(told);
    ck_assert_uint_eq(c.total, 5);
    ck_assert_uint_eq(c.missing, 1);
    ck_assert_uint_eq(c.extra, 1);
    ck_assert_int_eq(c.items[0].direction, EVENT_OUTGOING);
    ck_assert_uint_eq(c.items[0].time_us, 1250000);
    ck_assert_int_eq(c.items[1].direction, -1);
    comparison_fini(&c);
}
END_TEST

/* ---- reports ---- */

/* Fifty messages whose prices differ, one of which says something hostile. */
static void fill(struct comparison *c, struct replay_connection *recorded) {
    c->expected = recorded;
    for (size_t i = 0; i < 50; i++) {
        char expected[64], got[64];
        struct pair p = {0};
        const struct compare_options o = {0};
        snprintf(expected, sizeof expected, "{\"items\":[0,{\"price\":%zu}]%s}", i, i == 7 ? ",\"s\":\"\x7f\"" : "");
        snprintf(got, sizeof got, "{\"items\":[0,{\"price\":%zu.5}]%s}", i, i == 7 ? ",\"s\":\"<&\xc2\x9b\"" : "");
        ck_assert_int_eq(path_table_new(&p.paths), MF_OK);
        read_structure(&p, &p.expected, expected, strlen(expected), false);
        read_structure(&p, &p.got, got, strlen(got), false);
        ck_assert_int_ge(compare_message(c, &o, p.paths, i, &p.expected, expected, strlen(expected), &p.got, got,
                                         strlen(got), NULL, 0),
                         1);
        pair_fini(&p);
    }
}

START_TEST(test_reports) {
    struct replay_message messages[50];
    for (size_t i = 0; i < 50; i++)
        messages[i] = (struct replay_message){.time_us = i * 1000, .direction = EVENT_OUTGOING};
    struct replay_connection recorded = {.messages = messages, .message_count = 50};
    struct comparison different = {0}, same = {.compared = 3};
    fill(&different, &recorded);
    const struct report_case cases[] = {
        {.name = "conn-1", .comparison = &different, .time_us = 1500},
        {.name = "conn-2", .comparison = &same},
        {.name = "conn-\x1b[2J", .error = "cannot \"connect\"\n"},
    };
    struct buf out = BUF_INIT;
    report_text(&out, cases, ARRAY_LEN(cases), false);
    ck_assert_str_eq(buf_cstr(&out),
                     "DIFF conn-1: 51 differences; 50 messages compared (0.001 s)\n"
                     "  /items/1/price: 50 messages (1-50); the first: message 1 at 0.000 s from the server\n"
                     "    - 0\n"
                     "    + 0.5\n"
                     "  message 8 at 0.007 s from the server: /s\n"
                     "    - \"\\x7f\"\n"
                     "    + \"<&\\x9b\"\n"
                     "same conn-2: 3 messages compared\n"
                     "ERROR conn-\\x1b[2J: cannot \"connect\"\\n\n"
                     "3 conversations: 1 same, 1 different, 1 failed; 53 messages compared, 51 differences\n");
    buf_reset(&out);
    report_text(&out, cases, ARRAY_LEN(cases), true);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "\033[31m- 0\033[0m\n"));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "\033[32m+ 0.5\033[0m\n"));
    ck_assert_ptr_null(strstr(buf_cstr(&out), "\033[2J"));
    buf_reset(&out);
    report_junit(&out, "a & \"b\"", cases, ARRAY_LEN(cases));
    const char *xml = buf_cstr(&out);
    ck_assert_ptr_nonnull(
        strstr(xml, "<testsuite name=\"a &amp; &quot;b&quot;\" tests=\"3\" failures=\"1\" errors=\"1\""));
    ck_assert_ptr_nonnull(strstr(xml, "+ \"&lt;&amp;\\x9b\"\n"));
    ck_assert_ptr_nonnull(strstr(xml, "<error type=\"error\" message=\"cannot &quot;connect&quot;\\n\"/>"));
    for (const char *s = xml; *s; s++)
        ck_assert_msg(*s == '\n' || (uint8_t)*s >= ' ', "a control character in the XML");
    buf_fini(&out);
    comparison_fini(&different);
}
END_TEST

START_TEST(test_report_json) {
    struct comparison c = {0};
    ck_assert_int_eq(compare_close(&c, 1000, 1001), 1);
    ck_assert_int_eq(compare_missing(&c, 2, "\"x\x01\"", 4), 1);
    const struct report_case cases[] = {{.name = "conn-1", .comparison = &c, .time_us = 2500}};
    struct buf out = BUF_INIT;
    report_json(&out, cases, 1);
    struct json_tape tape = {.max = 1000};
    size_t at;
    ck_assert_int_eq(json_tape_parse(&tape, buf_cstr(&out), out.len, &at), MF_OK);
    ck_assert_ptr_nonnull(
        strstr(buf_cstr(&out), "{\"kind\":\"close\",\"path\":\"close\",\"expected\":\"1000\",\"got\":\"1001\"}"));
    ck_assert_ptr_nonnull(
        strstr(buf_cstr(&out), "{\"kind\":\"missing_message\",\"message\":3,\"path\":\"\",\"expected\":"));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "\"time_ms\":2.5"));
    json_tape_fini(&tape);
    buf_reset(&out);
    report_json(&out, NULL, 0);
    ck_assert_int_eq(json_tape_parse(&tape, buf_cstr(&out), out.len, &at), MF_OK);
    json_tape_fini(&tape);
    buf_fini(&out);
    comparison_fini(&c);
}
END_TEST

/* ---- memory that runs out ---- */

/* The nth allocation fails: that is said or does not matter, and nothing is lost. Returns false when n is more than
 * there are. */
static bool compare_failing(long n, struct pair *p, const char *expected, const char *got) {
    const char *unordered = "/**";
    const struct compare_options o = {.unordered = &unordered, .unordered_count = 1};
    struct comparison c = {0};
    long before = malloc_live;
    malloc_left = n;
    int rc = compare_message(&c, &o, p->paths, 0, &p->expected, expected, strlen(expected), &p->got, got, strlen(got),
                             NULL, 0);
    bool failed = !malloc_left;
    malloc_left = 0;
    ck_assert(rc == MF_ENOMEM || rc > 0);
    comparison_fini(&c);
    ck_assert_int_eq(malloc_live, before);
    return failed;
}

START_TEST(test_compare_memory) {
    static const char *const pairs[][2] = {
        {"{\"a\":[1,{\"b\":\"\\u0041\"},3],\"\\u0063\":\"{\\\"d\\\":1}\",\"e\":{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":"
         "5,"
         "\"6\":6,\"7\":7,\"8\":8,\"9\":9,\"10\":1,\"11\":1,\"12\":1,\"13\":1}}",
         "{\"a\":[{\"b\":\"\\u0042\"},4,3],\"c\":\"{\\\"d\\\":2}\",\"e\":{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,"
         "\"6\":6,"
         "\"7\":7,\"8\":8,\"9\":9,\"10\":1,\"11\":1,\"12\":1,\"14\":1}}"},
        {"42one[1]", "42two[2]"},
        {"{\"a\":1}", "one two"},
    };
    if (!CAN_FAIL_MALLOC)
        return;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct pair p = {0};
        ck_assert_int_eq(path_table_new(&p.paths), MF_OK);
        read_structure(&p, &p.expected, pairs[i][0], strlen(pairs[i][0]), false);
        read_structure(&p, &p.got, pairs[i][1], strlen(pairs[i][1]), false);
        for (long n = 1; compare_failing(n, &p, pairs[i][0], pairs[i][1]); n++)
            ck_assert_int_lt(n, 10000);
        pair_fini(&p);
    }
}
END_TEST

/* A recording with ids, a message more and another price, beside one without. */
static struct replay_source *write_and_load(const char *id, const char *price, bool extra) {
    char path[] = "/tmp/mockforge-compare-XXXXXX.jsonl";
    struct replay_source *source;
    struct err err;
    int fd = mkstemps(path, 6);
    ck_assert_int_ge(fd, 0);
    FILE *f = fdopen(fd, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 4; i++) {
        fprintf(f,
                "{\"connection\":\"c\",\"timestamp_ms\":%d,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"{"
                "\\\"id\\\":"
                "\\\"%s%d\\\"}\"}\n",
                i, id, i);
        fprintf(f,
                "{\"connection\":\"c\",\"timestamp_ms\":%d,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":\"{"
                "\\\"id\\\":"
                "\\\"%s%d\\\",\\\"price\\\":%s}\"}\n",
                i, id, i, price);
        if (extra && i == 2)
            fputs("{\"connection\":\"c\",\"timestamp_ms\":3,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":"
                  "\"hello\"}\n",
                  f);
    }
    fclose(f);
    int rc = replay_source_load(path, &(struct replay_source_options){0}, &source, &err);
    unlink(path);
    ck_assert_msg(rc == MF_OK, "%s", err.text);
    return source;
}

START_TEST(test_diff_memory) {
    struct replay_source *a = write_and_load("a1b2c3d4e5f6", "1", false),
                         *b = write_and_load("0f1e2d3c4b5a", "2", true);
    const struct diff_options o = {0};
    bool failed = true;
    for (long n = CAN_FAIL_MALLOC; failed; n++) {
        struct diff d;
        struct err err;
        long before = malloc_live;
        malloc_left = n;
        int rc = diff_recordings(a, b, &o, &d, &err);
        failed = n && !malloc_left;
        malloc_left = 0;
        ck_assert(rc == MF_OK || (rc == MF_ENOMEM && failed && strstr(err.text, "memory")));
        if (!failed) {
            ck_assert_uint_eq(d.count, 1);
            ck_assert_uint_eq(d.cases[0].comparison.total, 5);
            ck_assert_uint_eq(d.cases[0].comparison.extra, 1);
        }
        diff_fini(&d);
        ck_assert_int_eq(malloc_live, before);
        ck_assert_int_lt(n, 100000);
    }
    replay_source_unref(a);
    replay_source_unref(b);
}
END_TEST

int main(void) {
    Suite *s = suite_create("compare");
    TCase *t = tcase_create("compare");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_rows, 0, ARRAY_LEN(rows));
    tcase_add_test(t, test_binary);
    tcase_add_test(t, test_excerpts);
    tcase_add_test(t, test_bounds);
    tcase_add_test(t, test_large_objects);
    tcase_add_test(t, test_conversation);
    tcase_add_test(t, test_reports);
    tcase_add_test(t, test_report_json);
    tcase_add_test(t, test_compare_memory);
    tcase_add_test(t, test_diff_memory);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
