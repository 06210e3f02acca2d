/* ws tail FILE: the end of a file that is being written, and of those in which it goes on. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/ws_tail.h"
#include "recording/convert.h"
#include "recording/reader.h"

#define LOOK_EVERY_NS 100000000L /* a recorder flushes every 100 ms */
#define LIST_EVERY 10u           /* looks: the directory is gone through for a later part */
#define BACK_FIRST (64u << 10)   /* bytes before the end that are looked through first; then eight times as many */

struct source {
    struct tail *tail;
    char *first;   /* part 1's name; NULL: not a name that has parts */
    unsigned part; /* the one that is read */
    char *path;    /* its name */
    struct reader *reader;
    dev_t device;
    ino_t inode;
    bool gone_said;
};

/* ---- parts ---- */

/* The number of `name` as a part of `first` (both without their directory), 0: it is none. */
static unsigned number_of(const char *name, const char *first) {
    char *base = NULL;
    unsigned part = session_part_of(name, &base);
    bool same = base && !strcmp(base, first);
    free(base);
    return same ? part : 0;
}

/* Of the parts in the directory the first one behind `after` (highest false) or the last one at all; 0: there is none.
 */
static unsigned find_part(const struct source *s, unsigned after, bool highest) {
    const char *slash = strrchr(s->first, '/'), *name = slash ? slash + 1 : s->first;
    char *directory = slash ? strndup(s->first, (size_t)MAX(slash - s->first, 1)) : strdup(".");
    DIR *d = directory ? opendir(directory) : NULL;
    unsigned found = 0;
    /* cppcheck-suppress readdirCalled ; the main thread, and a stream of its own */
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        unsigned part = number_of(entry->d_name, name);
        if (part > after && (!found || (highest ? part > found : part < found)))
            found = part;
    }
    if (d)
        closedir(d);
    free(directory);
    return found;
}

static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

/* The part behind this one, if it is there yet. */
static unsigned next_part(const struct source *s, unsigned looks) {
    char *next = s->first ? session_part(s->first, s->part + 1) : NULL;
    bool there = next && exists(next);
    free(next);
    if (there)
        return s->part + 1;
    return s->first && looks % LIST_EVERY == LIST_EVERY - 1 ? find_part(s, s->part, false) : 0;
}

/* ---- opening ---- */

static int open_reader(struct source *s, struct err *err) {
    struct stat st;
    reader_close(s->reader);
    s->reader = NULL;
    int rc = reader_open(s->path, &s->reader, err);
    if (rc == MF_OK)
        reader_growing(s->reader, true);
    if (rc == MF_OK && stat(s->path, &st) == 0) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
    s->gone_said = false;
    return rc;
}

static int open_part(struct source *s, unsigned part, struct err *err) {
    char *path = session_part(s->first, part);
    if (!path)
        return err_set(err, MF_ENOMEM, "out of memory");
    free(s->path);
    s->path = path;
    s->part = part;
    return open_reader(s, err);
}

static bool is_document(const struct reader *r) {
    return reader_form(r) != READER_NATIVE && reader_form(r) != READER_JSONL;
}

/* ---- reading ---- */

/* Up to the file's end as it is now. */
static int read_on(struct source *s, struct err *err) {
    struct session_event e;
    int rc = 0;
    while (!s->tail->write_error && (rc = reader_next(s->reader, &e, err)) > 0)
        if ((rc = tail_add(s->tail, &e, err)) < 0)
            break;
    return rc;
}

/* Everything from this many bytes before the end of part `from` on. *all: from is read from its beginning. */
static int read_end(struct source *s, unsigned from, unsigned to, uint64_t back, bool *all, struct err *err) {
    int rc = MF_OK;
    tail_forget(s->tail);
    ws_sieve_fini(&s->tail->sieve);
    for (unsigned part = from; rc >= 0 && part && part <= to; part = find_part(s, part, false)) {
        if (s->first)
            rc = open_part(s, part, err);
        if (rc == MF_OK && part == from) {
            rc = reader_seek_end(s->reader, back, err);
            *all = rc == 0;
        }
        if (rc >= 0)
            rc = read_on(s, err);
        if (!s->first)
            break;
    }
    return rc;
}

/* The part before this one; 0: there is none. */
static unsigned part_before(const struct source *s, unsigned part) {
    unsigned before = 0;
    for (unsigned next = s->first ? find_part(s, 0, false) : 0; next && next < part; next = find_part(s, next, false))
        before = next;
    return before;
}

/* Looks from further and further back until there are as many messages as are asked for. */
static int find_last(struct source *s, struct err *err) {
    struct tail *t = s->tail;
    unsigned to = s->part, from = to;
    uint64_t back = BACK_FIRST;
    for (;;) {
        bool all = false;
        int rc = read_end(s, from, to, back, &all, err);
        if (rc < 0 || t->write_error || t->kept_count >= t->last)
            return rc;
        unsigned before = all ? part_before(s, from) : 0;
        if (all && !before)
            return rc;
        back = all ? BACK_FIRST : back * 8;
        from = all ? before : from;
    }
}

/* ---- following ---- */

enum change { CHANGE_NONE, CHANGE_REPLACED, CHANGE_TRUNCATED };

static enum change look(struct source *s) {
    struct stat st;
    if (reader_size(s->reader) < reader_position(s->reader))
        return CHANGE_TRUNCATED;
    if (stat(s->path, &st) < 0) {
        if (errno == ENOENT && !s->gone_said)
            tail_say("%s is gone; waiting for it", s->path);
        s->gone_said = true;
        return CHANGE_NONE;
    }
    return st.st_ino != s->inode || st.st_dev != s->device ? CHANGE_REPLACED : CHANGE_NONE;
}

static void wait_a_little(void) {
    struct timespec pause = {0, LOOK_EVERY_NS};
    nanosleep(&pause, NULL);
}

/* Nothing more in this file for now: has it moved on? 1: there is something to read. */
static int wait_for_more(struct source *s, unsigned looks, struct err *err) {
    enum change change = look(s);
    int rc = 0;
    if (change != CHANGE_NONE) {
        tail_say(change == CHANGE_REPLACED ? "%s was replaced: reading the new one from its beginning"
                                           : "%s was truncated: reading it from its beginning",
                 s->path);
        ws_sieve_fini(&s->tail->sieve);
        rc = open_reader(s, err);
        return rc < 0 ? rc : 1;
    }
    unsigned next = next_part(s, looks);
    if (!next) {
        wait_a_little();
        return 0;
    }
    if (reader_more(s->reader)) /* what was written before the next part was begun */
        return 1;
    rc = open_part(s, next, err);
    if (rc == MF_OK)
        tail_say("the recording goes on in %s", s->path);
    return rc < 0 ? rc : 1;
}

static int follow(struct source *s, struct err *err) {
    int rc = MF_OK;
    for (unsigned looks = 0; rc >= 0 && !s->tail->write_error;) {
        if (reader_more(s->reader) || (rc = wait_for_more(s, looks++, err)) > 0) {
            rc = read_on(s, err);
            /* What was cut off or replaced while it was read is no damage. */
            if (rc < 0 && look(s) != CHANGE_NONE)
                rc = MF_OK;
            tail_flush(s->tail);
        }
    }
    return rc;
}

static void wait_for_file(const char *path) {
    if (exists(path) || errno != ENOENT)
        return;
    tail_say("waiting for %s", path);
    while (!exists(path) && errno == ENOENT)
        wait_a_little();
}

static int tail_source(struct source *s, struct err *err) {
    unsigned last = s->first ? find_part(s, 0, true) : 0;
    int rc = last > s->part ? open_part(s, last, err) : open_reader(s, err);
    if (rc == MF_OK)
        rc = find_last(s, err);
    if (rc < 0)
        return rc;
    tail_go_live(s->tail);
    if (is_document(s->reader)) {
        tail_say("%s is a document, which is written when its recording has ended: nothing comes after it", s->path);
        return MF_OK;
    }
    return follow(s, err);
}

int tail_file(struct tail *t, const char *path) {
    struct source s = {.tail = t, .path = strdup(path)};
    struct err err = {0};
    s.part = session_part_of(path, &s.first);
    wait_for_file(path);
    int rc = s.path ? tail_source(&s, &err) : err_set(&err, MF_ENOMEM, "out of memory");
    if (rc >= 0 && t->write_error && t->write_error != EPIPE)
        rc = err_set(&err, MF_EIO, "cannot write to stdout: %s", strerror(t->write_error));
    reader_close(s.reader);
    free(s.first);
    free(s.path);
    err.damaged = false; /* there is no --recover here */
    return rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}
