#include "recording/retention.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "recording/recorder_path.h"

struct old_file {
    char *name;
    int64_t modified_us;
    uint64_t bytes;
};
struct old_files {
    struct old_file *items;
    size_t count, cap;
};

/* "ws-{{date}}.json" -> "ws-*": each placeholder stands for anything, everything else for itself. */
static void append_glob(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len;) {
        if (len - i >= 2 && text[i] == '{' && text[i + 1] == '{') {
            const char *end = memmem(text + i, len - i, "}}", 2);
            buf_putc(out, '*');
            i = end ? (size_t)(end - text) + 2 : len;
            continue;
        }
        if (strchr("*?[\\", text[i]))
            buf_putc(out, '\\');
        buf_putc(out, text[i++]);
    }
}

static bool glob_matches(const char *stem, size_t len, const char *suffix, const char *ext, const char *name) {
    struct buf glob = BUF_INIT;
    append_glob(&glob, stem, len);
    buf_puts(&glob, suffix);
    buf_puts(&glob, ext);
    bool matches = !fnmatch(buf_cstr(&glob), name, FNM_PERIOD) && !glob.failed;
    buf_fini(&glob);
    return matches;
}

/* Where the last segment of a template begins; a slash within a placeholder is none. */
static const char *last_segment(const char *text) {
    const char *start = text;
    for (const char *p = text; *p; p++) {
        if (p[0] == '{' && p[1] == '{') {
            const char *end = strstr(p, "}}");
            if (!end)
                break;
            p = end + 1;
        } else if (*p == '/') {
            start = p + 1;
        }
    }
    return start;
}

/* The number that follows the last `separator` in the name's stem: is it one that we append? */
static bool ends_in_number(const char *name, const char *ext, char separator) {
    const char *p = ext;
    while (p > name && p[-1] >= '0' && p[-1] <= '9')
        p--;
    return p < ext && p > name && p[-1] == separator && *p != '0';
}

bool retention_matches(const char *template_text, const char *name) {
    enum session_form wanted, form;
    const char *stem = last_segment(template_text), *ext = recorder_extension(stem, &wanted);
    const char *name_ext = recorder_extension(name, &form);
    if (!ext || !name_ext || form != wanted)
        return false;
    /* A journal belongs to its document. */
    static const char journal[] = ".journal";
    size_t name_len = (size_t)(name_ext - name), journal_len = sizeof journal - 1;
    if (name_len >= journal_len && !memcmp(name_ext - journal_len, journal, journal_len))
        return false;
    size_t len = (size_t)(ext - stem);
    return glob_matches(stem, len, "", ext, name) ||
           (ends_in_number(name, name_ext, '.') && glob_matches(stem, len, ".*", ext, name)) ||
           (ends_in_number(name, name_ext, '-') && glob_matches(stem, len, "-*", ext, name));
}

static bool add_file(struct old_files *files, const char *name, const struct stat *st) {
    if (!ARRAY_ROOM(files->items, files->count, files->cap, 32))
        return false;
    char *copy = strdup(name);
    if (!copy)
        return false;
    files->items[files->count++] = (struct old_file){
        copy, (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000, (uint64_t)st->st_size};
    return true;
}

static void collect(int dir_fd, const char *template_text, struct old_files *files) {
    int fd = dup(dir_fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct stat st;
    /* The stream is this call's own, which is all that readdir asks for (readdir_r is deprecated). */
    // cppcheck-suppress readdirCalled
    for (struct dirent *d = readdir(dir); d; d = readdir(dir))
        if (retention_matches(template_text, d->d_name) && fstatat(dir_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && !add_file(files, d->d_name, &st))
            break;
    closedir(dir);
}

static int newest_first(const void *a, const void *b) {
    const struct old_file *x = a, *y = b;
    if (x->modified_us != y->modified_us)
        return x->modified_us < y->modified_us ? 1 : -1;
    return strcmp(y->name, x->name);
}

/* A writer holds its file's lock; a document that is being recorded has a journal whose writer does. */
static bool is_being_written(int dir_fd, const char *name) {
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno != ENOENT;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) < 0;
    close(fd);
    return locked;
}

static bool has_journal(int dir_fd, const char *name) {
    enum session_form form;
    if (!recorder_extension(name, &form) || form == SESSION_NATIVE || form == SESSION_JSONL)
        return false;
    char *journal = recorder_journal(name);
    struct stat st;
    bool there = !journal || fstatat(dir_fd, journal, &st, AT_SYMLINK_NOFOLLOW) == 0;
    free(journal);
    return there;
}

static bool remove_one(int dir_fd, const struct old_file *f, const char *own) {
    if (!strcmp(f->name, own) || has_journal(dir_fd, f->name) || is_being_written(dir_fd, f->name))
        return false;
    if (unlinkat(dir_fd, f->name, 0) < 0) {
        LOG_LIMITED(LOG_WARN, "recording_retention", "name=%s error=%s", log_quote(f->name), strerror(errno));
        return false;
    }
    log_info("recording_removed", "name=%s bytes=%llu", log_quote(f->name), (unsigned long long)f->bytes);
    return true;
}

unsigned retention_apply(const char *path, const char *template_text, const struct retention_limits *limits) {
    const char *slash = strrchr(path, '/'), *own = slash ? slash + 1 : path;
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int dir_fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    if (dir_fd < 0)
        return 0;
    struct old_files files = {0};
    collect(dir_fd, template_text, &files);
    if (files.count)
        qsort(files.items, files.count, sizeof *files.items, newest_first);
    int64_t oldest_us = clock_wall_us() - (int64_t)limits->seconds * 1000000;
    uint64_t bytes = 0, kept = 0;
    unsigned removed = 0;
    for (size_t i = 0; i < files.count; i++) {
        const struct old_file *f = &files.items[i];
        bool over = (limits->files && kept >= limits->files) || (limits->bytes && bytes + f->bytes > limits->bytes) ||
                    (limits->seconds && f->modified_us < oldest_us);
        if (over && remove_one(dir_fd, f, own)) {
            removed++;
        } else {
            kept++;
            bytes += f->bytes;
        }
        free(f->name);
    }
    free(files.items);
    close(dir_fd);
    return removed;
}
