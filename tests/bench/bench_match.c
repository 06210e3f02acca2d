/* What a match costs, on one core: a message of 290 bytes against rules of different kinds, parsed beforehand, and the
 * parsing itself, which all rules of a route share. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "match/match.h"

#define RUNS 7
#define RUN_NS 20e6
#define BATCH 256

static const char message[] =
    "{\"type\":\"subscribe\",\"channel\":\"prices.BTC-USD\",\"id\":4711,"
    "\"client\":{\"name\":\"desk-7\",\"version\":\"2.14.1\",\"features\":[\"depth\",\"trades\",\"ticker\"]},"
    "\"limit\":100,\"since\":\"2024-01-15T10:30:00.000Z\",\"snapshot\":true,"
    "\"filter\":{\"min\":0.5,\"max\":250000,\"side\":null},\"trace\":\"b7ad6b7169203331-00f067aa0ba\"}";

struct rule {
    const char *name, *yaml;
};
static const struct rule rules[] = {
    {"two members, a text and \"*\"", "{type: subscribe, channel: \"*\"}"},
    {"the first does not match", "{type: unsubscribe, channel: \"*\"}"},
    {"a text and a glob", "{type: subscribe, channel: \"prices.*-USD\"}"},
    {"a text and two comparisons", "{type: subscribe, limit: {$gt: 0, $lte: 100}}"},
    {"a text and a regex", "{type: subscribe, channel: {$regex: '^prices\\.[A-Z]+-USD$'}}"},
    {"a nested array", "{client: {features: [depth, trades, ticker]}}"},
    {"a glob over the raw text", "'*\"snapshot\":true*'"},
    {"a regex over the raw text", "{$regex: '\"trace\":\"[0-9a-f-]+\"'}"},
};

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct job {
    struct match_input in;
    struct json_tape tape;
    struct matcher *matcher;
};
static volatile unsigned sink;

static void do_parse(struct job *j) {
    size_t at;
    sink += (unsigned)json_tape_parse(&j->tape, message, sizeof message - 1, &at);
}
static void do_match(struct job *j) {
    sink += matcher_matches(j->matcher, &j->in);
}
static void do_explain(struct job *j) {
    struct match_miss miss;
    matcher_explain(j->matcher, &j->in, &miss);
    sink += miss.held;
}

static void run(struct job *job, const char *what, const char *name, void (*work)(struct job *)) {
    double best = 1e18;
    for (int r = 0; r < RUNS; r++) {
        double begin = now_ns(), end;
        size_t calls = 0;
        do {
            for (int i = 0; i < BATCH; i++)
                work(job);
            calls += BATCH;
            end = now_ns();
        } while (end - begin < RUN_NS);
        best = MIN(best, (end - begin) / (double)calls);
    }
    printf("%-8s %-32s %8.1f ns\n", what, name, best);
}

int main(void) {
    struct job job = {.in = {.data = message, .len = sizeof message - 1}, .tape = {.max = 10000}};
    printf("a message of %zu bytes\n", sizeof message - 1);
    run(&job, "parse", "", do_parse);
    job.in.tape = &job.tape;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct config_value *value;
        struct err err;
        MUST(config_value_parse(rules[i].yaml, &value, &err) == MF_OK);
        MUST(matcher_compile(value, &job.matcher, &err) == MF_OK);
        run(&job, "match", rules[i].name, do_match);
        if (i == 1)
            run(&job, "explain", rules[i].name, do_explain);
        matcher_free(job.matcher);
        config_value_free(value);
    }
    json_tape_fini(&job.tape);
    return 0;
}
