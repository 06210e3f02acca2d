/* Arbitrary bytes as the message of a transform: what is opened and put back unchanged keeps its bytes, what is
 * changed or copied is JSON again, and nothing crashes. */
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "script/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UNTOUCHED, PUT_BACK, ADDED, DROPPED, COPIED, SCRIPTS };
static const char *const sources[SCRIPTS] = {
    [UNTOUCHED] = "return msg",
    [PUT_BACK] =
        "local function walk(t) for k, v in pairs(t) do t[k] = v if type(v) == 'table' then walk(v) end end end\n"
        "walk(msg)",
    [ADDED] = "if #msg > 0 then msg[#msg + 1] = 'z' msg[1] = false else msg.a = 'z' msg.zz = {1, msg.b} end",
    [DROPPED] = "if #msg > 0 then table.remove(msg, 1) else msg[next(msg) or 'x'] = nil msg.a = nil end",
    [COPIED] = "local function copy(t) local c = json.array({}) for k, v in pairs(t) do\n"
               "c[k] = type(v) == 'table' and copy(v) or v end if next(c) == nil then json.object(c) end return c end\n"
               "return copy(msg)",
};

static struct script_vm *vm;
static struct script_env *env;
static struct script_chunk *chunks[SCRIPTS];
static struct rng rng;
static struct connection connection;

static void set_up(void) {
    struct script_limits limits = {.max_memory = 64u << 20, .max_instructions = 50000000, .max_ms = 5000};
    struct err err;
    rng_init(&rng, 1);
    connection_init(&connection, 1);
    MUST(!script_vm_new(&limits, &rng, &vm, &err));
    MUST(!script_env_new(vm, &connection, &env));
    for (int i = 0; i < SCRIPTS; i++)
        MUST(!script_compile(vm, sources[i], strlen(sources[i]), "fuzz", 1, &chunks[i], &err));
}

static bool is_json(const char *text, size_t len, bool *container) {
    struct json_tape tape = {.max = UINT32_MAX - 1};
    size_t at;
    bool yes = json_tape_parse(&tape, text, len, &at) == MF_OK;
    MUST(at <= len);
    *container = yes && tape.nodes[0].kind >= JSON_ARRAY;
    json_tape_fini(&tape);
    return yes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!vm)
        set_up();
    char *text = malloc(size + 1);
    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    bool container, binary, again;
    is_json(text, size, &container);
    struct buf out = BUF_INIT;
    struct err err;
    for (int i = 0; i < SCRIPTS; i++) {
        struct script_message in = {.data = data, .len = size};
        enum script_verdict v = script_transform(vm, chunks[i], env, &in, &out, &binary, &err);
        MUST(!binary);
        if (i <= PUT_BACK)
            MUST(v == SCRIPT_UNCHANGED);
        else if (v == SCRIPT_REPLACED && container)
            MUST(is_json(buf_cstr(&out), out.len, &again) && again);
        else
            MUST(v == SCRIPT_UNCHANGED || v == SCRIPT_ERROR || i == COPIED || !container);
    }
    buf_fini(&out);
    free(text);
    return 0;
}
