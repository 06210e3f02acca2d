/* What matches, what does not, and what is said about it. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "match/match.h"

/* A message with what a route knows of it. */
struct parsed {
    struct match_input in;
    struct json_tape tape;
};

static void parse(struct parsed *p, const char *data, size_t len, bool binary) {
    size_t at;
    *p = (struct parsed){.in = {.data = data, .len = len, .binary = binary}, .tape = {.max = 1000000}};
    if (!binary && json_tape_parse(&p->tape, data, len, &at) == MF_OK)
        p->in.tape = &p->tape;
}

static struct matcher *compile(const char *yaml) {
    const struct config_value *v;
    struct matcher *m;
    struct err err;
    int rc = config_value_parse(yaml, &v, &err);
    ck_assert_msg(rc == MF_OK, "%s: %s", yaml, err.text);
    rc = matcher_compile(v, &m, &err);
    ck_assert_msg(rc == MF_OK, "%s: %s", yaml, err.text);
    config_value_free(v);
    return m;
}

static bool matches(const char *yaml, const char *data, size_t len) {
    struct matcher *m = compile(yaml);
    struct parsed p;
    parse(&p, data, len, false);
    bool yes = matcher_matches(m, &p.in);
    json_tape_fini(&p.tape);
    matcher_free(m);
    return yes;
}

struct row {
    const char *yaml, *message;
    const char *miss; /* NULL: it matches; otherwise the explanation */
    size_t binary;    /* the message's length in bytes, when it is not a text */
};
static const struct row rows[] = {
    /* members, at any depth; what is not named does not matter */
    {"{type: ping}", "{\"type\":\"ping\"}", NULL, 0},
    {"{type: ping}", "{\"a\":1,\"type\":\"ping\",\"b\":[]}", NULL, 0},
    {"{type: ping}", " { \"type\" : \"ping\" } ", NULL, 0},
    {"{type: ping}", "{\"type\":\"pong\"}", "type: expected \"ping\", found \"pong\"", 0},
    {"{type: ping}", "{}", "type: expected \"ping\", missing", 0},
    {"{type: ping}", "{\"type\":{\"type\":\"ping\"}}", "type: expected \"ping\", found an object", 0},
    {"{type: ping}", "{\"Type\":\"ping\"}", "type: expected \"ping\", missing", 0},
    {"{type: ping}", "[\"type\"]", "expected an object, found an array", 0},
    {"{type: ping}", "\"ping\"", "expected an object, found \"ping\"", 0},
    {"{type: ping}", "ping", "expected JSON, found text", 0},
    {"{type: ping}", "", "expected JSON, found text", 0},
    {"{type: ping}", "{\"type\":\"ping\"", "expected JSON, found text", 0},
    {"{type: ping}", "{\"type\":\"ping\"}", "expected JSON, found binary", 15},
    {"{a: {b: {c: 1}}}", "{\"a\":{\"x\":0,\"b\":{\"c\":1}}}", NULL, 0},
    {"{a: {b: {c: 1}}}", "{\"a\":{\"b\":{\"c\":2}}}", "a.b.c: expected 1, found 2", 0},
    {"{a: {b: {c: 1}}}", "{\"a\":{}}", "a.b: expected an object, missing", 0},
    {"{a: {b: 1}}", "{\"a\":null}", "a: expected an object, found null", 0},
    {"{}", "{\"a\":1}", NULL, 0},
    {"{}", "[]", "expected an object, found an array", 0},
    {"{a: {}}", "{\"a\":{\"b\":1}}", NULL, 0},
    {"{a: {}}", "{\"a\":[]}", "a: expected an object, found an array", 0},
    {"{type: subscribe, channel: \"*\"}", "{\"type\":\"subscribe\"}", "channel: expected a value, missing", 0},
    {"{channel: \"*\"}", "{\"channel\":null}", NULL, 0},
    {"{channel: \"*\"}", "{\"channel\":{}}", NULL, 0},
    {"{\"\": 1}", "{\"\":1}", NULL, 0},
    {"{\"a.b\": 1}", "{\"a.b\":1}", NULL, 0},
    {"{\"grüß\": ja}", "{\"gr\\u00fc\\u00df\":\"j\\u0061\"}", NULL, 0},
    /* the last of a repeated name counts */
    {"{a: 2}", "{\"a\":1,\"a\":2}", NULL, 0},
    {"{a: 1}", "{\"a\":1,\"a\":2}", "a: expected 1, found 2", 0},
    {"{a: 1}", "{\"a\":1,\"\\u0061\":2}", "a: expected 1, found 2", 0},
    /* arrays: the same length, element by element */
    {"{tags: [a, 2, \"*\"]}", "{\"tags\":[\"a\",2,null]}", NULL, 0},
    {"{tags: [a, 2]}", "{\"tags\":[\"a\",3]}", "tags.1: expected 2, found 3", 0},
    {"{tags: [a]}", "{\"tags\":[\"a\",\"b\"]}", "tags: expected 1 element, found 2", 0},
    {"{tags: [a, b]}", "{\"tags\":[\"x\"]}", "tags: expected 2 elements, found 1", 0},
    {"{tags: [a]}", "{\"tags\":\"a\"}", "tags: expected an array, found \"a\"", 0},
    {"{tags: []}", "{\"tags\":[]}", NULL, 0},
    {"{tags: []}", "{\"tags\":[[]]}", "tags: expected 0 elements, found 1", 0},
    {"{m: [[1], {a: 2}]}", "{\"m\":[[1],{\"b\":0,\"a\":2}]}", NULL, 0},
    {"{m: [[1], {a: 2}]}", "{\"m\":[[1],{\"a\":3}]}", "m.1.a: expected 2, found 3", 0},
    {"[subscribe, \"room-*\"]", "[\"subscribe\",\"room-7\"]", NULL, 0},
    {"[subscribe]", "subscribe", "expected JSON, found text", 0},
    {"[subscribe]", "{}", "expected an array, found an object", 0},
    {"[{$exists: true}]", "[null]", NULL, 0},
    /* scalars by type and value */
    {"{a: 5}", "{\"a\":5.0}", NULL, 0},
    {"{a: 5}", "{\"a\":50e-1}", NULL, 0},
    {"{a: 5.0}", "{\"a\":5}", NULL, 0},
    {"{a: 5}", "{\"a\":\"5\"}", "a: expected 5, found \"5\"", 0},
    {"{a: \"5\"}", "{\"a\":5}", "a: expected \"5\", found 5", 0},
    {"{a: \"5\"}", "{\"a\":\"5\"}", NULL, 0},
    {"{a: +3}", "{\"a\":3}", NULL, 0},
    {"{a: .5}", "{\"a\":0.5}", NULL, 0},
    {"{a: 0}", "{\"a\":-0.0e9}", NULL, 0},
    {"{a: 1}", "{\"a\":-1}", "a: expected 1, found -1", 0},
    {"{a: 9007199254740993}", "{\"a\":9007199254740993}", NULL, 0},
    {"{a: 9007199254740993}", "{\"a\":9007199254740992}", "a: expected 9007199254740993, found 9007199254740992", 0},
    {"{a: 9007199254740993}", "{\"a\":9007199254740992.0}", "a: expected 9007199254740993, found 9007199254740992.0",
     0},
    {"{a: 9007199254740993}", "{\"a\":9007199254740993.0}", NULL, 0},
    {"{a: 18446744073709551616}", "{\"a\":18446744073709551616}", NULL, 0},
    {"{a: 18446744073709551616}", "{\"a\":18446744073709551617}",
     "a: expected 18446744073709551616, found 18446744073709551617", 0},
    {"{a: 0.1}", "{\"a\":0.1000000000000000055511151231257827}",
     "a: expected 0.1, found 0.1000000000000000055511151231257827", 0},
    {"{a: 1e400}", "{\"a\":1e400}", NULL, 0},
    {"{a: 1e400}", "{\"a\":10e399}", NULL, 0},
    {"{a: 1e400}", "{\"a\":1e401}", "a: expected 1e400, found 1e401", 0},
    {"{a: 1e-400}", "{\"a\":0}", "a: expected 1e-400, found 0", 0},
    {"{a: 1}", "{\"a\":1e99999999999999999999999999}", "a: expected 1, found 1e99999999999999999999999999", 0},
    {"{a: true}", "{\"a\":true}", NULL, 0},
    {"{a: TRUE}", "{\"a\":true}", NULL, 0},
    {"{a: true}", "{\"a\":1}", "a: expected true, found 1", 0},
    {"{a: true}", "{\"a\":\"true\"}", "a: expected true, found \"true\"", 0},
    {"{a: false}", "{\"a\":true}", "a: expected false, found true", 0},
    {"{a: \"true\"}", "{\"a\":\"true\"}", NULL, 0},
    {"{a: null}", "{\"a\":null}", NULL, 0},
    {"{a: }", "{\"a\":null}", NULL, 0},
    {"{a: null}", "{}", "a: expected null, missing", 0},
    {"{a: null}", "{\"a\":0}", "a: expected null, found 0", 0},
    {"{a: \"\"}", "{\"a\":\"\"}", NULL, 0},
    {"{a: \"\"}", "{\"a\":\"x\"}", "a: expected \"\", found \"x\"", 0},
    /* globs */
    {"{a: \"room-*\"}", "{\"a\":\"room-\"}", NULL, 0},
    {"{a: \"room-*\"}", "{\"a\":\"r\\u006fom-12\"}", NULL, 0},
    {"{a: \"room-*\"}", "{\"a\":\"lobby\"}", "a: expected a string like \"room-*\", found \"lobby\"", 0},
    {"{a: \"room-*\"}", "{\"a\":5}", "a: expected a string like \"room-*\", found 5", 0},
    {"{a: \"**\"}", "{\"a\":\"\"}", NULL, 0},
    {"{a: \"**\"}", "{\"a\":1}", "a: expected a string like \"**\", found 1", 0},
    {"{a: \"a?c\"}", "{\"a\":\"aüc\"}", NULL, 0},
    {"{a: \"a?c\"}", "{\"a\":\"a😀c\"}", NULL, 0},
    {"{a: \"a?c\"}", "{\"a\":\"a\\ud800c\"}", NULL, 0},
    {"{a: \"a?c\"}", "{\"a\":\"abbc\"}", "a: expected a string like \"a?c\", found \"abbc\"", 0},
    {"{a: \"?\"}", "{\"a\":\"\"}", "a: expected a string like \"?\", found \"\"", 0},
    {"{a: \"[a-c][!0-9]\"}", "{\"a\":\"bx\"}", NULL, 0},
    {"{a: \"[a-c][^0-9]\"}", "{\"a\":\"b7\"}", "a: expected a string like \"[a-c][^0-9]\", found \"b7\"", 0},
    {"{a: '[]\\]]'}", "{\"a\":\"]\"}", NULL, 0},
    {"{a: \"[a-]\"}", "{\"a\":\"-\"}", NULL, 0},
    {"{a: \"[ä-ü]x\"}", "{\"a\":\"öx\"}", NULL, 0},
    {"{a: \"[!a]\"}", "{\"a\":\"\\udfff\"}", NULL, 0},
    {"{a: '\\*'}", "{\"a\":\"*\"}", NULL, 0},
    {"{a: '\\*'}", "{\"a\":\"x\"}", "a: expected \"*\", found \"x\"", 0},
    {"{a: 'a\\?*'}", "{\"a\":\"a?b\"}", NULL, 0},
    {"{a: '\\[1\\]'}", "{\"a\":\"[1]\"}", NULL, 0},
    {"{a: \"*.BTC.*\"}", "{\"a\":\"x.BTC.BTC.y\"}", NULL, 0},
    {"{a: \"*ab\"}", "{\"a\":\"abaab\"}", NULL, 0},
    {"{a: \"*a?b*c\"}", "{\"a\":\"aabaxbbbc\"}", NULL, 0},
    {"{a: \"*a?b*c\"}", "{\"a\":\"aabaxbbb\"}", "a: expected a string like \"*a?b*c\", found \"aabaxbbb\"", 0},
    {"{a: \"a*?\"}", "{\"a\":\"a\"}", "a: expected a string like \"a*?\", found \"a\"", 0},
    {"{a: \"x]y\"}", "{\"a\":\"x]y\"}", NULL, 0},
    /* the whole message as a text */
    {"ping", "ping", NULL, 0},
    {"ping", "ping ", "expected \"ping\", found \"ping \"", 0},
    {"ping", "\"ping\"", "expected \"ping\", found \"\\\"ping\\\"\"", 0},
    {"ping", "ping", "expected text, found binary", 4},
    {"\"*\"", "", NULL, 0},
    {"\"*\"", "{\"a\":1}", NULL, 0},
    {"\"*\"", "x", "expected text, found binary", 1},
    {"\"sub *\"", "sub news", NULL, 0},
    {"\"sub *\"", "unsub news", "expected a text like \"sub *\", found \"unsub news\"", 0},
    {"\"*\\\"ping\\\"*\"", "{\"type\": \"ping\"}", NULL, 0},
    {"\"5\"", "5", NULL, 0},
    {"5", "5", NULL, 0},
    {"5", "5.00", NULL, 0},
    {"5", "\"5\"", "expected 5, found \"5\"", 0},
    {"5", "five", "expected JSON, found text", 0},
    {"true", "true", NULL, 0},
    {"{$regex: \"^p[io]ng$\"}", "pong", NULL, 0},
    {"{$regex: \"^p[io]ng$\"}", "pang", "expected a text that matches \"^p[io]ng$\", found \"pang\"", 0},
    {"{$regex: ping}", "\x01ping", "expected text, found binary", 5},
    {"{$in: [ping, \"hello*\", 7]}", "hello world", NULL, 0},
    {"{$in: [ping, \"hello*\", 7]}", "7.0", NULL, 0},
    {"{$in: [ping, \"hello*\", 7]}", "x", "expected one of \"ping\", a text like \"hello*\", 7, found \"x\"", 0},
    {"{$not: ping}", "pong", NULL, 0},
    {"{$not: ping}", "ping", NULL, 4},
    {"{$not: ping}", "ping", "expected anything but \"ping\", found \"ping\"", 0},
    {"{$not: {type: ping}}", "no JSON", NULL, 0},
    {"{$not: {type: ping}}", "{\"type\":\"ping\"}",
     "expected anything but {type: \"ping\"}, found \"{\\\"type\\\":\\\"ping\\\"}\"", 0},
    {"{$regex: p, $not: \"*x*\"}", "pong", NULL, 0},
    {"{$regex: p, $not: \"*x*\"}", "pox", "expected anything but a text like \"*x*\", found \"pox\"", 0},
    {"{$gte: b, $lt: c}", "bzz", NULL, 0},
    {"{$gte: b, $lt: c}", "c", "expected a text < \"c\", found \"c\"", 0},
    {"{$gt: 5}", "6", NULL, 0},
    {"{$gt: 5}", "six", "expected JSON, found text", 0},
    {"{$gt: 5}", "5", "expected a number > 5, found 5", 0},
    {"{$json: ping}", "\"ping\"", NULL, 0},
    {"{$json: ping}", "ping", "expected JSON, found text", 0},
    {"{$json: ping}", "{\"a\":1}", "expected \"ping\", found an object", 0},
    {"{$json: \"*\"}", "null", NULL, 0},
    {"{$json: null}", "null", NULL, 0},
    {"{$json: [1]}", "[1]", NULL, 0},
    {"{$json: {a: 1}}", "{\"a\":1}", NULL, 0},
    {"{$json: {$gt: 1}}", "2", NULL, 0},
    {"{$json: {$not: 1}}", "x", "expected JSON, found text", 0},
    {"{$not: {$json: \"*\"}}", "x", NULL, 0},
    {"{$not: {$json: \"*\"}}", "1", "expected anything but a value, found \"1\"", 0},
    {"{$json: {a: \"*\"}, $not: {b: \"*\"}}", "{\"a\":1}", NULL, 0},
    {"{$json: {a: \"*\"}, $not: {b: \"*\"}}", "{\"a\":1,\"b\":2}",
     "expected anything but {b: a value}, found \"{\\\"a\\\":1,\\\"b\\\":2}\"", 0},
    /* bytes */
    {"{$hex: 00ff}", "\x00\xff", NULL, 2},
    {"{$hex: 00FF}", "\x00\xff", NULL, 2},
    {"{$hex: \"00 ff *\"}", "\x00\xff\x01", NULL, 3},
    {"{$hex: 00ff*}", "\x00\xff", NULL, 2},
    {"{$hex: 00ff}", "\x00\xff\x01", "expected bytes 00ff, found bytes 00ff01", 3},
    {"{$hex: 00ff*}", "\x01", "expected bytes 00ff and more, found bytes 01", 1},
    {"{$hex: 11}", "\x11", NULL, 1},
    {"{$hex: \"61*\"}", "a", "expected binary, found text", 0},
    {"{$hex: \"*\"}", "ab", NULL, 2},
    {"{$not: {$hex: \"*\"}}", "ab", "expected anything but any bytes, found bytes 6162", 2},
    {"{$not: {$hex: \"*\"}}", "ab", NULL, 0},
    {"{$in: [{$hex: \"01*\"}, ping]}", "\x01\x02", NULL, 2},
    {"{$in: [{$hex: \"01*\"}, ping]}", "ping", NULL, 0},
    {"{$hex: 00}", "0123456789012345678901234567890",
     "expected bytes 00, found bytes 3031323334353637383930313233343536373839…", 31},
    /* operators */
    {"{a: {$regex: \"^\\\\d+$\"}}", "{\"a\":\"42\"}", NULL, 0},
    {"{a: {$regex: \"^\\\\d+$\"}}", "{\"a\":42}", "a: expected a string that matches \"^\\\\d+$\", found 42", 0},
    {"{a: {$regex: b}}", "{\"a\":\"abc\"}", NULL, 0},
    {"{a: {$regex: \"(?i)ÄB\"}}", "{\"a\":\"x\\u00e4b\"}", NULL, 0},
    {"{a: {$regex: \"^.$\"}}", "{\"a\":\"😀\"}", NULL, 0},
    {"{a: {$regex: \"^a.b$\"}}", "{\"a\":\"a\\ud800b\"}", NULL, 0},
    {"{a: {$regex: \"^a\\\\x00b$\"}}", "{\"a\":\"a\\u0000b\"}", NULL, 0},
    {"{a: {$regex: \"(.)\\\\1\"}}", "{\"a\":\"abba\"}", NULL, 0},
    {"{a: {$regex: \"\"}}", "{\"a\":\"\"}", NULL, 0},
    {"{a: {$regex: x}}", "{}", "a: expected a string that matches \"x\", missing", 0},
    {"{a: {$exists: true}}", "{\"a\":null}", NULL, 0},
    {"{a: {$exists: true}}", "{}", "a: expected a value, missing", 0},
    {"{a: {$exists: false}}", "{}", NULL, 0},
    {"{a: {$exists: false}}", "{\"a\":null}", "a: expected no value, found null", 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":1.0}", NULL, 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":\"xy\"}", NULL, 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":null}", NULL, 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":{\"b\":2}}", NULL, 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":[3]}", NULL, 0},
    {"{a: {$in: [1, \"x*\", null, {b: 2}, [3]]}}", "{\"a\":2}",
     "a: expected one of 1, a string like \"x*\", null, {b: 2}, [3], found 2", 0},
    {"{a: {$in: [1, {$exists: false}]}}", "{}", NULL, 0},
    {"{a: {$in: [only]}}", "{}", "a: expected \"only\", missing", 0},
    {"{limit: {$lte: 100}}", "{\"limit\":100}", NULL, 0},
    {"{limit: {$lte: 100}}", "{\"limit\":1e2}", NULL, 0},
    {"{limit: {$lte: 100}}", "{\"limit\":250}", "limit: expected a number <= 100, found 250", 0},
    {"{limit: {$lte: 100}}", "{\"limit\":\"50\"}", "limit: expected a number <= 100, found \"50\"", 0},
    {"{limit: {$lte: 100}}", "{}", "limit: expected a number <= 100, missing", 0},
    {"{limit: {$lt: 100}}", "{\"limit\":99.999999999999999999999}", NULL, 0},
    {"{limit: {$lt: 100}}", "{\"limit\":100}", "limit: expected a number < 100, found 100", 0},
    {"{limit: {$gt: 0, $lt: 10}}", "{\"limit\":5}", NULL, 0},
    {"{limit: {$gt: 0, $lt: 10}}", "{\"limit\":-5}", "limit: expected a number > 0, found -5", 0},
    {"{limit: {$gte: -1.5}}", "{\"limit\":-1.5}", NULL, 0},
    {"{limit: {$gte: -1.5}}", "{\"limit\":-1.6}", "limit: expected a number >= -1.5, found -1.6", 0},
    {"{a: {$gt: 9007199254740992}}", "{\"a\":9007199254740993}", NULL, 0},
    {"{a: {$gt: 9007199254740993}}", "{\"a\":9007199254740993}",
     "a: expected a number > 9007199254740993, found 9007199254740993", 0},
    {"{a: {$lt: 1e308}}", "{\"a\":1e400}", "a: expected a number < 1e308, found 1e400", 0},
    {"{a: {$lt: -1e400}}", "{\"a\":-1e401}", NULL, 0},
    {"{at: {$gte: 2024-01-15T10:00:00Z}}", "{\"at\":\"2024-01-15T10:30:00Z\"}", NULL, 0},
    {"{at: {$gte: 2024-01-15T10:00:00Z}}", "{\"at\":\"2023\"}",
     "at: expected a string >= \"2024-01-15T10:00:00Z\", found \"2023\"", 0},
    {"{at: {$gt: \"a\"}}", "{\"at\":\"\\u0061\"}", "at: expected a string > \"a\", found \"a\"", 0},
    {"{at: {$gt: \"a\"}}", "{\"at\":\"aa\"}", NULL, 0},
    {"{at: {$gt: \"5\"}}", "{\"at\":6}", "at: expected a string > \"5\", found 6", 0},
    {"{a: {$not: x}}", "{\"a\":\"y\"}", NULL, 0},
    {"{a: {$not: x}}", "{}", NULL, 0},
    {"{a: {$not: \"*\"}}", "{\"a\":1}", "a: expected anything but a value, found 1", 0},
    {"{a: {$not: {$in: [1, 2]}}}", "{\"a\":2}", "a: expected anything but one of 1, 2, found 2", 0},
    {"{a: {$not: null}}", "{\"a\":0}", NULL, 0},
    {"{a: {$not: [1]}}", "{\"a\":[2]}", NULL, 0},
    {"{a: {$not: {$not: 1}}}", "{\"a\":1}", NULL, 0},
    {"{a: {$exists: true, $not: \"\"}}", "{\"a\":\"\"}", "a: expected anything but \"\", found \"\"", 0},
    {"{a: {$not: {$gt: 1, $lt: 9}}}", "{\"a\":5}", "a: expected anything but a number > 1 and a number < 9, found 5",
     0},
    {"{a: {$in: [{$exists: false}, {$not: true}, {$lt: b}]}}", "{\"a\":true}",
     "a: expected one of no value, anything but true, a string < \"b\", found true", 0},
    /* members that begin with a dollar */
    {"{$$ref: x}", "{\"$ref\":\"x\"}", NULL, 0},
    {"{$$ref: x}", "{\"$$ref\":\"x\"}", "$ref: expected \"x\", missing", 0},
    {"{$$$ref: x}", "{\"$$ref\":\"x\"}", NULL, 0},
    {"{a: {$$gt: 1}}", "{\"a\":{\"$gt\":1}}", NULL, 0},
    {"{$$: 1, a: 2}", "{\"$\":1,\"a\":2}", NULL, 0},
    /* what is said is bounded, and clean */
    {"{a: x}", "{\"a\":\"012345678901234567890123456789012345678901234567890\"}",
     "a: expected \"x\", found \"0123456789012345678901234567890123456789…\"", 0},
    {"{a: x}", "{\"a\":\"012345678901234567890123456789012345678ü90\"}",
     "a: expected \"x\", found \"012345678901234567890123456789012345678…\"", 0},
    {"{a: x}", "{\"a\":\"\\u001b[31m\\n\\ud800\"}",
     "a: expected \"x\", found \"\\u001b[31m\\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", 0},
    {"{a: 1}", "{\"a\":100000000000000000000000000000000000000000000000000}",
     "a: expected 1, found 1000000000000000000000000000000000000000…", 0},
    {"{a: {$in: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccc, d]}}", "{\"a\":1}",
     "a: expected one of \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", \"cccc…, found 1", 0},
    {"{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1}", "{}",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…: expected 1, missing", 0},
};

START_TEST(rows_match_or_say_why) {
    const struct row *r = &rows[_i];
    struct matcher *m = compile(r->yaml);
    struct match_miss miss;
    struct parsed p;
    size_t len = r->binary ? r->binary : strlen(r->message);
    char *copy = malloc(len + 1); /* exact size, so that a sanitizer sees a read too far */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, r->message, len);
    copy[len] = '\0';
    parse(&p, copy, len, r->binary > 0);
    ck_assert_msg(matcher_matches(m, &p.in) == !r->miss, "%s on %s", r->yaml, r->message);
    matcher_explain(m, &p.in, &miss);
    ck_assert_str_eq(miss.text, r->miss ? r->miss : "");
    json_tape_fini(&p.tape);
    free(copy);
    matcher_free(m);
}
END_TEST

struct error_row {
    const char *yaml;
    int line, column;
    const char *text;
};
static const struct error_row errors[] = {
    {"{a: {$regexp: x}}", 1, 15,
     "unknown operator \"$regexp\"; did you mean \"$regex\"? There are $regex, $exists, $in, $gt, $gte, $lt, $lte, "
     "$not (a "
     "member of that name is written \"$$regexp\")"},
    {"{$zebra: 1}", 1, 10,
     "unknown operator \"$zebra\"; there are $regex, $in, $gt, $gte, $lt, $lte, $not, $hex, $json (a member of that "
     "name is "
     "written \"$$zebra\")"},
    {"{a: {$: 1}}", 1, 9,
     "unknown operator \"$\"; there are $regex, $exists, $in, $gt, $gte, $lt, $lte, $not (a member of that name is "
     "written "
     "\"$$\")"},
    {"a:\n  b: 1\n  $gt: 2\n", 3, 8,
     "\"$gt\" is an operator and \"b\" a member: a mapping holds one or the other (a member of that name is written "
     "\"$$gt\")"},
    {"a:\n  $gt: 2\n  b: 1\n", 3, 6,
     "\"$gt\" is an operator and \"b\" a member: a mapping holds one or the other (a member of that name is written "
     "\"$$gt\")"},
    {"{$gt: 2, $$b: 1}", 1, 15,
     "\"$gt\" is an operator and \"$$b\" a member: a mapping holds one or the other (a member of that name is written "
     "\"$$gt\")"},
    {"{a: {$hex: 00}}", 1, 12, "$hex is about the whole message: it cannot stand within one"},
    {"{a: {$json: 1}}", 1, 13, "$json is about the whole message: it cannot stand within one"},
    {"{$json: {$json: 1}}", 1, 17, "$json is about the whole message: it cannot stand within one"},
    {"{$exists: true}", 1, 11, "$exists is about a member: the whole message is always there"},
    {"{a: {$exists: yes}}", 1, 15, "$exists: expected true or false, found a text"},
    {"{a: {$exists: 1}}", 1, 15, "$exists: expected true or false, found a number"},
    {"{a: {$exists: \"true\"}}", 1, 16, "$exists: expected true or false, found a text"},
    {"{a: {$in: x}}", 1, 11, "$in: expected a list of values, found a text"},
    {"{a: {$in: {b: 1}}}", 1, 11, "$in: expected a list of values, found a mapping"},
    {"{a: {$in: []}}", 1, 11, "$in: expected at least one value in the list"},
    {"{a: {$in: [1, {$x: 1}]}}", 1, 20,
     "unknown operator \"$x\"; there are $regex, $exists, $in, $gt, $gte, $lt, $lte, $not (a member of that name is "
     "written "
     "\"$$x\")"},
    {"{a: {$gt: true}}", 1, 11, "$gt: expected a number or a text, found a truth value"},
    {"{a: {$gt: null}}", 1, 11, "$gt: expected a number or a text, found null"},
    {"{a: {$lte: [1]}}", 1, 12, "$lte: expected a number or a text, found a list"},
    {"{a: {$regex: \"a(b\"}}", 1, 15, "$regex: missing closing parenthesis (at offset 3)"},
    {"{a: {$regex: \"*a\"}}", 1, 15, "$regex: quantifier does not follow a repeatable item (at offset 0)"},
    {"{a: {$regex: 'a\\Cb'}}", 1, 15, "$regex: using \\C is disabled by the application (at offset 3)"},
    {"{a: {$regex: [a]}}", 1, 14, "$regex: expected a regular expression, found a list"},
    {"a:\n  $regex:\n", 2, 10, "$regex: expected a regular expression, found nothing"},
    {"{a: \"x[a\"}", 1, 6, "\"[\" without its \"]\" (\"\\[\" is the character itself)"},
    {"{a: \"x[]\"}", 1, 6, "\"[\" without its \"]\" (\"\\[\" is the character itself)"},
    {"{a: \"x[!\"}", 1, 6, "\"[\" without its \"]\" (\"\\[\" is the character itself)"},
    {"{a: \"x[a-\"}", 1, 6, "\"[\" without its \"]\" (\"\\[\" is the character itself)"},
    {"{a: 'x[a\\'}", 1, 6, "\"[\" without its \"]\" (\"\\[\" is the character itself)"},
    {"{a: \"[z-a]\"}", 1, 6, "a range in \"[…]\" that runs backwards"},
    {"{a: 'x\\'}", 1, 6, "\"\\\" at the end, with no character behind it (\"\\\\\" is the character itself)"},
    {"'x\\'", 1, 2, "\"\\\" at the end, with no character behind it (\"\\\\\" is the character itself)"},
    {"{$not: }", 1, 8,
     "expected what the message must be like, found nothing ({$json: null} is a message that is null)"},
    {"{$not: null}", 1, 8,
     "expected what the message must be like, found null ({$json: null} is a message that is null)"},
    {"{$hex: 0}", 1, 8, "$hex: expected pairs of hexadecimal digits, and \"*\" at the end for the rest, found \"0\""},
    {"{$hex: 00*00}", 1, 8,
     "$hex: expected pairs of hexadecimal digits, and \"*\" at the end for the rest, found \"00\""},
    {"{$hex: 0x00}", 1, 8,
     "$hex: expected pairs of hexadecimal digits, and \"*\" at the end for the rest, found \"0x00\""},
    {"{$hex: [0]}", 1, 8, "$hex: expected bytes in hexadecimal, found a list"},
};

START_TEST(errors_have_their_place) {
    const struct error_row *r = &errors[_i];
    const struct config_value *v;
    struct matcher *m = NULL;
    struct err err;
    ck_assert_int_eq(config_value_parse(r->yaml, &v, &err), MF_OK);
    ck_assert_msg(matcher_compile(v, &m, &err) == MF_EINVAL, "%s", r->yaml);
    ck_assert_ptr_null(m);
    ck_assert_str_eq(err.text, r->text);
    ck_assert_msg(err.line == r->line && err.column == r->column, "%s: %d:%d", r->yaml, err.line, err.column);
    ck_assert_str_eq(err.file, "");
    ck_assert_int_eq(matcher_compile(v, &m, NULL), MF_EINVAL);
    config_value_free(v);
}
END_TEST

/* The rule that a message nearly matches holds more conditions than the others. */
START_TEST(the_nearest_holds_most) {
    static const char *const yaml[] = {"ping", "{type: ping}",
                                       "{type: subscribe, channel: \"*\", limit: {$gt: 0, $lt: 9}}",
                                       "{type: subscribe, tags: [a, b, c]}"};
    static const unsigned held[] = {0, 1, 4, 4};
    static const char message[] =
        "{\"type\":\"subscribe\",\"channel\":\"x\",\"limit\":10,\"tags\":[\"a\",\"z\",\"z\"]}";
    struct parsed p;
    parse(&p, message, strlen(message), false);
    for (size_t i = 0; i < ARRAY_LEN(yaml); i++) {
        struct matcher *m = compile(yaml[i]);
        struct match_miss miss;
        matcher_explain(m, &p.in, &miss);
        ck_assert_msg(miss.held == held[i], "%s: %u", yaml[i], miss.held);
        matcher_free(m);
    }
    json_tape_fini(&p.tape);
}
END_TEST

/* Written without a scheme: each pair in both orders. */
START_TEST(numbers_are_ordered_exactly) {
    /* clang-format off */
    static const char *const ascending[] = {
        "-1e500", "-12", "-1.20", "-1.2e-700", "0", "1e-99999999999999999999", "0.1", "0.10000000000000000000001", "1",
        "9007199254740992", "9007199254740992.5", "9007199254740993", "9223372036854775807", "9223372036854775808",
        "1e400", "1.1e400", "1e500"};
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ascending); j++) {
            char yaml[80];
            snprintf(yaml, sizeof yaml, "{$gt: %s}", ascending[i]);
            ck_assert_msg(matches(yaml, ascending[j], strlen(ascending[j])) == (j > i), "%s %s", yaml, ascending[j]);
            snprintf(yaml, sizeof yaml, "{$json: %s}", ascending[i]);
            ck_assert_msg(matches(yaml, ascending[j], strlen(ascending[j])) == (j == i), "%s %s", yaml, ascending[j]);
        }
    }
}
END_TEST

static double cpu_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

#define LONG ((size_t)64 << 10)

struct bomb {
    const char *yaml;
    char fill, last;
};
static const struct bomb bombs[] = {
    {"{$regex: '(a+)+$'}", 'a', '!'},
    {"{$regex: '\\s+$'}", ' ', 'x'},
    {"{$regex: '^(\\w+\\s?)*$'}", 'a', '!'},
    {"{$regex: '(?:a|aa)+$'}", 'a', '!'},
    {"{$regex: '(.+)\\1$'}", 'a', '!'},
    {"{$regex: 'a*a*a*a*a*$'}", 'a', '!'},
    {"{$regex: '(a(?1)?)+$'}", 'a', '!'},
    {"{$regex: '(.*)*!!'}", 'a', '!'},
    {"{$regex: '(?<=a)(?=(a+))\\1b|c$'}", 'a', '!'},
    {"'*a*a*a*a*b'", 'a', '!'},
    {"'*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab*'", 'a', '!'},
};

/* None matches, and none takes long: the limit is generous, for sanitizers. */
START_TEST(no_input_makes_it_slow) {
    char *text = malloc(LONG + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, bombs[_i].fill, LONG);
    text[LONG - 1] = bombs[_i].last;
    text[LONG] = '\0';
    double begin = cpu_ms();
    ck_assert_msg(!matches(bombs[_i].yaml, text, LONG), "%s", bombs[_i].yaml);
    double ms = cpu_ms() - begin;
    ck_assert_msg(ms < 400, "%s: %.1f ms", bombs[_i].yaml, ms);
    free(text);
}
END_TEST

/* Limits do not take away what is ordinary, and what needs more stack than translated code has is still found. */
START_TEST(long_texts_match) {
    char *text = malloc(LONG + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', LONG);
    text[LONG - 1] = '!';
    text[LONG] = '\0';
    ck_assert(matches("{$regex: '^a.*!$'}", text, LONG));
    ck_assert(matches("{$regex: '^(?:a|b)*!'}", text, LONG));
    ck_assert(matches("{$regex: 'a!'}", text, LONG));
    ck_assert(matches("'a*!'", text, LONG));
    ck_assert(matches("'*a!'", text, LONG));
    free(text);
}
END_TEST

/* Half a character, a lead byte at the end, overlong forms: a character each, and never read beyond. */
START_TEST(bytes_that_are_no_text) {
    static const char *const texts[] = {"\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc0\x80", "a\x80", "\xf8\x88"};
    static const size_t characters[] = {1, 1, 2, 3, 2, 2, 2};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = strlen(texts[i]);
        for (size_t n = 1; n <= 4; n++) {
            char yaml[8] = "'";
            memset(yaml + 1, '?', n);
            yaml[n + 1] = '\'';
            ck_assert_msg(matches(yaml, texts[i], len) == (n == characters[i]), "%zu of %zu", n, i);
        }
        ck_assert(matches("'*[!a]'", texts[i], len));
        ck_assert(matches("{$regex: '^.+$'}", texts[i], len));
        ck_assert(!matches("ping", texts[i], len));
    }
}
END_TEST

/* The deepest that YAML and a message can be. */
START_TEST(deep_values) {
    char yaml[256], text[4096];
    size_t depth = 30, n = 0, at = 0;
    for (size_t i = 0; i < depth; i++)
        at += (size_t)snprintf(yaml + at, sizeof yaml - at, "{a: ");
    yaml[at++] = '1';
    memset(yaml + at, '}', depth);
    yaml[at + depth] = '\0';
    for (size_t i = 0; i < depth; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"a\":");
    text[n++] = '1';
    memset(text + n, '}', depth);
    text[n + depth] = '\0';
    ck_assert(matches(yaml, text, n + depth));
    n = 0;
    for (size_t i = 0; i < JSON_MAX_DEPTH; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"a\":");
    text[n++] = '1';
    memset(text + n, '}', JSON_MAX_DEPTH);
    text[n + JSON_MAX_DEPTH] = '\0';
    ck_assert(!matches(yaml, text, n + JSON_MAX_DEPTH));
}
END_TEST

/* One matcher for all workers, patterns included. */
static void *match_often(void *data) {
    const struct matcher *m = data;
    static const char yes[] = "{\"type\":\"subscribe\",\"channel\":\"prices.BTC\"}",
                      no[] = "{\"type\":\"sub\",\"channel\":1}";
    struct parsed p, q;
    parse(&p, yes, strlen(yes), false);
    parse(&q, no, strlen(no), false);
    bool right = true;
    for (int i = 0; i < 2000; i++)
        right = right && matcher_matches(m, &p.in) && !matcher_matches(m, &q.in);
    json_tape_fini(&p.tape);
    json_tape_fini(&q.tape);
    return right ? data : NULL;
}

START_TEST(threads_share_a_matcher) {
    struct matcher *m = compile("{type: \"sub*\", channel: {$regex: '^prices\\.(\\w+)$'}}");
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, match_often, m), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, m);
    }
    matcher_free(m);
    matcher_free(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("match");
    TCase *tcase = tcase_create("match");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, rows_match_or_say_why, 0, (int)ARRAY_LEN(rows));
    tcase_add_loop_test(tcase, errors_have_their_place, 0, (int)ARRAY_LEN(errors));
    tcase_add_test(tcase, the_nearest_holds_most);
    tcase_add_test(tcase, numbers_are_ordered_exactly);
    tcase_add_loop_test(tcase, no_input_makes_it_slow, 0, (int)ARRAY_LEN(bombs));
    tcase_add_test(tcase, long_texts_match);
    tcase_add_test(tcase, bytes_that_are_no_text);
    tcase_add_test(tcase, deep_values);
    tcase_add_test(tcase, threads_share_a_matcher);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
