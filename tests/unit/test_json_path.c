/* JSON paths: which nodes they name. */
#include <check.h>
#include <stdlib.h>

#include "match/json_path.h"

static bool collect(const struct json_tape *tape, uint32_t at, void *arg) {
    struct buf *found = arg;
    const struct json_node *n = &tape->nodes[at];
    if (found->len)
        buf_putc(found, ' ');
    buf_printf(found, "%u-%u", n->begin, n->end);
    return false;
}

static bool stop(const struct json_tape *tape, uint32_t at, void *arg) {
    (void)tape, (void)at;
    ++*(int *)arg;
    return true;
}

/* The texts of the nodes that the path names, a space between them. */
static char *find(const char *path, const char *text) {
    struct json_path *p = NULL;
    struct json_tape tape = {.max = 1000};
    struct buf places = BUF_INIT, scratch = BUF_INIT, out = BUF_INIT;
    struct err err;
    size_t at;
    ck_assert_int_eq(json_path_compile(path, &p, &err), MF_OK);
    ck_assert_int_eq(json_tape_parse(&tape, text, strlen(text), &at), MF_OK);
    json_path_find(p, text, &tape, collect, &places, &scratch);
    for (char *s = (char *)(uintptr_t)buf_cstr(&places); *s;) {
        unsigned long begin = strtoul(s, &s, 10), end = strtoul(s + 1, &s, 10);
        if (out.len)
            buf_putc(&out, ' ');
        buf_append(&out, text + begin, end - begin);
        s += *s == ' ';
    }
    ck_assert(!out.len || json_path_possible(p, text, strlen(text)));
    json_path_free(p);
    json_tape_fini(&tape);
    buf_fini(&places);
    buf_fini(&scratch);
    if (out.len)
        return buf_steal(&out);
    buf_fini(&out);
    return strdup("");
}

#define TEXT                                                                                                           \
    "{\"a\":{\"b\":[1,2,{\"c\":3}]},\"a/"                                                                              \
    "b\":4,\"a.b\":5,\"x\":{\"b\":6,\"c\":7},\"\\u0061z\":8,\"~\":9,\"\":{\"0\":10}}"

static const struct {
    const char *path, *found;
} cases[] = {
    {"a.b.0", "1"},
    {"/a/b/0", "1"},
    {"$.a.b.1", "2"},
    {"a.b.2.c", "3"},
    {"a.b.3", ""},
    {"a.b.00", ""},
    {"a.b.-1", ""},
    {"/a~1b", "4"},
    {"/a.b", "5"},
    {"*.b", "[1,2,{\"c\":3}] 6"},
    {"**.c", "3 7"},
    {"a.b.*", "1 2 {\"c\":3}"},
    {"a.**.c", "3"},
    {"**.b.**.c", "3"},
    {"az", "8"},
    {"/~0", "9"},
    {"//0", "10"},
    {"nothing", ""},
    {"a.b.c", ""},
    {"x.**", "{\"b\":6,\"c\":7} 6 7"},
    {"**.**.**.0", "1 10"},
    {"$.x.c", "7"},
    {"x.c.d", ""},
};

START_TEST(names) {
    char *found = find(cases[_i].path, TEXT);
    ck_assert_str_eq(found, cases[_i].found);
    free(found);
}
END_TEST

START_TEST(the_whole_text) {
    static const char *const paths[] = {"", "/", "$"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *found = find(paths[i], "[5]");
        ck_assert_str_eq(found, "[5]");
        free(found);
    }
    char *scalar = find("**", "7");
    ck_assert_str_eq(scalar, "7");
    free(scalar);
}
END_TEST

START_TEST(stops_when_told) {
    struct json_path *p = NULL;
    struct json_tape tape = {.max = 100};
    struct buf scratch = BUF_INIT;
    size_t at;
    int calls = 0;
    ck_assert_int_eq(json_path_compile("*", &p, NULL), MF_OK);
    ck_assert_int_eq(json_tape_parse(&tape, "[1,2,3]", 7, &at), MF_OK);
    ck_assert(json_path_find(p, "[1,2,3]", &tape, stop, &calls, &scratch));
    ck_assert_int_eq(calls, 1);
    json_path_free(p);
    json_tape_fini(&tape);
    buf_fini(&scratch);
}
END_TEST

START_TEST(refused) {
    static const char *const bad[] = {"a..b", ".a", "a.", "/a~2", "/a~"};
    struct json_path *p = NULL;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(json_path_compile(bad[i], &p, &err) == MF_EINVAL, "%s", bad[i]);
    struct buf many = BUF_INIT;
    for (unsigned i = 0; i <= JSON_PATH_SEGMENTS_MAX; i++)
        buf_puts(&many, "/*");
    ck_assert_int_eq(json_path_compile(buf_cstr(&many), &p, &err), MF_EINVAL);
    many.len -= 2;
    ck_assert_int_eq(json_path_compile(buf_cstr(&many), &p, &err), MF_OK);
    json_path_free(p);
    buf_fini(&many);
}
END_TEST

/* As deep as a text may be, under a path of nothing but "**": one pass, not one for each way through. */
START_TEST(depth_is_harmless) {
    struct buf text = BUF_INIT, path = BUF_INIT;
    for (unsigned i = 0; i < JSON_MAX_DEPTH; i++)
        buf_putc(&text, '[');
    for (unsigned i = 0; i < JSON_MAX_DEPTH; i++)
        buf_putc(&text, ']');
    for (unsigned i = 0; i < JSON_PATH_SEGMENTS_MAX - 1; i++)
        buf_puts(&path, "/**");
    buf_puts(&path, "/none");
    char *found = find(buf_cstr(&path), buf_cstr(&text));
    ck_assert_str_eq(found, "");
    free(found);
    buf_fini(&text);
    buf_fini(&path);
}
END_TEST

int main(void) {
    Suite *s = suite_create("json_path");
    TCase *t = tcase_create("json_path");
    tcase_add_loop_test(t, names, 0, ARRAY_LEN(cases));
    tcase_add_test(t, the_whole_text);
    tcase_add_test(t, stops_when_told);
    tcase_add_test(t, refused);
    tcase_add_test(t, depth_is_harmless);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
