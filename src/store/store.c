#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/store_private.h"

/* ---- requests ---- */

struct store_request *store_request_new(const struct script_shared_request *what) {
    struct store_request *r = calloc(1, sizeof *r + what->key_len + what->value_len + 2);
    if (!r)
        return NULL;
    char *key = (char *)(r + 1), *value = key + what->key_len + 1;
    if (what->key_len)
        memcpy(key, what->key, what->key_len);
    if (what->value_len)
        memcpy(value, what->value, what->value_len);
    r->request = *what;
    r->request.key = key;
    r->request.value = value;
    return r;
}

void store_request_free(struct store_request *r) {
    if (!r)
        return;
    free(r->json);
    free(r);
}

static void on_done(struct inbox_item *item, void *receiver) {
    struct store_request *r = container_of(item, struct store_request, item);
    r->done(r, receiver);
}

static size_t size_of(const struct store_request *r) {
    return sizeof *r + r->request.key_len + r->request.value_len;
}

static void post_back(struct store *s, struct store_request *r) {
    atomic_fetch_sub(&s->pending, 1);
    atomic_fetch_sub(&s->pending_bytes, size_of(r));
    r->item.deliver = on_done;
    inbox_post(r->reply_to, &r->item);
}

void store_answer(struct store *s, struct store_request *r, const char *json, size_t len) {
    r->json = json ? malloc(len + 1) : NULL;
    if (r->json) {
        memcpy(r->json, json, len);
        r->json[len] = '\0';
        r->json_len = len;
    } else if (json) {
        snprintf(r->error, sizeof r->error, "out of memory");
    }
    post_back(s, r);
}

void store_answer_integer(struct store *s, struct store_request *r, int64_t n) {
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, n);
    store_answer(s, r, text, (size_t)len);
}

void store_answer_boolean(struct store *s, struct store_request *r, bool yes) {
    store_answer(s, r, yes ? "true" : "false", yes ? 4 : 5);
}

void store_fail(struct store *s, struct store_request *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->error, sizeof r->error, fmt, ap);
    va_end(ap);
    post_back(s, r);
}

static void on_request(struct inbox_item *item, void *receiver) {
    struct store *s = receiver;
    struct store_request *r = container_of(item, struct store_request, item);
    if (s->loop.stopping)
        store_fail(s, r, "the gateway is stopping");
    else if (s->redis)
        redis_do(s->redis, r);
    else
        memory_do(s->memory, s, r);
}

void store_post(struct store *s, struct store_request *r) {
    size_t bytes = atomic_fetch_add(&s->pending_bytes, size_of(r));
    if (atomic_fetch_add(&s->pending, 1) >= STORE_PENDING_MAX || bytes + size_of(r) > STORE_PENDING_BYTES_MAX) {
        store_fail(s, r, "too many requests to the shared state are under way");
        return;
    }
    r->item.deliver = on_request;
    inbox_post(&s->loop.inbox, &r->item);
}

/* ---- the bus ---- */

struct outgoing {
    struct inbox_item item;
    struct store_news news;
    char bytes[]; /* name, data */
};

static size_t size_of_news(const struct store_news *news) {
    return sizeof(struct outgoing) + news->name_len + news->len;
}

static void on_outgoing(struct inbox_item *item, void *receiver) {
    struct store *s = receiver;
    struct outgoing *o = container_of(item, struct outgoing, item);
    if (!s->loop.stopping)
        redis_publish_news(s->redis, &o->news, size_of_news(&o->news));
    free(o);
}

void store_publish(struct store *s, const struct store_news *news) {
    if (!s->redis || news->name_len > BUS_NAME_MAX) /* nobody has joined such a room */
        return;
    size_t size = size_of_news(news), before = atomic_fetch_add(&s->news_bytes, size);
    struct outgoing *o = before + size > STORE_NEWS_BYTES_MAX ? NULL : malloc(size);
    if (!o) {
        atomic_fetch_sub(&s->news_bytes, size);
        LOG_LIMITED(LOG_WARN, "news_dropped", "bytes=%zu why=\"more is broadcast than Redis takes\"", news->len);
        return;
    }
    *o = (struct outgoing){.item = {.deliver = on_outgoing}, .news = *news};
    if (news->name_len)
        memcpy(o->bytes, news->name, news->name_len);
    if (news->len)
        memcpy(o->bytes + news->name_len, news->data, news->len);
    o->news.name = o->bytes;
    o->news.data = o->bytes + news->name_len;
    inbox_post(&s->loop.inbox, &o->item);
}

uint64_t store_connections_elsewhere(const struct store *s) {
    return s ? atomic_load_explicit(&s->elsewhere, memory_order_relaxed) : 0;
}

/* ---- the thread ---- */

static void on_tick(void *receiver) {
    struct store *s = receiver;
    if (s->redis)
        redis_tick(s->redis);
    else
        memory_sweep(s->memory);
}

static void *run(void *arg) {
    struct store *s = arg;
    pthread_setname_np(pthread_self(), "mf-store");
    loop_run(&s->loop);
    return NULL;
}

static void on_stop(struct inbox_item *item, void *receiver) {
    free(item);
    loop_stop(&((struct store *)receiver)->loop);
}

static bool copy_config(struct store *s, const struct shared_state_config *config) {
    s->config = *config;
    s->config.redis_url = config->redis_url ? strdup(config->redis_url) : NULL;
    s->config.prefix = strdup(config->prefix);
    s->options.config = &s->config;
    return s->config.prefix && (s->config.redis_url || !config->redis_url);
}

static int start(struct store *s, struct err *err) {
    int rc = s->config.redis_url ? redis_new(s, &s->redis, err) : MF_OK;
    if (rc < 0)
        return rc;
    if (!s->redis && !(s->memory = memory_new()))
        return err_set(err, MF_ENOMEM, "out of memory");
    if (s->redis)
        redis_start(s->redis);
    s->started = pthread_create(&s->thread, NULL, run, s) == 0;
    return s->started ? MF_OK : err_set(err, MF_ENOMEM, "no thread for the shared state");
}

int store_new(const struct store_options *options, struct store **out, struct err *err) {
    struct store *s = calloc(1, sizeof *s);
    if (!s || loop_init(&s->loop, s) < 0) {
        free(s);
        return err_set(err, MF_ENOMEM, "no memory for the shared state");
    }
    s->options = *options;
    s->loop.on_tick = on_tick;
    int rc = copy_config(s, options->config) ? start(s, err) : err_set(err, MF_ENOMEM, "out of memory");
    if (rc < 0) {
        store_free(s);
        return rc;
    }
    *out = s;
    return MF_OK;
}

void store_free(struct store *s) {
    if (!s)
        return;
    if (s->started) {
        struct inbox_item *stop = malloc(sizeof *stop);
        MUST(stop);
        stop->deliver = on_stop;
        inbox_post(&s->loop.inbox, stop);
        pthread_join(s->thread, NULL);
    }
    s->loop.stopping = true; /* requests in the mail are answered with an error */
    inbox_deliver(&s->loop.inbox, s);
    redis_free(s->redis);
    loop_fini(&s->loop);
    memory_free(s->memory);
    free(s->config.redis_url);
    free(s->config.prefix);
    free(s);
}
