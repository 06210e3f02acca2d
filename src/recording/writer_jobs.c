/* A thread for what would hold the writer up: documents are made from journals here, and old recordings removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "recording/retention.h"
#include "recording/writer.h"

#define JOBS_NICE 10

int jobs_init(struct jobs *jobs) {
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->changed, NULL);
    jobs->last = &jobs->first;
    return MF_OK;
}

static void run(struct finish_job *job) {
    struct recording *rec = job->recording;
    job->run(job);
    atomic_fetch_sub(&rec->jobs, 1);
}

static void *jobs_main(void *arg) {
    struct jobs *jobs = arg;
    pthread_setname_np(pthread_self(), "mf-documents");
    setpriority(PRIO_PROCESS, (id_t)gettid(), JOBS_NICE);
    pthread_mutex_lock(&jobs->lock);
    while (jobs->first || !jobs->stopping) {
        struct finish_job *job = jobs->first;
        if (!job) {
            pthread_cond_wait(&jobs->changed, &jobs->lock);
            continue;
        }
        jobs->first = job->next;
        if (!jobs->first)
            jobs->last = &jobs->first;
        jobs->busy = true;
        pthread_mutex_unlock(&jobs->lock);
        run(job);
        pthread_mutex_lock(&jobs->lock);
        jobs->busy = false;
        pthread_cond_broadcast(&jobs->changed);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

void jobs_post(struct jobs *jobs, struct finish_job *job) {
    job->next = NULL;
    atomic_fetch_add(&job->recording->jobs, 1);
    pthread_mutex_lock(&jobs->lock);
    if (!jobs->started)
        jobs->started = pthread_create(&jobs->thread, NULL, jobs_main, jobs) == 0;
    bool queued = jobs->started;
    if (queued) {
        *jobs->last = job;
        jobs->last = &job->next;
        pthread_cond_broadcast(&jobs->changed);
    }
    pthread_mutex_unlock(&jobs->lock);
    if (!queued)
        run(job);
}

void jobs_wait(struct jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    while (jobs->first || jobs->busy)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    pthread_mutex_unlock(&jobs->lock);
}

void jobs_fini(struct jobs *jobs) {
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    bool started = jobs->started;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    if (started)
        pthread_join(jobs->thread, NULL);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
}

/* ---- documents ---- */

struct convert_job {
    struct finish_job job;
    struct recorder *recorder;
    char *from, *to;
    bool overwrite, remove_from;
    int level;
};

static void free_convert(struct convert_job *c) {
    free(c->from);
    free(c->to);
    free(c);
}

static void run_convert(struct finish_job *job) {
    struct convert_job *c = container_of(job, struct convert_job, job);
    struct convert_options options = {.level = c->level, .overwrite = c->overwrite};
    struct convert_result result;
    struct err err = {0};
    if (session_convert(c->from, c->to, &options, &result, &err) < 0) {
        char text[sizeof err.text + sizeof err.file];
        log_error("recording_document", "path=%s journal=%s error=%s finish_with=%s", log_quote(c->to),
                  log_quote(c->from), log_quote(err_format(&err, text, sizeof text)),
                  log_quote("mockforge ws convert JOURNAL DOCUMENT"));
        atomic_store(&job->recording->convert_failed, true);
        atomic_store(&c->recorder->failed, true);
    } else {
        log_info("recording_document", "path=%s messages=%llu", log_quote(c->to), (unsigned long long)result.messages);
        if (c->remove_from && unlink(c->from) < 0)
            log_warn("recording_journal", "path=%s error=%s", log_quote(c->from), strerror(errno));
        if (!c->remove_from)
            atomic_store(&job->recording->convert_failed, false);
    }
    free_convert(c);
}

void jobs_convert(struct recorder *r, struct recording *rec, const char *from, const char *to, bool overwrite,
                  bool remove_from) {
    struct convert_job *c = calloc(1, sizeof *c);
    if (c) {
        *c = (struct convert_job){.job = {.run = run_convert, .recording = rec},
                                  .recorder = r,
                                  .from = strdup(from),
                                  .to = strdup(to),
                                  .overwrite = overwrite,
                                  .remove_from = remove_from,
                                  .level = rec->settings.level};
        if (c->from && c->to) {
            jobs_post(&r->jobs, &c->job);
            return;
        }
        free_convert(c);
    }
    log_error("recording_document", "path=%s error=\"out of memory\"", log_quote(to));
    atomic_store(&rec->convert_failed, true);
    atomic_store(&r->failed, true);
}

/* ---- retention ---- */

struct retain_job {
    struct finish_job job;
    char *path;
};

static void run_retain(struct finish_job *job);

static size_t directory_len(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Would this job do the same, for a file that is younger? */
static bool is_same(const struct finish_job *job, const struct recording *rec, const char *path) {
    const struct record_settings *a = &job->recording->settings, *b = &rec->settings;
    if (job->run != run_retain || a->keep_files != b->keep_files || a->keep_seconds != b->keep_seconds ||
        a->keep_bytes != b->keep_bytes || strcmp(a->template_text, b->template_text) != 0)
        return false;
    const char *other = container_of(job, struct retain_job, job)->path;
    size_t len = directory_len(path);
    return len == directory_len(other) && !memcmp(path, other, len);
}

/* A file for each connection, and thousands end together: one look at the directory does for all of them. */
static bool joins_queued(struct jobs *jobs, const struct recording *rec, char **path) {
    bool joined = false;
    pthread_mutex_lock(&jobs->lock);
    for (struct finish_job *job = jobs->first; job && !joined; job = job->next) {
        if (!is_same(job, rec, *path))
            continue;
        struct retain_job *queued = container_of(job, struct retain_job, job);
        char *older = queued->path;
        queued->path = *path;
        *path = older;
        joined = true;
    }
    pthread_mutex_unlock(&jobs->lock);
    return joined;
}

static void run_retain(struct finish_job *job) {
    struct retain_job *j = container_of(job, struct retain_job, job);
    const struct record_settings *s = &job->recording->settings;
    struct retention_limits limits = {.files = s->keep_files, .seconds = s->keep_seconds, .bytes = s->keep_bytes};
    retention_apply(j->path, s->template_text, &limits);
    free(j->path);
    free(j);
}

void jobs_retain(struct recorder *r, struct recording *rec) {
    struct retain_job *j = calloc(1, sizeof *j);
    if (!j || !(j->path = strdup(recording_path(rec))) || joins_queued(&r->jobs, rec, &j->path)) {
        free(j ? j->path : NULL);
        free(j);
        return;
    }
    j->job = (struct finish_job){.run = run_retain, .recording = rec};
    jobs_post(&r->jobs, &j->job);
}
