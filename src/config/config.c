#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/edit.h"

/* The snapshot as it is allocated: what users see, and the memory behind its strings. */
struct snapshot {
    struct config config;
    struct arena arena;
};

struct config *config_ref(struct config *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c) {
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct snapshot *snapshot = container_of(c, struct snapshot, config);
    arena_fini(&snapshot->arena);
    free(snapshot);
}

static int read_file(const char *name, struct buf *text, struct err *err) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_at(err, MF_EIO, name, 0, 0, "cannot be opened: %s", strerror(errno));
    ssize_t n = 0;
    /* One byte more than is allowed, so that yaml_read() sees that it is too much. */
    while (text->len <= YAML_TEXT_MAX && !buf_reserve(text, 16384)) {
        n = read(fd, text->data + text->len, 16384);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            break;
        text->len += n > 0 ? (size_t)n : 0;
    }
    int saved = errno;
    close(fd);
    if (text->failed)
        return err_set(err, MF_ENOMEM, "out of memory");
    return n < 0 ? err_set_at(err, MF_EIO, name, 0, 0, "cannot be read: %s", strerror(saved)) : 0;
}

static int read_tree(const struct config_input *in, struct edit *e, const char *name, struct err *err) {
    struct buf file = BUF_INIT;
    int rc = in->file && !in->text ? read_file(in->file, &file, err) : 0;
    const char *text = in->text ? in->text : (const char *)file.data;
    size_t len = in->text ? strlen(in->text) : file.len;
    if (!rc && len)
        rc = yaml_read(e->arena, name, text, len, &e->root, err);
    buf_fini(&file);
    if (rc)
        return rc;
    if (!e->root) {
        e->root = arena_alloc(e->arena, sizeof *e->root);
        if (!e->root)
            return err_set(err, MF_ENOMEM, "out of memory");
        e->root->kind = YAML_MAP;
    }
    return e->root->kind == YAML_MAP ? 0
                                     : apply_fail(e->ctx, e->root, NULL, "expected a mapping, such as \"websocket:\"");
}

static int lay_over(const struct config_input *in, struct edit *e) {
    int rc = edit_aliases(e);
    if (!rc && !in->ignore_environment)
        rc = edit_environment(e);
    for (size_t i = 0; i < in->overrides_count && !rc; i++)
        rc = edit_override(e, in->overrides[i].key, in->overrides[i].value);
    return rc;
}

static int build(const struct config_input *in, struct snapshot *s, struct arena *scratch, struct err *err) {
    const char *name = in->file ? in->file : "configuration";
    struct apply ctx = {.arena = &s->arena, .file = name, .err = err, .depth = 1};
    struct edit edit = {.ctx = &ctx, .arena = scratch};
    if (in->file && !(s->config.source = arena_strdup(&s->arena, in->file)))
        return apply_no_memory(&ctx);
    int rc = read_tree(in, &edit, name, err);
    if (!rc)
        rc = lay_over(in, &edit);
    if (!rc)
        rc = apply_defaults(&ctx, &option_root, &s->config);
    return rc ? rc : apply_map(&ctx, &option_root, edit.root, &s->config);
}

int config_load(const struct config_input *in, struct config **out, struct err *err) {
    *out = NULL;
    struct err ignored;
    err = err ? err : &ignored;
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return err_set(err, MF_ENOMEM, "out of memory");
    atomic_init(&snapshot->config.refs, 1);
    struct arena scratch = {0};
    int rc = build(in, snapshot, &scratch, err);
    arena_fini(&scratch);
    if (rc)
        config_unref(&snapshot->config);
    else
        *out = &snapshot->config;
    return rc;
}
