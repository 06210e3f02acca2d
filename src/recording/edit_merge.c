/* ws merge: one recording out of several, by the wall clock. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "recording/edit.h"
#include "recording/names.h"
#include "recording/reader.h"
#include "recording/session_writer.h"
#include "recording/summary.h"

#define PROGRESS_EVERY 512
#define TIME_MAX_US (INT64_MAX / 2) /* as the reader takes them */

/* A connection's name in one input (in the parts of one recording), and in the target. */
struct alias {
    struct named named;
    char *as;
};

struct taken {
    struct named named;
};

struct input_file {
    const char *path;
    struct reader *reader;
    struct session_event next;
    bool has_next, dated;
    int64_t recorded_at_us;
    struct names names;
};

struct merge {
    struct input_file *inputs;
    size_t count;
    const struct edit_options *options;
    struct session_writer *to;
    struct names taken;
    int64_t recorded_at_us;
    merge_renamed_fn *renamed;
    struct session_summary summary;
    struct merge_result *result;
    uint64_t events;
    struct buf scratch;
    struct err *err;
};

static int no_memory(struct merge *m) {
    (void)err_set(m->err, MF_ENOMEM, "out of memory");
    return MF_ENOMEM;
}

static void free_alias(struct named *item) {
    free(((struct alias *)item)->as);
    free(item);
}

static void free_taken(struct named *item) {
    free((struct taken *)item);
}

/* --- names --- */

static int take_name(struct merge *m, const char *name) {
    struct taken *t = calloc(1, sizeof *t);
    if (t && names_add(&m->taken, &t->named, name) == MF_OK)
        return MF_OK;
    free(t);
    return no_memory(m);
}

static int name_anew(struct merge *m, struct input_file *in, struct alias *a, const char *name) {
    names_make_unique(&m->taken, name, &m->scratch);
    free(a->as);
    a->as = m->scratch.failed ? NULL : strdup(buf_cstr(&m->scratch));
    if (!a->as)
        return no_memory(m);
    if (strcmp(a->as, name) != 0) {
        m->result->renamed++;
        if (m->renamed)
            m->renamed(in->path, name, a->as, m->options->arg);
    }
    return take_name(m, a->as);
}

/* The name that an earlier part of the same recording (it has the same recorded_at) has given to this connection. */
static const char *continued_as(const struct merge *m, const struct input_file *in, const char *name) {
    for (size_t i = 0; i < m->count; i++) {
        const struct input_file *other = &m->inputs[i];
        const struct alias *a = NULL;
        if (other != in && other->dated && other->recorded_at_us == in->recorded_at_us)
            a = (const struct alias *)names_find(&other->names, name);
        if (a)
            return a->as;
    }
    return NULL;
}

static int add_alias(struct merge *m, struct input_file *in, const char *name, struct alias **out) {
    *out = calloc(1, sizeof **out);
    if (*out && names_add(&in->names, &(*out)->named, name) == MF_OK)
        return MF_OK;
    free(*out);
    return no_memory(m);
}

/* The event gets its connection's name in the target. *drop: it is an open line that stands there already. */
static int rename_event(struct merge *m, struct input_file *in, struct session_event *e, bool *drop) {
    struct alias *a = (struct alias *)names_find(&in->names, e->connection);
    const char *as = NULL;
    int rc = MF_OK;
    *drop = a && e->type == EVENT_OPEN && e->continued;
    if (!strcmp(e->connection, "*")) /* a gap that recovery left */
        return MF_OK;
    bool anew = !a || (e->type == EVENT_OPEN && !e->continued);
    if (!a && e->type == EVENT_OPEN && e->continued)
        as = continued_as(m, in, e->connection);
    if (!a)
        rc = add_alias(m, in, e->connection, &a);
    if (rc == MF_OK && as) {
        *drop = true;
        rc = (a->as = strdup(as)) ? MF_OK : no_memory(m);
    } else if (rc == MF_OK && anew) {
        rc = name_anew(m, in, a, e->connection);
    }
    if (rc == MF_OK)
        e->connection = a->as;
    return rc;
}

/* --- inputs --- */

/* Reads on; the recording line has been seen, and others mean that names come anew. */
static int read_next(struct merge *m, struct input_file *in) {
    for (;;) {
        int rc = reader_next(in->reader, &in->next, m->err);
        in->has_next = rc > 0;
        if (rc <= 0) {
            m->result->truncated |= rc == 0 && reader_ended(in->reader) == READER_END_TRUNCATED;
            return rc;
        }
        if (in->next.type != EVENT_RECORDING)
            return 1;
        if (in->dated)
            names_fini(&in->names, free_alias);
        in->dated = true;
        in->recorded_at_us = in->next.recorded_at_us;
    }
}

static int open_input(struct merge *m, struct input_file *in, const char *path) {
    struct stat st;
    in->path = path;
    int rc = reader_open(path, &in->reader, m->err);
    if (rc < 0)
        return rc;
    reader_recover(in->reader, m->options->recover);
    rc = read_next(m, in);
    if (rc < 0)
        return rc;
    if (!in->dated) {
        in->recorded_at_us = stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000 : clock_wall_us();
        m->result->undated = true;
    }
    in->dated = true;
    return MF_OK;
}

static int64_t wall_of(const struct input_file *in) {
    return in->recorded_at_us + (int64_t)in->next.timestamp_us;
}

static struct input_file *earliest(struct merge *m) {
    struct input_file *first = NULL;
    for (size_t i = 0; i < m->count; i++)
        if (m->inputs[i].has_next && (!first || wall_of(&m->inputs[i]) < wall_of(first)))
            first = &m->inputs[i];
    return first;
}

static void report(struct merge *m) {
    uint64_t done = 0, total = 0;
    if (!m->options->progress || m->events++ % PROGRESS_EVERY)
        return;
    for (size_t i = 0; i < m->count; i++) {
        done += reader_position(m->inputs[i].reader);
        total += reader_size(m->inputs[i].reader);
    }
    m->options->progress(done, total, m->options->arg);
}

/* --- the whole --- */

static int write_event(struct merge *m, struct input_file *in) {
    struct session_event e = in->next;
    bool drop;
    int rc = rename_event(m, in, &e, &drop);
    if (rc < 0 || drop)
        return rc;
    int64_t since = wall_of(in) - m->recorded_at_us;
    e.timestamp_us = (uint64_t)MIN(MAX(since, 0), TIME_MAX_US);
    e.continued = false; /* it is the first that the target says of this connection */
    summary_add(&m->summary, &e);
    return session_writer_add(m->to, &e, m->err);
}

static int merge_all(struct merge *m) {
    struct session_event first = {.type = EVENT_RECORDING,
                                  .version = SESSION_FILE_VERSION,
                                  .recorded_at_us = m->recorded_at_us,
                                  .generator = "mockforge " MF_VERSION};
    int rc = session_writer_add(m->to, &first, m->err);
    for (struct input_file *in; rc >= 0 && (in = earliest(m));) {
        report(m);
        rc = write_event(m, in);
        if (rc >= 0)
            rc = read_next(m, in);
    }
    return rc < 0 ? rc : session_writer_finish(m->to, m->err);
}

int session_merge(const char *const *from, size_t count, const char *to, const struct edit_options *options,
                  merge_renamed_fn *renamed, struct merge_result *out, struct err *err) {
    struct merge m = {.count = count, .options = options, .renamed = renamed, .result = out, .err = err};
    *out = (struct merge_result){0};
    if (count > MERGE_MAX)
        return err_set(err, MF_ELIMIT, "expected at most %u files", MERGE_MAX);
    m.inputs = calloc(count ? count : 1, sizeof *m.inputs);
    int rc = m.inputs ? MF_OK : no_memory(&m);
    for (size_t i = 0; rc == MF_OK && i < count; i++) {
        rc = open_input(&m, &m.inputs[i], from[i]);
        m.recorded_at_us = i ? MIN(m.recorded_at_us, m.inputs[i].recorded_at_us) : m.inputs[i].recorded_at_us;
    }
    if (rc == MF_OK)
        rc = session_writer_open(to, options->overwrite, &m.to, err);
    if (rc == MF_OK)
        rc = merge_all(&m);
    out->messages = m.summary.messages;
    out->connections = m.summary.connections;
    for (size_t i = 0; m.inputs && i < count; i++) {
        reader_close(m.inputs[i].reader);
        names_fini(&m.inputs[i].names, free_alias);
    }
    names_fini(&m.taken, free_taken);
    session_writer_free(m.to);
    buf_fini(&m.scratch);
    free(m.inputs);
    return rc;
}
