/* What a player says to people. */
#include "player_private.h"
#include "protocol/text.h"

#define EXCERPT_MAX 160u /* bytes of a message in a log line */

static void excerpt(struct buf *out, const struct replay_message *m) {
    size_t len = MIN(m->len, EXCERPT_MAX);
    if (m->binary) {
        buf_printf(out, "%zu bytes", m->len);
        return;
    }
    while (len < m->len && len > 0 && (m->data[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    for (size_t i = 0; i < len; i++)
        buf_putc(out, m->data[i] < 0x20 || m->data[i] == 0x7f ? ' ' : (char)m->data[i]);
    if (len < m->len)
        buf_puts(out, "…");
}

void player_describe(const struct player *p, uint32_t message, struct buf *out) {
    if (message >= p->plan->message_count) {
        buf_puts(out, "nothing");
        return;
    }
    uint32_t index;
    const struct plan_connection *pc = plan_locate(p->plan, message, &index);
    const struct replay_connection *rc = plan_recorded(p->plan, pc);
    const struct replay_message *m = &rc->messages[index];
    buf_printf(out, "message %u of %s at %.3f s: ", index + 1, rc->name, (double)m->time_us / 1e6);
    excerpt(out, m);
}
