/* A recording as a configuration of mocks: a route for each path. */
#include <stdio.h>
#include <stdlib.h>

#include "replay/mock_private.h"
#include "replay/mock_yaml.h"

#define SUBPROTOCOLS_MAX 16u

int mock_no_memory(struct export *x) {
    (void)err_set(x->err, MF_ENOMEM, "out of memory");
    return MF_ENOMEM;
}

int mock_read(struct export *x, const struct replay_message *m, struct structure *s) {
    return structure_read(s, &x->scratch, x->paths, x->paths, m->data, m->len, m->binary) < 0 ? mock_no_memory(x)
                                                                                              : MF_OK;
}

bool mock_same_bytes(const struct buf *a, const struct buf *b) {
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static const char *path_of(const struct replay_connection *c) {
    return c->path && *c->path == '/' && yaml_can_hold(c->path, strlen(c->path)) ? c->path : "/";
}

/* More of what must be there comes first: the first rule that matches wins. */
static int by_chosen(const void *a, const void *b) {
    const struct kind *x = *(struct kind *const *)a, *y = *(struct kind *const *)b;
    return x->chosen_count != y->chosen_count ? (x->chosen_count < y->chosen_count ? 1 : -1) : 0;
}

/* qsort(3) need not keep the order of equals. */
static void sort_kinds(struct export *x) {
    for (size_t i = 1; i < x->count; i++)
        for (size_t k = i; k && by_chosen(&x->kinds[k - 1], &x->kinds[k]) > 0; k--) {
            struct kind *kept = x->kinds[k];
            x->kinds[k] = x->kinds[k - 1];
            x->kinds[k - 1] = kept;
        }
}

/* What the server said before the client did, on the first connection of this path where it did. Texts are no
 * templates there. */
static void put_greeting(struct export *x) {
    for (size_t i = 0; i < x->run_count; i++) {
        const struct replay_connection *c = &x->source->connections[x->run[i]];
        bool begun = false;
        for (uint32_t k = 0; k < MIN(c->message_count, ANSWERS_MAX); k++) {
            const struct replay_message *m = &c->messages[k];
            if (m->direction == EVENT_INCOMING)
                break;
            if (!mock_can_hold(m)) {
                x->result->left_out++;
                continue;
            }
            if (!begun)
                buf_puts(x->out, "      messages:\n");
            begun = true;
            buf_puts(x->out, "        - on_connect: ");
            if (m->binary)
                mock_put_binary(x->out, m);
            else
                yaml_quote(x->out, (const char *)m->data, m->len);
            buf_putc(x->out, '\n');
        }
        if (begun)
            return;
    }
}

static void put_subprotocols(struct export *x) {
    const char *names[SUBPROTOCOLS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < x->run_count && count < SUBPROTOCOLS_MAX; i++) {
        const char *name = x->source->connections[x->run[i]].subprotocol;
        bool fresh = name && *name && yaml_can_hold(name, strlen(name));
        for (size_t k = 0; k < count && fresh; k++)
            fresh = strcmp(names[k], name) != 0;
        if (!fresh)
            continue;
        buf_puts(x->out, count ? ", " : "      subprotocols: [");
        yaml_quote(x->out, name, strlen(name));
        names[count++] = name;
    }
    if (count)
        buf_puts(x->out, "]\n");
}

static int put_route(struct export *x) {
    int rc = MF_OK;
    for (size_t i = 0; rc == MF_OK && i < x->run_count; i++)
        rc = mock_collect(x, x->run[i]);
    sort_kinds(x);
    buf_puts(x->out, "    - path: ");
    yaml_quote(x->out, x->path, strlen(x->path));
    buf_puts(x->out, "\n");
    put_subprotocols(x);
    put_greeting(x);
    buf_puts(x->out, x->count ? "      type: pattern\n      rules:\n" : "      default: {response: []}\n");
    for (size_t i = 0; rc == MF_OK && i < x->count; i++)
        rc = mock_put_kind(x, x->kinds[i]);
    mock_free_kinds(x);
    x->result->routes++;
    return rc;
}

static int by_path(const void *a, const void *b, void *arg) {
    const struct replay_source *s = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = strcmp(path_of(&s->connections[x]), path_of(&s->connections[y]));
    return order ? order : (x > y) - (x < y);
}

static int put_routes(struct export *x) {
    const struct replay_source *s = x->source;
    int rc = MF_OK;
    for (size_t i = 0; i < s->count; i++)
        x->order[i] = (uint32_t)i;
    qsort_r(x->order, s->count, sizeof *x->order, by_path, (void *)(uintptr_t)s);
    for (size_t i = 0; rc == MF_OK && i < s->count; i += x->run_count) {
        x->path = path_of(&s->connections[x->order[i]]);
        x->run = x->order + i;
        x->run_count = 1;
        while (i + x->run_count < s->count && !strcmp(path_of(&s->connections[x->order[i + x->run_count]]), x->path))
            x->run_count++;
        if (x->out->len - x->begin < MOCK_EXPORT_MAX)
            rc = put_route(x);
        else
            x->result->left_out++;
    }
    return rc;
}

/* Which of the server's messages answers which of the client's. */
static int plan_answers(struct export *x, struct replay_source *source) {
    static const struct correlate_options all = {0};
    struct correlation *c = NULL;
    int rc = correlation_new(source, &all, &c, x->err);
    if (rc == MF_OK && player_plan_new(c, PLAYER_ALL, EVENT_OUTGOING, NULL, &x->plan) < 0)
        rc = mock_no_memory(x);
    correlation_unref(c);
    return rc;
}

int mock_export(struct replay_source *source, struct buf *out, struct mock_export_result *result, struct err *err) {
    struct export x = {.source = source, .out = out, .begin = out->len, .result = result, .err = err};
    *result = (struct mock_export_result){0};
    x.kinds = calloc(RULES_MAX, sizeof(struct kind *));
    x.order = calloc(source->count ? source->count : 1, sizeof *x.order);
    int rc = x.kinds && x.order && path_table_new(&x.paths) == MF_OK ? MF_OK : mock_no_memory(&x);
    if (rc == MF_OK)
        rc = plan_answers(&x, source);
    buf_puts(out, "# Drawn from a recording by 'mockforge ws convert --to mock'. Docs: docs/mocks.md\n"
                  "websocket:\n"
                  "  handlers:\n");
    if (rc == MF_OK)
        rc = put_routes(&x);
    if (rc == MF_OK && out->failed)
        rc = mock_no_memory(&x);
    player_plan_unref(x.plan);
    path_table_free(x.paths);
    structure_scratch_fini(&x.scratch);
    free(x.kinds);
    free(x.order);
    return rc;
}
