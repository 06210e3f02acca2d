#include "relay/unmatched.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "protocol/json.h"
#include "protocol/text.h"
#include "relay/session.h"

struct message {
    int64_t time_us; /* wall clock */
    uint64_t connection;
    char *path, *text;
    size_t kept, len;
    bool binary;
    char why[UNMATCHED_WHY_MAX];
};

struct unmatched {
    pthread_mutex_t lock;
    struct message *items; /* a ring */
    unsigned keep, count, first;
    uint64_t total;
};

struct unmatched *unmatched_new(unsigned keep) {
    struct unmatched *u = calloc(1, sizeof *u);
    if (!u || (keep && !(u->items = calloc(keep, sizeof *u->items)))) {
        free(u);
        return NULL;
    }
    u->keep = keep;
    pthread_mutex_init(&u->lock, NULL);
    return u;
}

static void message_fini(struct message *m) {
    free(m->path);
    free(m->text);
}

void unmatched_free(struct unmatched *u) {
    if (!u)
        return;
    for (unsigned i = 0; i < u->count; i++)
        message_fini(&u->items[(u->first + i) % u->keep]);
    free(u->items);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

static void add(struct unmatched *u, const struct message *m) {
    if (u->count == u->keep) {
        message_fini(&u->items[u->first]);
        u->first = (u->first + 1) % u->keep;
        u->count--;
    }
    u->items[(u->first + u->count++) % u->keep] = *m;
}

void unmatched_add(struct unmatched *u, const struct session *s, bool binary, const char *text, size_t len,
                   const char *why) {
    if (!u || !u->keep)
        return;
    struct message m = {.time_us = clock_wall_us(), .connection = s->connection.number, .binary = binary, .len = len};
    m.kept = MIN(len, (size_t)UNMATCHED_TEXT_MAX);
    m.path = strdup(s->connection.path);
    m.text = malloc(m.kept + 1);
    if (!m.path || !m.text) {
        message_fini(&m);
        return;
    }
    memcpy(m.text, text, m.kept);
    m.text[m.kept] = '\0';
    size_t why_len = MIN(strlen(why), sizeof m.why - 1);
    memcpy(m.why, why, why_len);
    pthread_mutex_lock(&u->lock);
    u->total++;
    add(u, &m);
    pthread_mutex_unlock(&u->lock);
}

static void print_message(const struct message *m, struct buf *out) {
    char when[CLOCK_RFC3339_LEN];
    buf_printf(out, "{\"time\":\"%s\",\"connection\":\"conn-%" PRIu64 "\",\"path\":", clock_rfc3339(m->time_us, when),
               m->connection);
    json_quote(out, m->path, strlen(m->path));
    buf_printf(out, ",\"type\":\"%s\",\"bytes\":%zu,\"data\":", m->binary ? "binary" : "text", m->len);
    if (m->binary) {
        buf_puts(out, "\"");
        base64_append(out, m->text, m->kept);
        buf_puts(out, "\",\"encoding\":\"base64\"");
    } else {
        json_quote(out, m->text, m->kept);
    }
    buf_puts(out, ",\"why\":");
    json_quote(out, m->why, strlen(m->why));
    buf_putc(out, '}');
}

int unmatched_print(struct unmatched *u, struct buf *json) {
    if (!u) {
        buf_puts(json, "{\"unmatched\":[],\"total\":0}");
        return json->failed ? MF_ENOMEM : MF_OK;
    }
    pthread_mutex_lock(&u->lock);
    buf_puts(json, "{\"unmatched\":[");
    for (unsigned i = 0; i < u->count; i++) {
        if (i)
            buf_putc(json, ',');
        print_message(&u->items[(u->first + i) % u->keep], json);
    }
    buf_printf(json, "],\"total\":%" PRIu64 "}", u->total);
    pthread_mutex_unlock(&u->lock);
    return json->failed ? MF_ENOMEM : MF_OK;
}
