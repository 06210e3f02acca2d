/* Loading a recording: the reader's events, sorted into the connections that they are of. */
#include "replay/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "recording/reader.h"
#include "replay/source_build.h"

#define PROGRESS_EVERY 512 /* events */
/* A smaller file is read from its beginning even when only a later part is wanted: all that is wrong with it is told.
 */
#define READ_THROUGH ((uint64_t)4 << 20)
/* Events of several connections step back in time a little: so long after to_us nothing from before it comes. */
#define LATE_US (60 * (uint64_t)1000000)
#define NAMES_LISTED 16 /* in a message */

struct loaded { /* what is behind a struct replay_source */
    struct replay_source source;
    struct slab slab;
};

/* A name that was seen, and the connection that has it now. */
struct named {
    const char *name;
    uint32_t building; /* NOBODY: it was not asked for, or nothing of it is in that time */
};
#define NOBODY UINT32_MAX

struct loading {
    const char *path;
    const struct replay_source_options *options;
    size_t bytes_max;
    bool through; /* from the file's beginning in any case */
    struct reader *reader;
    struct keep keep;

    struct building **buildings;
    uint32_t count;
    size_t cap;
    uint32_t *slots; /* open addressing into names: index + 1 */
    struct named *names;
    uint32_t names_count, names_cap;

    int64_t recorded_at_us;
    unsigned run, damage;
    uint64_t events, last_us; /* how many were read, and the latest time in them */
};

static int no_memory(struct err *err) {
    return err_set(err, MF_ENOMEM, "out of memory");
}

/* ---- names ---- */

static uint32_t *find_slot(const struct loading *l, const char *name) {
    uint32_t mask = l->names_cap * 2 - 1;
    for (uint32_t i = (uint32_t)hash_bytes(name, strlen(name)) & mask;; i = (i + 1) & mask)
        if (!l->slots[i] || !strcmp(l->names[l->slots[i] - 1].name, name))
            return &l->slots[i];
}

static int grow_names(struct loading *l) {
    uint32_t cap = l->names_cap ? l->names_cap * 2 : 16;
    struct named *names = realloc(l->names, cap * sizeof *names);
    if (!names)
        return MF_ENOMEM;
    l->names = names;
    uint32_t *slots = calloc((size_t)cap * 2, sizeof *slots);
    if (!slots)
        return MF_ENOMEM;
    free(l->slots);
    l->slots = slots;
    l->keep.bytes += (cap - l->names_cap) * (sizeof *names + 2 * sizeof *slots);
    l->names_cap = cap;
    for (uint32_t i = 0; i < l->names_count; i++)
        *find_slot(l, names[i].name) = i + 1;
    return MF_OK;
}

/* The entry of a name; a new one the first time. NULL: no memory. */
static struct named *name_entry(struct loading *l, const char *name) {
    if (l->names_count == l->names_cap && grow_names(l) < 0)
        return NULL;
    uint32_t *slot = find_slot(l, name);
    if (!*slot) {
        const char *copy = slab_copy(&l->keep.slab, name, strlen(name));
        if (!copy)
            return NULL;
        l->names[l->names_count] = (struct named){copy, NOBODY};
        *slot = ++l->names_count;
    }
    return &l->names[*slot - 1];
}

static bool is_wanted(const struct loading *l, const char *name) {
    const struct replay_source_options *o = l->options;
    for (size_t i = 0; i < o->connections_count; i++)
        if (!strcmp(o->connections[i], name))
            return true;
    return !o->connections;
}

/* ---- connections ---- */

static struct building *add_building(struct loading *l, struct named *name) {
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct building **p = realloc(l->buildings, cap * sizeof *p);
        if (!p)
            return NULL;
        l->keep.bytes += (cap - l->cap) * sizeof *p;
        l->buildings = p;
        l->cap = cap;
    }
    struct building *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    l->keep.bytes += sizeof *b + sizeof b->c;
    b->c.name = name->name;
    b->run = b->first_run = l->run;
    b->damage = l->damage;
    b->number = l->count;
    name->building = l->count;
    l->buildings[l->count++] = b;
    return b;
}

/* Who has this name now. A `recording` line has ended all before it, unless a rotated part goes on with them. */
static struct building *current(struct loading *l, const struct named *name, const struct session_event *e) {
    if (name->building == NOBODY)
        return NULL;
    struct building *b = l->buildings[name->building];
    if (e->type == EVENT_OPEN && (!e->continued || b->ended))
        return NULL;
    if (b->run != l->run) {
        if (e->type != EVENT_OPEN)
            return NULL;
        b->run = l->run;
    }
    if (b->damage != l->damage)
        building_break(b, &l->keep);
    b->damage = l->damage;
    return b;
}

static bool is_in_time(const struct loading *l, uint64_t timestamp_us) {
    return timestamp_us >= l->options->from_us && (!l->options->to_us || timestamp_us <= l->options->to_us);
}

static int take_open(struct loading *l, struct named *name, struct building *b, const struct session_event *e) {
    if (b && b->opened)
        return MF_OK; /* `continued`: said again */
    if (l->options->to_us && e->timestamp_us > l->options->to_us)
        return MF_OK;
    if (!b && !(b = add_building(l, name)))
        return MF_ENOMEM;
    return building_open(b, &l->keep, e, is_in_time(l, e->timestamp_us));
}

/* An event of a connection that was asked for. */
static int take_event(struct loading *l, struct named *name, const struct session_event *e) {
    struct building *b = current(l, name, e);
    if (e->type == EVENT_OPEN)
        return take_open(l, name, b, e);
    if (event_is_frame(e->type) && is_in_time(l, e->timestamp_us)) {
        if (!b && !(b = add_building(l, name)))
            return MF_ENOMEM;
        return building_frame(b, &l->keep, e);
    }
    if (b && e->type == EVENT_END && (!l->options->to_us || e->timestamp_us <= l->options->to_us))
        building_end(b, e);
    if (b && e->type == EVENT_GAP) {
        b->c.gaps += e->gap_frames;
        building_break(b, &l->keep);
    }
    return MF_OK;
}

static int refuse_rsv(const struct loading *l, const struct building *b, struct err *err) {
    return err_set_at(err, MF_EINVAL, l->path, 0, 0,
                      "expected frames without RSV bits: %.64s has one with them at %.3f ms, compressed by an "
                      "extension that replay does not negotiate",
                      b->c.name, (double)b->rsv_at / 1000);
}

static int take(struct loading *l, const struct session_event *e, struct err *err) {
    if (e->type == EVENT_RECORDING) {
        if (!l->recorded_at_us)
            l->recorded_at_us = e->recorded_at_us;
        l->run++;
        return MF_OK;
    }
    if (e->type == EVENT_GAP && !strcmp(e->connection, "*")) { /* damage: it may be of any connection */
        l->damage++;
        return MF_OK;
    }
    struct named *name = name_entry(l, e->connection);
    if (!name)
        return no_memory(err);
    if (is_wanted(l, name->name) && take_event(l, name, e) < 0)
        return no_memory(err);
    const struct building *b = name->building == NOBODY ? NULL : l->buildings[name->building];
    return b && b->rsv_seen && b->client_leg ? refuse_rsv(l, b, err) : MF_OK;
}

/* ---- the file ---- */

static int check_size(const struct loading *l, struct err *err) {
    if (l->keep.bytes + l->keep.slab.bytes <= l->bytes_max)
        return MF_OK;
    return err_set_at(err, MF_ELIMIT, l->path, 0, 0,
                      "expected at most %zu MiB of frames: take a part of it with --from, --to or --connection, or cut "
                      "the file with `mockforge ws cut`",
                      l->bytes_max >> 20);
}

static void report(const struct loading *l) {
    if (l->options->progress)
        l->options->progress(reader_position(l->reader), reader_size(l->reader), l->options->arg);
}

/* Nothing more that was asked for comes: native files are in the order of time, but for a little. */
static bool is_late(const struct loading *l, const struct session_event *e) {
    return l->options->to_us && e->type != EVENT_RECORDING && reader_form(l->reader) == READER_NATIVE &&
           e->timestamp_us > l->options->to_us && e->timestamp_us - l->options->to_us > LATE_US;
}

/* To from_us, with what the first line says of all. */
static int seek(struct loading *l, struct err *err) {
    struct session_event e;
    int rc = reader_next(l->reader, &e, err);
    if (rc > 0 && e.type == EVENT_RECORDING)
        l->recorded_at_us = e.recorded_at_us;
    return rc < 0 ? rc : reader_seek(l->reader, l->options->from_us, err);
}

static int read_all(struct loading *l, struct err *err) {
    struct session_event e;
    int rc = MF_OK;
    if (l->options->from_us && reader_size(l->reader) > READ_THROUGH && !l->through)
        rc = seek(l, err);
    while (rc >= 0 && (rc = reader_next(l->reader, &e, err)) > 0) {
        if (is_late(l, &e))
            return MF_OK;
        if (e.type != EVENT_RECORDING)
            l->last_us = MAX(l->last_us, e.timestamp_us);
        rc = take(l, &e, err);
        if (rc == MF_OK)
            rc = check_size(l, err);
        if (++l->events % PROGRESS_EVERY == 0)
            report(l);
    }
    if (rc == 0)
        report(l);
    return rc;
}

/* ---- handshakes in front of the part ---- */

/* Connections whose open line has not been read, by name. */
struct headless {
    struct loading *loading;
    struct building **items;
    size_t count, left;
    bool failed;
};

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct building *const *)a)->c.name, (*(struct building *const *)b)->c.name);
}

static bool take_earlier_open(void *arg, const struct session_event *open) {
    struct headless *h = arg;
    const struct building wanted = {.c.name = open->connection}, *key = &wanted;
    struct building **found = bsearch(&key, h->items, h->count, sizeof(struct building *), by_name);
    if (!found || (*found)->opened)
        return true;
    h->failed = building_open(*found, &h->loading->keep, open, false) < 0;
    return --h->left && !h->failed;
}

/* What began before the place that was gone to has its path, headers and subprotocol there. MF_EAGAIN: it takes reading
 * the file from its beginning. */
static int find_handshakes(struct loading *l, struct err *err) {
    struct headless h = {.loading = l, .items = calloc(l->count + 1, sizeof(struct building *))};
    if (!h.items)
        return no_memory(err);
    for (uint32_t i = 0; i < l->count; i++) /* after a `recording` line everybody is opened anew, or has no handshake */
        if (l->buildings[i]->kept && !l->buildings[i]->opened && l->buildings[i]->first_run == 0)
            h.items[h.count++] = l->buildings[i];
    qsort(h.items, h.count, sizeof(struct building *), by_name);
    h.left = h.count;
    int rc = h.count ? reader_opens_before(l->reader, take_earlier_open, &h, err) : 1;
    free(h.items);
    if (h.failed)
        return no_memory(err);
    return rc == 0 ? MF_EAGAIN : MIN(rc, MF_OK);
}

/* ---- what came of it ---- */

/* "conn-1, conn-2 and 3 more" */
static void list_names(const struct loading *l, char *out, size_t size) {
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < l->names_count; i++) {
        bool full = i == NAMES_LISTED || at + 64 > size;
        int n = full ? snprintf(out + at, size - at, " and %u more", l->names_count - i)
                     : snprintf(out + at, size - at, "%s%.32s", i ? ", " : "", l->names[i].name);
        at += (size_t)MAX(n, 0);
        if (full)
            break;
    }
}

static int check_names(const struct loading *l, struct err *err) {
    char names[384];
    list_names(l, names, sizeof names);
    if (!l->names_count)
        return err_set_at(err, MF_EINVAL, l->path, 0, 0,
                          l->options->from_us || l->options->to_us
                              ? "expected at least one connection between --from and --to"
                              : "expected a recording with at least one connection");
    for (size_t i = 0; i < l->options->connections_count; i++)
        if (!*find_slot(l, l->options->connections[i]))
            return err_set_at(err, MF_EINVAL, l->path, 0, 0, "expected a connection named \"%.32s\"; there %s %s",
                              l->options->connections[i], l->names_count == 1 ? "is" : "are", names);
    return MF_OK;
}

static int by_begin(const void *a, const void *b) {
    const struct building *x = *(struct building *const *)a, *y = *(struct building *const *)b;
    if (x->c.begin_us != y->c.begin_us)
        return x->c.begin_us < y->c.begin_us ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* The connections that have something, in the order of their begin. */
static int gather(struct loading *l, struct replay_source *s, struct err *err) {
    s->connections = calloc(l->count + 1, sizeof *s->connections);
    if (!s->connections)
        return no_memory(err);
    if (l->count)
        qsort(l->buildings, l->count, sizeof(struct building *), by_begin);
    for (uint32_t i = 0; i < l->count; i++) {
        struct building *b = l->buildings[i];
        if (!b->kept)
            continue;
        if (b->rsv_seen)
            return refuse_rsv(l, b, err);
        building_finish(b, &l->keep);
        s->connections[s->count++] = b->c;
        b->c = (struct replay_connection){0};
    }
    if (s->count == 0)
        return err_set_at(err, MF_EINVAL, l->path, 0, 0,
                          "expected something of a connection between --from and --to: there is nothing of the %u %s, "
                          "whose last line is at %.3f s",
                          l->names_count, l->names_count == 1 ? "connection" : "connections",
                          (double)l->last_us / 1000000);
    return MF_OK;
}

static void loading_fini(struct loading *l) {
    for (uint32_t i = 0; i < l->count; i++) {
        building_fini(l->buildings[i]);
        free(l->buildings[i]);
    }
    free(l->buildings);
    free(l->slots);
    free(l->names);
    slab_fini(&l->keep.slab);
    reader_close(l->reader);
}

static int load(struct loading *l, struct loaded *out, struct err *err) {
    int rc = reader_open(l->path, &l->reader, err);
    if (rc < 0)
        return rc;
    reader_recover(l->reader, l->options->recover);
    reader_run_ahead(l->reader);
    rc = read_all(l, err);
    if (rc == MF_OK && !l->through)
        rc = find_handshakes(l, err);
    if (rc == MF_OK)
        rc = check_names(l, err);
    if (rc == MF_OK)
        rc = gather(l, &out->source, err);
    if (rc < 0)
        return rc;
    out->source.recorded_at_us = l->recorded_at_us;
    out->source.truncated = reader_ended(l->reader) == READER_END_TRUNCATED;
    out->slab = l->keep.slab;
    l->keep.slab = (struct slab){0};
    return MF_OK;
}

int replay_source_load(const char *path, const struct replay_source_options *options, struct replay_source **out,
                       struct err *err) {
    static const struct replay_source_options all = {0};
    struct err ignored;
    struct loading l = {.path = path, .options = options ? options : &all};
    err = err ? err : &ignored;
    l.bytes_max = l.options->bytes_max ? l.options->bytes_max : REPLAY_BYTES_MAX;
    struct loaded *loaded = calloc(1, sizeof *loaded);
    if (!loaded)
        return no_memory(err);
    atomic_init(&loaded->source.refs, 1);
    loaded->source.file = strdup(path);
    int rc = loaded->source.file ? load(&l, loaded, err) : no_memory(err);
    loading_fini(&l);
    if (rc == MF_EAGAIN) {
        l = (struct loading){.path = path, .options = l.options, .bytes_max = l.bytes_max, .through = true};
        rc = load(&l, loaded, err);
        loading_fini(&l);
    }
    if (rc < 0)
        replay_source_unref(&loaded->source);
    else
        *out = &loaded->source;
    return rc;
}

struct replay_source *replay_source_ref(struct replay_source *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void replay_source_unref(struct replay_source *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->count; i++) {
        struct replay_connection *c = &s->connections[i];
        free(c->frames);
        free(c->messages);
        headers_fini(&c->request_headers);
        headers_fini(&c->response_headers);
    }
    free(s->connections);
    free(s->file);
    slab_fini(&container_of(s, struct loaded, source)->slab);
    free(container_of(s, struct loaded, source));
}
