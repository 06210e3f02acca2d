/* ws redact: the recorder's redaction for files that exist already. */
#include <stdlib.h>
#include <strings.h>

#include "recording/edit.h"
#include "recording/inspect.h"
#include "recording/names.h"
#include "recording/reader.h"
#include "recording/session_writer.h"

#define LANES 4 /* two directions, two legs */
#define PROGRESS_EVERY 512

struct talker {
    struct named named;
    struct inspect_lane lanes[LANES];
};

struct redaction {
    const struct redactor *rules;
    struct redact_counts *counts;
    struct session_writer *to;
    struct names talkers;
    struct inspector inspector;
    size_t held_bytes;
    struct buf scratch;
    int failed; /* writing did, in a call that cannot say so */
    struct err *err;
};

/* --- handshakes --- */

static int count_header(struct redact_counts *counts, const char *name) {
    for (size_t i = 0; i < counts->headers_count; i++)
        if (!strcasecmp(counts->headers[i].name, name)) {
            counts->headers[i].values++;
            return MF_OK;
        }
    struct redact_header_count *p = realloc(counts->headers, (counts->headers_count + 1) * sizeof *p);
    if (!p)
        return MF_ENOMEM;
    counts->headers = p;
    if (!(p[counts->headers_count].name = strdup(name)))
        return MF_ENOMEM;
    p[counts->headers_count++].values = 1;
    return MF_OK;
}

static int redact_fields(struct redaction *x, const struct headers *from, struct headers *to) {
    if (!from)
        return MF_OK;
    for (size_t i = 0; i < from->count; i++)
        if (redact_header_name(x->rules, from->items[i].name) && strcmp(from->items[i].value, REDACTED) != 0 &&
            count_header(x->counts, from->items[i].name) < 0)
            return MF_ENOMEM;
    if (headers_copy(to, from) < 0)
        return MF_ENOMEM;
    return redact_headers(x->rules, to);
}

static int write_open(struct redaction *x, const struct session_event *e) {
    struct session_event open = *e;
    struct headers request = {0}, response = {0};
    char *query = e->query ? redact_query(x->rules, e->query) : NULL;
    char *upstream = e->upstream ? redact_url(x->rules, e->upstream) : NULL;
    int rc = MF_ENOMEM;
    if ((!e->query || query) && (!e->upstream || upstream) && redact_fields(x, e->request_headers, &request) == MF_OK &&
        redact_fields(x, e->response_headers, &response) == MF_OK) {
        x->counts->query += query && strcmp(query, e->query) != 0;
        x->counts->urls += upstream && strcmp(upstream, e->upstream) != 0;
        open.query = query;
        open.upstream = upstream;
        open.subprotocol = redact_subprotocol(x->rules, e->subprotocol);
        open.request_headers = e->request_headers ? &request : NULL;
        open.response_headers = e->response_headers ? &response : NULL;
        rc = session_writer_add(x->to, &open, x->err);
    } else {
        err_set(x->err, MF_ENOMEM, "out of memory");
    }
    headers_fini(&request);
    headers_fini(&response);
    free(query);
    free(upstream);
    return rc;
}

/* --- messages --- */

static void write_inspected(void *arg, struct session_event *e) {
    struct redaction *x = arg;
    if (!x->failed)
        x->failed = session_writer_add(x->to, e, x->err);
}

static struct talker *talker_of(struct redaction *x, const char *name) {
    struct talker *t = (struct talker *)names_find(&x->talkers, name);
    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (t && names_add(&x->talkers, &t->named, name) < 0) {
        free(t);
        t = NULL;
    }
    return t;
}

/* The rest of what has begun will not come. */
static void break_off(struct redaction *x, struct talker *t) {
    for (size_t i = 0; i < LANES; i++) {
        if (t->lanes[i].inspection)
            inspection_finish(&x->inspector, x->rules, &t->lanes[i], false);
        t->lanes[i].binary = false;
    }
}

static void forget(struct redaction *x, struct talker *t) {
    for (size_t i = 0; i < LANES; i++)
        inspection_drop(&x->inspector, &t->lanes[i]);
    names_remove(&x->talkers, &t->named);
    free(t);
}

/* A message in one frame is searched where it stands, so that nothing comes out of order. */
static int write_message(struct redaction *x, const struct session_event *e) {
    struct session_event out = *e;
    buf_reset(&x->scratch);
    int rc = e->rsv ? MF_ELIMIT : redact_json(x->rules, e->data.data, e->data.len, &x->scratch);
    if (e->data.len > INSPECT_MAX_BYTES)
        rc = MF_ELIMIT;
    if (rc == MF_ENOMEM)
        return err_set(x->err, MF_ENOMEM, "out of memory");
    if (rc > 0)
        out.data = (struct event_bytes){x->scratch.data, x->scratch.len};
    x->counts->json += rc > 0 && (x->scratch.len != e->data.len || memcmp(x->scratch.data, e->data.data, e->data.len));
    return rc == MF_ELIMIT ? 1 : session_writer_add(x->to, &out, x->err);
}

static int inspect(struct redaction *x, const struct session_event *e) {
    struct talker *t = talker_of(x, e->connection);
    if (!t)
        return err_set(x->err, MF_ENOMEM, "out of memory");
    struct inspect_lane *lane = &t->lanes[(e->direction == EVENT_OUTGOING) + 2 * (e->leg == EVENT_LEG_UPSTREAM)];
    bool first = e->frame_offset == 0;
    bool last = !e->frame_size || e->frame_offset + e->data.len == e->frame_size;
    bool whole = e->type == EVENT_TEXT && e->fin && first && last && !lane->inspection;
    int rc = whole ? write_message(x, e) : 1;
    if (rc <= 0)
        return rc;
    struct session_event piece = *e; /* pieces of a frame are put together: it is written as one */
    piece.frame_offset = piece.frame_size = 0;
    piece.connection = t->named.name; /* it is held for longer than the reader keeps the event's */
    bool held = inspect_fragment(&x->inspector, x->rules, lane, &piece, first, last);
    return held ? x->failed : session_writer_add(x->to, e, x->err);
}

static int break_off_all(struct redaction *x) {
    for (struct named *item = names_next(&x->talkers, NULL), *next; item; item = next) {
        next = names_next(&x->talkers, item);
        break_off(x, (struct talker *)item);
        forget(x, (struct talker *)item);
    }
    return x->failed;
}

/* Whatever is not a message: what stands before it in its connection goes out first. */
static int redact_event(struct redaction *x, const struct session_event *e) {
    bool searched = redactor_has_json(x->rules);
    if (searched && e->type >= EVENT_TEXT && e->type <= EVENT_CONTINUATION)
        return inspect(x, e);
    struct talker *t = e->connection ? (struct talker *)names_find(&x->talkers, e->connection) : NULL;
    int rc = e->type == EVENT_RECORDING ? break_off_all(x) : MF_OK;
    if (t && (e->type == EVENT_GAP || e->type == EVENT_END || e->type == EVENT_OPEN)) {
        break_off(x, t);
        if (e->type != EVENT_GAP)
            forget(x, t);
    }
    if (rc < 0 || x->failed)
        return rc < 0 ? rc : x->failed;
    return e->type == EVENT_OPEN ? write_open(x, e) : session_writer_add(x->to, e, x->err);
}

/* --- the file --- */

static int redact_all(struct redaction *x, struct reader *r, const struct edit_options *options) {
    struct session_event e;
    uint64_t events = 0;
    int rc;
    while ((rc = reader_next(r, &e, x->err)) > 0) {
        if (options->progress && events++ % PROGRESS_EVERY == 0)
            options->progress(reader_position(r), reader_size(r), options->arg);
        if ((rc = redact_event(x, &e)) < 0)
            return rc;
    }
    return rc < 0 ? rc : break_off_all(x);
}

int session_redact(const char *from, const char *to, const struct redactor *rules, const struct edit_options *options,
                   struct redact_counts *counts, struct err *err) {
    struct redaction x = {.rules = rules, .counts = counts, .err = err};
    x.inspector =
        (struct inspector){.held_bytes = &x.held_bytes, .scratch = &x.scratch, .write = write_inspected, .arg = &x};
    struct reader *r = NULL;
    int rc = reader_open(from, &r, err);
    if (rc == MF_OK) {
        reader_recover(r, options->recover);
        reader_run_ahead(r);
    }
    if (rc == MF_OK)
        rc = session_writer_open(to, options->overwrite, &x.to, err);
    if (rc == MF_OK)
        rc = redact_all(&x, r, options);
    if (rc == MF_OK)
        rc = session_writer_finish(x.to, err);
    if (rc == MF_OK) {
        counts->json += x.inspector.replaced;
        counts->withheld += x.inspector.withheld;
        counts->truncated |= reader_ended(r) == READER_END_TRUNCATED;
    }
    for (struct named *item; (item = names_next(&x.talkers, NULL));)
        forget(&x, (struct talker *)item);
    names_fini(&x.talkers, NULL);
    reader_close(r);
    session_writer_free(x.to);
    buf_fini(&x.scratch);
    return rc;
}

void redact_counts_fini(struct redact_counts *counts) {
    for (size_t i = 0; i < counts->headers_count; i++)
        free(counts->headers[i].name);
    free(counts->headers);
    *counts = (struct redact_counts){0};
}
