#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "recording/recorder_path.h"
#include "recording/writer.h"

#define RING_DEFAULT (4u << 20)
#define RING_MIN (64u << 10)

static size_t bucket_of(const char *path) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *path; path++)
        h = (h ^ (uint8_t)*path) * 16777619u;
    return h % RECORDER_BUCKETS;
}

static int init_ports(struct recorder *r, const struct recorder_options *options, struct err *err) {
    size_t ring = options->ring_bytes ? options->ring_bytes : RING_DEFAULT;
    if (ring < RING_MIN || (ring & (ring - 1)))
        return err_set(err, MF_EINVAL, "the recorder's ring must be a power of two, at least %u bytes", RING_MIN);
    r->ports = aligned_alloc(RING_LINE, options->ports * sizeof *r->ports);
    if (!r->ports)
        return err_set(err, MF_ENOMEM, "out of memory");
    memset(r->ports, 0, options->ports * sizeof *r->ports);
    for (; r->ports_count < options->ports; r->ports_count++) {
        struct record_port *port = &r->ports[r->ports_count];
        if (ring_init(&port->ring, ring) < 0)
            return err_set(err, MF_ENOMEM, "out of memory");
        port->recorder = r;
        port->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (port->fd < 0) {
            int why = errno;
            ring_fini(&port->ring);
            return err_set(err, MF_EIO, "eventfd: %s", strerror(why));
        }
    }
    return MF_OK;
}

static void fini(struct recorder *r) {
    for (unsigned i = 0; i < r->ports_count; i++) {
        ring_fini(&r->ports[i].ring);
        close(r->ports[i].fd);
    }
    free(r->ports);
    jobs_fini(&r->jobs);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->taps.lock);
    buf_fini(&r->taps.line);
    free(r);
}

int recorder_new(const struct recorder_options *options, struct recorder **out, struct err *err) {
    MUST(options->ports > 0);
    struct recorder *r = aligned_alloc(RING_LINE, (sizeof *r + RING_LINE - 1) / RING_LINE * RING_LINE);
    if (!r)
        return err_set(err, MF_ENOMEM, "out of memory");
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->taps.lock, NULL);
    int rc = jobs_init(&r->jobs);
    if (rc == MF_OK)
        rc = init_ports(r, options, err);
    if (rc == MF_OK)
        rc = writer_start(&r->writer, r, err);
    if (rc < 0) {
        fini(r);
        return rc;
    }
    *out = r;
    return MF_OK;
}

int recorder_finish(struct recorder *r) {
    if (!r->finished)
        writer_stop(&r->writer);
    r->finished = true;
    return atomic_load(&r->failed) ? MF_EIO : MF_OK;
}

int recorder_free(struct recorder *r) {
    if (!r)
        return MF_OK;
    int rc = recorder_finish(r);
    fini(r);
    return rc;
}

const struct metrics *recorder_metrics(const struct recorder *r) {
    return &r->writer.counts;
}

int recorder_check_path(const char *path, struct err *err) {
    enum session_form form;
    if (!recorder_extension(path, &form))
        return err_set(err, MF_EINVAL, "%s: the name must end in .jsonl.zst, .jsonl, .json or .json.zst", path);
    char *probe;
    if (asprintf(&probe, "%s.check-%ld", path, (long)getpid()) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    int rc = MF_OK, fd = -1;
    if (recorder_make_directories(path) < 0)
        rc = err_set(err, MF_EIO, "cannot make the directory of %s: %s", path, strerror(errno));
    else if ((fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        rc = err_set(err, MF_EIO, "cannot record to %s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(probe);
    }
    free(probe);
    return rc;
}

/* ---- recordings ---- */

static int copy_settings(struct recording *rec, const struct record_config *c, struct err *err) {
    rec->settings = (struct record_settings){
        .flush_us = (uint64_t)(c->flush_ms ? c->flush_ms : 100) * 1000,
        .rotate_us = (uint64_t)c->rotate_seconds * 1000000,
        .rotate_size = c->rotate_size,
        .fsync = c->fsync,
        .level = c->level,
        .keep_files = c->keep_files,
        .keep_seconds = c->keep_seconds,
        .keep_bytes = c->keep_bytes,
        .template_text = strdup(c->path.text ? c->path.text : rec->key),
    };
    return rec->settings.template_text ? MF_OK : err_set(err, MF_ENOMEM, "out of memory");
}

static int recording_new(struct recorder *r, const char *path, const struct record_config *config,
                         struct recording **out, struct err *err) {
    enum session_form form;
    if (!recorder_extension(path, &form))
        return err_set(err, MF_EINVAL, "%s: the name must end in .jsonl.zst, .jsonl, .json or .json.zst", path);
    struct recording *rec = calloc(1, sizeof *rec);
    struct shown_path *shown = malloc(sizeof *shown + strlen(path) + 1);
    if (!rec || !shown || !(rec->key = strdup(path))) {
        free(rec);
        free(shown);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    rec->recorder = r;
    rec->serial = ++r->serials;
    rec->form = form;
    rec->journal.fd = -1;
    rec->asked_wall_us = clock_wall_us();
    rec->asked_mono_us = clock_mono_us();
    atomic_init(&rec->refs, 1);
    shown->next = NULL;
    memcpy(shown->text, path, strlen(path) + 1);
    atomic_init(&rec->shown, shown);
    list_init(&rec->link);
    list_init(&rec->dirty);
    list_init(&rec->tracks);
    int rc = copy_settings(rec, config, err);
    if (rc < 0) {
        recording_free(rec);
        return rc;
    }
    *out = rec;
    return MF_OK;
}

void recording_free(struct recording *rec) {
    for (struct shown_path *p = atomic_load(&rec->shown), *next; p; p = next) {
        next = p->next;
        free(p);
    }
    journal_drop(&rec->journal);
    buf_fini(&rec->carried);
    free(rec->settings.template_text);
    free(rec->name);
    free(rec->key);
    free(rec);
}

int recorder_open(struct recorder *r, const char *path, const struct record_config *config, struct recording **out,
                  struct err *err) {
    size_t bucket = bucket_of(path);
    int rc = MF_OK;
    pthread_mutex_lock(&r->lock);
    struct recording *rec = r->buckets[bucket];
    while (rec && strcmp(rec->key, path) != 0)
        rec = rec->next_in_bucket;
    if (rec) {
        atomic_fetch_add(&rec->refs, 1);
    } else if ((rc = recording_new(r, path, config, &rec, err)) == MF_OK && rec) {
        rec->next_in_bucket = r->buckets[bucket];
        r->buckets[bucket] = rec;
        rec->next_arrival = r->arrivals;
        r->arrivals = rec;
    }
    pthread_mutex_unlock(&r->lock);
    if (rc < 0)
        return rc;
    writer_wake(&r->writer, WRITER_ASLEEP);
    *out = rec;
    return MF_OK;
}

bool recorder_forget(struct recorder *r, struct recording *rec) {
    pthread_mutex_lock(&r->lock);
    bool unused = atomic_load(&rec->refs) == 0;
    if (unused) {
        struct recording **at = &r->buckets[bucket_of(rec->key)];
        while (*at != rec)
            at = &(*at)->next_in_bucket;
        *at = rec->next_in_bucket;
    }
    pthread_mutex_unlock(&r->lock);
    return unused;
}

struct recording *recording_ref(struct recording *rec) {
    atomic_fetch_add_explicit(&rec->refs, 1, memory_order_relaxed);
    return rec;
}

void recording_unref(struct recording *rec) {
    if (!rec)
        return;
    /* The writer may free it as soon as the count is 0. */
    struct recorder *r = rec->recorder;
    if (atomic_fetch_sub(&rec->refs, 1) == 1)
        writer_wake(&r->writer, WRITER_ASLEEP);
}

void recording_get_stats(const struct recording *rec, struct recording_stats *out) {
    *out = (struct recording_stats){
        .connections = atomic_load_explicit(&rec->connections, memory_order_relaxed),
        .frames = atomic_load_explicit(&rec->frames, memory_order_relaxed),
        .payload_bytes = atomic_load_explicit(&rec->payload_bytes, memory_order_relaxed),
        .file_bytes = atomic_load_explicit(&rec->file_bytes, memory_order_relaxed),
        .dropped = atomic_load_explicit(&rec->dropped, memory_order_relaxed),
        .failed = atomic_load_explicit(&rec->failed, memory_order_relaxed),
    };
}

const char *recording_path(const struct recording *rec) {
    return atomic_load(&rec->shown)->text;
}

/* ---- ports ---- */

struct record_port *recorder_port(struct recorder *r, unsigned index, struct metrics *counts) {
    MUST(index < r->ports_count);
    r->ports[index].counts = counts;
    return &r->ports[index];
}

int record_port_fd(const struct record_port *port) {
    return port->fd;
}

void record_port_clear(struct record_port *port) {
    uint64_t n;
    ssize_t ignored = read(port->fd, &n, sizeof n);
    (void)ignored;
    port_unspill(port);
}
