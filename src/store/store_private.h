/* Inside of the store: its thread, and the two places where values may be. */
#ifndef MF_STORE_STORE_PRIVATE_H
#define MF_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/loop.h"
#include "store/store.h"

struct memory;
struct redis;

struct store {
    struct store_options options;
    struct shared_state_config config; /* its strings are copies */
    struct loop loop;
    pthread_t thread;
    bool started;
    struct memory *memory; /* one of these two */
    struct redis *redis;
    atomic_uint pending; /* requests */
    atomic_size_t pending_bytes;
    atomic_size_t news_bytes;        /* of what is published and not answered yet */
    atomic_uint_least64_t elsewhere; /* connections of other gateways */
};

/* Answers: fills the request and posts it back. */
void store_answer(struct store *s, struct store_request *r, const char *json, size_t len);
void store_answer_integer(struct store *s, struct store_request *r, int64_t n);
void store_answer_boolean(struct store *s, struct store_request *r, bool yes);
void store_fail(struct store *s, struct store_request *r, const char *fmt, ...) MF_PRINTF(3, 4);

/* memory.c; the store's thread */
struct memory *memory_new(void);
void memory_free(struct memory *m);
void memory_do(struct memory *m, struct store *s, struct store_request *r);
/* Once in a while: what has expired goes. */
void memory_sweep(struct memory *m);

/* redis.c; the store's thread */
/* After an error, too, *out is to be freed. */
MF_MUSTCHECK int redis_new(struct store *s, struct redis **out, struct err *err);
void redis_free(struct redis *r);
void redis_do(struct redis *r, MF_TAKES struct store_request *request);
/* Connects. Before the thread is there, or on it. */
void redis_start(struct redis *r);
/* accounted: what store->news_bytes holds for it; given back when it is done. */
void redis_publish_news(struct redis *r, const struct store_news *news, size_t accounted);
void redis_tick(struct redis *r);

/* bus.c: news as they travel between gateways. */
#define BUS_INSTANCE_LEN 16
struct bus_peer {
    char instance[BUS_INSTANCE_LEN];
    uint64_t connections, heard_us;
};
#define BUS_PEERS_MAX 256u
struct bus {
    char instance[BUS_INSTANCE_LEN]; /* of this gateway: random */
    struct bus_peer peers[BUS_PEERS_MAX];
    unsigned peer_count;
};
#define BUS_NAME_MAX 0xffffu
#define BUS_CONNECTIONS_MAX UINT32_MAX /* of one gateway */
void bus_init(struct bus *b);
/* Appends the payload. The name has BUS_NAME_MAX bytes at most. */
void bus_write_news(const struct bus *b, const struct store_news *news, struct buf *out);
void bus_write_count(const struct bus *b, uint64_t connections, struct buf *out);
/* A payload that came: our own is passed over, news go to on_news, counts are kept. false: it is none of ours. */
bool bus_read(struct bus *b, struct store *s, const char *payload, size_t len);
/* Connections of gateways that were heard of lately. */
uint64_t bus_connections(struct bus *b);

#endif
