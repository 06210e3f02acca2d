/* The values that a configuration keeps as they stand in the file: what they are in JSON's eyes, and where they were. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

struct row {
    const char *yaml;
    enum config_scalar_type type;
};
static const struct row rows[] = {
    {"null", CONFIG_NULL},     {"~", CONFIG_NULL},        {"true", CONFIG_BOOLEAN}, {"FALSE", CONFIG_BOOLEAN},
    {"yes", CONFIG_STRING},    {"'true'", CONFIG_STRING}, {"5", CONFIG_INTEGER},    {"-17", CONFIG_INTEGER},
    {"+3", CONFIG_INTEGER},    {"\"5\"", CONFIG_STRING},  {"1.5", CONFIG_REAL},     {".5", CONFIG_REAL},
    {"1e3", CONFIG_REAL},      {"1e", CONFIG_STRING},     {"-x", CONFIG_STRING},    {"1.2.3", CONFIG_STRING},
    {"", CONFIG_NULL},
    {"0x1f", CONFIG_STRING},   {"12 apples", CONFIG_STRING}, {"''", CONFIG_STRING}, {".", CONFIG_STRING},
    {"1.", CONFIG_REAL},
};

START_TEST(scalars_have_their_type) {
    const struct config_value *map, *v;
    struct err err;
    char text[64];
    snprintf(text, sizeof text, "v: %s", rows[_i].yaml);
    ck_assert_int_eq(config_value_parse(text, &map, &err), MF_OK);
    v = config_value_get(map, "v");
    ck_assert_int_eq(v->kind, CONFIG_SCALAR);
    ck_assert_msg(config_scalar_type(v) == rows[_i].type, "%s", rows[_i].yaml);
    config_value_free(map);
}
END_TEST

START_TEST(trees_keep_order_and_places) {
    const struct config_value *v;
    struct err err;
    ck_assert_int_eq(config_value_parse("b: 1\na: [x, {c: \"d\"}]\n", &v, &err), MF_OK);
    ck_assert_int_eq(v->kind, CONFIG_MAP);
    ck_assert_str_eq(v->first->key, "b");
    const struct config_value *a = config_value_get(v, "a");
    ck_assert_int_eq(a->kind, CONFIG_LIST);
    ck_assert_uint_eq(a->count, 2);
    ck_assert_int_eq(a->line, 2);
    const struct config_value *d = config_value_get(a->first->next, "c");
    ck_assert_str_eq(d->text, "d");
    ck_assert(!d->plain);
    ck_assert_int_eq(d->line, 2);
    ck_assert_ptr_null(config_value_get(v, "z"));
    ck_assert_ptr_null(config_value_get(a, "b"));
    config_value_free(v);
}
END_TEST

START_TEST(what_is_no_value_is_refused) {
    const struct config_value *v;
    struct err err;
    ck_assert_int_eq(config_value_parse("", &v, &err), MF_EINVAL);
    ck_assert_int_eq(config_value_parse("{a: 1", &v, &err), MF_EINVAL);
    config_value_free(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_value");
    TCase *tcase = tcase_create("value");
    tcase_add_loop_test(tcase, scalars_have_their_type, 0, (int)ARRAY_LEN(rows));
    tcase_add_test(tcase, trees_keep_order_and_places);
    tcase_add_test(tcase, what_is_no_value_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
