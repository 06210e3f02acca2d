/* A recording as a configuration: texts that mean themselves, matches, rules. */
#include "replay/mock_export.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "replay/mock_yaml.h"

static const struct {
    const char *text, *yaml;
} quotes[] = {
    {"plain", "\"plain\""},
    {"a\"b\\c\n\t\x01", "\"a\\\"b\\\\c\\n\\t\\U00000001\""},
    {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""},
    {"\x7f \xc2\x85 \xe2\x80\xa8 \xef\xbb\xbf \xef\xbf\xbe",
     "\"\\U0000007f \\U00000085 \\U00002028 \\U0000feff \\U0000fffe\""},
};

START_TEST(yaml_texts) {
    struct buf out = BUF_INIT;
    yaml_quote(&out, quotes[_i].text, strlen(quotes[_i].text));
    ck_assert_str_eq(buf_cstr(&out), quotes[_i].yaml);
    buf_fini(&out);
}
END_TEST

static const struct {
    const char *text, *as_template;
    bool before;
} templates[] = {
    {"a {b} c", "a {b} c", false}, {"{{now}}", "{{\"{{\"}}now}}", false},
    {"{{{", "{{\"{{\"}}{", false}, {"{{{", "{{\"{{\"}}{{\"{\"}}", true},
    {"x{", "x{{\"{\"}}", true},    {"{", "{", false},
};

START_TEST(template_texts) {
    struct buf out = BUF_INIT;
    template_escape(&out, templates[_i].text, strlen(templates[_i].text), templates[_i].before);
    ck_assert_str_eq(buf_cstr(&out), templates[_i].as_template);
    buf_fini(&out);
}
END_TEST

START_TEST(template_paths) {
    struct buf out = BUF_INIT;
    ck_assert(template_path(&out, "/payload/odd name/0"));
    ck_assert_str_eq(buf_cstr(&out), "message.payload.\"odd name\".0");
    buf_reset(&out);
    ck_assert(!template_path(&out, "/a~1b"));
    buf_reset(&out);
    ck_assert(!template_path(&out, "/a\"b"));
    buf_reset(&out);
    ck_assert(!template_path(&out, "/a//b"));
    buf_fini(&out);
}
END_TEST

/* A conversation, one message a line: "> text" from the client, "< text" from the server. */
static char *draw(const char *const *said, struct mock_export_result *result) {
    struct buf lines = BUF_INIT, out = BUF_INIT;
    struct replay_source *source;
    struct err err;
    char path[] = "/tmp/mockforge-test-XXXXXX";
    for (unsigned at = 1; *said; said++, at++) {
        struct session_event e = {.type = EVENT_TEXT,
                                  .connection = "conn-1",
                                  .fin = true,
                                  .timestamp_us = at * 1000,
                                  .direction = **said == '<' ? EVENT_OUTGOING : EVENT_INCOMING,
                                  .data = {(const uint8_t *)*said + 2, strlen(*said) - 2}};
        ck_assert_int_eq(event_write_line(&lines, &e), MF_OK);
    }
    int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, lines.data, lines.len), (ssize_t)lines.len);
    close(fd);
    int rc = replay_source_load(path, NULL, &source, &err);
    ck_assert_msg(rc == MF_OK, "%s", err.text);
    ck_assert_int_eq(mock_export(source, &out, result, &err), MF_OK);
    replay_source_unref(source);
    unlink(path);
    buf_fini(&lines);
    return buf_steal(&out);
}

static const struct {
    const char *said[8], *expected;
} conversations[] = {
    /* the same name: one character is enough */
    {{"> {\"type\":\"a\",\"id\":7}", "< {\"id\":7}"}, "response: \"{\\\"id\\\":{{message.id | json}}}\""},
    /* another name, always the same short value: it may be chance */
    {{"> {\"type\":\"a\",\"n\":7}", "< {\"count\":7}"}, "response: \"{\\\"count\\\":7}\""},
    /* …but not with two different ones */
    {{"> {\"type\":\"a\",\"n\":7}", "< {\"count\":7}", "> {\"type\":\"a\",\"n\":8}", "< {\"count\":8}"},
     "response: \"{\\\"count\\\":{{message.n | json}}}\""},
    /* what does not hold everywhere is none */
    {{"> {\"type\":\"a\",\"n\":\"long-one\"}", "< {\"c\":\"long-one\"}", "> {\"type\":\"a\",\"n\":\"long-two\"}",
      "< {\"c\":\"long-one\"}"},
     "response: \"{\\\"c\\\":\\\"long-one\\\"}\""},
    /* values with an answer each */
    {{"> {\"op\":\"get\",\"key\":\"x*\"}", "< 1", "> {\"op\":\"get\",\"key\":\"y\"}", "< 2"},
     "- match: {\"op\": \"get\", \"key\": \"x\\\\*\"}\n          response: \"1\""},
    /* the first has no answer: another one shows what is said again */
    {{"> {\"op\":\"sub\",\"id\":\"f00-0\",\"q\":\"news\"}", "> {\"op\":\"sub\",\"id\":\"f00-1\",\"q\":\"ann\"}",
      "< {\"id\":\"f00-1\",\"r\":1}", "> {\"op\":\"sub\",\"id\":\"f00-2\",\"q\":\"bob\"}",
      "< {\"id\":\"f00-2\",\"r\":2}"},
     "- match: {\"op\": \"sub\", \"q\": \"ann\"}\n          response: \"{\\\"id\\\":{{message.id | "
     "json}},\\\"r\\\":1}\""},
    {{"> {\"a\":1,\"b\":{\"c\":2}}", "< x"}, "- match: {\"a\": \"*\", \"b\": \"*\"}"},
    {{"> {\"payload\":{\"type\":\"t\",\"x\":1},\"op\":\"p\"}", "< x"},
     "- match: {\"payload\": {\"type\": \"t\"}, \"op\": \"p\"}"},
    {{"> [\"join\",\"1\",{\"r\":2}]", "< x"}, "- match: [\"join\", \"*\", \"*\"]"},
    {{"> 42[\"chat\",1]", "< x"}, "- match: \"42\\\\[\\\"chat\\\"*\""},
    {{"> SUBSCRIBE topic", "< x"}, "- match: \"SUBSCRIBE*\""},
    {{"> hello there", "< x"}, "- match: \"hello there\""},
    {{"> {\"type\":\"quiet\"}"}, "response: []"},
    {{"< {{now}}", "> a", "< b"}, "- on_connect: \"{{now}}\""},
    {{"> a", "< {{now}}"}, "response: \"{{\\\"{{\\\"}}now}}\""},
    {{"> {\"type\":\"a\"}", "< 1", "> {\"type\":\"a\"}", "< 2"}, "# the recorded answers to these differ"},
};

START_TEST(rules) {
    struct mock_export_result result;
    struct config *config;
    struct err err;
    char *yaml = draw(conversations[_i].said, &result);
    ck_assert_ptr_nonnull(yaml);
    ck_assert_msg(strstr(yaml, conversations[_i].expected), "%s\nis not in\n%s", conversations[_i].expected, yaml);
    ck_assert_uint_eq(result.routes, 1);
    struct config_input input = {.file = "drawn.yaml", .text = yaml, .ignore_environment = true};
    int rc = config_load(&input, &config, &err);
    ck_assert_msg(rc == MF_OK, "%d: %s\n%s", err.line, err.text, yaml);
    config_unref(config);
    free(yaml);
}
END_TEST

/* Kinds without end: it stays within what a configuration may have. */
START_TEST(bounded) {
    static char texts[3000][600];
    static const char *said[6001];
    struct mock_export_result result;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(texts[i], sizeof texts[i], "> kind %u %0500u", i, i);
        said[2 * i] = texts[i];
        said[2 * i + 1] = "< answer";
    }
    char *yaml = draw(said, &result);
    ck_assert_uint_le(strlen(yaml), 1u << 20);
    ck_assert_uint_gt(result.left_out, 0);
    ck_assert_uint_gt(result.rules, 1000);
    struct config *config;
    struct err err;
    struct config_input input = {.file = "drawn.yaml", .text = yaml, .ignore_environment = true};
    ck_assert_msg(config_load(&input, &config, &err) == MF_OK, "%d: %s", err.line, err.text);
    config_unref(config);
    free(yaml);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mock_export");
    TCase *tcase = tcase_create("mock_export");
    tcase_add_loop_test(tcase, yaml_texts, 0, ARRAY_LEN(quotes));
    tcase_add_loop_test(tcase, template_texts, 0, ARRAY_LEN(templates));
    tcase_add_test(tcase, template_paths);
    tcase_add_loop_test(tcase, rules, 0, ARRAY_LEN(conversations));
    tcase_add_test(tcase, bounded);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
