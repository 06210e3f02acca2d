/* The recorder's tap: a copy of each fragment goes to the ring, the fragment goes on as it is. */
#include <stdlib.h>

#include "stage/stages.h"

struct tap {
    struct stage stage;
    enum event_leg leg;
};

static void on_fragment(struct stage *stage, struct fragment *f) {
    struct tap *tap = container_of(stage, struct tap, stage);
    struct session *s = stage->session;
    const struct capture_fragment c = {
        .direction = f->direction == FROM_CLIENT ? EVENT_INCOMING : EVENT_OUTGOING,
        .leg = tap->leg,
        .opcode = f->opcode,
        .rsv = f->rsv,
        .fin = f->fin,
        .first = f->first,
        .last = f->last,
        .frame_length = f->frame_length,
        .offset = f->offset,
        .data = f->payload,
        .len = f->len,
        .key = f->masked ? f->key : NULL,
        .time_us = worker_burst_us(s->worker),
    };
    /* After our close frame a client sees nothing more, whatever an upstream still says; nor does one that is gone. */
    bool unseen = tap->leg == EVENT_LEG_CLIENT && f->direction == TO_CLIENT && (s->client.close_sent || !s->client.link);
    if (s->capture && !unseen)
        capture_add(s->capture, &c);
    stage_pass(stage, f);
}

static void tap_free(struct stage *stage) {
    free(container_of(stage, struct tap, stage));
}

static const struct stage_type tap_type = {.name = "tap", .on_fragment = on_fragment, .free = tap_free};

struct stage *tap_new(struct session *s, enum event_leg leg) {
    struct tap *tap = calloc(1, sizeof *tap);
    if (!tap)
        return NULL;
    *tap = (struct tap){.stage = {.type = &tap_type, .session = s}, .leg = leg};
    return &tap->stage;
}
