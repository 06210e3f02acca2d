#include "recording/step_back.h"

#include <string.h>

#include "base/hash.h"
#include "base/log.h"

void step_back_jump(struct step_back *s) {
    memset(s->lanes, 0, sizeof s->lanes);
}

void step_back_count(struct step_back *s, uint64_t before_us, uint64_t us, int line) {
    if (s->count++)
        return;
    s->before_us = before_us;
    s->us = us;
    s->line = line;
}

void step_back_see(struct step_back *s, const struct session_event *e, int line) {
    if (e->type == EVENT_RECORDING) /* names come anew */
        step_back_jump(s);
    if (!event_is_frame(e->type))
        return;
    uint64_t hash = hash_bytes(e->connection, strlen(e->connection));
    uint64_t key = ((hash << 2) ^ (uint64_t)(e->direction << 1) ^ (uint64_t)e->leg) | (uint64_t)1 << 63;
    struct step_back_lane *lane = &s->lanes[key % STEP_BACK_LANES];
    if (lane->key == key && e->timestamp_us < lane->us) {
        step_back_count(s, lane->us, e->timestamp_us, line);
        return; /* what follows is compared with the later one, as readers do */
    }
    *lane = (struct step_back_lane){key, e->timestamp_us};
}

void step_back_say(struct step_back *s, const char *path) {
    if (!s->count)
        return;
    log_warn("recording_times_step_back", "file=%s line=%d time_ms=%.3f after_ms=%.3f count=%llu detail=%s",
             log_quote(path), s->line, (double)s->us / 1000, (double)s->before_us / 1000, (unsigned long long)s->count,
             log_quote("times run backwards there for the first time; the order of the lines counts"));
    s->count = 0;
}
