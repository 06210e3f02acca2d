/* Arbitrary bytes as two messages (what is before the first 0xFF, and what is behind it): none differs from itself,
 * they differ from each other in both directions or in none, in any order of arrays too, and what is told of it is
 * sound JSON, and XML and a terminal's text without control characters. */
#include "fuzz.h"
#include "replay/compare.h"

struct message {
    char *data;
    size_t len;
    struct structure s;
};

static void read_message(struct message *m, struct path_table *paths, const uint8_t *data, size_t len, bool binary) {
    struct structure_scratch scratch = {0};
    m->data = fuzz_copy(data, len);
    m->len = len;
    MUST(structure_read(&m->s, &scratch, paths, paths, m->data, len, binary) == MF_OK);
    structure_scratch_fini(&scratch);
}

static void message_fini(struct message *m) {
    structure_fini(&m->s);
    free(m->data);
    *m = (struct message){0};
}

static void check_printable(const struct buf *out) {
    for (size_t i = 0; i < out->len; i++)
        MUST(out->data[i] == '\n' || (out->data[i] >= ' ' && out->data[i] != 0x7f));
}

static void check_reports(const struct comparison *c) {
    const struct report_case cases[] = {{.name = "fuzz", .comparison = c}};
    struct json_tape tape = {.max = 1u << 20};
    struct buf out = BUF_INIT;
    size_t at;
    report_text(&out, cases, 1, false);
    check_printable(&out);
    buf_reset(&out);
    report_junit(&out, "fuzz", cases, 1);
    check_printable(&out);
    buf_reset(&out);
    report_json(&out, cases, 1);
    const char *json = buf_cstr(&out);
    MUST(json_tape_parse(&tape, json, out.len, &at) == MF_OK);
    json_tape_fini(&tape);
    buf_fini(&out);
}

static int compare(const struct compare_options *o, const struct path_table *paths, const struct message *a,
                   const struct message *b) {
    struct comparison c = {0};
    int n = compare_message(&c, o, paths, 0, &a->s, a->data, a->len, &b->s, b->data, b->len, NULL, 0);
    MUST(n >= 0 && c.total == (uint64_t)n && c.count == MIN((size_t)n, (size_t)DIFFERENCES_MAX));
    for (size_t i = 0; i < c.count; i++) {
        const struct difference *d = &c.items[i];
        MUST(d->expected || d->got);
        MUST(!d->expected || strlen(d->expected) <= COMPARE_TEXT_MAX);
        MUST(!d->got || strlen(d->got) <= COMPARE_TEXT_MAX);
    }
    check_reports(&c);
    comparison_fini(&c);
    return n;
}

static void check(const struct compare_options *o, const struct path_table *paths, const struct message *a,
                  const struct message *b) {
    MUST(compare(o, paths, a, a) == 0);
    MUST((compare(o, paths, a, b) == 0) == (compare(o, paths, b, a) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const everywhere = "/**", *const tag = "/t";
    const struct compare_options plain = {0}, any = {.unordered = &everywhere, .unordered_count = 1};
    const struct compare_options loose = {.ignore = &tag, .ignore_count = 1, .tolerance = 1};
    const uint8_t *split = size ? memchr(data, 0xff, size) : NULL;
    size_t first = split ? (size_t)(split - data) : size;
    struct path_table *paths;
    static struct message a, b;
    MUST(path_table_new(&paths) == MF_OK);
    read_message(&a, paths, data, first, false);
    read_message(&b, paths, split ? split + 1 : data, split ? size - first - 1 : 0, true);
    check(&plain, paths, &a, &b);
    check(&any, paths, &a, &b);
    check(&loose, paths, &a, &b);
    message_fini(&a);
    message_fini(&b);
    path_table_free(paths);
    return 0;
}
