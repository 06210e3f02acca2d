/* What recording costs: CPU time for each record, of the worker that hands it over and of the writer that encodes,
 * compresses and writes it.
 *
 *     bench_recorder [RECORDS] [LEVEL] [FILE]
 *
 * Two generated corpora of JSON messages, of about 67 and 290 bytes (constant payloads flatter zstd). "echo" records
 * each burst of 32 twice, as a relay in front of an echo server sees it; "distinct" never repeats a message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "recording/recorder.h"

#define MESSAGES 20000u
#define BURST 32u

struct corpus {
    const char *name;
    void (*make)(struct rng *rng, struct buf *out);
    struct buf text;
    size_t at[MESSAGES + 1];
};

static void make_small(struct rng *rng, struct buf *out) {
    static const char *const symbols[] = {"BTC-USD", "ETH-USD", "SOL-EUR", "XRP-USD", "ADA-EUR", "DOGE-USD"};
    buf_printf(out, "{\"s\":\"%s\",\"p\":%.2f,\"q\":%.4f,\"side\":\"%s\",\"t\":%lld}", symbols[rng_range(rng, 0, 5)],
               20000 + rng_unit(rng) * 40000, rng_unit(rng) * 9, rng_range(rng, 0, 1) ? "buy" : "sell",
               1705314600000LL + (long long)rng_range(rng, 0, 9999999));
}

static void make_large(struct rng *rng, struct buf *out) {
    static const char *const states[] = {"new", "open", "partially_filled", "filled", "cancelled"};
    char id[RNG_UUID_LEN], client[RNG_UUID_LEN];
    buf_printf(
        out,
        "{\"type\":\"order_update\",\"id\":\"%s\",\"client_id\":\"%s\",\"symbol\":\"%c%c%c-USD\",\"status\":\"%s\","
        "\"price\":%.2f,\"quantity\":%.6f,\"filled\":%.6f,\"fees\":{\"maker\":%.5f,\"taker\":%.5f},"
        "\"updated_at\":\"2024-01-%02dT%02d:%02d:%02d.%03dZ\"}",
        rng_uuid(rng, id), rng_uuid(rng, client), (char)('A' + rng_range(rng, 0, 25)),
        (char)('A' + rng_range(rng, 0, 25)), (char)('A' + rng_range(rng, 0, 25)), states[rng_range(rng, 0, 4)],
        rng_unit(rng) * 60000, rng_unit(rng) * 10, rng_unit(rng) * 10, rng_unit(rng) / 100, rng_unit(rng) / 100,
        (int)rng_range(rng, 1, 28), (int)rng_range(rng, 0, 23), (int)rng_range(rng, 0, 59), (int)rng_range(rng, 0, 59),
        (int)rng_range(rng, 0, 999));
}

static void make_corpus(struct corpus *c) {
    struct rng rng;
    rng_init(&rng, 42);
    for (unsigned i = 0; i < MESSAGES; i++) {
        c->at[i] = c->text.len;
        c->make(&rng, &c->text);
    }
    c->at[MESSAGES] = c->text.len;
}

static double cpu_us(clockid_t clock) {
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void record_one(struct capture *c, const struct corpus *corpus, unsigned i, enum event_direction direction,
                       uint64_t now) {
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    size_t from = corpus->at[i % MESSAGES], len = corpus->at[i % MESSAGES + 1] - from;
    struct capture_fragment f = {.direction = direction,
                                 .opcode = 1,
                                 .fin = true,
                                 .first = true,
                                 .last = true,
                                 .frame_length = len,
                                 .data = corpus->text.data + from,
                                 .len = len,
                                 .key = direction == EVENT_INCOMING ? key : NULL,
                                 .time_us = now};
    uint8_t masked[1024];
    if (f.key && len <= sizeof masked) {
        /* Masked outside of the measurement's interest, but cheap: so that what is recorded is the JSON. */
        for (size_t k = 0; k < len; k++)
            masked[k] = f.data[k] ^ key[k & 3];
        f.data = masked;
    }
    capture_add(c, &f);
}

/* The worker's own cost without handing anything over, to be subtracted. */
static double mask_cost_us(const struct corpus *corpus, unsigned records) {
    volatile uint8_t sink = 0;
    double before = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    for (unsigned i = 0; i < records; i += 2) {
        size_t from = corpus->at[i % MESSAGES], len = corpus->at[i % MESSAGES + 1] - from;
        uint8_t masked[1024] = {0};
        for (size_t k = 0; k < len && k < sizeof masked; k++)
            masked[k] = corpus->text.data[from + k] ^ key[k & 3];
        sink = masked[len / 2];
    }
    (void)sink;
    return cpu_us(CLOCK_THREAD_CPUTIME_ID) - before;
}

static void run(struct corpus *corpus, bool echo, unsigned records, int level, const char *path) {
    struct recorder_options options = {.ports = 1};
    struct record_config config = {.enabled = true, .flush_ms = 100, .redact_defaults = true, .level = level};
    struct recorder *r;
    struct recording *rec;
    struct err err;
    struct metrics counts = {0};
    unlink(path);
    if (recorder_new(&options, &r, &err) < 0 || recorder_open(r, path, &config, &rec, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    struct record_port *port = recorder_port(r, 0, &counts);
    struct connection connection;
    connection_init(&connection, 1);
    struct redactor *redactor;
    if (redactor_new(&(struct redact_rules){.defaults = true}, &redactor, &err) < 0)
        exit(1);
    struct capture_open info = {
        .connection = &connection, .config = &config, .redactor = redactor, .time_us = clock_mono_us()};
    struct capture *c;
    if (capture_open(port, rec, &info, &c) < 0)
        exit(1);
    double masks = mask_cost_us(corpus, records);
    double process = cpu_us(CLOCK_PROCESS_CPUTIME_ID), own = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    double wall = cpu_us(CLOCK_MONOTONIC);
    unsigned next = 0;
    for (unsigned done = 0; done < records; done += 2 * BURST) {
        while (!capture_room(c))
            usleep(200);
        uint64_t now = clock_mono_us();
        for (unsigned i = 0; i < BURST; i++)
            record_one(c, corpus, next + i, EVENT_INCOMING, now);
        if (!echo)
            next += BURST;
        for (unsigned i = 0; i < BURST; i++)
            record_one(c, corpus, next + i, EVENT_OUTGOING, now);
        next += BURST;
    }
    double worker = cpu_us(CLOCK_THREAD_CPUTIME_ID) - own - masks;
    capture_close(c, "client", "normal", 1000, clock_mono_us());
    recording_unref(rec);
    if (recorder_free(r) < 0)
        exit(1);
    double writer = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - process - worker - masks;
    wall = cpu_us(CLOCK_MONOTONIC) - wall;
    FILE *f = fopen(path, "r");
    fseek(f, 0, SEEK_END);
    double file = (double)ftell(f), payload = (double)corpus->text.len / MESSAGES;
    fclose(f);
    printf("%-6s %-9s %5.0f bytes  worker %.3f us  writer %.3f us  sum %.3f us a record, %.3f us for two; "
           "%.1f bytes in the file a record, %.0f MB/s of payload\n",
           corpus->name, echo ? "echo" : "distinct", payload, worker / records, writer / records,
           (worker + writer) / records, 2 * (worker + writer) / records, file / records, payload * records / wall);
    connection_fini(&connection);
    redactor_unref(redactor);
}

int main(int argc, char **argv) {
    static struct corpus corpora[] = {{.name = "small", .make = make_small}, {.name = "large", .make = make_large}};
    unsigned records = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
    int level = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    const char *path = argc > 3 ? argv[3] : "/tmp/bench-recorder.jsonl.zst";
    log_set_level(LOG_WARN);
    for (size_t i = 0; i < ARRAY_LEN(corpora); i++) {
        make_corpus(&corpora[i]);
        run(&corpora[i], true, records, level, path);
        run(&corpora[i], false, records, level, path);
        buf_fini(&corpora[i].text);
    }
    unlink(path);
    return 0;
}
