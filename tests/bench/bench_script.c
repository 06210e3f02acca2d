/* What a transform costs: one field of a 287-byte message edited, one added, nothing touched.
 *
 *     bench_script [runs]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "script/script.h"

static const char message[] =
    "{\"type\":\"trade\",\"symbol\":\"BTC-USD\",\"price\":\"43251.17\",\"size\":0.01250000,\"side\":\"buy\","
    "\"trade_id\":918273645,\"maker_order_id\":\"7f1c2d34-aa10-4c55-9d1e-0b6c1f0e2a77\",\"time\":"
    "\"2024-01-15T10:30:00.123456Z\",\"sequence\":12345678901,\"flags\":[\"taker\",\"ioc\"],\"user\":{\"id\":4711,"
    "\"tier\":\"gold\"}}";

struct bench_case {
    const char *name, *source;
};

static const struct bench_case cases[] = {
    {"nothing touched", ""},
    {"one read", "local t = msg.type"},
    {"one changed (msg.price = \"1\")", "msg.price = \"1\""},
    {"one added (msg.client_id = connection.id)", "msg.client_id = connection.id"},
    {"one dropped (msg.sequence = nil)", "msg.sequence = nil"},
    {"nested changed (msg.user.id = 7)", "msg.user.id = 7"},
    {"whole rebuilt", "return {type = msg.type, price = msg.price, user = msg.user}"},
    {"string returned", "return 'x'"},
};

/* The process's CPU time: other load on the machine does not count. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000;
    struct script_limits limits = {.max_memory = 32u << 20, .max_instructions = 10000000, .max_ms = 100};
    struct rng rng;
    rng_init(&rng, 1);
    struct script_vm *vm;
    struct err err;
    char text[1024];
    if (script_vm_new(&limits, &rng, &vm, &err)) {
        fprintf(stderr, "%s\n", err_format(&err, text, sizeof text));
        return 1;
    }
    struct connection connection;
    connection_init(&connection, 1);
    struct script_env *env;
    MUST(!script_env_new(vm, &connection, &env));
    printf("message of %zu bytes, %lu runs, state of %zu bytes\n", sizeof message - 1, runs, script_vm_memory(vm));
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct script_chunk *chunk;
        if (script_compile(vm, cases[i].source, strlen(cases[i].source), "bench.lua", 1, &chunk, &err)) {
            fprintf(stderr, "%s\n", err_format(&err, text, sizeof text));
            return 1;
        }
        struct script_message in = {.incoming = true, .data = (const uint8_t *)message, .len = sizeof message - 1};
        bool binary;
        uint64_t best = UINT64_MAX;
        for (int round = 0; round < 3; round++) {
            uint64_t begin = cpu_ns();
            for (unsigned long n = 0; n < runs; n++)
                if (script_transform(vm, chunk, env, &in, &out, &binary, &err) == SCRIPT_ERROR) {
                    fprintf(stderr, "%s\n", err_format(&err, text, sizeof text));
                    return 1;
                }
            uint64_t took = cpu_ns() - begin;
            best = took < best ? took : best;
        }
        printf("%8.0f ns  %s\n", (double)best / (double)runs, cases[i].name);
        script_chunk_free(vm, chunk);
    }
    buf_fini(&out);
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    return 0;
}
