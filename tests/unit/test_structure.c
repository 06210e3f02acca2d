/* What a message is made of (replay/structure.h), for messages of many protocols. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing_malloc.h"
#include "replay/structure.h"

static struct path_table *paths;
static struct structure_scratch scratch;

static void set_up(void) {
    ck_assert_int_eq(path_table_new(&paths), MF_OK);
}

static void tear_down(void) {
    path_table_free(paths);
    structure_scratch_fini(&scratch);
}

/* "form path=value …", the values as value_text() has them. */
static void describe(struct buf *out, const void *data, size_t len, bool binary) {
    static const char *const forms[] = {"BINARY", "WORDS", "PREFIXED", "JSON"};
    struct structure s = {0};
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, data, len, binary), MF_OK);
    buf_puts(out, forms[s.form]);
    for (uint32_t i = 0; i < s.count; i++) {
        ck_assert_uint_le(s.values[i].begin, s.values[i].end);
        ck_assert_uint_le(s.values[i].end, len);
        buf_printf(out, " %s=", path_text(paths, s.values[i].path));
        value_text(out, data, &s.values[i]);
    }
    structure_fini(&s);
}

static const struct {
    const char *message, *want;
    bool binary;
    size_t len; /* 0: strlen() */
} reads[] = {
    {.message = "{\"id\":\"a7\",\"data\":\"{\\\"n\\\":1}\"}", .want = "JSON /id=a7 /data/@json/n=1"},
    {.message = "42[\"chat\",{\"room\":5}]", .want = "PREFIXED @head/0=42 /0=chat /1/room=5"},
    {.message = "SUBSCRIBE topic=a7", .want = "WORDS @word/0=SUBSCRIBE @word/1=topic @word/2=a7"},
    {.message = "2", .want = "WORDS @word/0=2"},
    {.message = "", .want = "WORDS"},
    {.message = "\"a string\"", .want = "WORDS @word/0=a @word/1=string"},
    {.message = "{}", .want = "JSON ={}"},
    {.message = "[]", .want = "JSON =[]"},
    {.message = " { \"a\" : [ ] , \"b\" : { } }\n", .want = "JSON /a=[ ] /b={ }"},
    {.message = "[\"1\",\"2\",\"room:lobby\",\"phx_join\",{}]",
     .want = "JSON /0=1 /1=2 /2=room:lobby /3=phx_join /4={}"},
    {.message = "{\"type\":6}\x1e", .want = "JSON /type=6"},
    {.message = "{\"type\":6}\x1e{\"type\":7}\x1e", .want = "JSON /type=6 @record/1/type=7"},
    {.message = "{\"a\":1}\n[2]\n{\"a\":3}", .want = "JSON /a=1 @record/1/0=2 @record/2/a=3"},
    {.message = "{\"a\":1} trailing", .want = "WORDS @word/0=a @word/1=:1 @word/2=trailing"},
    {.message = "Content-Length: 7\r\n\r\n{\"a\":1}", .want = "PREFIXED @head/0=Content-Length: @head/1=7 /a=1"},
    {.message = "SEND\ndestination:/app/hello/of/a/long/name/for/this/test\ncontent-length:7\n\n{\"a\":1}\0",
     .want = "PREFIXED @head/0=SEND @head/1=destination:/app/hello/of/a/long/name/for/this/test "
             "@head/2=content-length:7 /a=1",
     .len = 82},
    {.message = "[info] {\"a\":1}", .want = "PREFIXED @head/0=info /a=1"},
    {.message = "{\"a~b/c\":{\"\":1},\"\\u0041\":2}", .want = "JSON /a~0b~1c/=1 /A=2"},
    {.message = "{\"s\":\"{ no\",\"t\":\"[1,\"}", .want = "JSON /s={ no /t=[1,"},
    {.message = "{\"s\":\"\\n {\\\"a\\\":\\u0031}\"}", .want = "JSON /s/@json/a=1"},
    {.message = "\x01\x02\xff", .want = "BINARY @bytes/0x01/gap0=0x0102ff", .binary = true},
    {.message = "{\"a\":1}", .want = "JSON /a=1", .binary = true},
    {.message = "\xffhello", .want = "WORDS @word/0=\xffhello"},
};

START_TEST(forms) {
    struct buf got = BUF_INIT;
    size_t len = reads[_i].len ? reads[_i].len : strlen(reads[_i].message);
    describe(&got, reads[_i].message, len, reads[_i].binary);
    ck_assert_str_eq(buf_cstr(&got), reads[_i].want);
    buf_fini(&got);
}
END_TEST

/* ---- similarity ---- */

#define ZERO 0, 0
#define EQUAL SIMILARITY_EQUAL, SIMILARITY_EQUAL
#define LIKE 600, SIMILARITY_EQUAL - 1 /* other values */
#define UNLIKE 1, 599                  /* it may be, but hardly */
#define MAYBE 1, SIMILARITY_EQUAL - 1

static const struct {
    const char *recorded, *live;
    unsigned least, most;
    const char *why;
    const char *free_path, *any, *exact;
} likes[] = {
    {"{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2], \"a\":1.0}", EQUAL, NULL, NULL, NULL, NULL},
    {"{\"a\":\"x\\/y\"}", "{\"a\":\"x/\\u0079\"}", EQUAL, NULL, NULL, NULL, NULL},
    {"{\"a\":{}}", "{\"a\":{ }}", EQUAL, NULL, NULL, NULL, NULL},
    {"{\"a\":{}}", "{\"a\":[]}", MAYBE, NULL, NULL, NULL, NULL},
    {"{}", "[]", ZERO, "expected an object, got an array", NULL, NULL, NULL},
    {"", "", EQUAL, NULL, NULL, NULL, NULL},
    {"", "hello", ZERO, "expected the recorded message's values, got others: 0 % stand at the same paths", NULL, NULL,
     NULL},

    /* graphql-transport-ws */
    {"{\"id\":\"a7\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription { n }\"}}",
     "{\"id\":\"f0f1\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription { n }\"}}", LIKE, NULL, NULL, NULL,
     NULL},
    {"{\"id\":\"a7\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription { n }\"}}",
     "{\"id\":\"f0f1\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription { n }\"}}", EQUAL, NULL, "/id",
     NULL, NULL},
    {"{\"id\":\"a7\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription { n }\"}}",
     "{\"id\":\"a7\",\"type\":\"complete\"}", ZERO, "/type: expected \"subscribe\", got \"complete\"", NULL, NULL,
     NULL},
    {"{\"type\":\"connection_init\"}", "{\"type\":\"connection_init\",\"payload\":{\"token\":\"x\"}}", MAYBE, NULL,
     NULL, NULL, NULL},
    {"{\"type\":\"subscribe\",\"id\":1}", "{\"id\":1}", ZERO, "/type: expected \"subscribe\", got nothing", NULL, NULL,
     NULL},

    /* Socket.IO on Engine.IO */
    {"2", "2", EQUAL, NULL, NULL, NULL, NULL},
    {"2", "3", ZERO, "@word/0: expected \"2\", got \"3\"", NULL, NULL, NULL},
    {"2probe", "2probe", EQUAL, NULL, NULL, NULL, NULL},
    {"40", "42[\"chat\"]", ZERO, "expected text, got text that ends in JSON", NULL, NULL, NULL},
    {"42[\"chat\",{\"text\":\"hi\"}]", "42[\"chat\",{\"text\":\"there\"}]", LIKE, NULL, NULL, NULL, NULL},
    {"42[\"chat\",{\"text\":\"hi\"}]", "42[\"leave\",{\"text\":\"hi\"}]", ZERO, "/0: expected \"chat\", got \"leave\"",
     NULL, NULL, NULL},
    {"42[\"chat\",5]", "43[\"chat\",5]", ZERO, "@head/0: expected \"42\", got \"43\"", NULL, NULL, NULL},
    {"420[\"add\",5]", "421[\"add\",5]", ZERO, "@head/0: expected \"420\", got \"421\"", NULL, NULL, NULL},
    {"420[\"add\",5]", "421[\"add\",5]", LIKE, NULL, "@head/0", NULL, NULL},
    {"42/admin,[\"add\",5]", "42/admin,[\"add\",5]", EQUAL, NULL, NULL, NULL, NULL},
    {"0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],\"pingInterval\":25000,\"maxPayload\":1000000}",
     "0{\"sid\":\"Ab_VI97HAXpY6yYWBBBD\",\"upgrades\":[],\"pingInterval\":25000,\"maxPayload\":1000000}", LIKE, NULL,
     NULL, NULL, NULL},

    /* An id that leads and happens to have letters alone is no name; a name in camel case is. */
    {"43[\"dbIXFklHvygATlPuAAAB\"]", "43[\"DK0oreEfjjS5y49rAAAB\"]", LIKE, NULL, NULL, NULL, NULL},
    {"42[\"getUserById\",1]", "42[\"getUserByName\",1]", ZERO, "/0: expected \"getUserById\", got \"getUserByName\"",
     NULL, NULL, NULL},
    {"42[\"USER_JOINED_ROOM\",1]", "42[\"USER_LEFT_ROOM\",1]", ZERO,
     "/0: expected \"USER_JOINED_ROOM\", got \"USER_LEFT_ROOM\"", NULL, NULL, NULL},

    /* JSON-RPC */
    {"{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"params\":[1,2],\"id\":\"6f8b5c1e-0e0e-4b5e-9d3c-2f1e0a9b8c7d\"}",
     "{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"params\":[1,2],\"id\":\"11111111-0e0e-4b5e-9d3c-2f1e0a9b8c7d\"}", LIKE,
     NULL, NULL, NULL, NULL},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"params\":[1,2],\"id\":1}",
     "{\"jsonrpc\":\"2.0\",\"method\":\"sub\",\"params\":[1,2],\"id\":1}", ZERO,
     "/method: expected \"sum\", got \"sub\"", NULL, NULL, NULL},
    {"{\"jsonrpc\":\"2.0\",\"result\":3,\"id\":1}", "{\"jsonrpc\":\"2.0\",\"method\":\"sub\",\"id\":1}", ZERO,
     "/method: expected nothing, got \"sub\"", NULL, NULL, NULL},

    /* STOMP */
    {"SUBSCRIBE\nid:sub-0\ndestination:/topic/a\n\n", "SUBSCRIBE\nid:sub-1\ndestination:/topic/a\n\n", LIKE, NULL, NULL,
     NULL, NULL},
    {"SUBSCRIBE\nid:sub-0\ndestination:/topic/a\n\n", "UNSUBSCRIBE\nid:sub-0\n\n", ZERO,
     "@word/0: expected \"SUBSCRIBE\", got \"UNSUBSCRIBE\"", NULL, NULL, NULL},
    {"SEND\ndestination:/app/a\ncontent-length:7\n\n{\"a\":1}",
     "SEND\ndestination:/app/a\ncontent-length:8\n\n{\"a\":12}", LIKE, NULL, NULL, NULL, NULL},

    /* chat */
    {"hello there", "goodbye", MAYBE, NULL, NULL, NULL, NULL},
    {"Hello", "Bye", MAYBE, NULL, NULL, NULL, NULL},
    {"nick alice", "nick bob", LIKE, NULL, NULL, NULL, NULL},

    /* Phoenix channels */
    {"[\"1\",\"2\",\"room:lobby\",\"phx_join\",{}]", "[\"3\",\"4\",\"room:lobby\",\"phx_join\",{}]", LIKE, NULL, NULL,
     NULL, NULL},
    {"[\"1\",\"2\",\"room:lobby\",\"phx_join\",{}]", "[\"3\",\"4\",\"room:lobby\",\"shout\",{\"body\":\"x\"}]", MAYBE,
     NULL, NULL, NULL, NULL},

    /* WAMP, OCPP: a number leads */
    {"[48,7814135,{},\"com.add\",[1,2]]", "[48,99,{},\"com.add\",[1,2]]", LIKE, NULL, NULL, NULL, NULL},
    {"[48,7814135,{},\"com.add\"]", "[32,7814135,{},\"com.add\"]", UNLIKE, NULL, NULL, NULL, NULL},

    /* Action Cable */
    {"{\"command\":\"message\",\"identifier\":\"{\\\"channel\\\":\\\"Chat\\\",\\\"room\\\":\\\"5\\\"}\",\"data\":"
     "\"{\\\"action\\\":\\\"speak\\\",\\\"text\\\":\\\"hi\\\"}\"}",
     "{\"command\":\"message\",\"identifier\":\"{\\\"room\\\":\\\"5\\\",\\\"channel\\\":\\\"Chat\\\"}\",\"data\":"
     "\"{\\\"action\\\":\\\"speak\\\",\\\"text\\\":\\\"ho\\\"}\"}",
     LIKE, NULL, NULL, NULL, NULL},
    {"{\"command\":\"message\",\"data\":\"{\\\"action\\\":\\\"speak\\\"}\"}",
     "{\"command\":\"message\",\"data\":\"{\\\"action\\\":\\\"away\\\"}\"}", ZERO,
     "/data/@json/action: expected \"speak\", got \"away\"", NULL, NULL, NULL},

    /* SignalR */
    {"{\"type\":1,\"target\":\"Send\",\"arguments\":[\"a\"],\"invocationId\":\"0\"}\x1e",
     "{\"type\":1,\"target\":\"Send\",\"arguments\":[\"b\"],\"invocationId\":\"1\"}\x1e", LIKE, NULL, NULL, NULL, NULL},
    {"{\"type\":1,\"target\":\"Send\",\"arguments\":[]}\x1e", "{\"type\":6}\x1e", ZERO, "/type: expected 1, got 6",
     NULL, NULL, NULL},

    /* LSP */
    {"Content-Length: 52\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}",
     "Content-Length: 53\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"initialize\"}", LIKE, NULL, NULL, NULL,
     NULL},

    /* arrays of other lengths; hints */
    {"{\"items\":[{\"id\":1,\"n\":\"a\"}],\"total\":1}",
     "{\"items\":[{\"id\":1,\"n\":\"a\"},{\"id\":2,\"n\":\"b\"},{\"id\":3,\"n\":\"c\"}],\"total\":3}", LIKE, NULL, NULL,
     NULL, NULL},
    {"{\"a\":1,\"t\":17000}", "{\"a\":1,\"t\":\"now\"}", EQUAL, NULL, NULL, "/t", NULL},
    {"{\"a\":1,\"t\":17000}", "{\"a\":1}", EQUAL, NULL, NULL, "t", NULL},
    {"{\"room\":1,\"t\":17000}", "{\"room\":2,\"t\":17000}", ZERO, "/room: expected 1, got 2", NULL, NULL, "/room"},
    {"{\"type\":\"a\",\"t\":17000}", "{\"type\":\"b\",\"t\":17000}", EQUAL, NULL, "/type", NULL, NULL},
    {"{\"u\":{\"a\":1,\"b\":2,\"c\":3}}", "{\"v\":[1,2,3]}", ZERO,
     "expected the recorded message's values, got others: 0 % stand at the same paths", NULL, NULL, NULL},
};

static unsigned similarity(const char *recorded, const char *live, const struct match_hints *hints, struct buf *why) {
    struct structure r = {0}, l = {0};
    ck_assert_int_eq(structure_read(&r, &scratch, NULL, paths, recorded, strlen(recorded), false), MF_OK);
    ck_assert_int_eq(structure_read(&l, &scratch, paths, NULL, live, strlen(live), false), MF_OK);
    unsigned n = structure_similarity(paths, &r, recorded, strlen(recorded), &l, live, strlen(live), hints, why);
    ck_assert(n == 0 || !why || why->len == 0);
    structure_fini(&r);
    structure_fini(&l);
    return n;
}

/* The paths of other messages of a recording are known too. */
static void know(const char *message) {
    struct structure s = {0};
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, message, strlen(message), false), MF_OK);
    structure_fini(&s);
}

START_TEST(likeness) {
    struct buf why = BUF_INIT;
    know("{\"method\":1}");
    know(likes[_i].recorded);
    uint32_t path = likes[_i].free_path ? path_find(paths, likes[_i].free_path) : 0;
    ck_assert_uint_ne(path, PATH_UNKNOWN);
    struct match_hints hints = {.exact = &likes[_i].exact,
                                .exact_count = likes[_i].exact != NULL,
                                .any = &likes[_i].any,
                                .any_count = likes[_i].any != NULL,
                                .free_paths = &path,
                                .free_count = likes[_i].free_path != NULL};
    unsigned n = similarity(likes[_i].recorded, likes[_i].live, &hints, &why);
    ck_assert_msg(n >= likes[_i].least && n <= likes[_i].most, "%s\n%s\n%u, wanted %u to %u: %s", likes[_i].recorded,
                  likes[_i].live, n, likes[_i].least, likes[_i].most, buf_cstr(&why));
    if (likes[_i].why)
        ck_assert_str_eq(buf_cstr(&why), likes[_i].why);
    ck_assert_uint_eq(similarity(likes[_i].recorded, likes[_i].recorded, NULL, NULL), SIMILARITY_EQUAL);
    buf_fini(&why);
}
END_TEST

/* Of several recorded messages the first is the one that the live one is most like. */
static const struct {
    const char *live, *recorded[5];
} bests[] = {
    {"[\"9\",\"12\",\"room:lobby\",\"phx_leave\",{}]",
     {"[\"1\",\"3\",\"room:lobby\",\"phx_leave\",{}]", "[\"1\",\"2\",\"room:lobby\",\"phx_join\",{}]",
      "[\"1\",\"4\",\"room:other\",\"phx_leave\",{}]", "[null,\"5\",\"phoenix\",\"heartbeat\",{}]"}},
    {"[2,\"77\",\"Heartbeat\",{}]",
     {"[2,\"19\",\"Heartbeat\",{}]", "[2,\"18\",\"Authorize\",{}]", "[3,\"77\",{}]",
      "[2,\"18\",\"BootNotification\",{\"model\":\"x\",\"vendor\":\"y\"}]"}},
    {"421[\"add\",{\"n\":2}]", {"421[\"add\",{\"n\":2}]", "420[\"add\",{\"n\":1}]", "42[\"add\",{\"n\":2}]"}},
    {"{\"id\":\"zz\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ b }\",\"variables\":{\"room\":\"7\"}}}",
     {"{\"id\":\"b\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ b }\",\"variables\":{\"room\":\"7\"}}}",
      "{\"id\":\"a\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ b }\",\"variables\":{\"room\":\"6\"}}}",
      "{\"id\":\"c\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ a }\"}}"}},
    {"nick bob", {"nick alice", "say hello", "hello"}},
    {"{\"cmd\":\"get\",\"key\":\"user:2\"}",
     {"{\"cmd\":\"get\",\"key\":\"user:2\"}", "{\"cmd\":\"get\",\"key\":\"user:1\"}"}},
};

START_TEST(the_best) {
    for (size_t i = 0; bests[_i].recorded[i]; i++)
        know(bests[_i].recorded[i]);
    unsigned best = similarity(bests[_i].recorded[0], bests[_i].live, NULL, NULL);
    ck_assert_uint_gt(best, 0);
    for (size_t i = 1; bests[_i].recorded[i]; i++)
        ck_assert_uint_lt(similarity(bests[_i].recorded[i], bests[_i].live, NULL, NULL), best);
}
END_TEST

/* Binary messages are never wholly unlike. */
START_TEST(binary) {
    static const struct {
        const char *a, *b;
        size_t a_len, b_len;
        unsigned least, most;
    } rows[] = {
        {"\1\2\0\3", "\1\2\0\3", 4, 4, EQUAL},
        {"\1\2\0\3", "\1\2\0\4", 4, 4, LIKE},
        {"\1\2\0\3", "\2\2\0\3", 4, 4, UNLIKE},
        {"\1\2\0\3", "abcd", 4, 4, UNLIKE},
        {"", "\1", 0, 1, UNLIKE},
        {"\1", "", 1, 0, UNLIKE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct structure a = {0}, b = {0};
        ck_assert_int_eq(structure_read(&a, &scratch, NULL, paths, rows[i].a, rows[i].a_len, true), MF_OK);
        ck_assert_int_eq(structure_read(&b, &scratch, paths, NULL, rows[i].b, rows[i].b_len, true), MF_OK);
        unsigned n =
            structure_similarity(paths, &a, rows[i].a, rows[i].a_len, &b, rows[i].b, rows[i].b_len, NULL, NULL);
        ck_assert_msg(n >= rows[i].least && n <= rows[i].most, "row %zu: %u", i, n);
        structure_fini(&a);
        structure_fini(&b);
    }
}
END_TEST

/* ---- values out and in ---- */

/* Every value of a message, taken out and written back in its place, is the same value; so is the message. */
static void replace_all(const char *message, size_t len) {
    struct structure before = {0}, after = {0};
    struct buf text = BUF_INIT, again = BUF_INIT, whole = BUF_INIT;
    ck_assert_int_eq(structure_read(&before, &scratch, NULL, paths, message, len, false), MF_OK);
    size_t at = 0;
    for (uint32_t i = 0; i < before.count; i++) {
        const struct message_value *v = &before.values[i];
        ck_assert_uint_ge(v->begin, at);
        buf_append(&whole, message + at, v->begin - at);
        at = v->end;
        buf_reset(&text);
        value_text(&text, message, v);
        value_write(&whole, v->nested, (enum value_kind)v->kind, (const char *)text.data, text.len);
    }
    buf_append(&whole, message + at, len - at);
    buf_cstr(&whole);
    ck_assert_int_eq(structure_read(&after, &scratch, paths, NULL, whole.data, whole.len, false), MF_OK);
    ck_assert_uint_eq(after.form, before.form);
    ck_assert_uint_eq(after.count, before.count);
    ck_assert_uint_eq(after.shape, before.shape);
    for (uint32_t i = 0; i < before.count; i++) {
        const struct message_value *a = &before.values[i], *b = &after.values[i];
        ck_assert_uint_eq(a->path, b->path);
        ck_assert_uint_eq(a->kind, b->kind);
        ck_assert_uint_eq(a->nested, b->nested);
        buf_reset(&text);
        buf_reset(&again);
        value_text(&text, message, a);
        value_text(&again, whole.data, b);
        ck_assert_str_eq(buf_cstr(&text), buf_cstr(&again));
        ck_assert_uint_eq(text.len, again.len);
    }
    ck_assert_uint_eq(structure_similarity(paths, &before, message, len, &after, whole.data, whole.len, NULL, NULL),
                      SIMILARITY_EQUAL);
    structure_fini(&before);
    structure_fini(&after);
    buf_fini(&text);
    buf_fini(&again);
    buf_fini(&whole);
}

START_TEST(replaced_by_itself) {
    replace_all(reads[_i].message, reads[_i].len ? reads[_i].len : strlen(reads[_i].message));
    for (size_t i = (size_t)_i; i < sizeof likes / sizeof likes[0]; i += sizeof reads / sizeof reads[0]) {
        replace_all(likes[i].recorded, strlen(likes[i].recorded));
        replace_all(likes[i].live, strlen(likes[i].live));
    }
}
END_TEST

#define NASTY(s)                                                                                                       \
    { s, sizeof s - 1 }
static const struct {
    const char *s;
    size_t len;
} nasty[] = {
    NASTY(""),
    NASTY("\"\\/\b\f\n\r\t"),
    NASTY("\x01\x1f\x7f\0z"),
    NASTY("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xe2\x80\xa8"),
    NASTY("\\u0041 \\\\ \\\""),
    NASTY("{no} [json"),
    NASTY("{\"n\":1"),
    NASTY("\xed\xa0\x80 lone surrogate"),
    NASTY("'<&>%s%n"),
};

/* A string in JSON in a JSON string in …: out comes what went in, and a member behind it is found as well. */
START_TEST(nested_round_trip) {
    struct structure s = {0};
    struct buf text = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < sizeof nasty / sizeof nasty[0]; i++) {
        buf_reset(&text);
        buf_puts(&text, "{\"s\":");
        value_write(&text, 0, VALUE_STRING, nasty[i].s, nasty[i].len);
        buf_puts(&text, ",\"after\":-1.5e3}");
        for (int n = 0; n < _i; n++) {
            buf_reset(&out);
            buf_puts(&out, "{\"\\u0041\xc3\xa9\":\"\\u00e9\",\"in\":");
            value_write(&out, 0, VALUE_STRING, (const char *)text.data, text.len);
            buf_puts(&out, ",\"z\":null}");
            struct buf swap = text;
            text = out;
            out = swap;
        }
        size_t len = strlen(buf_cstr(&text));
        ck_assert_uint_eq(len, text.len);
        ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, text.data, text.len, false), MF_OK);
        ck_assert_uint_eq(s.form, FORM_JSON);
        bool deep = _i > (int)STRUCTURE_NESTED_MAX;
        int found = 0;
        for (uint32_t k = 0; k < s.count; k++) {
            const char *path = path_text(paths, s.values[k].path), *last = strrchr(path, '/');
            buf_reset(&out);
            value_text(&out, text.data, &s.values[k]);
            if (!strcmp(last, "/s")) {
                found++;
                ck_assert_uint_eq(s.values[k].nested, (unsigned)_i);
                ck_assert_uint_eq(out.len, nasty[i].len);
                ck_assert(!out.len || !memcmp(out.data, nasty[i].s, out.len));
                struct buf again = BUF_INIT; /* the very bytes: both were written by the same function */
                value_write(&again, (uint8_t)_i, VALUE_STRING, nasty[i].s, nasty[i].len);
                ck_assert_uint_eq(again.len, s.values[k].end - s.values[k].begin);
                ck_assert(!memcmp(again.data, text.data + s.values[k].begin, again.len));
                buf_fini(&again);
            } else if (!strcmp(last, "/after")) {
                found++;
                ck_assert_str_eq(buf_cstr(&out), "-1.5e3");
                ck_assert_uint_eq(s.values[k].kind, VALUE_NUMBER);
            }
        }
        ck_assert_int_eq(found, deep ? 0 : 2);
        replace_all((const char *)text.data, text.len);
    }
    structure_fini(&s);
    buf_fini(&text);
    buf_fini(&out);
}
END_TEST

/* ---- paths ---- */

START_TEST(patterns) {
    static const struct {
        const char *pattern, *path;
        bool want;
    } rows[] = {
        {"/a/b", "/a/b", true},
        {"/a/b", "/a/b/c", true},
        {"/a/b", "/a", false},
        {"/a/b", "/a/bc", false},
        {"a.b", "/a/b", true},
        {"a", "/a/x", true},
        {"a", "/ab", false},
        {"/*/id", "/x/id", true},
        {"/*/id", "/id", false},
        {"/*/id", "/x/y/id", false},
        {"/**/id", "/id", true},
        {"/**/id", "/x/y/id", true},
        {"/**/id", "/x/y/id/z", true},
        {"/**/id", "/x/y/ids", false},
        {"**.id", "/a/id", true},
        {"/a/**/b/*/c", "/a/b/b/1/c", true},
        {"/a/**/b/*/c", "/a/b/1/b/c", false},
        {"", "/a", true},
        {"/", "/a/b", true},
        {"@head/0", "@head/0", true},
        {"@head", "@head/0", true},
        {"@word/*", "@word/3", true},
        {"/@head/0", "@head/0", true},
        {"/a~1b", "/a~1b", true},
        {"items.*.id", "/items/0/id", true},
        {"/**", "", true},
        {"/a", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(path_matches(rows[i].pattern, rows[i].path) == rows[i].want, "%s %s", rows[i].pattern,
                      rows[i].path);
}
END_TEST

/* A pattern of many ** on a long path ends. */
START_TEST(patterns_that_try) {
    char pattern[400] = "", path[4000] = "";
    for (int i = 0; i < 60; i++)
        snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "/**/a");
    for (int i = 0; i < 1500; i++)
        snprintf(path + 2 * i, sizeof path - 2 * (size_t)i, "/a");
    ck_assert(path_matches(pattern, path));
    snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "/b");
    ck_assert(!path_matches(pattern, path));
}
END_TEST

START_TEST(path_names) {
    static const struct {
        const char *path, *name;
    } rows[] = {{"/a/b", "b"},         {"/items/0", "items"}, {"/items/1/id", "id"}, {"/list/0/1", "list"},
                {"/in/@json/0", "in"}, {"/x~1~0y", "x/~y"},   {"@head/0", ""}};
    static const char message[] =
        "7{\"a\":{\"b\":1},\"items\":[1,{\"id\":2}],\"list\":[[1,2]],\"in\":\"[1]\",\"x/~y\":1,\"n\":[[],5]}";
    know(message);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t path = path_find(paths, rows[i].path);
        ck_assert_uint_lt(path, path_count(paths));
        ck_assert_str_eq(path_text(paths, path), rows[i].path);
        ck_assert_str_eq(path_name(paths, path), rows[i].name);
    }
    static const char *const unknown[] = {"/c", "/a/b/c", "a", "@nothing/0", "/items/2", "/a/"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        ck_assert_uint_eq(path_find(paths, unknown[i]), PATH_UNKNOWN);
    ck_assert_str_eq(path_text(paths, PATH_UNKNOWN), "?");
}
END_TEST

/* Many paths: each is found again, and by its own number. */
START_TEST(many_paths) {
    struct buf text = BUF_INIT;
    buf_puts(&text, "{\"first\":0");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, ",\"key%d\":{\"%d\":[%d]}", i, i, i);
    buf_puts(&text, "}");
    know(buf_cstr(&text));
    ck_assert_uint_eq(path_count(paths), 5 + 1 + 3 * 5000);
    for (int i = 0; i < 5000; i++) {
        char path[64];
        snprintf(path, sizeof path, "/key%d/%d/0", i, i);
        uint32_t p = path_find(paths, path);
        ck_assert_str_eq(path_text(paths, p), path);
    }
    buf_fini(&text);
}
END_TEST

/* ---- shape ---- */

static uint64_t shape(const char *message, struct path_table *add) {
    struct structure s = {0};
    ck_assert_int_eq(structure_read(&s, &scratch, paths, add, message, strlen(message), false), MF_OK);
    uint64_t n = s.shape;
    structure_fini(&s);
    return n;
}

START_TEST(shapes) {
    static const char *const alike[][2] = {
        {"{\"a\":1,\"b\":\"x\"}", "{ \"b\":\"yy\", \"a\":-7.5 }"},
        {"{\"a\":[1,2]}", "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}"},
        {"{\"a\":[{\"b\":1},{\"b\":1},{\"c\":1}]}", "{\"a\":[{\"b\":1},{\"c\":2}]}"},
        {"{\"a\":\"{\\\"b\\\":1}\"}", "{\"a\":\"{ \\\"b\\\" : 2 }\"}"},
        {"one two three", "four five six"},
        {"a b c d e f g h i j k l", "a b c d e f g h i j k"},
        {"42[\"a\"]", "43[\"b\",\"c\"]"},
    };
    static const char *const other[][2] = {
        {"{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":2}"},
        {"{\"a\":1}", "{\"b\":1}"},
        {"{\"a\":1}", "7{\"a\":1}"},
        {"{\"0\":1}", "[1]"},
        {"{\"a\":{\"b\":1}}", "{\"a\":[{\"b\":1}]}"},
        {"one two three", "one two"},
        {"{\"a\":null}", "{\"a\":1}"},
        {"{}", "[]"},
    };
    for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++) {
        ck_assert_msg(shape(alike[i][0], NULL) == shape(alike[i][1], NULL), "%s %s", alike[i][0], alike[i][1]);
        ck_assert_msg(shape(alike[i][0], paths) == shape(alike[i][1], NULL), "%s %s", alike[i][0], alike[i][1]);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        ck_assert_msg(shape(other[i][0], NULL) != shape(other[i][1], NULL), "%s %s", other[i][0], other[i][1]);
        ck_assert_msg(shape(other[i][0], paths) != shape(other[i][1], paths), "%s %s", other[i][0], other[i][1]);
    }
}
END_TEST

/* ---- bounds ---- */

START_TEST(repeated_names) {
    static const char message[] = "{\"a\":1,\"b\":2,\"a\":3}";
    struct structure s = {0};
    struct buf text = BUF_INIT;
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, message, strlen(message), false), MF_OK);
    value_text(&text, message, structure_find(&s, path_find(paths, "/a")));
    ck_assert_str_eq(buf_cstr(&text), "3");
    ck_assert_ptr_null(structure_find(&s, path_find(paths, "/none")));
    structure_fini(&s);
    buf_fini(&text);
}
END_TEST

static void repeat(struct buf *out, const char *s, int n) {
    while (n--)
        buf_puts(out, s);
}

/* What is too much is cut off, or is text; nothing of it costs more than its own length. */
START_TEST(too_much) {
    struct structure s = {0};
    struct buf text = BUF_INIT;
    buf_puts(&text, "[0");
    repeat(&text, ",{\"a\":[1]}", 100000);
    buf_puts(&text, "]");
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, buf_cstr(&text), text.len, false), MF_OK);
    ck_assert_uint_eq(s.form, FORM_WORDS); /* more nodes than a tape holds */
    ck_assert_uint_eq(s.count, STRUCTURE_WORDS_MAX);

    buf_reset(&text);
    buf_puts(&text, "[0");
    repeat(&text, ",1", 100000);
    buf_puts(&text, "]");
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, buf_cstr(&text), text.len, false), MF_OK);
    ck_assert_uint_eq(s.form, FORM_JSON);
    ck_assert_uint_eq(s.count, STRUCTURE_VALUES_MAX);
    unsigned n = structure_similarity(paths, &s, text.data, text.len, &s, text.data, text.len, NULL, NULL);
    ck_assert_uint_eq(n, SIMILARITY_EQUAL);

    buf_reset(&text);
    repeat(&text, "[", 10000);
    repeat(&text, "]", 10000);
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, buf_cstr(&text), text.len, false), MF_OK);
    ck_assert_uint_eq(s.form, FORM_WORDS);

    buf_reset(&text);
    repeat(&text, "{\"a\":", 500);
    buf_puts(&text, "1");
    repeat(&text, "}", 500);
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, buf_cstr(&text), text.len, false), MF_OK);
    ck_assert_uint_eq(s.form, FORM_JSON);
    ck_assert_uint_eq(s.count, 1);

    /* Names so long that their paths would be too: read, and not known. */
    buf_reset(&text);
    buf_puts(&text, "{\"");
    repeat(&text, "name", 2000);
    buf_puts(&text, "\":{\"b\":1},\"c\":2}");
    ck_assert_int_eq(structure_read(&s, &scratch, NULL, paths, buf_cstr(&text), text.len, false), MF_OK);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_uint_eq(s.values[0].path, PATH_UNKNOWN);
    ck_assert_str_eq(path_text(paths, s.values[1].path), "/c");
    structure_fini(&s);
    buf_fini(&text);
}
END_TEST

/* A small message after a large one is as it would be alone. */
START_TEST(scratch_is_clean) {
    struct buf text = BUF_INIT;
    uint64_t alone = shape("{\"a\":[1,\"x\",{\"b\":null}]}", NULL);
    buf_puts(&text, "[0");
    for (int i = 0; i < 3000; i++)
        buf_printf(&text, ",{\"k%d\":[%d]}", i, i);
    buf_puts(&text, "]");
    for (int i = 0; i < 3; i++) {
        shape(buf_cstr(&text), NULL);
        ck_assert_uint_eq(shape("{\"a\":[1,\"x\",{\"b\":null}]}", NULL), alone);
    }
    buf_fini(&text);
}
END_TEST

/* Memory runs out at each allocation in turn, in a table and scratch that are new. */
START_TEST(no_memory) {
    static const char message[] =
        "43{\"a\\n\":\"{\\\"b\\\":[1,2,{\\\"c\\\":1}]}\",\"d\":[1,2,3,4,5,6,7,8,9,10,11,12,13]}";
    int rc = MF_ENOMEM;
    long n = 0;
    while (rc < 0) {
        struct path_table *t = NULL;
        struct structure_scratch fresh = {0};
        struct structure s = {0};
        long before = malloc_live;
        malloc_left = CAN_FAIL_MALLOC ? ++n : 0;
        rc = path_table_new(&t);
        if (rc == MF_OK)
            rc = structure_read(&s, &fresh, NULL, t, message, strlen(message), false);
        malloc_left = 0;
        ck_assert(rc == MF_OK || rc == MF_ENOMEM);
        if (rc == MF_ENOMEM && t) { /* what was half done does no harm to the next */
            ck_assert_int_eq(structure_read(&s, &fresh, NULL, t, message, strlen(message), false), MF_OK);
            ck_assert_uint_eq(s.form, FORM_PREFIXED);
            ck_assert_uint_eq(s.count, 17);
            ck_assert_uint_ne(path_find(t, "/a\n/@json/b/2/c"), PATH_UNKNOWN);
        }
        structure_fini(&s);
        structure_scratch_fini(&fresh);
        path_table_free(t);
        ck_assert_msg(malloc_live == before, "allocation %ld: %ld are left", n, malloc_live - before);
    }
    ck_assert(!CAN_FAIL_MALLOC || n > 20);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("structure");
    TCase *tcase = tcase_create("read");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, forms, 0, (int)(sizeof reads / sizeof reads[0]));
    tcase_add_loop_test(tcase, likeness, 0, (int)(sizeof likes / sizeof likes[0]));
    tcase_add_loop_test(tcase, the_best, 0, (int)(sizeof bests / sizeof bests[0]));
    tcase_add_test(tcase, binary);
    tcase_add_loop_test(tcase, replaced_by_itself, 0, (int)(sizeof reads / sizeof reads[0]));
    tcase_add_loop_test(tcase, nested_round_trip, 0, 6);
    tcase_add_test(tcase, patterns);
    tcase_add_test(tcase, patterns_that_try);
    tcase_add_test(tcase, path_names);
    tcase_add_test(tcase, many_paths);
    tcase_add_test(tcase, shapes);
    tcase_add_test(tcase, repeated_names);
    tcase_add_test(tcase, too_much);
    tcase_add_test(tcase, scratch_is_clean);
    tcase_add_test(tcase, no_memory);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
