/* A recording's files: opening, rotation, failure and recovery, the end. All on the writer's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "recording/open_list.h"
#include "recording/recorder_path.h"
#include "recording/writer.h"

#define RETRY_US 1000000u
#define NAMES_MAX 10000u /* "-2" … tried before giving up */
#define RELEASE_LINES_US 2000000u
/* How long the journal of a finished document waits for connections that come back to its path. A path of the day
 * can be asked for until the day is over, everywhere; one that names the connection will not come again. */
#define PARK_DATED_US (25ull * 3600 * 1000000)
#define PARK_UNIQUE_US (60ull * 1000000)

static bool is_document(const struct recording *rec) {
    return rec->form == SESSION_DOCUMENT || rec->form == SESSION_DOCUMENT_ZST;
}

uint64_t recording_timestamp(const struct recording *rec, uint64_t time_us) {
    int64_t us = (int64_t)time_us - rec->base_us;
    return us > 0 ? (uint64_t)us : 0;
}

/* ---- failure and recovery ---- */

static void tell_all_ports(struct recorder *r) {
    for (unsigned i = 0; i < r->ports_count; i++) {
        uint64_t one = 1;
        ssize_t ignored = write(r->ports[i].fd, &one, sizeof one);
        (void)ignored;
    }
}

static void set_failed(struct writer *w, struct recording *rec, const char *path, const char *why) {
    if (atomic_load_explicit(&rec->failed, memory_order_relaxed))
        return;
    LOG_LIMITED(LOG_ERROR, "recording_failed", "path=%s error=%s", log_quote(path), log_quote(why));
    metrics_inc(&w->counts, METRIC_ERRORS_RECORDING);
    atomic_store(&rec->failed, true);
    tell_all_ports(rec->recorder); /* for the connections with on_error=close */
}

static void set_recovered(struct recording *rec) {
    if (!atomic_load_explicit(&rec->failed, memory_order_relaxed))
        return;
    LOG_LIMITED(LOG_INFO, "recording_recovered", "path=%s", log_quote(recording_path(rec)));
    atomic_store(&rec->failed, false);
}

static void count_file_bytes(struct writer *w, struct recording *rec, uint64_t bytes) {
    uint64_t was = atomic_load_explicit(&rec->file_bytes, memory_order_relaxed);
    if (bytes > was)
        metrics_add(&w->counts, METRIC_RECORDED_FILE_BYTES, bytes - was);
    atomic_store_explicit(&rec->file_bytes, bytes, memory_order_relaxed);
}

/* After anything that may have written. */
static void after_io(struct writer *w, struct recording *rec) {
    count_file_bytes(w, rec, rec->earlier_bytes + rec->journal.size);
    if (rec->journal.error == JOURNAL_TAKEN_AWAY)
        w->next_check_us = w->now_us; /* another file is begun at the next turn */
    else if (rec->journal.error)
        set_failed(w, rec, rec->journal.path, strerror(rec->journal.error));
    else
        set_recovered(rec);
}

/* ---- lines ---- */

static bool rotation_due(const struct writer *w, const struct recording *rec) {
    const struct record_settings *s = &rec->settings;
    if (rec->phase != RECORDING_WRITING || !rec->part_lines || rec->journal.error)
        return false;
    return (s->rotate_size && journal_size(&rec->journal) >= s->rotate_size) ||
           (s->rotate_us && w->now_us - rec->part_opened_us >= s->rotate_us) || journal_full(&rec->journal);
}

void recording_line_added(struct writer *w, struct recording *rec) {
    uint64_t before = rec->journal.size;
    if (MF_UNLIKELY(atomic_load_explicit(&w->recorder->taps.count, memory_order_relaxed)))
        taps_offer(w, rec);
    journal_line_added(&rec->journal, &w->codec, w->now_us);
    if (rec->journal.lines.len)
        writer_mark_dirty(w, rec);
    else if (rec->journal.size != before || rec->journal.error)
        after_io(w, rec);
    rec->last_line_us = w->now_us;
    rec->part_lines = true;
    if (rotation_due(w, rec)) /* at the next turn: not in the middle of what is being written */
        w->next_check_us = w->now_us;
}

void recording_count(struct writer *w, struct recording *rec, uint64_t frames, uint64_t payload_bytes) {
    count_relaxed(&rec->frames, frames);
    count_relaxed(&rec->payload_bytes, payload_bytes);
    metrics_add(&w->counts, METRIC_RECORDED_FRAMES, frames);
    metrics_add(&w->counts, METRIC_RECORDED_BYTES, payload_bytes);
}

void recording_write(struct writer *w, struct recording *rec, const struct session_event *e) {
    struct buf *lines = &rec->journal.lines;
    if (!lines->cap && buf_reserve(lines, JOURNAL_LINES_START) < 0)
        buf_reset(lines);
    if (event_write_line(lines, e) < 0) {
        /* What was there before is whole; this line is lost, and counted. */
        lines->failed = false;
        atomic_fetch_add_explicit(&rec->dropped, 1, memory_order_relaxed);
        metrics_inc(&w->counts, METRIC_RECORD_DROPPED);
        return;
    }
    if (event_is_frame(e->type)) {
        bool complete = !e->frame_size || e->frame_offset + e->data.len == e->frame_size;
        recording_count(w, rec, complete, e->data.len);
    }
    recording_line_added(w, rec);
}

/* Connections whose lines are in this file so far, and not their end. */
void recording_list_open(struct writer *w, struct recording *rec) {
    struct buf opens = BUF_INIT;
    if (rec->phase != RECORDING_WRITING)
        return;
    LIST_EACH_SAFE(&rec->tracks, it) {
        const struct track *t = container_of(it, struct track, link);
        if (!t->open_written || opens.len > OPEN_LIST_MAX)
            continue;
        buf_append(&opens, t->open_line.data, t->open_line.len);
        opens.failed |= !t->open_line.len; /* there was no memory for it: a list that lacks one is worse than none */
    }
    journal_list(&rec->journal, &w->codec, &opens, w->now_us);
    after_io(w, rec);
}

static void write_recording_line(struct writer *w, struct recording *rec) {
    struct session_event e = {.type = EVENT_RECORDING,
                              .version = SESSION_FILE_VERSION,
                              .recorded_at_us = rec->recorded_at_us,
                              .generator = "mockforge " MF_VERSION};
    recording_write(w, rec, &e);
}

/* ---- opening ---- */

static void show_path(struct recording *rec, const char *path) {
    struct shown_path *now = atomic_load(&rec->shown);
    if (!strcmp(now->text, path))
        return;
    struct shown_path *p = malloc(sizeof *p + strlen(path) + 1);
    if (!p)
        return;
    memcpy(p->text, path, strlen(path) + 1);
    p->next = now;
    atomic_store(&rec->shown, p);
}

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Opens part `part` of `name`. */
static int open_part(struct recording *rec, const char *name, unsigned part, enum journal_want want, struct err *err) {
    bool document = is_document(rec);
    char *target = recorder_part(name, part), *file = target && document ? recorder_journal(target) : target;
    int rc = MF_OK;
    if (!file)
        rc = err_set(err, MF_ENOMEM, "out of memory");
    else if (document && !rec->document_written && exists(target))
        rc = err_set(err, MF_EAGAIN, "%s exists", target);
    else if (recorder_make_directories(file) < 0)
        rc = err_set(err, MF_EIO, "cannot make the directory of %s: %s", file, strerror(errno));
    struct journal_options options = {.plain = rec->form == SESSION_JSONL,
                                      .sync_each = rec->settings.fsync == RECORD_FSYNC_INTERVAL,
                                      .sync_at_end = rec->settings.fsync != RECORD_FSYNC_NEVER,
                                      .level = rec->settings.level,
                                      .want = want};
    if (rc == MF_OK)
        rc = journal_open(&rec->journal, file, &options, err);
    if (rc == MF_OK && target)
        show_path(rec, target);
    if (file != target)
        free(file);
    free(target);
    return rc;
}

/* The last part of a recording that an earlier run has left: it goes on there. */
static unsigned last_part(const struct recording *rec, const char *name) {
    unsigned part = 1;
    for (bool there = !is_document(rec); there;) {
        char *next = recorder_part(name, part + 1);
        there = next && exists(next);
        part += there;
        free(next);
    }
    return part;
}

/* The first name that can be had: the path itself, "-2", "-3", … */
static int open_any_name(struct recording *rec, struct err *err) {
    for (unsigned n = 1; n <= NAMES_MAX; n++) {
        char *name = recorder_alternative(rec->key, n);
        if (!name)
            return err_set(err, MF_ENOMEM, "out of memory");
        unsigned part = last_part(rec, name);
        int rc = open_part(rec, name, part, JOURNAL_ANY, err);
        if (rc == MF_OK) {
            free(rec->name);
            rec->name = name;
            rec->part = part;
            if (n > 1)
                log_info("recording_renamed", "path=%s because=%s", log_quote(name), log_quote("the name was taken"));
            return MF_OK;
        }
        free(name);
        if (rc != MF_EAGAIN)
            return rc;
    }
    return err_set(err, MF_EIO, "no free name for %s", rec->key);
}

/* A file that goes on keeps its time line: its first line's recorded_at stays the origin. */
static void set_time_base(struct recording *rec) {
    if (rec->recorded_at_us)
        return;
    rec->recorded_at_us = rec->asked_wall_us;
    rec->base_us = (int64_t)rec->asked_mono_us;
    int64_t first = rec->journal.recorded_at_us;
    if (first && first <= rec->asked_wall_us) {
        rec->base_us -= rec->asked_wall_us - first;
        rec->recorded_at_us = first;
    }
}

static void continue_tracks(struct writer *w, struct recording *rec) {
    LIST_EACH_SAFE(&rec->tracks, it)
    track_continue(w, container_of(it, struct track, link));
}

static void opened(struct writer *w, struct recording *rec) {
    bool again = rec->phase == RECORDING_PARKED;
    rec->phase = RECORDING_WRITING;
    rec->part_opened_us = w->now_us;
    set_time_base(rec);
    /* A parked journal is counted among the earlier ones; now it is the current one again. */
    if (again)
        rec->earlier_bytes -= MIN(rec->earlier_bytes, rec->journal.size);
    atomic_store_explicit(&rec->file_bytes, rec->earlier_bytes + rec->journal.size, memory_order_relaxed);
    metrics_inc(&w->counts, METRIC_RECORDINGS_OPEN);
    if (!again || rec->journal.size == 0)
        write_recording_line(w, rec);
    continue_tracks(w, rec);
    rec->part_lines = false;
    if (rec->carried.len) {
        journal_flush(&rec->journal, &w->codec, w->now_us);
        journal_adopt(&rec->journal, &rec->carried, w->now_us);
    }
    after_io(w, rec);
}

static void forget_name(struct recording *rec) {
    free(rec->name);
    rec->name = NULL;
    rec->phase = RECORDING_STARTING;
    rec->document_written = false;
    rec->recorded_at_us = 0;
}

/* A parked document is written again from its journal, when that is still ours. When it is gone, or another process
 * goes on with it, the document is all that we have of its messages: what comes now gets a document of its own. */
static int open_parked(struct recording *rec, struct err *err) {
    int rc = open_part(rec, rec->name, rec->part, JOURNAL_THERE, err);
    if (rc != MF_EAGAIN)
        return rc;
    forget_name(rec);
    return open_any_name(rec, err);
}

/* The part that could not be opened at a rotation. */
static int open_next_part(struct recording *rec, struct err *err) {
    int rc;
    while ((rc = open_part(rec, rec->name, rec->part, JOURNAL_ANY, err)) == MF_EAGAIN && rec->part < NAMES_MAX)
        rec->part++;
    return rc;
}

bool recording_ready(struct writer *w, struct recording *rec) {
    if (MF_LIKELY(rec->phase == RECORDING_WRITING))
        return journal_accepts(&rec->journal);
    if (rec->retry_us && w->now_us < rec->retry_us)
        return false;
    struct err err;
    int rc;
    if (rec->phase == RECORDING_PARKED)
        rc = open_parked(rec, &err);
    else if (rec->name)
        rc = open_next_part(rec, &err);
    else
        rc = open_any_name(rec, &err);
    if (rc < 0) {
        rec->retry_us = w->now_us + RETRY_US;
        set_failed(w, rec, recording_path(rec), err.text);
        return false;
    }
    rec->retry_us = 0;
    opened(w, rec);
    return true;
}

/* ---- parts ---- */

/* Somebody removed or truncated the file: what it did not get yet goes to a new one, and so does what comes. */
static void begin_again(struct writer *w, struct recording *rec) {
    LOG_LIMITED(LOG_ERROR, "recording_taken_away", "path=%s because=%s", log_quote(rec->journal.path),
                log_quote("the file was removed or truncated; a new one is begun"));
    metrics_inc(&w->counts, METRIC_ERRORS_RECORDING);
    metrics_dec(&w->counts, METRIC_RECORDINGS_OPEN);
    list_remove(&rec->dirty);
    rec->earlier_bytes += rec->journal.size;
    journal_flush(&rec->journal, &w->codec, w->now_us);
    rec->carried = rec->journal.pending;
    rec->journal.pending = (struct buf)BUF_INIT;
    journal_drop(&rec->journal);
    /* A document is of one journal: another one gets a document of its own. */
    if (is_document(rec))
        forget_name(rec);
    rec->phase = RECORDING_STARTING;
    recording_ready(w, rec);
}

static void close_file(struct writer *w, struct recording *rec) {
    journal_flush(&rec->journal, &w->codec, w->now_us);
    if (rec->journal.error == JOURNAL_TAKEN_AWAY)
        begin_again(w, rec);
    list_remove(&rec->dirty);
    if (!journal_is_open(&rec->journal))
        return;
    uint64_t size;
    if (journal_finish(&rec->journal, &w->codec, w->now_us, &size) < 0) {
        metrics_inc(&w->counts, METRIC_ERRORS_RECORDING);
        rec->unfinished = true;
        atomic_store(&rec->recorder->failed, true);
    }
    rec->earlier_bytes += size;
    count_file_bytes(w, rec, rec->earlier_bytes);
    metrics_dec(&w->counts, METRIC_RECORDINGS_OPEN);
}

/* The document of the current part, from its journal. */
static void post_document(struct recording *rec, bool remove_journal) {
    char *target = recorder_part(rec->name, rec->part), *journal = target ? recorder_journal(target) : NULL;
    if (journal)
        jobs_convert(rec->recorder, rec, journal, target, rec->document_written, remove_journal);
    else
        atomic_store(&rec->convert_failed, true);
    rec->document_written = true;
    free(journal);
    free(target);
}

static void post_retention(struct recording *rec) {
    const struct record_settings *s = &rec->settings;
    if (s->keep_files || s->keep_seconds || s->keep_bytes)
        jobs_retain(rec->recorder, rec);
}

static void rotate(struct writer *w, struct recording *rec) {
    struct err err;
    /* What the disk does not take now waits in memory with the file open; it would be lost with its end. */
    journal_flush(&rec->journal, &w->codec, w->now_us);
    if (rec->journal.error) {
        after_io(w, rec);
        return;
    }
    close_file(w, rec);
    if (rec->phase == RECORDING_STARTING) /* it was taken away, and no other one can be had yet */
        return;
    if (is_document(rec))
        post_document(rec, true);
    rec->document_written = false;
    int rc;
    do {
        rec->part++;
        rc = open_part(rec, rec->name, rec->part, JOURNAL_FRESH, &err);
    } while (rc == MF_EAGAIN && rec->part < NAMES_MAX);
    post_retention(rec);
    if (rc < 0) {
        rec->phase = RECORDING_STARTING;
        rec->retry_us = w->now_us + RETRY_US;
        set_failed(w, rec, recording_path(rec), err.text);
        return;
    }
    opened(w, rec);
}

void recording_flush(struct writer *w, struct recording *rec) {
    list_remove(&rec->dirty);
    journal_flush(&rec->journal, &w->codec, w->now_us);
    after_io(w, rec);
    if (rotation_due(w, rec))
        rotate(w, rec);
}

/* ---- the end ---- */

/* Does the path name more than the day, so that nothing comes back to it? */
static bool is_unique_path(const char *template_text) {
    for (const char *p = strstr(template_text, "{{"); p; p = strstr(p, "{{")) {
        p += 2;
        p += strspn(p, " ");
        if (strncmp(p, "date", 4) != 0 && strncmp(p, "env.", 4) != 0)
            return true;
    }
    return false;
}

static void remove_journal(const struct recording *rec) {
    char *target = recorder_part(rec->name, rec->part), *journal = target ? recorder_journal(target) : NULL;
    int fd = journal ? open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    /* Not the journal of another process that has gone on with it since. */
    bool ours = fd >= 0 ? flock(fd, LOCK_EX | LOCK_NB) == 0 : errno != ENOENT;
    if (journal && ours && unlink(journal) < 0 && errno != ENOENT)
        log_warn("recording_journal", "path=%s error=%s", log_quote(journal), strerror(errno));
    if (fd >= 0)
        close(fd);
    free(journal);
    free(target);
}

void recording_finish(struct writer *w, struct recording *rec) {
    if (rec->phase == RECORDING_PARKED || rec->phase == RECORDING_ENDED)
        return;
    close_file(w, rec);
    if (rec->phase == RECORDING_STARTING) {
        rec->unfinished = true;
        atomic_store(&rec->recorder->failed, true);
        return;
    }
    if (is_document(rec)) {
        post_document(rec, false);
        rec->phase = RECORDING_PARKED;
        rec->parked_us = w->now_us;
    }
    post_retention(rec);
}

/* The connections that did not end before the recorder did: their workers are gone. */
static void free_tracks(struct writer *w, struct recording *rec) {
    LIST_EACH_SAFE(&rec->tracks, it)
    track_free(w, container_of(it, struct track, link));
}

void recording_discard(struct writer *w, struct recording *rec) {
    free_tracks(w, rec);
    if (is_document(rec) && rec->phase == RECORDING_PARKED && !rec->unfinished && !atomic_load(&rec->convert_failed))
        remove_journal(rec);
    recording_free(rec);
}

/* The writer waits for no job: it would keep all other recordings from their disk. */
static void discard(struct writer *w, struct recording *rec) {
    if (atomic_load(&rec->jobs)) {
        rec->phase = RECORDING_ENDED;
        return;
    }
    list_remove(&rec->link);
    recording_discard(w, rec);
}

/* No reference is left. */
static void check_idle(struct writer *w, struct recording *rec) {
    if (!rec->idle_since_us)
        rec->idle_since_us = w->now_us;
    if (rec->phase == RECORDING_PARKED) {
        uint64_t stay = is_unique_path(rec->settings.template_text) ? PARK_UNIQUE_US : PARK_DATED_US;
        if (w->now_us - rec->parked_us < stay || atomic_load(&rec->jobs))
            return;
    } else if (w->now_us - rec->idle_since_us < RECORDING_LINGER_US) {
        return;
    } else if (is_document(rec) && rec->phase == RECORDING_WRITING) {
        recording_finish(w, rec);
        return;
    }
    if (!recorder_forget(rec->recorder, rec))
        return;
    recording_finish(w, rec);
    discard(w, rec);
}

void recording_check(struct writer *w, struct recording *rec) {
    if (rec->phase == RECORDING_ENDED) {
        discard(w, rec);
        return;
    }
    if (rec->journal.error == JOURNAL_TAKEN_AWAY)
        begin_again(w, rec);
    if (rec->phase == RECORDING_WRITING) {
        journal_retry(&rec->journal, w->now_us);
        after_io(w, rec);
        if (rotation_due(w, rec))
            rotate(w, rec);
    } else if (rec->phase == RECORDING_STARTING) {
        recording_ready(w, rec);
    }
    if (rec->journal.lines.cap && !rec->journal.lines.len && w->now_us - rec->last_line_us > RELEASE_LINES_US)
        buf_fini(&rec->journal.lines);
    if (atomic_load(&rec->refs) == 0)
        check_idle(w, rec);
    else
        rec->idle_since_us = 0;
}
