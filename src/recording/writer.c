#include "recording/writer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* So much is taken from a ring before its space is given back and the others have their turn. */
#define DRAIN_STEP (64u << 10)
/* How long a record waits for an older one from another worker. */
#define SETTLE_US 1000u
/* Sleep while there is traffic. Nobody wakes the writer then but a ring that is half full: a wake-up for each record
 * would double what recording costs. */
#define POLL_MIN_US 500u
#define POLL_BUSY_US 2000u
#define POLL_US 5000u
#define POLL_QUIET_US 10000u
/* After so many polls without a record the workers are asked to wake it. */
#define POLLS_BEFORE_SLEEP 10u
#define CHECK_US 250000u
/* Below the workers, where they share a core: it has the ring to be late in. Not the idle class: on a machine whose
 * cores are all taken by others that gets some milliseconds a second, and the workers would wait for it. */
#define WRITER_NICE 5

void writer_wake(struct writer *w, enum writer_state least) {
    if (atomic_load(&w->state) < (int)least || atomic_exchange(&w->state, WRITER_AWAKE) == WRITER_AWAKE)
        return;
    uint64_t one = 1;
    ssize_t ignored = write(w->fd, &one, sizeof one);
    (void)ignored;
}

static uint64_t flush_due(const struct recording *rec) {
    /* The frames wait in the ring for a poll first, and that is within flush_ms as well. */
    uint64_t flush = rec->settings.flush_us;
    return rec->journal.first_line_us + flush - MIN(flush / 2, (uint64_t)POLL_QUIET_US);
}

void writer_mark_dirty(struct writer *w, struct recording *rec) {
    if (list_empty(&rec->dirty))
        list_append(&w->dirty, &rec->dirty);
    uint64_t due = flush_due(rec);
    if (!w->next_flush_us || due < w->next_flush_us)
        w->next_flush_us = due;
}

/* ---- the rings ---- */

/* The port's worker waits, and half of its ring is free again. */
static void tell_port(struct record_port *port) {
    if (!atomic_load(&port->waiting) || ring_used(&port->ring) >= port->ring.size / 2 ||
        !atomic_exchange(&port->waiting, false))
        return;
    uint64_t one = 1;
    ssize_t ignored = write(port->fd, &one, sizeof one);
    (void)ignored;
}

static const struct record *next_record(struct record_port *port) {
    return (const struct record *)(const void *)ring_peek(&port->ring);
}

/* One step of one ring: records up to the time `until`. Returns the bytes that were taken. */
static size_t drain(struct writer *w, struct record_port *port, uint64_t until) {
    size_t taken = 0;
    const struct record *r;
    while (taken < DRAIN_STEP && (r = next_record(port)) && r->time_us <= until) {
        ring_next(&port->ring);
        taken += r->head.size;
        track_record(w, r);
    }
    if (taken) {
        ring_release(&port->ring);
        tell_port(port);
    }
    return taken;
}

/* Ends that found the ring full: what they end is in the ring before them. */
static void drain_late(struct writer *w, struct record_port *port) {
    struct track *t = atomic_exchange(&port->late, NULL);
    if (!t)
        return;
    while (drain(w, port, UINT64_MAX))
        continue;
    for (struct track *next; t; t = next) {
        next = t->late_next;
        track_end(w, t);
    }
}

/* What a turn has left in the rings: nothing; what is too young yet; more than one turn takes. */
enum drained { DRAINED_ALL, DRAINED_SETTLED, DRAINED_STEP };

/* The ring whose next record is the oldest, and how far it may be drained before another's is older. */
static struct record_port *oldest(struct recorder *r, uint64_t *until) {
    struct record_port *first = NULL;
    uint64_t first_us = UINT64_MAX;
    for (unsigned i = 0; i < r->ports_count; i++) {
        const struct record *next = next_record(&r->ports[i]);
        if (!next)
            continue;
        if (next->time_us < first_us) {
            *until = MIN(*until, first_us);
            first = &r->ports[i];
            first_us = next->time_us;
        } else {
            *until = MIN(*until, next->time_us);
        }
    }
    return first_us <= *until ? first : NULL;
}

/* A turn over all rings, oldest records first, so that the lines of a file stand in the order of their times whatever
 * workers they come from. What is younger than `until` waits: another ring may still get something older. */
static size_t drain_all(struct writer *w, uint64_t until, enum drained *drained) {
    struct recorder *r = w->recorder;
    size_t sum = 0, fullest = 0, ring = r->ports[0].ring.size;
    for (unsigned i = 0; i < r->ports_count; i++)
        fullest = MAX(fullest, ring_used(&r->ports[i].ring));
    w->codec.hurry = fullest > (w->codec.hurry ? ring / 8 : ring / 2);
    for (;;) {
        uint64_t limit = until;
        struct record_port *port = oldest(r, &limit);
        *drained = port ? DRAINED_STEP : DRAINED_ALL;
        if (!port || sum >= DRAIN_STEP * r->ports_count)
            break;
        sum += drain(w, port, limit);
    }
    for (unsigned i = 0; i < r->ports_count; i++) {
        drain_late(w, &r->ports[i]);
        if (!*drained && next_record(&r->ports[i]))
            *drained = DRAINED_SETTLED;
    }
    return sum;
}

/* ---- timers ---- */

static void take_arrivals(struct writer *w) {
    struct recorder *r = w->recorder;
    pthread_mutex_lock(&r->lock);
    struct recording *rec = r->arrivals;
    r->arrivals = NULL;
    pthread_mutex_unlock(&r->lock);
    while (rec) {
        struct recording *next = rec->next_arrival;
        list_append(&w->recordings, &rec->link);
        w->least_flush_us = MIN(w->least_flush_us, rec->settings.flush_us);
        recording_ready(w, rec);
        rec = next;
    }
}

static void flush_due_ones(struct writer *w) {
    if (!w->next_flush_us || w->now_us < w->next_flush_us)
        return;
    w->next_flush_us = 0;
    LIST_EACH_SAFE(&w->dirty, it) {
        struct recording *rec = container_of(it, struct recording, dirty);
        uint64_t due = flush_due(rec);
        if (due <= w->now_us)
            recording_flush(w, rec);
        else if (!w->next_flush_us || due < w->next_flush_us)
            w->next_flush_us = due;
    }
}

static void check_recordings(struct writer *w) {
    if (list_empty(&w->recordings) || w->now_us < w->next_check_us)
        return;
    LIST_EACH_SAFE(&w->recordings, it)
    recording_check(w, container_of(it, struct recording, link));
    w->next_check_us = w->now_us + CHECK_US;
}

/* ---- sleep ---- */

static void sleep_until(struct writer *w, enum writer_state state, uint64_t us, bool forever) {
    atomic_store(&w->state, state);
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (ppoll(&p, 1, forever ? NULL : &ts, NULL) > 0) {
        uint64_t n;
        ssize_t ignored = read(w->fd, &n, sizeof n);
        (void)ignored;
    }
}

/* The time until `at`, at most *us. */
static void sooner(uint64_t *us, uint64_t now, uint64_t at) {
    uint64_t left = at > now ? at - now : 0;
    *us = MIN(*us, left);
}

/* quiet: how many turns in a row found nothing. Going to sleep takes two turns: a worker that saw the state of before
 * has published its record long before the second one looks at the ring, so no record waits for the next traffic. */
static void rest(struct writer *w, size_t taken, unsigned quiet) {
    size_t ring = w->recorder->ports[0].ring.size;
    uint64_t us = taken > ring / 8 ? POLL_BUSY_US : taken > ring / 64 ? POLL_US : POLL_QUIET_US;
    us = MIN(us, MAX(w->least_flush_us / 4, (uint64_t)POLL_MIN_US));
    bool asleep = quiet > POLLS_BEFORE_SLEEP, forever = false;
    if (quiet > POLLS_BEFORE_SLEEP + 1) {
        forever = list_empty(&w->recordings);
        us = CHECK_US * 4;
    }
    if (w->next_flush_us)
        sooner(&us, w->now_us, w->next_flush_us);
    else if (asleep && !forever)
        sooner(&us, w->now_us, w->next_check_us);
    sleep_until(w, asleep ? WRITER_ASLEEP : WRITER_POLLING, us, forever);
}

/* ---- the thread ---- */

/* The workers have ended: what they could not put into their rings any more is taken from their hands. */
static void take_spilled(struct writer *w, struct record_port *port) {
    for (struct spilled *node; (node = port->spill_first);) {
        bool embedded = node->embedded;
        port->spill_first = node->next;
        track_record(w, &node->record);
        if (!embedded)
            free(node);
    }
}

static void finish_everything(struct writer *w) {
    take_arrivals(w);
    for (unsigned i = 0; i < w->recorder->ports_count; i++)
        take_spilled(w, &w->recorder->ports[i]);
    LIST_EACH_SAFE(&w->recordings, it)
    recording_finish(w, container_of(it, struct recording, link));
    jobs_wait(&w->recorder->jobs);
    LIST_EACH_SAFE(&w->recordings, done) {
        struct recording *rec = container_of(done, struct recording, link);
        list_remove(&rec->link);
        recording_discard(w, rec);
    }
}

/* Between a worker's look at the clock and its record in the ring lies a moment. One ring is in order by itself. */
static uint64_t drain_until(const struct writer *w, bool stopping) {
    return stopping || w->recorder->ports_count == 1 ? UINT64_MAX : w->now_us - SETTLE_US;
}

static void *writer_main(void *arg) {
    struct writer *w = arg;
    pthread_setname_np(pthread_self(), "mf-writer");
    /* Of this thread alone (Linux); it may well fail, and nothing depends on it. */
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, (id_t)gettid(), WRITER_NICE);

    for (unsigned quiet = 0;;) {
        bool stopping = atomic_load(&w->stopping);
        enum drained drained;
        w->now_us = clock_mono_us();
        take_arrivals(w);
        size_t taken = drain_all(w, drain_until(w, stopping), &drained);
        flush_due_ones(w);
        check_recordings(w);
        if (taken || drained) {
            atomic_store(&w->state, WRITER_AWAKE);
            quiet = 0;
        } else if (stopping) {
            break;
        } else {
            quiet++;
        }
        if (drained == DRAINED_SETTLED && !stopping)
            sleep_until(w, WRITER_POLLING, SETTLE_US, false);
        else if (drained == DRAINED_ALL && !stopping)
            rest(w, taken, quiet);
    }
    finish_everything(w);
    return NULL;
}

int writer_start(struct writer *w, struct recorder *r, struct err *err) {
    w->recorder = r;
    w->least_flush_us = UINT64_MAX;
    w->fd = -1;
    list_init(&w->recordings);
    list_init(&w->dirty);
    if (journal_codec_init(&w->codec) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int why = w->fd < 0 ? errno : pthread_create(&w->thread, NULL, writer_main, w);
    if (!why)
        return MF_OK;
    if (w->fd >= 0)
        close(w->fd);
    journal_codec_fini(&w->codec);
    return err_set(err, MF_EIO, "cannot start the writer thread: %s", strerror(why));
}

void writer_stop(struct writer *w) {
    atomic_store(&w->stopping, true);
    writer_wake(w, WRITER_POLLING);
    pthread_join(w->thread, NULL);
    close(w->fd);
    journal_codec_fini(&w->codec);
    buf_fini(&w->scratch);
}
