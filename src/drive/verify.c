#include "drive/verify.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/increasing.h"
#include "protocol/frame.h"

/* A live message that the player did not recognise. */
struct stranger {
    char *data;
    size_t len;
    bool binary;
    uint32_t after; /* so many recognised ones had come */
    uint32_t live;  /* its own index among what came */
};

struct verifier {
    const struct correlation *correlation;
    const struct replay_connection *recorded;
    size_t connection;
    const uint8_t *awaited;
    const struct compare_options *options;
    struct structure_scratch *scratch;
    size_t *kept_bytes;
    struct comparison *into;
    struct structure live;

    uint32_t *order; /* recorded indices of the recognised messages, as they came */
    size_t order_count, order_cap;
    struct stranger *strangers;
    size_t stranger_count, stranger_cap, stranger_bytes;
    uint32_t live_count;
};

int verifier_new(const struct correlation *c, const struct replay_source *source, size_t connection,
                 const uint8_t *awaited, const struct compare_options *options, struct structure_scratch *scratch,
                 size_t *kept_bytes, struct comparison *into, struct verifier **out) {
    struct verifier *v = calloc(1, sizeof *v);
    if (!v)
        return MF_ENOMEM;
    *v = (struct verifier){.correlation = c,
                           .recorded = &source->connections[connection],
                           .connection = connection,
                           .awaited = awaited,
                           .options = options,
                           .scratch = scratch,
                           .kept_bytes = kept_bytes,
                           .into = into};
    into->expected = v->recorded;
    *out = v;
    return MF_OK;
}

void verifier_free(struct verifier *v) {
    if (!v)
        return;
    for (size_t i = 0; i < v->stranger_count; i++)
        free(v->strangers[i].data);
    *v->kept_bytes -= v->stranger_bytes;
    free(v->strangers);
    free(v->order);
    structure_fini(&v->live);
    free(v);
}

int verifier_opened(struct verifier *v, const char *subprotocol) {
    /* Without the answer's fields the recording does not know what was agreed. */
    if (!v->recorded->subprotocol && !v->recorded->response_headers.count)
        return MF_OK;
    int rc = compare_handshake(v->into, "subprotocol", v->recorded->subprotocol, subprotocol);
    return MIN(rc, 0);
}

/* ---- one against another ---- */

static int read_live(struct verifier *v, bool binary, const void *data, size_t len) {
    return structure_read(&v->live, v->scratch, correlation_paths(v->correlation), NULL, data, len, binary);
}

/* v->live is what was read from data. */
static int compare_with(struct verifier *v, uint32_t message, bool binary, const void *data, size_t len) {
    const struct replay_message *m = &v->recorded->messages[message];
    const uint32_t *free_paths;
    size_t free_count;
    correlation_free_paths(v->correlation, v->connection, message, &free_paths, &free_count);
    int rc = compare_opcode(v->into, message, m->binary, binary);
    if (rc < 0)
        return rc;
    rc = compare_message(v->into, v->options, correlation_paths(v->correlation), message,
                         correlation_structure(v->correlation, v->connection, message), m->data, m->len, &v->live, data,
                         len, free_paths, free_count);
    return MIN(rc, 0);
}

static int remember_order(struct verifier *v, uint32_t message) {
    if (!ARRAY_ROOM(v->order, v->order_count, v->order_cap, 64))
        return MF_ENOMEM;
    v->order[v->order_count++] = message;
    return MF_OK;
}

int verifier_matched(struct verifier *v, uint32_t message, bool binary, const void *data, size_t len) {
    v->live_count++;
    int rc = v->awaited[message] ? remember_order(v, message) : MF_OK;
    if (rc == MF_OK)
        rc = read_live(v, binary, data, len);
    return rc == MF_OK ? compare_with(v, message, binary, data, len) : rc;
}

static int keep_stranger(struct verifier *v, const struct stranger *s, const void *data) {
    if (!ARRAY_ROOM(v->strangers, v->stranger_count, v->stranger_cap, 8))
        return MF_ENOMEM;
    char *copy = malloc(s->len + 1);
    if (!copy)
        return MF_ENOMEM;
    memcpy(copy, data, s->len);
    copy[s->len] = '\0';
    v->strangers[v->stranger_count] = *s;
    v->strangers[v->stranger_count++].data = copy;
    v->stranger_bytes += s->len;
    *v->kept_bytes += s->len;
    return MF_OK;
}

static int add_extra(struct verifier *v, uint32_t live, const void *data, size_t len) {
    if (v->options->allow_extra)
        return MF_OK;
    int rc = compare_extra(v->into, live, data, len);
    return MIN(rc, 0);
}

int verifier_unmatched(struct verifier *v, bool binary, const void *data, size_t len) {
    const struct stranger s = {
        .len = len, .binary = binary, .after = (uint32_t)v->order_count, .live = v->live_count++};
    if (v->stranger_count == VERIFY_KEPT_MAX || len > VERIFY_KEPT_BYTES_MAX - v->stranger_bytes ||
        *v->kept_bytes > VERIFY_KEPT_TOGETHER_MAX)
        return add_extra(v, s.live, data, len);
    return keep_stranger(v, &s, data);
}

/* ---- the end: order, and what did not find its like ---- */

static bool messages_are_unordered(const struct compare_options *o) {
    for (size_t i = 0; i < o->unordered_count; i++)
        if (!*o->unordered[i] || !strcmp(o->unordered[i], "/"))
            return true;
    return false;
}

struct ending {
    bool *kept;    /* by position of arrival: it came in its turn */
    uint8_t *done; /* by recorded message: it came, or was paired */
};

/* The server's message that was recorded before this one. */
static size_t message_before(const struct verifier *v, size_t message) {
    while (message > 0)
        if (v->recorded->messages[--message].direction == EVENT_OUTGOING)
            return message;
    return COMPARE_CONNECTION;
}

static int report_order(struct verifier *v, const struct ending *e) {
    size_t last = COMPARE_CONNECTION;
    for (size_t i = 0; i < v->order_count; i++) {
        if (!e->kept[i]) {
            int rc = compare_order(v->into, v->order[i], message_before(v, v->order[i]), last);
            if (rc < 0)
                return rc;
        }
        last = v->order[i];
    }
    return MF_OK;
}

/* Between which recorded messages a stranger came: [*low, *high). */
static void place_of(const struct verifier *v, const struct ending *e, const struct stranger *s, bool unordered,
                     size_t *low, size_t *high) {
    *low = 0;
    *high = v->recorded->message_count;
    if (unordered)
        return;
    for (size_t i = s->after; i > 0; i--)
        if (e->kept[i - 1]) {
            *low = (size_t)v->order[i - 1] + 1;
            break;
        }
    for (size_t i = s->after; i < v->order_count; i++)
        if (e->kept[i]) {
            *high = v->order[i];
            break;
        }
}

/* The missing message that a stranger stands for: of the same shape, else of the same form. v->live is the stranger. */
static uint32_t find_missing(const struct verifier *v, const struct ending *e, size_t low, size_t high) {
    uint32_t same_form = REPLAY_NONE;
    for (size_t m = low; m < high; m++) {
        if (e->done[m] || !v->awaited[m])
            continue;
        const struct structure *s = correlation_structure(v->correlation, v->connection, m);
        if (s->form != v->live.form)
            continue;
        if (s->shape == v->live.shape)
            return (uint32_t)m;
        if (same_form == REPLAY_NONE)
            same_form = (uint32_t)m;
    }
    return same_form;
}

static int settle_strangers(struct verifier *v, const struct ending *e, bool unordered) {
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < v->stranger_count; i++) {
        const struct stranger *s = &v->strangers[i];
        size_t low, high;
        rc = read_live(v, s->binary, s->data, s->len);
        if (rc < 0)
            break;
        place_of(v, e, s, unordered, &low, &high);
        uint32_t m = find_missing(v, e, low, high);
        if (m == REPLAY_NONE) {
            rc = add_extra(v, s->live, s->data, s->len);
        } else {
            e->done[m] = 1;
            rc = compare_with(v, m, s->binary, s->data, s->len);
        }
    }
    return rc;
}

static int report_missing(struct verifier *v, const struct ending *e) {
    for (size_t m = 0; m < v->recorded->message_count; m++) {
        const struct replay_message *message = &v->recorded->messages[m];
        if (e->done[m] || !v->awaited[m])
            continue;
        int rc = compare_missing(v->into, m, message->data, message->len);
        if (rc < 0)
            return rc;
    }
    return MF_OK;
}

/* The recorded server's close code, 0 when it vanished; false: the recording does not say. */
static bool recorded_close(const struct replay_connection *c, unsigned *code) {
    for (size_t i = c->frame_count; i > 0; i--) {
        const struct replay_frame *f = &c->frames[i - 1];
        const char *reason;
        size_t len;
        if (f->opcode != WS_CLOSE || f->direction != EVENT_OUTGOING)
            continue;
        return frame_close_parse(f->data, f->len, code, &reason, &len) == MF_OK;
    }
    *code = 0;
    return c->end == REPLAY_END_SERVER;
}

static int report_close(struct verifier *v, unsigned code, bool by_us) {
    unsigned expected;
    /* Where the recording ends in the middle only a server that hangs up by itself is another one. */
    if (!recorded_close(v->recorded, &expected) && (by_us || v->recorded->end == REPLAY_END_CLIENT))
        return MF_OK;
    int rc = compare_close(v->into, expected, code);
    return MIN(rc, 0);
}

int verifier_finish(struct verifier *v, unsigned code, bool by_us) {
    size_t n = MAX(v->order_count, (size_t)1);
    bool unordered = messages_are_unordered(v->options);
    struct ending e = {.kept = calloc(n, sizeof *e.kept), .done = calloc(v->recorded->message_count + 1, 1)};
    int rc = e.kept && e.done ? increasing_mark(v->order, v->order_count, e.kept) : MF_ENOMEM;
    if (rc == MF_OK) {
        for (size_t i = 0; i < v->order_count; i++)
            e.done[v->order[i]] = 1;
        rc = unordered ? MF_OK : report_order(v, &e);
    }
    if (rc == MF_OK)
        rc = settle_strangers(v, &e, unordered);
    if (rc == MF_OK)
        rc = report_missing(v, &e);
    if (rc == MF_OK)
        rc = report_close(v, code, by_us);
    free(e.kept);
    free(e.done);
    return rc;
}
