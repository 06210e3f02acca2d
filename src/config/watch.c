#include "config/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_DELETE)

/* What tells one content of a file from another, without reading it. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct watched {
    struct watched *next;
    struct identity seen; /* all zero: it was not there */
    char path[];
};

struct config_watch {
    int fd;
    struct watched *files;
};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Links are followed: what counts is what would be read. */
static struct identity identify(const char *path) {
    struct stat st;
    if (stat(path, &st))
        return (struct identity){0};
    return (struct identity){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_identity(const struct identity *a, const struct identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static int watch_directory(const struct config_watch *w, const char *path) {
    char directory[PATH_MAX];
    size_t len = (size_t)(base_name(path) - path);
    if (len >= sizeof directory)
        return -1;
    memcpy(directory, path, len);
    directory[len] = '\0';
    return inotify_add_watch(w->fd, len ? directory : ".", EVENTS | IN_MASK_ADD);
}

/* Where the name stands, and where the file is that a link leads to; that may be another one after each switch. */
static int watch_directories(const struct config_watch *w, const char *path) {
    char real[PATH_MAX];
    if (watch_directory(w, path) < 0)
        return -1;
    if (realpath(path, real))
        (void)watch_directory(w, real);
    return 0;
}

int config_watch_new(struct config_watch **out, struct err *err) {
    *out = NULL;
    struct config_watch *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, MF_ENOMEM, "out of memory");
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        int saved = errno;
        free(w);
        return err_set(err, MF_EIO, "files cannot be watched: %s", strerror(saved));
    }
    *out = w;
    return 0;
}

int config_watch_add(struct config_watch *w, const char *file, struct err *err) {
    for (const struct watched *it = w->files; it; it = it->next)
        if (!strcmp(it->path, file))
            return 0;
    size_t size = strlen(file) + 1;
    struct watched *added = malloc(sizeof *added + size);
    if (!added)
        return err_set(err, MF_ENOMEM, "out of memory");
    /* First the watch: what changes after it is seen, what changed before is in `seen`. */
    if (watch_directories(w, file)) {
        int saved = errno;
        free(added);
        return err_set_at(err, MF_EIO, file, 0, 0, "cannot be watched: %s", strerror(saved));
    }
    memcpy(added->path, file, size);
    added->seen = identify(file);
    added->next = w->files;
    w->files = added;
    return 0;
}

void config_watch_clear(struct config_watch *w) {
    while (w->files) {
        struct watched *next = w->files->next;
        free(w->files);
        w->files = next;
    }
}

int config_watch_fd(const struct config_watch *w) {
    return w->fd;
}

/* Does the event alone say that one of the files is another now? A second save within the clock's tick, of the same
 * size, would look the same to identify(). */
static bool is_written(const struct config_watch *w, const struct inotify_event *event) {
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    if (!(event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) || !event->len)
        return false;
    for (const struct watched *it = w->files; it; it = it->next)
        if (!strcmp(event->name, base_name(it->path)))
            return true;
    return false;
}

/* Compares each file with what was seen last; true when one that is there has changed. */
static bool look_again(struct config_watch *w) {
    static const struct identity nothing;
    bool changed = false;
    for (struct watched *it = w->files; it; it = it->next) {
        struct identity now = identify(it->path);
        if (same_identity(&now, &it->seen))
            continue;
        it->seen = now;
        changed |= !same_identity(&now, &nothing);
        (void)watch_directories(w, it->path);
    }
    return changed;
}

bool config_watch_changed(struct config_watch *w) {
    /* Room for one event of the longest name at least, inotify(7). */
    _Alignas(struct inotify_event) char events[4096];
    bool written = false, any = false;
    for (ssize_t n; (n = read(w->fd, events, sizeof events)) > 0;) {
        any = true;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);
            written |= is_written(w, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    /* Both, so that `seen` is up to date whatever the events said. */
    bool changed = any && look_again(w);
    return written || changed;
}

void config_watch_free(struct config_watch *w) {
    if (!w)
        return;
    config_watch_clear(w);
    close(w->fd);
    free(w);
}
