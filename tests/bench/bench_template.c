/* What a response costs: templates rendered against a parsed message of 108 bytes.
 *
 *     bench_template [runs]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "template/json_template.h"
#include "template/json_values.h"

static const char message[] = "{\"type\":\"subscribe\",\"channel\":\"trades\",\"id\":918273645,\"user\":{\"name\":\"Ann\","
                              "\"tags\":[\"a\",\"b\"]},\"note\":\"say \\\"hi\\\"\"}";

static const struct {
    const char *name, *yaml;
} cases[] = {
    {"constant", "{type: pong}"},
    {"two fields of the message", "{type: ack, channel: '{{message.channel}}', id: '{{message.id}}'}"},
    {"one field and now", "{type: ack, id: '{{message.id}}', at: '{{now}}'}"},
    {"uuid and now", "{type: ack, id: '{{uuid}}', at: '{{now}}'}"},
    {"two random numbers", "{price: '{{random_float 40000 50000}}', volume: '{{random_int 1000000 5000000}}'}"},
    {"within a text", "{type: ack, note: 'seen {{message.note}} by {{message.user.name}}'}"},
    {"filters", "{id: '{{message.missing | default 0}}', name: '{{message.user.name | upper}}'}"},
    {"made-up name and e-mail", "{name: '{{faker.name}}', email: '{{faker.email}}'}"},
    {"the whole message", "{type: echo, message: '{{message}}'}"},
};

/* The process's CPU time: other load on the machine does not count. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct json_template *compile(const char *yaml) {
    const struct config_value *v;
    struct json_template *t;
    struct err err;
    if (config_value_parse(yaml, &v, &err) < 0 || json_template_compile(v, TEMPLATE_MESSAGE, &t, &err) < 0) {
        fprintf(stderr, "%s: %s\n", yaml, err.text);
        exit(1);
    }
    config_value_free(v);
    return t;
}

static void run(const char *name, const char *yaml, const struct template_context *ctx, unsigned long runs) {
    struct json_template *t = compile(yaml);
    struct buf out = BUF_INIT;
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 5; round++) {
        uint64_t begin = cpu_ns();
        for (unsigned long n = 0; n < runs; n++) {
            buf_reset(&out);
            MUST(json_template_render(t, ctx, &out) == MF_OK);
        }
        best = MIN(best, cpu_ns() - begin);
    }
    printf("%8.0f ns  %s\n", (double)best / (double)runs, name);
    buf_fini(&out);
    json_template_free(t);
}

int main(int argc, char **argv) {
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    struct json_tape tape = {.max = UINT32_MAX - 1};
    struct buf scratch = BUF_INIT;
    size_t at;
    MUST(json_tape_parse(&tape, message, sizeof message - 1, &at) == MF_OK);
    struct json_values values = {
        .text = message, .len = sizeof message - 1, .tape = &tape, .params = JSON_NO_NODE, .scratch = &scratch};
    json_values_init(&values);
    struct rng rng;
    rng_init(&rng, 1);
    const struct template_context ctx = {.rng = &rng, .connection_count = 1, .values = &values.values};
    printf("message of %zu bytes, %lu runs\n", sizeof message - 1, runs);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run(cases[i].name, cases[i].yaml, &ctx, runs);
    json_tape_fini(&tape);
    buf_fini(&scratch);
    return 0;
}
