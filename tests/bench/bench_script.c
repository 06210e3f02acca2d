/* What scripts cost: transforms of a 279-byte message (one field edited, one added, nothing touched), and handlers, from
 * trivial to one that waits.
 *
 *     bench_script [runs [case]]     case: only those whose name holds this, for counting instructions:
 *     valgrind --tool=callgrind --toggle-collect=script_start bench_script 1000 "trivial string"
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

static const struct bench_case transforms[] = {
    {"nothing touched", ""},
    {"one read", "local t = msg.type"},
    {"one changed (msg.price = \"1\")", "msg.price = \"1\""},
    {"one added (msg.client_id = connection.id)", "msg.client_id = connection.id"},
    {"one dropped (msg.sequence = nil)", "msg.sequence = nil"},
    {"nested changed (msg.user.id = 7)", "msg.user.id = 7"},
    {"whole rebuilt", "return {type = msg.type, price = msg.price, user = msg.user}"},
    {"string returned", "return 'x'"},
};
static const struct bench_case small_handlers[] = {
    {"trivial string (return 'pong')", "return 'pong'"},
    {"trivial table (return {type = \"pong\"})", "return {type = 'pong'}"},
};
static const struct bench_case handlers[] = {
    {"nothing", ""},
    {"two fields read, a table returned", "return {type = 'ack', id = msg.trade_id, symbol = msg.symbol}"},
    {"the same sent", "connection.send({type = 'ack', id = msg.trade_id, symbol = msg.symbol})"},
    {"state counted", "state.n = (state.n or 0) + 1 return {n = state.n}"},
    {"one wait (sleep(1) return 'x')", "sleep(1) return 'x'"},
};
static const struct bench_case frame_handlers[] = {
    {"frame: text returned", "return message.text"},
    {"frame: json read, a table returned", "return {type = 'ack', id = message.json.trade_id}"},
};
static const struct bench_case guards[] = {
    {"guard: state", "return state.authenticated"},
    {"guard: message", "return msg.type == 'trade'"},
};

/* The process's CPU time: other load on the machine does not count. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const struct err *err) {
    char text[1024];
    fprintf(stderr, "%s\n", err_format(err, text, sizeof text));
    exit(1);
}

static struct script_vm *vm;
static struct script_env *env;
static struct buf out;
static struct script_result result;

static void transform(struct script_chunk *chunk, const struct script_message *in) {
    struct err err;
    bool binary;
    if (script_transform(vm, chunk, env, in, &out, &binary, &err) == SCRIPT_ERROR)
        fail(&err);
}

static void handler(struct script_chunk *chunk, const struct script_message *in) {
    const struct script_event event = {.kind = SCRIPT_RULE, .message = in};
    const struct script_answer nothing = {0};
    struct script_task *task;
    struct err err;
    enum script_progress p = script_start(vm, env, chunk, &event, &result, &task, &err);
    while (p == SCRIPT_WAITING)
        p = script_resume(vm, task, &nothing, &result, &err);
    if (p == SCRIPT_FAILED)
        fail(&err);
}

static void frame_handler(struct script_chunk *chunk, const struct script_message *in) {
    const struct script_event event = {.kind = SCRIPT_FRAME, .message = in};
    struct script_task *task;
    struct err err;
    if (script_start(vm, env, chunk, &event, &result, &task, &err) != SCRIPT_DONE)
        fail(&err);
}

static void guard(struct script_chunk *chunk, const struct script_message *in) {
    const struct script_event event = {.kind = SCRIPT_RULE, .message = in};
    struct err err;
    bool yes;
    if (script_test(vm, env, chunk, &event, &yes, &err) == SCRIPT_FAILED)
        fail(&err);
}

/* Of a host, only what the cases ask for. */
static int host_send(void *arg, bool binary, const void *data, size_t len) {
    (void)arg;
    (void)binary;
    (void)data;
    (void)len;
    return MF_OK;
}

static int host_sleep(void *arg, uint64_t ms, struct err *err) {
    (void)arg;
    (void)ms;
    (void)err;
    return MF_OK;
}

static const struct script_host host = {.send = host_send, .sleep = host_sleep};

typedef void (*run_fn)(struct script_chunk *chunk, const struct script_message *in);

static void measure(const struct bench_case *c, run_fn run, const struct script_message *in, unsigned long runs) {
    struct script_chunk *chunk;
    struct err err;
    if (script_compile(vm, c->source, strlen(c->source), "bench.lua", 1, &chunk, &err))
        fail(&err);
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 3; round++) {
        uint64_t begin = cpu_ns();
        for (unsigned long n = 0; n < runs; n++)
            run(chunk, in);
        uint64_t took = cpu_ns() - begin;
        best = MIN(best, took);
    }
    printf("%8.0f ns  %s\n", (double)best / (double)runs, c->name);
    script_chunk_free(vm, chunk);
}

static void measure_all(const char *title, const struct bench_case *list, size_t count, run_fn run, const char *text,
                        unsigned long runs, const char *only) {
    const struct script_message in = {.incoming = true, .data = (const uint8_t *)text, .len = strlen(text)};
    printf("%s, a message of %zu bytes\n", title, in.len);
    for (size_t i = 0; i < count; i++)
        if (!only || strstr(list[i].name, only))
            measure(&list[i], run, &in, runs);
}

int main(int argc, char **argv) {
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000;
    const char *only = argc > 2 ? argv[2] : NULL;
    const struct script_limits limits = {.max_memory = 32u << 20, .max_instructions = 10000000, .max_ms = 100};
    struct rng rng;
    struct connection connection;
    struct err err;
    rng_init(&rng, 1);
    if (script_vm_new(&limits, &rng, &vm, &err))
        fail(&err);
    connection_init(&connection, 1);
    MUST(!script_env_new(vm, &connection, &env));
    script_env_set_host(env, &host, NULL);
    printf("%lu runs, state of %zu bytes\n", runs, script_vm_memory(vm));
    measure_all("transform", transforms, ARRAY_LEN(transforms), transform, message, runs, only);
    measure_all("handler", small_handlers, ARRAY_LEN(small_handlers), handler, "{\"type\":\"ping\"}", runs, only);
    measure_all("handler", handlers, ARRAY_LEN(handlers), handler, message, runs, only);
    measure_all("handler of frames", frame_handlers, ARRAY_LEN(frame_handlers), frame_handler, message, runs, only);
    measure_all("guard", guards, ARRAY_LEN(guards), guard, message, runs, only);
    buf_fini(&out);
    buf_fini(&result.data);
    script_env_free(vm, env);
    script_vm_free(vm);
    connection_fini(&connection);
    return 0;
}
