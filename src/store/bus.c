/* News between gateways, as one Redis message:
 *
 *     "mf1" kind instance(16 hex digits) audience binary name-length(4 hex digits) name data
 *
 * kind is 'n' for news, 'c' for a count of open connections, which is all of the data. Payloads of other programs on
 * the channel, and our own, are passed over. The store's thread. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "protocol/utf8.h"
#include "store/store_private.h"

#define MAGIC "mf1"
#define HEAD_LEN (sizeof MAGIC - 1 + 1 + BUS_INSTANCE_LEN + 2 + 4)
#define PEER_SILENT_US 5000000u /* a gateway that says nothing for so long is gone */

void bus_init(struct bus *b) {
    uint64_t id;
    char text[BUS_INSTANCE_LEN + 1];
    rng_secure(&id, sizeof id);
    snprintf(text, sizeof text, "%016" PRIx64, id);
    *b = (struct bus){0};
    memcpy(b->instance, text, sizeof b->instance);
}

static void write_head(const struct bus *b, char kind, unsigned audience, bool binary, size_t name_len, struct buf *out) {
    buf_printf(out, MAGIC "%c%.*s%u%u%04zx", kind, BUS_INSTANCE_LEN, b->instance, audience & 7, binary, name_len);
}

void bus_write_news(const struct bus *b, const struct store_news *news, struct buf *out) {
    MUST(news->name_len <= BUS_NAME_MAX);
    write_head(b, 'n', news->audience, news->binary, news->name_len, out);
    buf_append(out, news->name, news->name_len);
    buf_append(out, news->data, news->len);
}

void bus_write_count(const struct bus *b, uint64_t connections, struct buf *out) {
    write_head(b, 'c', 0, false, 0, out);
    buf_printf(out, "%" PRIu64, connections);
}

static void forget_silent(struct bus *b, uint64_t now_us) {
    for (unsigned i = 0; i < b->peer_count;)
        if (now_us - b->peers[i].heard_us > PEER_SILENT_US)
            b->peers[i] = b->peers[--b->peer_count];
        else
            i++;
}

static void note_count(struct bus *b, const char *instance, uint64_t connections) {
    uint64_t now_us = clock_mono_us();
    forget_silent(b, now_us);
    unsigned i = 0;
    while (i < b->peer_count && memcmp(b->peers[i].instance, instance, BUS_INSTANCE_LEN) != 0)
        i++;
    if (i == BUS_PEERS_MAX)
        return;
    memcpy(b->peers[i].instance, instance, BUS_INSTANCE_LEN);
    b->peers[i].connections = connections;
    b->peers[i].heard_us = now_us;
    b->peer_count = MAX(b->peer_count, i + 1);
}

uint64_t bus_connections(struct bus *b) {
    uint64_t sum = 0;
    forget_silent(b, clock_mono_us());
    for (unsigned i = 0; i < b->peer_count; i++)
        sum += b->peers[i].connections;
    return sum;
}

static bool is_digit(char c, char most) {
    return c >= '0' && c <= most;
}

/* Four hexadecimal digits; negative: they are not. */
static int read_length(const char *p) {
    int n = 0;
    for (int i = 0; i < 4; i++) {
        const char *at = p[i] ? strchr("0123456789abcdef", p[i]) : NULL;
        if (!at)
            return -1;
        n = n * 16 + (int)(at - "0123456789abcdef");
    }
    return n;
}

/* Up to ten digits and nothing else. */
static bool read_count(const char *p, size_t len, uint64_t *out) {
    *out = 0;
    if (len < 1 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(p[i], '9'))
            return false;
        *out = *out * 10 + (uint64_t)(p[i] - '0');
    }
    return *out <= BUS_CONNECTIONS_MAX;
}

static bool take_news(struct store *s, const struct store_news *news) {
    if (!news->binary && !utf8_valid(news->data, news->len)) /* would go out as text: RFC 6455 section 8.1 */
        return false;
    if (s->options.on_news)
        s->options.on_news(s->options.arg, news);
    return true;
}

bool bus_read(struct bus *b, struct store *s, const char *payload, size_t len) {
    uint64_t count;
    if (len < HEAD_LEN || memcmp(payload, MAGIC, sizeof MAGIC - 1) != 0)
        return false;
    char kind = payload[sizeof MAGIC - 1];
    const char *instance = payload + sizeof MAGIC, *p = instance + BUS_INSTANCE_LEN, *data = payload + HEAD_LEN;
    size_t left = len - HEAD_LEN;
    int name_len = read_length(p + 2);
    if (name_len < 0 || (size_t)name_len > left || !is_digit(p[0], '7') || !is_digit(p[1], '1'))
        return false;
    if (!memcmp(instance, b->instance, BUS_INSTANCE_LEN))
        return true;
    const struct store_news news = {(unsigned)(p[0] - '0'), p[1] == '1', data, (size_t)name_len, data + name_len,
                                    left - (size_t)name_len};
    if (kind == 'n')
        return take_news(s, &news);
    if (kind != 'c' || !read_count(data, left, &count))
        return false;
    note_count(b, instance, count);
    return true;
}
