#include "recording/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "match/pattern.h"
#include "protocol/text.h"
#include "recording/writer.h"

#define HEAD_MAX 192 /* bytes of a frame's line up to its direction: the connection's name and the time */

/* A line in the ring stands behind its length. */
struct tap {
    struct recorder *recorder;
    char *connection;
    struct glob *path;
    bool has_direction;
    enum event_direction direction;
    int fd;
    /* under recorder.taps.lock */
    uint8_t *ring;
    size_t size;
    uint64_t head, tail;                      /* bytes written and taken, ever */
    bool told;                                /* the descriptor is readable */
    uint64_t serial;                          /* of the recording whose lines came last */
    uint64_t lost_lines, lost_bytes, lost_us; /* since the last line that fitted; lost_us: the last one's time */
};

/* ---- the ring ---- */

static void copy_in(struct tap *t, const void *data, size_t len) {
    size_t at = (size_t)(t->head % t->size), first = MIN(len, t->size - at);
    memcpy(t->ring + at, data, first);
    memcpy(t->ring, (const uint8_t *)data + first, len - first);
    t->head += len;
}

static void copy_out(struct tap *t, void *data, size_t len) {
    size_t at = (size_t)(t->tail % t->size), first = MIN(len, t->size - at);
    memcpy(data, t->ring + at, first);
    memcpy((uint8_t *)data + first, t->ring, len - first);
    t->tail += len;
}

static bool has_room(const struct tap *t, size_t len) {
    return len + sizeof(uint32_t) <= t->size - (size_t)(t->head - t->tail);
}

static void put_line(struct tap *t, const void *line, size_t len) {
    uint32_t n = (uint32_t)len;
    copy_in(t, &n, sizeof n);
    copy_in(t, line, len);
}

static void tell(struct tap *t) {
    uint64_t one = 1;
    if (t->told)
        return;
    t->told = true;
    ssize_t ignored = write(t->fd, &one, sizeof one);
    (void)ignored;
}

/* ---- what was lost ---- */

static int write_gap(const struct tap *t, struct buf *out) {
    const struct session_event gap = {.type = EVENT_GAP,
                                      .connection = "*",
                                      .timestamp_us = t->lost_us,
                                      .gap_frames = t->lost_lines,
                                      .gap_bytes = t->lost_bytes};
    return event_write_line(out, &gap);
}

static void forget_lost(struct tap *t) {
    t->lost_lines = t->lost_bytes = 0;
}

/* ---- the writer's side ---- */

static int write_recording(const struct recording *rec, struct buf *out) {
    const struct session_event e = {.type = EVENT_RECORDING,
                                    .version = SESSION_FILE_VERSION,
                                    .recorded_at_us = rec->recorded_at_us,
                                    .generator = "mockforge " MF_VERSION};
    if (event_write_line(out, &e) < 0)
        return MF_ENOMEM;
    out->len -= 2; /* "}\n" */
    buf_puts(out, ",\"file\":");
    const char *path = recording_path(rec);
    json_quote(out, path, strlen(path));
    buf_puts(out, "}\n");
    return out->failed ? MF_ENOMEM : MF_OK;
}

static bool has_direction(const uint8_t *line, size_t len, enum event_direction direction) {
    const char *member = direction == EVENT_INCOMING ? ",\"direction\":\"incoming\"" : ",\"direction\":\"outgoing\"";
    return memmem(line, MIN(len, (size_t)HEAD_MAX), member, strlen(member)) != NULL;
}

static bool wants(const struct tap *t, const struct track *track, const uint8_t *line, size_t len) {
    const struct connection *c = &track->connection;
    return (!t->connection || !strcmp(t->connection, c->id)) &&
           (!t->path || (c->path && glob_matches(t->path, c->path, strlen(c->path)))) &&
           (!t->has_direction || has_direction(line, len, t->direction));
}

/* What must stand before the line: what was lost, and whose line it is. */
static int write_before(const struct tap *t, const struct recording *rec, struct buf *out) {
    buf_reset(out);
    if (t->lost_lines && write_gap(t, out) < 0)
        return MF_ENOMEM;
    return t->serial == rec->serial ? MF_OK : write_recording(rec, out);
}

static void offer(struct writer *w, struct tap *t, const struct recording *rec, const uint8_t *line, size_t len) {
    struct buf *together = &w->recorder->taps.line;
    int rc = write_before(t, rec, together);
    if (rc < 0 || !has_room(t, together->len + len)) {
        t->lost_lines++;
        t->lost_bytes += len;
        t->lost_us = recording_timestamp(rec, w->now_us);
    } else {
        buf_append(together, line, len);
        if (!together->failed)
            put_line(t, together->data, together->len);
        t->serial = rec->serial;
        forget_lost(t);
    }
    tell(t);
}

void taps_offer(struct writer *w, const struct recording *rec) {
    const struct buf *lines = &rec->journal.lines;
    const uint8_t *before = lines->len > 1 ? memrchr(lines->data, '\n', lines->len - 1) : NULL;
    const uint8_t *line = before ? before + 1 : lines->data;
    size_t len = (size_t)(lines->data + lines->len - line);
    struct taps *taps = &w->recorder->taps;
    if (!w->speaking || !len)
        return;
    pthread_mutex_lock(&taps->lock);
    for (size_t i = 0; i < TAPS_MAX; i++)
        if (taps->items[i] && wants(taps->items[i], w->speaking, line, len))
            offer(w, taps->items[i], rec, line, len);
    pthread_mutex_unlock(&taps->lock);
}

/* ---- the reader's side ---- */

static bool take_line(struct tap *t, struct buf *out) {
    uint32_t len;
    uint64_t tail = t->tail;
    copy_out(t, &len, sizeof len);
    if (buf_reserve(out, len) < 0) {
        t->tail = tail;
        return false;
    }
    copy_out(t, out->data + out->len, len);
    out->len += len;
    return true;
}

bool tap_take(struct tap *t, struct buf *out, size_t most) {
    size_t before = out->len;
    uint64_t n;
    pthread_mutex_lock(&t->recorder->taps.lock);
    while (t->tail < t->head && out->len - before < most && take_line(t, out))
        continue;
    bool more = t->tail < t->head;
    if (!more && t->lost_lines && write_gap(t, out) == MF_OK)
        forget_lost(t);
    if (!more && t->told) {
        ssize_t ignored = read(t->fd, &n, sizeof n);
        (void)ignored;
        t->told = false;
    }
    pthread_mutex_unlock(&t->recorder->taps.lock);
    return more;
}

int tap_fd(const struct tap *t) {
    return t->fd;
}

/* ---- life ---- */

static int fill(struct tap *t, const struct tap_options *o, struct err *err) {
    const char *why = NULL;
    t->size = o->bytes ? o->bytes : TAP_BYTES;
    t->has_direction = o->has_direction;
    t->direction = o->direction;
    t->ring = malloc(t->size);
    t->connection = o->connection ? strdup(o->connection) : NULL;
    if (!t->ring || !t->connection != !o->connection)
        return err_set(err, MF_ENOMEM, "out of memory");
    int rc = o->path ? glob_compile(o->path, &t->path, &why) : MF_OK;
    if (rc < 0)
        return err_set(err, rc, "%s", why ? why : "out of memory");
    t->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return t->fd < 0 ? err_set(err, MF_EIO, "eventfd: %s", strerror(errno)) : MF_OK;
}

static void release(struct tap *t) {
    if (t->fd >= 0)
        close(t->fd);
    glob_free(t->path);
    free(t->connection);
    free(t->ring);
    free(t);
}

static bool add(struct taps *taps, struct tap *t) {
    size_t i = 0;
    pthread_mutex_lock(&taps->lock);
    while (i < TAPS_MAX && taps->items[i])
        i++;
    if (i < TAPS_MAX) {
        taps->items[i] = t;
        atomic_fetch_add(&taps->count, 1);
    }
    pthread_mutex_unlock(&taps->lock);
    return i < TAPS_MAX;
}

int recorder_tap(struct recorder *r, const struct tap_options *options, struct tap **out, struct err *err) {
    struct tap *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, MF_ENOMEM, "out of memory");
    t->recorder = r;
    t->fd = -1;
    int rc = fill(t, options, err);
    if (rc == MF_OK && !add(&r->taps, t))
        rc = err_set(err, MF_ELIMIT, "%u look already, and that is as many as may", TAPS_MAX);
    if (rc < 0)
        release(t);
    else
        *out = t;
    return rc;
}

void tap_free(struct tap *t) {
    if (!t)
        return;
    struct taps *taps = &t->recorder->taps;
    pthread_mutex_lock(&taps->lock);
    for (size_t i = 0; i < TAPS_MAX; i++)
        if (taps->items[i] == t) {
            taps->items[i] = NULL;
            atomic_fetch_sub(&taps->count, 1);
        }
    pthread_mutex_unlock(&taps->lock);
    release(t);
}
