/* The load generator's messages. Constant payloads flatter compression and branch prediction alike, so the JSON here
 * varies the way traffic does: a few shapes, ids that count, prices that wander, names and words from small sets. */
#include "corpus.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough that zstd's window (512 KiB at level 1) does not hold them all twice, and few enough for the cache. */
#define CORPUS_BYTES (2u << 20)
#define MESSAGE_MAX 1024

static uint64_t seed = 0x9e3779b97f4a7c15u;

/* xorshift64*: repeatable, which base/rng is not meant to be. */
static uint32_t chance(uint32_t below) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * 0x2545f4914f6cdd1du) >> 32) % below;
}

static void *need(void *memory) {
    if (memory == NULL) {
        fprintf(stderr, "load: out of memory\n");
        exit(1);
    }
    return memory;
}

static const char *const words[] = {
    "order",  "shipped", "please", "check",   "the",    "status", "of",      "my",      "last",   "delivery",
    "could",  "you",     "send",   "invoice", "again",  "thanks", "meeting", "moved",   "to",     "tomorrow",
    "server", "restart", "failed", "with",    "code",   "retry",  "after",   "seconds", "update", "ready",
    "build",  "passed",  "review", "needed",  "before", "noon",   "café",    "naïve",   "über",   "привет",
};
static const char *const symbols[] = {"BTC-USD", "ETH-USD", "SOL-EUR", "ADA-USD", "XRP-EUR", "DOT-USD", "LTC-GBP"};
static const char *const names[] = {"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"};
static const char *const rooms[] = {"general", "support", "trading", "ops", "random"};

#define PICK(list) ((list)[chance(sizeof(list) / sizeof((list)[0]))])

struct text {
    char data[MESSAGE_MAX];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(t->data + t->length, sizeof t->data - t->length, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof t->data - t->length)
        abort();
    t->length += (size_t)length;
}

static void put_words(struct text *t, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        put(t, "%s%s", i ? " " : "", PICK(words));
}

static void put_uuid(struct text *t) {
    put(t, "%08x-%04x-4%03x-%04x-%08x%04x", chance(UINT32_MAX), chance(0x10000), chance(0x1000),
        0x8000 + chance(0x4000), chance(UINT32_MAX), chance(0x10000));
}

static void make_short(struct text *t, unsigned id) {
    switch (chance(4)) {
    case 0:
        put(t, "{\"type\":\"tick\",\"s\":\"%s\",\"p\":%u.%02u,\"q\":%u,\"ts\":%u%03u}", PICK(symbols),
            41000 + chance(900), chance(100), 1 + chance(500), 1705314600 + id / 50, chance(1000));
        break;
    case 1:
        put(t, "{\"id\":%u,\"method\":\"%s\",\"params\":[\"%s\",%u]}", 10000 + id,
            chance(2) ? "subscribe" : "unsubscribe", PICK(symbols), chance(100));
        break;
    case 2:
        put(t, "{\"type\":\"ack\",\"id\":%u,\"ok\":%s,\"latency_us\":%u.%u,\"node\":\"n%u\"}", 10000 + id,
            chance(10) ? "true" : "false", chance(90), chance(10), chance(8));
        break;
    default:
        put(t, "{\"u\":\"%s\",\"room\":\"%s\",\"m\":\"", PICK(names), PICK(rooms));
        put_words(t, 4 + chance(5));
        put(t, "\"}");
    }
}

static void make_order(struct text *t, unsigned id) {
    put(t, "{\"type\":\"order\",\"id\":\"");
    put_uuid(t);
    put(t, "\",\"account\":%u,\"symbol\":\"%s\",\"side\":\"%s\",\"price\":\"%u.%02u\",\"quantity\":\"%u.%04u\"",
        100000 + chance(5000), PICK(symbols), chance(2) ? "buy" : "sell", 41000 + chance(900), chance(100), chance(9),
        chance(10000));
    put(t, ",\"fills\":[");
    for (unsigned i = 0, count = chance(4); i < count; i++)
        put(t, "%s{\"p\":%u.%02u,\"q\":0.%03u}", i ? "," : "", 41000 + chance(900), chance(100), chance(1000));
    put(t, "],\"status\":\"%s\",\"timestamp\":\"2024-01-15T10:%02u:%02u.%03uZ\",\"sequence\":%u}",
        chance(3) ? "open" : "filled", chance(60), chance(60), chance(1000), 880000 + id);
}

static void make_chat(struct text *t, unsigned id) {
    put(t, "{\"type\":\"message\",\"id\":%u,\"room\":\"%s\",\"from\":{\"id\":%u,\"name\":\"%s\"},\"text\":\"", id,
        PICK(rooms), chance(9999), PICK(names));
    put_words(t, 16 + chance(14));
    put(t, "\",\"mentions\":[%u,%u],\"edited\":%s,\"parent\":null,\"ts\":%u.%03u}", chance(9999), chance(9999),
        chance(9) ? "false" : "true", 1705314600 + id, chance(1000));
}

static void make_rpc(struct text *t, unsigned id) {
    put(t,
        "{\"jsonrpc\":\"2.0\",\"id\":%u,\"result\":{\"user\":{\"id\":%u,\"name\":\"%s\",\"email\":\"%s%u@example.com\"}"
        ",",
        id, chance(99999), PICK(names), PICK(names), chance(100));
    put(t, "\"balance\":%d.%02u,\"tags\":[\"%s\",\"%s\"],\"note\":\"", (int)chance(20000) - 5000, chance(100),
        PICK(rooms), PICK(words));
    put_words(t, 8 + chance(10));
    put(t, "\",\"trace\":\"");
    put_uuid(t);
    put(t, "\"}}");
}

static void make_long(struct text *t, unsigned id) {
    switch (chance(3)) {
    case 0:
        make_order(t, id);
        break;
    case 1:
        make_chat(t, id);
        break;
    default:
        make_rpc(t, id);
    }
}

static void make_call(struct text *t, unsigned id) {
    put(t, "{\"jsonrpc\":\"2.0\",\"method\":\"user.get\",\"params\":{\"id\":%u,\"name\":\"%s\"},\"id\":%u}",
        chance(99999), PICK(names), 10000 + id);
}

static void make_request(struct text *t, unsigned id) {
    put(t, "{\"jsonrpc\":\"2.0\",\"method\":\"user.get\",\"params\":{\"id\":%u,\"deep\":true},\"id\":%u}",
        100000000 + id * 8 + chance(8), 10000 + id);
}

static const struct kind {
    const char *name;
    void (*make)(struct text *t, unsigned id);
    size_t mean; /* about so many bytes */
} kinds[] = {
    {"json67", make_short, 67}, {"json290", make_long, 290}, {"calls", make_call, 85}, {"requests", make_request, 79}};

static const struct kind *find_kind(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    fprintf(stderr, "load: no corpus '%s': json67, json290, calls, requests\n", name);
    exit(2);
}

size_t corpus_header(uint8_t *to, unsigned opcode, uint64_t length, const uint8_t key[4]) {
    size_t used = 2;
    to[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        to[1] = (uint8_t)(0x80 | length);
    } else {
        unsigned bytes = length < 65536 ? 2 : 8;
        to[1] = (uint8_t)(0x80 | (bytes == 2 ? 126 : 127));
        for (unsigned i = 0; i < bytes; i++)
            to[used++] = (uint8_t)(length >> 8 * (bytes - 1 - i));
    }
    memcpy(to + used, key, 4);
    return used + 4;
}

/* Appends one message to both forms. */
static void append(struct corpus *c, const uint8_t *payload, size_t length) {
    uint8_t key[4];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)chance(256);
    size_t at = c->frame_at[c->count], plain = c->plain_at[c->count];
    memcpy(c->plain + plain, payload, length);
    at += corpus_header(c->frames + at, 1, length, key);
    for (size_t i = 0; i < length; i++)
        c->frames[at + i] = payload[i] ^ key[i % 4];
    c->count++;
    c->frame_at[c->count] = at + length;
    c->plain_at[c->count] = plain + length;
}

void corpus_make(struct corpus *c, const char *name, size_t size) {
    const struct kind *kind = name ? find_kind(name) : NULL;
    size_t largest = kind ? MESSAGE_MAX : size;
    size_t count = CORPUS_BYTES / (kind ? kind->mean : size + 8);
    count = count < 4 ? 4 : count > 16384 ? 16384 : count;
    *c = (struct corpus){.frames = need(malloc(count * (largest + 14))),
                         .plain = need(malloc(count * largest + 1)),
                         .frame_at = need(calloc(count + 1, sizeof(size_t))),
                         .plain_at = need(calloc(count + 1, sizeof(size_t)))};
    uint8_t *payload = need(malloc(largest + 1));
    while (c->count < count) {
        if (kind) {
            struct text t = {.length = 0};
            kind->make(&t, (unsigned)c->count);
            append(c, (const uint8_t *)t.data, t.length);
        } else {
            for (size_t i = 0; i < size; i++)
                payload[i] = (uint8_t)(' ' + chance(95));
            append(c, payload, size);
        }
    }
    free(payload);
    c->mean = (double)c->plain_at[c->count] / (double)c->count;
}

void corpus_free(struct corpus *c) {
    free(c->frames);
    free(c->plain);
    free(c->frame_at);
    free(c->plain_at);
    *c = (struct corpus){0};
}
