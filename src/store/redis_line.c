#include "store/redis_line.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "store/redis_event.h"

#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 2000u
/* A connection that lasted so long was a good one: the next attempt waits for nothing. */
#define GOOD_MS 2000u
/* While nothing changes, the log hears of an outage so often. */
#define SAY_EVERY_MS 60000u

static uint64_t now_ms(void) {
    return clock_mono_us() / 1000;
}

static void set_state(struct line *l, enum line_state state) {
    l->state = state;
    l->since_ms = now_ms();
}

/* ---- down ---- */

static void say(struct line *l, const char *why) {
    bool same = !strcmp(l->why, why) && l->said_ms && l->since_ms - l->said_ms < SAY_EVERY_MS;
    snprintf(l->why, sizeof l->why, "%s", why);
    if (same)
        return;
    l->said_ms = l->since_ms;
    log_write(l->refused ? LOG_ERROR : LOG_WARN, l->refused ? "redis_refused" : "redis_away",
              "connection=%s address=%s:%u why=%s", l->name, l->url->host, l->url->port, log_quote(l->why));
}

/* Half of the wait is chance, so that gateways that lost one Redis do not come back as one. */
static void back_off(struct line *l) {
    uint32_t chance;
    rng_secure(&chance, sizeof chance);
    l->backoff_ms = MIN(MAX(l->backoff_ms * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
    l->retry_ms = l->since_ms + l->backoff_ms / 2 + chance % (l->backoff_ms / 2 + 1);
}

/* The connection is no more. */
static void down(struct line *l, const char *why) {
    uint64_t now = now_ms();
    bool was_good = l->state == LINE_UP && now - l->since_ms >= GOOD_MS;
    bool others = l->state == LINE_CONNECTING && l->next_address < l->address_count;
    l->context = NULL;
    if (l->ending || l->state == LINE_DOWN)
        return;
    set_state(l, LINE_DOWN);
    l->retry_ms = now;
    if (was_good)
        l->backoff_ms = 0;
    else if (!others)
        back_off(l);
    if (!others)
        say(l, why);
    l->refused = false;
}

void line_drop(struct line *l, const char *why) {
    redisAsyncContext *c = l->context;
    down(l, why);
    if (c)
        redisAsyncFree(c);
}

void line_end(struct line *l) {
    l->ending = true;
    if (l->context)
        redisAsyncFree(l->context);
    l->context = NULL;
}

/* ---- up ---- */

static void on_connected(const redisAsyncContext *context, int status) {
    if (status != REDIS_OK) /* hiredis frees the context */
        down(context->data, context->errstr);
}

static void on_disconnected(const redisAsyncContext *context, int status) {
    struct line *l = context->data;
    if (l->context != context) /* it was dropped, and another may be there already */
        return;
    char why[sizeof l->why];
    snprintf(why, sizeof why, "%s", l->refused ? l->why : status == REDIS_OK ? "closed" : context->errstr);
    down(l, why);
}

/* The first refusal says it; what follows it on this connection is refused because of it. */
static void refuse(struct line *l, redisAsyncContext *context, const char *why) {
    if (l->refused)
        return;
    if (strcmp(l->why, why) != 0)
        l->said_ms = 0;
    l->refused = true;
    snprintf(l->why, sizeof l->why, "%s", why);
    redisAsyncDisconnect(context);
}

static void on_greeting(redisAsyncContext *context, void *reply, void *arg) {
    const redisReply *r = reply;
    if (r && r->type == REDIS_REPLY_ERROR)
        refuse(arg, context, r->str);
}

/* AUTH and SELECT have gone through: the PING behind them says so. */
static void on_pong(redisAsyncContext *context, void *reply, void *arg) {
    struct line *l = arg;
    const redisReply *r = reply;
    if (!r || l->refused)
        return; /* on_disconnected() tells */
    if (r->type != REDIS_REPLY_STATUS || strcmp(r->str, "PONG") != 0) {
        refuse(l, context, r->type == REDIS_REPLY_ERROR ? r->str : "what answers there is not Redis");
        return;
    }
    set_state(l, LINE_UP);
    l->next_address = 0;
    l->said_ms = 0;
    log_info("redis_connected", "connection=%s address=%s:%u", l->name, l->url->host, l->url->port);
    l->on_up(l);
}

static void greet(struct line *l) {
    const struct redis_url *u = l->url;
    redisAsyncContext *c = l->context;
    if (u->password[0] && u->user[0])
        redisAsyncCommand(c, on_greeting, l, "AUTH %s %s", u->user, u->password);
    else if (u->password[0])
        redisAsyncCommand(c, on_greeting, l, "AUTH %s", u->password);
    if (u->db)
        redisAsyncCommand(c, on_greeting, l, "SELECT %u", u->db);
    redisAsyncCommand(c, on_pong, l, "PING");
}

static void connect_to(struct line *l, const struct resolver_address *a) {
    char host[NI_MAXHOST], why[sizeof l->why];
    set_state(l, LINE_CONNECTING);
    int rc = getnameinfo((const struct sockaddr *)&a->addr, a->len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    redisAsyncContext *c = rc ? NULL : redisAsyncConnect(host, l->url->port); /* digits: nobody is asked */
    if (!c || c->err) {
        snprintf(why, sizeof why, "%s", c ? c->errstr : rc ? gai_strerror(rc) : "out of memory");
        if (c)
            redisAsyncFree(c);
        down(l, why);
        return;
    }
    l->context = c;
    c->data = l;
    redisAsyncSetConnectCallback(c, on_connected);
    redisAsyncSetDisconnectCallback(c, on_disconnected);
    if (redis_event_attach(c, l->loop->base) < 0) {
        line_drop(l, "out of memory");
        return;
    }
    greet(l);
}

/* ---- addresses ---- */

static void look_up(struct line *l) {
    set_state(l, LINE_RESOLVING);
    l->look_up++;
    if (resolver_ask(l->resolver, l->url->host, l->url->port, &l->loop->inbox, l->on_addresses,
                     l->look_up << 1 | l->number) < 0)
        down(l, "out of memory");
}

unsigned line_of_answer(const struct resolver_answer *a) {
    return a->tag & 1;
}

void line_take_addresses(struct line *l, struct resolver_answer *a) {
    if (!l->ending && l->state == LINE_RESOLVING && a->tag >> 1 == l->look_up) {
        memcpy(l->addresses, a->addresses, a->count * sizeof a->addresses[0]);
        l->address_count = a->count;
        l->next_address = 0;
        if (a->count)
            connect_to(l, &l->addresses[l->next_address++]);
        else
            down(l, a->why);
    }
    resolver_answer_free(a);
}

/* ---- time ---- */

void line_init(struct line *l) {
    set_state(l, LINE_DOWN);
}

void line_start(struct line *l) {
    if (l->state != LINE_DOWN || now_ms() < l->retry_ms)
        return;
    if (l->next_address < l->address_count)
        connect_to(l, &l->addresses[l->next_address++]);
    else
        look_up(l);
}

void line_tick(struct line *l) {
    if (l->state == LINE_CONNECTING && now_ms() - l->since_ms >= l->timeout_ms)
        line_drop(l, "did not answer in time");
    line_start(l);
}
