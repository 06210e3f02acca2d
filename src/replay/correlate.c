#include "replay/correlate.h"

#include <stdlib.h>

#include "replay/bytes.h"
#include "replay/correlation.h"
#include "replay/handshake.h"

/* ---- structures ---- */

/* A copy without spare room; NULL: no memory. */
static struct message_value *keep_values(struct slab *slab, const struct structure *s) {
    uint8_t *bytes = slab_bytes(slab, s->count * sizeof *s->values + _Alignof(struct message_value));
    if (!bytes)
        return NULL;
    size_t over = (uintptr_t)bytes % _Alignof(struct message_value);
    struct message_value *values = (void *)(bytes + (over ? _Alignof(struct message_value) - over : 0));
    if (s->count)
        memcpy(values, s->values, s->count * sizeof *values);
    return values;
}

static int read_handshake(struct correlation *c, size_t connection, struct structure *s,
                          struct structure_scratch *scratch) {
    const struct replay_connection *r = &c->source->connections[connection];
    struct connection_plan *plan = &c->plans[connection];
    struct buf text = BUF_INIT;
    handshake_request_text(&text, r->path, r->query, &r->request_headers);
    const char *copy = text.failed ? NULL : slab_copy(&c->slab, (const char *)text.data, text.len);
    size_t len = text.len;
    buf_fini(&text);
    if (!copy)
        return MF_ENOMEM;
    plan->handshake = (struct replay_message){.data = (const uint8_t *)copy, .len = len, .direction = EVENT_INCOMING};
    int rc = structure_read(s, scratch, c->paths, c->paths, copy, len, false);
    if (rc < 0 || s->form != FORM_JSON) /* what is not UTF-8 */
        return rc;
    struct structure *kept = &plan->handshake_structure;
    *kept = *s;
    kept->cap = s->count;
    kept->values = keep_values(&c->slab, s);
    return kept->values ? MF_OK : MF_ENOMEM;
}

static int read_connection(struct correlation *c, size_t connection, struct structure *s,
                           struct structure_scratch *scratch) {
    const struct replay_connection *r = &c->source->connections[connection];
    struct connection_plan *plan = &c->plans[connection];
    plan->structures = calloc(r->message_count + 1, sizeof *plan->structures);
    if (!plan->structures)
        return MF_ENOMEM;
    int rc = read_handshake(c, connection, s, scratch);
    for (size_t m = 0; m < r->message_count && rc == MF_OK; m++) {
        const struct replay_message *message = &r->messages[m];
        rc = structure_read(s, scratch, c->paths, c->paths, message->data, message->len, message->binary);
        if (rc < 0)
            return rc;
        struct structure *kept = &plan->structures[m];
        *kept = *s;
        kept->cap = s->count;
        kept->values = keep_values(&c->slab, s);
        if (!kept->values)
            return MF_ENOMEM;
    }
    return rc;
}

static int read_structures(struct correlation *c) {
    struct structure_scratch scratch = {0};
    struct structure s = {0};
    int rc = MF_OK;
    for (size_t i = 0; i < c->source->count && rc == MF_OK; i++)
        rc = read_connection(c, i, &s, &scratch);
    structure_fini(&s);
    structure_scratch_fini(&scratch);
    return rc;
}

static int learn_bytes(struct correlation *c) {
    struct bytes_schema *schema;
    if (c->off)
        return MF_OK;
    int rc = bytes_learn(c->source, &schema);
    if (rc == MF_OK)
        path_table_set_bytes(c->paths, schema);
    return rc;
}

/* ---- life ---- */

static int fill(struct correlation *c, const struct correlate_options *o, struct err *err) {
    struct path_marks marks = {0};
    int rc = asked_rules_read(c, o, err);
    if (rc < 0)
        return rc;
    c->plans = calloc(c->source->count + 1, sizeof *c->plans);
    rc = c->plans ? path_table_new(&c->paths) : MF_ENOMEM;
    if (rc == MF_OK)
        rc = learn_bytes(c);
    if (rc == MF_OK)
        rc = read_structures(c);
    if (rc == MF_OK)
        rc = path_marks_init(&marks, c, o);
    if (rc == MF_OK)
        rc = infer(c, o, &marks);
    path_marks_fini(&marks);
    return rc < 0 ? err_set(err, rc, "out of memory while the recording was compared with itself") : MF_OK;
}

int correlation_new(struct replay_source *source, const struct correlate_options *options, struct correlation **out,
                    struct err *err) {
    static const struct correlate_options none;
    const struct correlate_options *o = options ? options : &none;
    struct correlation *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, MF_ENOMEM, "out of memory");
    atomic_init(&c->refs, 1);
    c->source = replay_source_ref(source);
    c->off = o->off;
    c->refresh_time = o->refresh_time;
    int rc = fill(c, o, err);
    if (rc < 0) {
        correlation_unref(c);
        return rc;
    }
    *out = c;
    return MF_OK;
}

struct correlation *correlation_ref(struct correlation *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void correlation_unref(struct correlation *c) {
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; c->plans && i < c->source->count; i++)
        plan_fini(&c->plans[i]);
    free(c->plans);
    for (size_t i = 0; i < c->asked_count; i++) {
        free(c->asked[i].source);
        free(c->asked[i].target);
    }
    free(c->counters);
    rules_fini(&c->rules);
    keys_fini(&c->keys);
    path_table_free(c->paths);
    slab_fini(&c->slab);
    replay_source_unref(c->source);
    free(c);
}

/* ---- what was found ---- */

struct replay_source *correlation_source(const struct correlation *c) {
    return c->source;
}

const struct path_table *correlation_paths(const struct correlation *c) {
    return c->paths;
}

const struct structure *correlation_structure(const struct correlation *c, size_t connection, size_t message) {
    return &c->plans[connection].structures[message];
}

bool correlation_hears_handshake(const struct correlation *c, size_t connection) {
    return c->plans[connection].handshake_birth_count > 0;
}

void correlation_free_paths(const struct correlation *c, size_t connection, size_t message, const uint32_t **paths,
                            size_t *count) {
    const struct connection_plan *plan = &c->plans[connection];
    *count = plan->free_of ? plan->free_of[message + 1] - plan->free_of[message] : 0;
    *paths = *count ? plan->free_paths + plan->free_of[message] : NULL;
}

const struct slot *correlation_slots(const struct correlation *c, size_t connection, size_t message, size_t *count) {
    const struct connection_plan *plan = &c->plans[connection];
    *count = plan->slots_of ? plan->slots_of[message + 1] - plan->slots_of[message] : 0;
    return *count ? plan->slots + plan->slots_of[message] : NULL;
}
