/* ws cut: a part of a recording. */
#include <fnmatch.h>
#include <stdlib.h>

#include "recording/edit.h"
#include "recording/names.h"
#include "recording/reader.h"
#include "recording/session_writer.h"
#include "recording/summary.h"

#define PROGRESS_EVERY 512
#define LATE_US                                                                                                        \
    5000000u /* lines of several connections may step back in time a little: so far is looked beyond the end */
#define LANES 4

/* A connection that is open. */
struct talker {
    struct named named;
    struct buf open_line; /* while it is not written: it began before the part */
    uint64_t number;      /* in the order in which they came */
    bool wanted;
    bool under_way[LANES]; /* a message has begun */
    bool headless[LANES];  /* …and its beginning is not in the part */
};

struct cut {
    const struct cut_rules *rules;
    const struct edit_options *options;
    struct reader *reader;
    struct session_writer *to;
    struct names talkers;
    bool in_part; /* an event of from_us or later has come */
    uint64_t offset_us;
    uint64_t met; /* connections */
    struct session_summary summary;
    struct cut_result *result;
    struct err *err;
};

static int no_memory(struct cut *c) {
    (void)err_set(c->err, MF_ENOMEM, "out of memory");
    return MF_ENOMEM;
}

static void free_talker(struct named *item) {
    struct talker *t = (struct talker *)item;
    buf_fini(&t->open_line);
    free(t);
}

/* --- what is wanted --- */

static bool is_wanted(const struct cut_rules *r, const char *name, const char *path) {
    bool named = !r->connections_count;
    for (size_t i = 0; i < r->connections_count; i++)
        named |= !strcmp(r->connections[i], name);
    return named && (!r->path || (path && fnmatch(r->path, path, 0) == 0));
}

static bool is_type_wanted(const struct cut_rules *r, enum event_type type) {
    return !r->types || !event_is_frame(type) || r->types >> type & 1;
}

/* --- writing --- */

/* Moves the event in time, where that was asked for. */
static void rebase(const struct cut *c, struct session_event *e) {
    if (e->type == EVENT_RECORDING)
        e->recorded_at_us += (int64_t)c->offset_us;
    else
        e->timestamp_us -= MIN(e->timestamp_us, c->offset_us);
}

static int write_event(struct cut *c, const struct session_event *e) {
    struct session_event out = *e;
    rebase(c, &out);
    summary_add(&c->summary, &out);
    return session_writer_add(c->to, &out, c->err);
}

/* --- connections --- */

static int meet(struct cut *c, const struct session_event *e, struct talker **out) {
    *out = (struct talker *)names_find(&c->talkers, e->connection);
    if (*out)
        return MF_OK;
    *out = calloc(1, sizeof **out);
    if (!*out || names_add(&c->talkers, &(*out)->named, e->connection) < 0) {
        free(*out);
        return no_memory(c);
    }
    (*out)->number = c->met++;
    (*out)->wanted = is_wanted(c->rules, e->connection, e->type == EVENT_OPEN ? e->path : NULL);
    return MF_OK;
}

static void forget(struct cut *c, struct talker *t) {
    names_remove(&c->talkers, &t->named);
    free_talker(&t->named);
}

static void forget_all(struct cut *c) {
    names_fini(&c->talkers, free_talker);
}

/* An open line in front of the part waits for it: with its own time, as the parts of a rotated recording have it. */
static int keep_open_line(struct cut *c, struct talker *t, const struct session_event *e) {
    struct session_event open = *e;
    open.continued = true;
    rebase(c, &open);
    buf_reset(&t->open_line);
    return event_write_line(&t->open_line, &open) < 0 ? no_memory(c) : MF_OK;
}

static int by_number(const void *a, const void *b) {
    const struct talker *x = *(struct talker *const *)a, *y = *(struct talker *const *)b;
    return (x->number > y->number) - (x->number < y->number);
}

static int write_waiting(struct cut *c, struct talker **waiting, size_t count) {
    int rc = MF_OK;
    qsort(waiting, count, sizeof(struct talker *), by_number);
    for (size_t i = 0; rc == MF_OK && i < count; i++) {
        rc = session_writer_add_line(c->to, &waiting[i]->open_line, c->err);
        buf_fini(&waiting[i]->open_line);
    }
    c->summary.connections += count;
    c->result->continued += count;
    return rc;
}

/* The part begins: what is open now. */
static int announce(struct cut *c) {
    size_t count = 0;
    struct talker **waiting = calloc(c->talkers.count + 1, sizeof(struct talker *));
    if (!waiting)
        return no_memory(c);
    for (struct named *item = names_next(&c->talkers, NULL); item; item = names_next(&c->talkers, item)) {
        struct talker *t = (struct talker *)item;
        for (size_t i = 0; i < LANES; i++)
            t->headless[i] = t->under_way[i];
        if (t->wanted && t->open_line.len)
            waiting[count++] = t;
    }
    int rc = write_waiting(c, waiting, count);
    free(waiting);
    return rc;
}

/* Follows the messages of a connection: true when this frame's message began in front of the part. */
static bool is_headless(struct talker *t, const struct session_event *e) {
    if (e->type < EVENT_TEXT || e->type > EVENT_CONTINUATION)
        return false;
    size_t lane = (e->direction == EVENT_OUTGOING) + 2 * (size_t)(e->leg == EVENT_LEG_UPSTREAM);
    bool begins = e->type != EVENT_CONTINUATION && !e->frame_offset;
    bool last = !e->frame_size || e->frame_offset + e->data.len == e->frame_size;
    t->headless[lane] &= !begins;
    bool headless = t->headless[lane];
    t->under_way[lane] = !(e->fin && last);
    t->headless[lane] &= t->under_way[lane];
    return headless;
}

/* --- events --- */

static int on_recording(struct cut *c, const struct session_event *e, bool is_first) {
    forget_all(c); /* connections before it have ended */
    return is_first || c->in_part ? write_event(c, e) : MF_OK;
}

static int on_event(struct cut *c, const struct session_event *e) {
    struct talker *t;
    if (!strcmp(e->connection, "*"))
        return c->in_part ? write_event(c, e) : MF_OK;
    if (e->type == EVENT_OPEN && (t = (struct talker *)names_find(&c->talkers, e->connection)) && !e->continued)
        forget(c, t);
    int rc = meet(c, e, &t);
    if (rc < 0)
        return rc;
    bool late = c->in_part && e->timestamp_us < c->rules->from_us; /* it stepped back: it belongs in front */
    bool headless = is_headless(t, e);
    if (e->type == EVENT_OPEN && !c->in_part)
        rc = keep_open_line(c, t, e);
    else if (c->in_part && t->wanted && !headless && (!late || e->type == EVENT_OPEN || e->type == EVENT_END) &&
             is_type_wanted(c->rules, e->type) && (!c->rules->to_us || e->timestamp_us <= c->rules->to_us))
        rc = write_event(c, e);
    if (e->type == EVENT_END)
        forget(c, t);
    return rc;
}

static int cut_all(struct cut *c) {
    struct session_event e;
    uint64_t events = 0;
    int rc;
    while ((rc = reader_next(c->reader, &e, c->err)) > 0) {
        if (c->options->progress && events % PROGRESS_EVERY == 0)
            c->options->progress(reader_position(c->reader), reader_size(c->reader), c->options->arg);
        bool is_first = events++ == 0;
        if (e.type == EVENT_RECORDING) {
            rc = on_recording(c, &e, is_first);
        } else {
            if (c->rules->to_us && e.timestamp_us > c->rules->to_us + LATE_US)
                break;
            if (!c->in_part && e.timestamp_us >= c->rules->from_us) {
                c->in_part = true;
                rc = announce(c);
            }
            if (rc >= 0)
                rc = on_event(c, &e);
        }
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    c->result->truncated = rc == 0 && reader_ended(c->reader) == READER_END_TRUNCATED;
    return c->in_part ? MF_OK : announce(c);
}

/* --- the file --- */

static int check_part(const struct cut *c, const char *from) {
    if (c->summary.connections || c->summary.frames)
        return MF_OK;
    return err_set_at(c->err, MF_EINVAL, from, 0, 0, "expected a connection in this part: it holds none");
}

int session_cut(const char *from, const char *to, const struct cut_rules *rules, const struct edit_options *options,
                struct cut_result *out, struct err *err) {
    struct cut c = {.rules = rules, .options = options, .result = out, .err = err};
    *out = (struct cut_result){0};
    /* recorded_at has milliseconds: so the wall clock stays what it was. */
    c.offset_us = rules->rebase ? rules->from_us - rules->from_us % 1000 : 0;
    c.in_part = rules->from_us == 0;
    int rc = reader_open(from, &c.reader, err);
    if (rc == MF_OK) {
        reader_recover(c.reader, options->recover);
        reader_run_ahead(c.reader);
    }
    if (rc == MF_OK)
        rc = session_writer_open(to, options->overwrite, &c.to, err);
    if (rc == MF_OK)
        rc = cut_all(&c);
    if (rc == MF_OK)
        rc = check_part(&c, from);
    if (rc == MF_OK)
        rc = session_writer_finish(c.to, err);
    out->messages = c.summary.messages;
    out->connections = c.summary.connections;
    forget_all(&c);
    reader_close(c.reader);
    session_writer_free(c.to);
    return rc;
}
