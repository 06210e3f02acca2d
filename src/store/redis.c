/* Values in Redis, through hiredis' asynchronous interface, on two connections: one for commands and what we publish,
 * one that listens. hiredis has no time-outs: they are here.
 *
 * A request waits in `queue` while there is no connection, then stands in `sent` until its reply comes; both lists are
 * in the order of deadlines. When one of those that were sent is late, the connection is given up, with everything on
 * it: nothing is sent again, because it may have been carried out. The store's thread. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/json.h"
#include "store/redis_line.h"
#include "store/store_private.h"

#define COUNT_EVERY_MS 1000u
/* Redis took what we published, so it comes back on the other connection, or that one is dead. */
#define ECHO_MS 5000u

/* A command with its deadline: a request, or what is published. */
struct pending {
    struct list link;
    struct redis *redis;
    struct store_request *request; /* NULL: it was answered, its time was over; or there never was one */
    size_t news_bytes;             /* of what is published: in store->news_bytes */
    uint64_t deadline_ms;
    bool sent;
};

struct redis {
    struct store *store;
    struct redis_url url;
    char *channel;
    struct resolver *resolver;
    struct line commands, news;
    struct list queue, sent;
    struct bus bus;
    uint64_t next_count_ms;
    uint64_t echo_due_ms; /* something of our own is to be heard until then; 0: nothing */
};

static uint64_t now_ms(void) {
    return clock_mono_us() / 1000;
}

/* ---- answers ---- */

static void forget(struct pending *p) {
    atomic_fetch_sub(&p->redis->store->news_bytes, p->news_bytes);
    list_remove(&p->link);
    free(p);
}

/* A text that is no JSON was put there by somebody else: it is a string. */
static void answer_text(struct store *s, struct store_request *q, const char *text, size_t len) {
    struct json_tape tape = {.max = STORE_VALUE_MAX};
    struct buf json = BUF_INIT;
    size_t error_at;
    if (len > STORE_VALUE_MAX) {
        store_fail(s, q, "the value is longer than %u bytes", STORE_VALUE_MAX);
        return;
    }
    if (json_tape_parse(&tape, text, len, &error_at) == MF_OK)
        buf_append(&json, text, len);
    else
        json_write_string(&json, text, len);
    json_tape_fini(&tape);
    if (json.failed)
        store_fail(s, q, "out of memory");
    else
        store_answer(s, q, buf_cstr(&json), json.len);
    buf_fini(&json);
}

static void answer(struct store *s, struct store_request *q, const redisReply *reply) {
    bool truth = q->request.op == SHARED_SET || q->request.op == SHARED_DEL || q->request.op == SHARED_EXPIRE;
    switch (reply->type) {
    case REDIS_REPLY_ERROR:
        store_fail(s, q, "Redis: %.120s", reply->str);
        break;
    case REDIS_REPLY_INTEGER:
        if (truth)
            store_answer_boolean(s, q, reply->integer != 0);
        else
            store_answer_integer(s, q, reply->integer);
        break;
    case REDIS_REPLY_STATUS:
        store_answer_boolean(s, q, true);
        break;
    case REDIS_REPLY_STRING:
        answer_text(s, q, reply->str, reply->len);
        break;
    case REDIS_REPLY_NIL:
        store_answer(s, q, NULL, 0);
        break;
    default:
        store_fail(s, q, "Redis answered something else than was asked for");
    }
}

static void on_reply(redisAsyncContext *context, void *reply, void *arg) {
    struct pending *p = arg;
    (void)context;
    if (p->request && reply)
        answer(p->redis->store, p->request, reply);
    else if (p->request)
        store_fail(p->redis->store, p->request, "the connection to Redis was lost");
    forget(p);
}

/* ---- requests ---- */

/* "prefix" "key", as one argument. */
static bool full_key(const struct redis *r, const struct script_shared_request *q, struct buf *out) {
    buf_puts(out, r->store->config.prefix);
    buf_append(out, q->key, q->key_len);
    return !out->failed;
}

static int command(struct redis *r, struct pending *p, const char *key, size_t key_len) {
    const struct script_shared_request *q = &p->request->request;
    redisAsyncContext *c = r->commands.context;
    switch (q->op) {
    case SHARED_GET:
        return redisAsyncCommand(c, on_reply, p, "GET %b", key, key_len);
    case SHARED_SET:
        if (q->expire_ms)
            return redisAsyncCommand(c, on_reply, p, "SET %b %b PX %llu", key, key_len, q->value, q->value_len,
                                     (unsigned long long)MIN(q->expire_ms, STORE_EXPIRE_MAX_MS));
        return redisAsyncCommand(c, on_reply, p, "SET %b %b", key, key_len, q->value, q->value_len);
    case SHARED_INCR:
        return redisAsyncCommand(c, on_reply, p, "INCRBY %b %lld", key, key_len, (long long)q->by);
    case SHARED_DECR:
        return redisAsyncCommand(c, on_reply, p, "DECRBY %b %lld", key, key_len, (long long)q->by);
    case SHARED_DEL:
        return redisAsyncCommand(c, on_reply, p, "DEL %b", key, key_len);
    case SHARED_EXPIRE:
        return redisAsyncCommand(c, on_reply, p, "PEXPIRE %b %llu", key, key_len,
                                 (unsigned long long)MIN(MAX(q->expire_ms, (uint64_t)1), STORE_EXPIRE_MAX_MS));
    }
    return REDIS_ERR;
}

static struct pending *pending_new(struct redis *r, struct list *list) {
    struct pending *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct pending){.redis = r, .deadline_ms = now_ms() + r->store->config.timeout_ms};
    list_append(list, &p->link);
    return p;
}

static void send_request(struct redis *r, struct pending *p) {
    struct buf key = BUF_INIT;
    list_remove(&p->link);
    list_append(&r->sent, &p->link);
    p->sent = true;
    if (!full_key(r, &p->request->request, &key) || command(r, p, (const char *)key.data, key.len) != REDIS_OK) {
        store_fail(r->store, p->request, "the request could not be sent to Redis");
        forget(p);
    }
    buf_fini(&key);
}

void redis_do(struct redis *r, struct store_request *request) {
    struct pending *p = pending_new(r, &r->queue);
    if (!p) {
        store_fail(r->store, request, "out of memory");
        return;
    }
    p->request = request;
    if (r->commands.state == LINE_UP)
        send_request(r, p);
    else
        line_start(&r->commands);
}

static void send_queue(struct line *l) {
    struct redis *r = container_of(l, struct redis, commands);
    LIST_EACH_SAFE(&r->queue, it) {
        if (r->commands.state != LINE_UP)
            return;
        send_request(r, container_of(it, struct pending, link));
    }
}

/* ---- the bus ---- */

static void on_published(redisAsyncContext *context, void *reply, void *arg) {
    struct pending *p = arg;
    struct redis *r = p->redis;
    const redisReply *n = reply;
    (void)context;
    if (n && n->type == REDIS_REPLY_ERROR)
        LOG_LIMITED(LOG_WARN, "redis_publish_failed", "channel=%s why=%s", log_quote(r->channel), log_quote(n->str));
    else if (n && !r->echo_due_ms && r->news.state == LINE_UP)
        r->echo_due_ms = now_ms() + ECHO_MS;
    forget(p);
}

/* payload is freed. accounted: what store->news_bytes holds for it. */
static void publish(struct redis *r, struct buf *payload, size_t accounted) {
    struct pending *p = r->commands.state == LINE_UP && !payload->failed ? pending_new(r, &r->sent) : NULL;
    if (p) {
        p->sent = true;
        p->news_bytes = accounted;
        if (redisAsyncCommand(r->commands.context, on_published, p, "PUBLISH %s %b", r->channel, payload->data,
                              payload->len) != REDIS_OK)
            forget(p);
    } else {
        atomic_fetch_sub(&r->store->news_bytes, accounted);
    }
    buf_fini(payload);
}

void redis_publish_news(struct redis *r, const struct store_news *news, size_t accounted) {
    struct buf payload = BUF_INIT;
    bus_write_news(&r->bus, news, &payload);
    publish(r, &payload, accounted);
}

static void publish_count(struct redis *r) {
    const struct store_options *o = &r->store->options;
    struct buf payload = BUF_INIT;
    bus_write_count(&r->bus, o->connection_count ? o->connection_count(o->arg) : 0, &payload);
    publish(r, &payload, 0);
}

static void on_message(redisAsyncContext *context, void *reply, void *arg) {
    struct redis *r = arg;
    const redisReply *m = reply;
    (void)context;
    if (!m || m->type != REDIS_REPLY_ARRAY || m->elements != 3 || m->element[0]->type != REDIS_REPLY_STRING ||
        strcmp(m->element[0]->str, "message") != 0 || m->element[2]->type != REDIS_REPLY_STRING)
        return; /* the confirmation of our subscription, or the connection's end */
    r->echo_due_ms = 0;
    if (!bus_read(&r->bus, r->store, m->element[2]->str, m->element[2]->len))
        LOG_LIMITED(LOG_WARN, "redis_foreign_message", "channel=%s", log_quote(r->channel));
}

static void subscribe(struct line *l) {
    struct redis *r = container_of(l, struct redis, news);
    r->echo_due_ms = 0;
    redisAsyncCommand(l->context, on_message, r, "SUBSCRIBE %s", r->channel);
}

/* ---- time ---- */

static void fail_late(struct redis *r, struct pending *p) {
    const struct line *l = &r->commands;
    if (p->request && p->sent)
        store_fail(r->store, p->request, "Redis did not answer within %u ms", r->store->config.timeout_ms);
    else if (p->request)
        store_fail(r->store, p->request, "no connection to Redis: %.110s", l->why[0] ? l->why : "it does not answer");
    p->request = NULL;
}

/* true: one of those that were sent was late. */
static bool expire(struct redis *r, struct list *list, uint64_t now) {
    bool late = false;
    LIST_EACH_SAFE(list, it) {
        struct pending *p = container_of(it, struct pending, link);
        if (p->deadline_ms > now)
            break;
        fail_late(r, p);
        if (p->sent)
            late = true;
        else
            forget(p);
    }
    return late;
}

void redis_tick(struct redis *r) {
    uint64_t now = now_ms();
    expire(r, &r->queue, now);
    if (expire(r, &r->sent, now))
        line_drop(&r->commands, "did not answer a request in time");
    if (r->echo_due_ms && now >= r->echo_due_ms) {
        r->echo_due_ms = 0;
        line_drop(&r->news, "what was published did not come back");
    }
    line_tick(&r->commands);
    line_tick(&r->news);
    if (now >= r->next_count_ms && r->commands.state == LINE_UP) {
        r->next_count_ms = now + COUNT_EVERY_MS;
        publish_count(r);
    }
    atomic_store_explicit(&r->store->elsewhere, bus_connections(&r->bus), memory_order_relaxed);
}

/* ---- life ---- */

static void on_addresses(struct inbox_item *item, void *receiver) {
    const struct store *s = receiver;
    struct resolver_answer *a = container_of(item, struct resolver_answer, item);
    line_take_addresses(line_of_answer(a) ? &s->redis->news : &s->redis->commands, a);
}

static void init_line(struct redis *r, struct line *l, const char *name, void (*on_up)(struct line *l)) {
    *l = (struct line){.name = name,
                       .number = l == &r->news,
                       .loop = &r->store->loop,
                       .resolver = r->resolver,
                       .url = &r->url,
                       .timeout_ms = r->store->config.timeout_ms,
                       .on_up = on_up,
                       .on_addresses = on_addresses};
    line_init(l);
}

int redis_new(struct store *s, struct redis **out, struct err *err) {
    struct redis *r = calloc(1, sizeof *r);
    *out = r;
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    r->store = s;
    list_init(&r->queue);
    list_init(&r->sent);
    bus_init(&r->bus);
    const char *wrong = redis_url_parse(s->config.redis_url, &r->url);
    if (wrong)
        return err_set(err, MF_EINVAL, "redis_url %s", wrong);
    struct buf channel = BUF_INIT;
    buf_printf(&channel, "%sbus:%u", s->config.prefix, r->url.db); /* channels are no part of a database */
    r->channel = buf_steal(&channel);
    if (!r->channel)
        return err_set(err, MF_ENOMEM, "out of memory");
    int rc = resolver_new(1, &r->resolver, err);
    init_line(r, &r->commands, "commands", send_queue);
    init_line(r, &r->news, "news", subscribe);
    return rc;
}

void redis_start(struct redis *r) {
    line_start(&r->commands);
    line_start(&r->news);
}

void redis_free(struct redis *r) {
    if (!r)
        return;
    line_end(&r->commands); /* what was sent is answered here: the connection is lost */
    line_end(&r->news);
    resolver_free(r->resolver); /* a look-up under way is answered by mail */
    inbox_deliver(&r->store->loop.inbox, r->store);
    LIST_EACH_SAFE(&r->queue, it) {
        struct pending *p = container_of(it, struct pending, link);
        store_fail(r->store, p->request, "the gateway is stopping");
        forget(p);
    }
    free(r->channel);
    free(r);
}
