/* The YAML reader: the tree it makes, the places it keeps, and what it refuses. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/yaml.h"

/* The tree in one line: {key:'quoted', key:plain, list:[…]}. */
static void dump(struct buf *out, const struct yaml_node *node) {
    if (node->kind == YAML_SCALAR) {
        buf_printf(out, node->plain ? "%s" : "'%s'", node->text);
        return;
    }
    buf_putc(out, node->kind == YAML_MAP ? '{' : '[');
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        if (node->kind == YAML_MAP)
            buf_printf(out, "%s:", child->key);
        dump(out, child);
        if (child->next)
            buf_puts(out, ", ");
    }
    buf_putc(out, node->kind == YAML_MAP ? '}' : ']');
}

static const struct {
    const char *text, *tree;
} trees[] = {
    {"a: 1\nb: \"2\"\nc: 'x'\n", "{a:1, b:'2', c:'x'}"},
    {"a:\n  - 1\n  - {b: 2}\n  - [3, 4]\n", "{a:[1, {b:2}, [3, 4]]}"},
    {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{a:'one\ntwo\n', b:'one two\n'}"},
    {"a: \"{{now}}\"\n", "{a:'{{now}}'}"},
    {"a: Bearer {{env.X}}\n", "{a:Bearer {{env.X}}}"},
    {"a:\nb: ~\nc: null\n", "{a:, b:~, c:null}"},
    {"a: &x {b: 1}\nc: *x\n", "{a:{b:1}, c:{b:1}}"},
    {"a: &x 1\nb: &x 2\nc: *x\n", "{a:1, b:2, c:2}"},
    {"d: &d {a: 1, b: 2}\ne: {<<: *d, b: 3}\n", "{d:{a:1, b:2}, e:{b:3, a:1}}"},
    {"d: &d {a: 1}\nf: &f {a: 2, c: 3}\ne: {<<: [*d, *f]}\n", "{d:{a:1}, f:{a:2, c:3}, e:{a:1, c:3}}"},
    {"\xef\xbb\xbf"
     "a: 1\n",
     "{a:1}"},
    {"%YAML 1.1\n---\na: 1\n...\n", "{a:1}"},
    {"a: \xc3\xa9\n", "{a:\xc3\xa9}"},
    {"\"a b\": 1\n? c\n: 2\n", "{a b:1, c:2}"},
};

START_TEST(test_tree) {
    struct arena arena = {0};
    struct yaml_node *root;
    struct err err;
    struct buf out = BUF_INIT;
    int rc = yaml_read(&arena, "t", trees[_i].text, strlen(trees[_i].text), &root, &err);
    ck_assert_msg(rc == 0, "%s: %s", trees[_i].text, rc ? err.text : "");
    ck_assert_ptr_nonnull(root);
    dump(&out, root);
    ck_assert_str_eq(buf_cstr(&out), trees[_i].tree);
    buf_fini(&out);
    arena_fini(&arena);
}
END_TEST

START_TEST(test_nothing) {
    static const char *const texts[] = {"", "\n", "# a comment\n", "---\n", "---\n...\n", "~\n", "null"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena arena = {0};
        struct yaml_node *root = (struct yaml_node *)&arena;
        ck_assert_int_eq(yaml_read(&arena, "t", texts[i], strlen(texts[i]), &root, NULL), 0);
        ck_assert_ptr_null(root);
        arena_fini(&arena);
    }
}
END_TEST

static const struct {
    const char *text, *error;
} refused[] = {
    {"a: 1\nb: 2\na: 3\n", "t:3:1: the key \"a\" is given twice; first in line 1"},
    {"x:\n  b: 2\n  b: 2\n", "t:3:3: the key \"b\" is given twice; first in line 2"},
    {"{a: 1, a: 2}\n", "t:1:8: the key \"a\" is given twice; first in line 1"},
    {"a: {{now}}\n", "t:1:5: a mapping cannot be a key; quote templates: \"{{now}}\""},
    {"a: {{date}}/x\n", "t:1:5: a mapping cannot be a key; quote templates: \"{{now}}\""},
    {"[a]: 1\n", "t:1:1: a key must be a word or a quoted text"},
    {"a: 1\n---\nb: 2\n", "t:2:1: one document to a file; this is the second"},
    {"a: !!int 3\n", "t:1:4: tags (tag:yaml.org,2002:int) are not supported here"},
    {"a: !x [3]\n", "t:1:4: tags (!x) are not supported here"},
    {"a: *x\n", "t:1:4: no finished anchor \"&x\" before this alias"},
    {"a: &x [*x]\n", "t:1:8: no finished anchor \"&x\" before this alias"},
    {"a: &x 3\n<<: *x\n", "t:2:1: \"<<\" takes a mapping, or a list of mappings"},
    {"a: \"\\0\"\n", "t:1:4: a NUL character cannot be used here"},
    {"a: b\n\xff\n", "t:2:1: the text must be UTF-8 without control characters (invalid leading UTF-8 octet)"},
    {"a: b\nc: \xc3(\n", "t:2:5: the text must be UTF-8 without control characters (invalid trailing UTF-8 octet)"},
    {"a: \x01\n", "t:1:4: the text must be UTF-8 without control characters (control characters are not allowed)"},
    {"a:\n\tb: 1\n", "t:2:1: found character that cannot start any token; indent with spaces, not with tabs"},
    {"a: \"b\n", "t:2:1: found unexpected end of stream (while scanning a quoted scalar that began in line 1)"},
    {"a: b: c\n", "t:1:5: mapping values are not allowed in this context"},
    {"a: [1, 2\n", "t:2:1: did not find expected ',' or ']' (while parsing a flow sequence that began in line 1)"},
};

START_TEST(test_refused) {
    struct arena arena = {0};
    struct yaml_node *root;
    struct err err;
    char text[1024];
    ck_assert_int_eq(yaml_read(&arena, "t", refused[_i].text, strlen(refused[_i].text), &root, &err), MF_EINVAL);
    ck_assert_str_eq(err_format(&err, text, sizeof text), refused[_i].error);
    arena_fini(&arena);
}
END_TEST

static int read_buf(struct buf *text, struct err *err) {
    struct arena arena = {0};
    struct yaml_node *root;
    int rc = yaml_read(&arena, "t", (const char *)text->data, text->len, &root, err);
    arena_fini(&arena);
    buf_reset(text);
    return rc;
}

START_TEST(test_bounds) {
    struct buf text = BUF_INIT;
    struct err err;
    for (int depth = YAML_DEPTH_MAX - 1; depth <= YAML_DEPTH_MAX + 1; depth++) {
        for (int i = 0; i < depth; i++)
            buf_putc(&text, '[');
        for (int i = 0; i < depth; i++)
            buf_putc(&text, ']');
        ck_assert_int_eq(read_buf(&text, &err), depth > YAML_DEPTH_MAX ? MF_EINVAL : 0);
    }
    ck_assert_str_eq(err.text, "nested deeper than 32 levels");

    /* Deep nesting by brackets that never close must not cost more than its first levels. */
    for (size_t i = 0; i < YAML_TEXT_MAX; i++)
        buf_putc(&text, '[');
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);

    for (size_t i = 0; i <= YAML_TEXT_MAX; i++)
        buf_putc(&text, '#');
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "larger than 1 MiB"));

    buf_puts(&text, "a:\n");
    for (size_t i = 0; i < YAML_NODES_MAX; i++)
        buf_puts(&text, "- 1\n");
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 100000 values"));
    buf_fini(&text);
}
END_TEST

/* Nine lines that would be a thousand million values. */
START_TEST(test_aliases_explode) {
    struct buf text = BUF_INIT;
    struct err err;
    buf_puts(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_printf(&text, "*a%d,", i - 1);
        buf_puts(&text, "]\n");
    }
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "counting what aliases repeat"));

    /* Depth as well: each alias goes two levels down. */
    buf_puts(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 40; i++)
        buf_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);
    ck_assert_str_eq(err.text, "nested deeper than 32 levels");

    for (int i = 0; i < 300; i++)
        buf_printf(&text, "a%d: &a%d x\n", i, i);
    ck_assert_int_eq(read_buf(&text, &err), MF_EINVAL);
    ck_assert_str_eq(err.text, "more than 256 anchors");
    buf_fini(&text);
}
END_TEST

START_TEST(test_places) {
    static const char text[] = "one:\n"
                               "  plain: abc\n"
                               "  quoted: \"abc\"\n"
                               "  block: |\n"
                               "\n"
                               "      abc\n"
                               "  \xc3\xa9: x\n";
    static const struct {
        const char *key;
        int key_line, key_column, line, column, text_line, text_column;
    } places[] = {
        {"plain", 2, 3, 2, 10, 2, 10},
        {"quoted", 3, 3, 3, 11, 3, 12},
        {"block", 4, 3, 4, 10, 5, 7},
        {"\xc3\xa9", 7, 3, 7, 6, 7, 6},
    };
    struct arena arena = {0};
    struct yaml_node *root;
    ck_assert_int_eq(yaml_read(&arena, "t", text, strlen(text), &root, NULL), 0);
    const struct yaml_node *map = yaml_get(root, "one");
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const struct yaml_node *node = yaml_get(map, places[i].key);
        ck_assert_ptr_nonnull(node);
        ck_assert_int_eq(node->key_line, places[i].key_line);
        ck_assert_int_eq(node->key_column, places[i].key_column);
        ck_assert_int_eq(node->line, places[i].line);
        ck_assert_int_eq(node->column, places[i].column);
        ck_assert_int_eq(node->text_line, places[i].text_line);
        ck_assert_int_eq(node->text_column, places[i].text_column);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(test_list_operations) {
    struct yaml_node parent = {.kind = YAML_MAP}, nodes[3] = {{.key = "a"}, {.key = "b"}, {.key = "c"}};
    for (size_t i = 0; i < 3; i++)
        yaml_append(&parent, &nodes[i]);
    ck_assert_ptr_eq(yaml_at(&parent, 2), &nodes[2]);
    ck_assert_ptr_null(yaml_at(&parent, 3));
    yaml_remove(&parent, &nodes[2]);
    ck_assert_ptr_eq(parent.last, &nodes[1]);
    yaml_remove(&parent, &nodes[0]);
    ck_assert_ptr_eq(parent.first, &nodes[1]);
    yaml_append(&parent, &nodes[0]);
    ck_assert_ptr_eq(yaml_get(&parent, "a"), &nodes[0]);
    ck_assert_ptr_null(yaml_get(&parent, "c"));
    yaml_remove(&parent, &nodes[1]);
    yaml_remove(&parent, &nodes[0]);
    ck_assert_uint_eq(parent.count, 0);
    ck_assert_ptr_null(parent.first);
    ck_assert_ptr_null(parent.last);
}
END_TEST

/* Every beginning of a text, and every text with one byte changed, is read or refused, and nothing else happens. */
START_TEST(test_damaged) {
    static const char text[] = "a: &x {b: [1, \"2\"], c: |\n  t\n}\nd: *x\n<<: *x\n";
    char copy[sizeof text];
    for (size_t len = 0; len < sizeof text; len++)
        for (int c = 0; c < 256; c += 5) {
            memcpy(copy, text, sizeof text);
            copy[len] = (char)c;
            struct arena arena = {0};
            struct yaml_node *root;
            struct err err;
            int rc = yaml_read(&arena, "t", copy, c < 128 ? len : sizeof text - 1, &root, &err);
            ck_assert(rc == 0 || (rc == MF_EINVAL && *err.text));
            arena_fini(&arena);
        }
}
END_TEST

START_TEST(test_no_memory) {
    static const char text[] = "a: &x {b: [1, \"2\"]}\nd: *x\n";
    int failures = 0;
    for (unsigned n = 1;; n++) {
        struct arena arena = {0};
        struct yaml_node *root;
        struct err err;
        arena_fail_after(n);
        int rc = yaml_read(&arena, "t", text, strlen(text), &root, &err);
        arena_fail_after(0);
        arena_fini(&arena);
        if (!rc)
            break;
        ck_assert_int_eq(rc, MF_ENOMEM);
        failures++;
    }
    ck_assert_int_gt(failures, 10);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("yaml");
    TCase *tc = tcase_create("yaml");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_tree, 0, (int)ARRAY_LEN(trees));
    tcase_add_test(tc, test_nothing);
    tcase_add_loop_test(tc, test_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(tc, test_bounds);
    tcase_add_test(tc, test_aliases_explode);
    tcase_add_test(tc, test_places);
    tcase_add_test(tc, test_list_operations);
    tcase_add_test(tc, test_damaged);
    tcase_add_test(tc, test_no_memory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
