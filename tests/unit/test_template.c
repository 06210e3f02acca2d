/* Templates: what each placeholder gives, how errors read, and what never happens twice. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "template/template.h"

#include "../fuzz/fuzz_template.c"

/* 2024-01-15T10:30:00.250Z */
static const uint64_t fake_now = UINT64_C(1705314600250000);

static struct connection connection;
static struct rng rng;
static struct template_context context;

static void set_up(void) {
    clock_set_fake(&fake_now);
    connection_init(&connection, 42);
    connection.path = strdup("/chat");
    connection.query = strdup("user=Ann%20Lee&x=1&x=2&empty=&flag&p=a%2Bb+c%&%75rl=y&long=%41");
    connection.remote_addr = strdup("127.0.0.1:50312");
    ck_assert_int_eq(headers_add(&connection.headers, "User-Agent", "curl/8"), MF_OK);
    ck_assert_int_eq(headers_add(&connection.headers, "X-Empty", ""), MF_OK);
    ck_assert_int_eq(headers_add(&connection.headers, "X-Evil", "{{env.TEMPLATE_TEST}}"), MF_OK);
    rng_init(&rng, 1);
    context = (struct template_context){.connection = &connection, .rng = &rng, .connection_count = 5};
    setenv("TEMPLATE_TEST", "s3cret", 1);
    unsetenv("TEMPLATE_TEST_MISSING");
}

static void tear_down(void) {
    connection_fini(&connection);
    clock_set_fake(NULL);
}

static void check_renders(const char *text, const struct template_context *ctx, const char *expected) {
    struct template *t;
    struct err err = {0};
    ck_assert_msg(template_compile(text, &t, &err) == MF_OK, "%s: %s", text, err.text);
    struct buf b = BUF_INIT;
    buf_puts(&b, "<");
    ck_assert_int_eq(template_render(t, ctx, &b), MF_OK);
    buf_puts(&b, ">");
    char whole[512];
    snprintf(whole, sizeof whole, "<%s>", expected);
    ck_assert_msg(!strcmp(buf_cstr(&b), whole), "%s gives %s, not %s", text, buf_cstr(&b), whole);
    buf_fini(&b);
    template_free(t);
}

static const struct {
    const char *text, *expected;
} renders[] = {
    {"", ""},
    {"plain } text }} { here", "plain } text }} { here"},
    {"{{now}}", "2024-01-15T10:30:00.250Z"},
    {"{{ now }}", "2024-01-15T10:30:00.250Z"},
    {"{{now+1h}}", "2024-01-15T11:30:00.250Z"},
    {"{{now-30m}}", "2024-01-15T10:00:00.250Z"},
    {"{{now+90s}}", "2024-01-15T10:31:30.250Z"},
    {"{{now+2d}}", "2024-01-17T10:30:00.250Z"},
    {"{{date}}", "2024-01-15"},
    {"{{date-15d}}", "2023-12-31"},
    {"{{time}}", "10:30:00"},
    {"{{timestamp}}", "1705314600"},
    {"{{timestamp-1d}}", "1705228200"},
    {"{{timestamp-19738d}}", "-48600"}, /* before 1970 */
    {"{{connection.id}}", "conn-42"},
    {"{{connection.number}}", "42"},
    {"{{connection.path}}", "/chat"},
    {"{{connection.remote_addr}}", "127.0.0.1:50312"},
    {"{{connection_count}}", "5"},
    {"Bearer {{env.TEMPLATE_TEST}}!", "Bearer s3cret!"},
    {"{{env.TEMPLATE_TEST_MISSING}}", ""},
    {"{{header.user-agent}}", "curl/8"},
    {"{{header.User-Agent}}", "curl/8"},
    {"{{header.missing}}", ""},
    {"{{header.x-evil}}", "{{env.TEMPLATE_TEST}}"}, /* never expanded again */
    {"{{query.user}}", "Ann Lee"},
    {"{{query.x}}", "1"},
    {"{{query.empty}}", ""},
    {"{{query.flag}}", ""},
    {"{{query.p}}", "a+b c%"},
    {"{{query.url}}", "y"},
    {"{{query.long}}", "A"},
    {"{{query.use}}", ""},
    {"{{query.userx}}", ""},
    {"{{random_int 3 3}}", "3"},
    {"{{randInt -7 -7}}", "-7"},
    {"{{rand.int 9223372036854775807 9223372036854775807}}", "9223372036854775807"},
    {"{{random_float 2.55 2.55}}", "2.55"},
    {"{{rand.float 2 2}}", "2.0"},
    {"{{header.missing | default nobody}}", "nobody"},
    {"{{header.missing|default nobody}}", "nobody"},
    {"{{header.missing | default \"no body\"}}", "no body"},
    {"{{header.missing | default '}} \"x\"'}}", "}} \"x\""},
    {"{{header.missing | default \"\"}}", ""},
    {"{{header.missing | default abc | upper}}", "ABC"},
    {"{{header.missing | upper | default abc}}", "abc"},
    {"{{header.missing | default a | default b}}", "a"},
    {"{{header.x-empty | default 0}}", "0"},
    {"{{header.user-agent | default nobody}}", "curl/8"},
    {"{{header.user-agent | upper}}", "CURL/8"},
    {"{{query.user | lower}}", "ann lee"},
    {"{{\"{{\"}}", "{{"},
    {"{{'}}'}}{{ \"{{now}}\" }}", "}}{{now}}"},
    {"a{{connection.number}}b{{connection.number}}{{connection.number}}c", "a42b4242c"},
    {"{ {{connection.number}} }", "{ 42 }"},
    {"{{\nconnection.number\n}}", "42"},
};

START_TEST(render_each) {
    check_renders(renders[_i].text, &context, renders[_i].expected);
}
END_TEST

/* What a client chose cannot lead a recording out of its directory; what the configuration says may. */
START_TEST(as_a_file_name) {
    free(connection.query);
    connection.query = strdup("up=..%2F..%2Fetc%2Fx&nul=a%00b%0A&dot=.&ok=a.b");
    context.file_name = true;
    check_renders("./r/{{query.up}}.json", &context, "./r/_._.._etc_x.json");
    check_renders("{{query.nul}}|{{query.dot}}{{query.dot}}|{{query.ok}}", &context, "a_b_|__|a.b");
    check_renders("{{connection.path}}", &context, "_chat");
    check_renders("{{header.missing | default '../x'}}", &context, "_._x");
    setenv("TEMPLATE_TEST", "/var/log", 1);
    check_renders("{{env.TEMPLATE_TEST}}/{{date}}", &context, "/var/log/2024-01-15");
}
END_TEST

START_TEST(without_a_connection) {
    struct template_context nobody = {.connection_count = 1};
    check_renders("{{connection.id}}{{connection.number}}{{connection.path}}{{header.x}}{{query.x}}", &nobody, "");
    check_renders("{{connection.remote_addr | default unknown}}", &nobody, "unknown");
    check_renders("{{uuid}}{{random_int}}{{random_float}}", &nobody, "");
}
END_TEST

static const struct {
    const char *text;
    int line, column;
    const char *says;
} errors[] = {
    {"{{nwo}}", 1, 3, "unknown placeholder \"{{nwo}}\"; did you mean \"now\"?"},
    {"a\nbc {{ uid }}", 2, 7, "did you mean \"uuid\"?"},
    {"\xc3\xa4\xc3\xb6{{uid}}", 1, 5, "did you mean \"uuid\"?"}, /* columns are characters */
    {"{{evn.HOME}}", 1, 3, "did you mean \"env.\"?"},
    {"{{random_itn 1 2}}", 1, 3, "did you mean \"random_int\"?"},
    {"{{zzzzzzzz}}", 1, 3, "unknown placeholder \"{{zzzzzzzz}}\""},
    {"{{env.}}", 1, 3, "unknown placeholder"},
    {"{{connection}}", 1, 3, "unknown placeholder"},
    {"{{uuid+1h}}", 1, 3, "unknown placeholder"},
    {"x {{now", 1, 3, "\"{{\" without its \"}}\""},
    {"{{now} }", 1, 1, "\"{{\" without its \"}}\""},
    {"{{", 1, 1, "\"{{\" without its \"}}\""},
    {"{{\"}}\"", 1, 1, "\"{{\" without its \"}}\""},
    {"{{}}", 1, 1, "placeholder without a name"},
    {"{{ | upper}}", 1, 1, "placeholder without a name"},
    {"{{\"a}}", 1, 3, "quote without its end"},
    {"{{\"a\" | upper}}", 1, 7, "expected \"}}\" or \"|\""},
    {"{{now+1w}}", 1, 3, "bad offset \"+1w\""},
    {"{{now+}}", 1, 3, "bad offset \"+\""},
    {"{{now+h}}", 1, 3, "bad offset"},
    {"{{now+1}}", 1, 3, "bad offset"},
    {"{{now+1hh}}", 1, 3, "bad offset"},
    {"{{now+-1h}}", 1, 3, "bad offset"},
    {"{{now+99999999999999999999s}}", 1, 3, "bad offset"},
    {"{{now+99999999999999d}}", 1, 3, "over a century"},
    {"{{now 1}}", 1, 7, "too many arguments"},
    {"{{random_int 1 2 3}}", 1, 18, "too many arguments"},
    {"{{random_int 1}}", 1, 3, "two numbers or none"},
    {"{{random_int 6 1}}", 1, 3, "6 is more than 1"},
    {"{{random_int a 1}}", 1, 3, "\"a\" is not a whole number"},
    {"{{random_int 1.5 2}}", 1, 3, "not a whole number"},
    {"{{random_int 1 9223372036854775808}}", 1, 3, "not a whole number"},
    {"{{random_float x 1}}", 1, 3, "\"x\" is not a number"},
    {"{{random_float nan 1}}", 1, 3, "not a number"},
    {"{{random_float -1.7e308 1.7e308}}", 1, 3, "too wide"},
    {"{{random_float 2 1}}", 1, 3, "2 is more than 1"},
    {"{{uuid | uper}}", 1, 10, "unknown filter \"uper\"; did you mean \"upper\"?"},
    {"{{uuid | frobnicate}}", 1, 10, "unknown filter \"frobnicate\""},
    {"{{uuid |}}", 1, 9, "filter without a name"},
    {"{{uuid | default}}", 1, 17, "takes one argument"},
    {"{{uuid | upper x}}", 1, 16, "takes no argument"},
    {"{{uuid | default a b}}", 1, 20, "expected \"}}\" or \"|\""},
};

START_TEST(error_each) {
    struct template *t;
    struct err err = {.line = 77, .file = "stale"};
    ck_assert_msg(template_compile(errors[_i].text, &t, &err) == MF_EINVAL, "%s compiled", errors[_i].text);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(err.text, errors[_i].says) != NULL, "%s: %s", errors[_i].text, err.text);
    ck_assert_msg(err.line == errors[_i].line && err.column == errors[_i].column, "%s: at %d:%d", errors[_i].text,
                  err.line, err.column);
    ck_assert_int_eq(template_compile(errors[_i].text, &t, NULL), MF_EINVAL);
}
END_TEST

static double render_number(const char *text) {
    struct template *t;
    struct err err;
    ck_assert_int_eq(template_compile(text, &t, &err), MF_OK);
    struct buf b = BUF_INIT;
    ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
    char *end;
    double n = strtod(buf_cstr(&b), &end);
    ck_assert_msg(end != (char *)b.data && !*end, "%s", buf_cstr(&b));
    if (strstr(text, "float"))
        ck_assert_ptr_nonnull(strchr((char *)b.data, '.'));
    buf_fini(&b);
    template_free(t);
    return n;
}

START_TEST(random_values) {
    static const struct {
        const char *text;
        double low, high;
    } ranges[] = {{"{{random_int 1 6}}", 1, 6},
                  {"{{random_int}}", 0, 1000000},
                  {"{{randInt -9223372036854775808 9223372036854775807}}", -9.3e18, 9.3e18},
                  {"{{random_float 40000 50000}}", 40000, 50000},
                  {"{{rand.float}}", 0, 1},
                  {"{{random_float -0.001 0.0015}}", -0.001, 0.0015},
                  {"{{random_float 0 10.000006}}", 0, 10.000006}};
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        double first = render_number(ranges[i].text);
        bool differs = false;
        for (int k = 0; k < 300; k++) {
            double n = render_number(ranges[i].text);
            ck_assert_msg(n >= ranges[i].low && n <= ranges[i].high, "%s gave %.17g", ranges[i].text, n);
            differs |= n != first;
        }
        ck_assert(differs);
    }
    bool seen[7] = {false};
    for (int k = 0; k < 500; k++)
        seen[(int)render_number("{{random_int 1 6}}")] = true;
    for (int k = 1; k <= 6; k++)
        ck_assert_msg(seen[k], "never a %d: both ends are included", k);
}
END_TEST

START_TEST(the_seed_repeats) {
    struct template *t;
    struct err err;
    ck_assert_int_eq(template_compile("{{uuid}} {{random_int}} {{random_float}}", &t, &err), MF_OK);
    struct buf a = BUF_INIT, b = BUF_INIT;
    rng_init(&rng, 99);
    ck_assert_int_eq(template_render(t, &context, &a), MF_OK);
    rng_init(&rng, 99);
    ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
    ck_assert_str_eq(buf_cstr(&a), buf_cstr(&b));
    buf_reset(&b);
    ck_assert_int_eq(template_render(t, &context, &b), MF_OK);
    ck_assert_str_ne(buf_cstr(&a), buf_cstr(&b));
    buf_fini(&a);
    buf_fini(&b);
    template_free(t);
}
END_TEST

START_TEST(what_it_uses) {
    struct template *t;
    struct err err;
    ck_assert_int_eq(template_compile("ws-{{date}}-{{connection.id}}-{{now+1h}}", &t, &err), MF_OK);
    ck_assert(!template_is_constant(t));
    ck_assert(template_uses(t, "connection."));
    ck_assert(template_uses(t, "connection.id"));
    ck_assert(template_uses(t, "now"));
    ck_assert(!template_uses(t, "uuid"));
    template_free(t);
    ck_assert_int_eq(template_compile("uuid", &t, &err), MF_OK);
    ck_assert(template_is_constant(t));
    ck_assert(!template_uses(t, "uuid"));
    template_free(t);
    template_free(NULL);
}
END_TEST

/* Each row of the table compiles as it is documented; what stands in brackets may be left out. */
static size_t check_table(const struct template_function_info *table, const char *format) {
    size_t n = 0;
    for (const struct template_function_info *f = table; f->name; f++, n++) {
        ck_assert(f->name[0] && f->arguments && f->help && f->help[0]);
        if (!strcmp(f->name, "faker.")) /* has a table of its own */
            continue;
        char name[64], text[128];
        snprintf(name, sizeof name, "%s%s", f->name, strchr(f->arguments, '[') ? "" : f->arguments);
        snprintf(text, sizeof text, format, name);
        struct template *t;
        struct err err;
        ck_assert_msg(template_compile_roots(text, TEMPLATE_MESSAGE | TEMPLATE_PARAMS | TEMPLATE_STATE, &t, &err) ==
                          MF_OK,
                      "%s: %s", text, err.text);
        template_free(t);
    }
    return n;
}

START_TEST(every_row_is_documented) {
    ck_assert_uint_ge(check_table(template_functions, "{{%s}}"), 23);
    ck_assert_uint_ge(check_table(template_faker, "{{%s}}"), 19);
    ck_assert_uint_ge(check_table(template_filters, "{{now | %s}}"), 9);
    struct buf page = BUF_INIT;
    ck_assert_int_eq(template_print_reference(&page), MF_OK);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&page), "| `now[+1h\\|-30m\\|+90s\\|+2d]` |"));
    buf_fini(&page);
}
END_TEST

START_TEST(the_fuzz_targets_checks) {
    for (size_t i = 0; i < ARRAY_LEN(renders); i++)
        LLVMFuzzerTestOneInput((const uint8_t *)renders[i].text, strlen(renders[i].text));
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        for (size_t n = 0; n <= strlen(errors[i].text); n++)
            LLVMFuzzerTestOneInput((const uint8_t *)errors[i].text, n);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("template");
    TCase *tc = tcase_create("template");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, render_each, 0, ARRAY_LEN(renders));
    tcase_add_test(tc, as_a_file_name);
    tcase_add_test(tc, without_a_connection);
    tcase_add_loop_test(tc, error_each, 0, ARRAY_LEN(errors));
    tcase_add_test(tc, random_values);
    tcase_add_test(tc, the_seed_repeats);
    tcase_add_test(tc, what_it_uses);
    tcase_add_test(tc, every_row_is_documented);
    tcase_add_test(tc, the_fuzz_targets_checks);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
