#include "recording/har.h"

#include <stdlib.h>

#include "recording/har_private.h"

#define NONE UINT32_MAX
#define SLOT_KEEP_MAX (256u << 10) /* bytes of a slot, while its event waits */

/* --- the entry whose turn is next --- */

static bool sooner(const struct har *h, uint32_t a, uint32_t b) {
    const struct har_entry *x = &h->entries[a], *y = &h->entries[b];
    return x->time_us != y->time_us ? x->time_us < y->time_us : a < b;
}

static void swap(struct har *h, uint32_t a, uint32_t b) {
    uint32_t kept = h->heap[a];
    h->heap[a] = h->heap[b];
    h->heap[b] = kept;
}

static void sift_down(struct har *h, uint32_t at) {
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < h->heap_count; child++)
            if (sooner(h, h->heap[child], h->heap[least]))
                least = child;
        if (least == at)
            return;
        swap(h, at, least);
        at = least;
    }
}

static void push(struct har *h, uint32_t entry) {
    uint32_t at = h->heap_count++;
    h->heap[at] = entry;
    while (at && sooner(h, h->heap[at], h->heap[(at - 1) / 2])) {
        swap(h, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static uint32_t pop(struct har *h) {
    uint32_t top = h->heap[0];
    h->heap[0] = h->heap[--h->heap_count];
    sift_down(h, 0);
    return top;
}

/* --- slots --- */

static void slot_release(struct har *h, struct har_slot *s) {
    if (s->entry != NONE)
        h->entries[s->entry].slot = -1;
    s->entry = NONE;
    s->ready = false;
    s->name[0] = '\0';
    buf_reset(&s->owned);
    har_attached_close(s);
}

/* The slot of this entry, or the one that was not used for the longest time. */
static int slot_of(struct har *h, uint32_t entry, struct har_slot **out, struct err *err) {
    struct har_entry *e = &h->entries[entry];
    struct har_slot *s = NULL;
    if (e->slot >= 0) {
        s = &h->slots[e->slot];
    } else {
        for (size_t i = 0; i < HAR_SLOTS; i++)
            if (!s || h->slots[i].used < s->used)
                s = &h->slots[i];
        slot_release(h, s);
        s->entry = entry;
        e->slot = (int)(s - h->slots);
    }
    s->used = ++h->clock;
    *out = s;
    if (s->open)
        return MF_OK;
    int rc = cursor_share(&s->cursor, &h->file, err);
    s->open = rc == MF_OK;
    return rc;
}

static size_t slot_size(const struct har_slot *s) {
    return s->cursor.text.cap + (s->attached_open ? s->attached.text.cap : 0) + s->parse.space.cap +
           s->parse.decoded.cap;
}

/* What is too large to be kept until its turn comes is read again then. */
static void slot_shrink(struct har_slot *s) {
    cursor_close(&s->cursor);
    har_attached_close(s);
    parse_fini(&s->parse);
    s->open = s->ready = false;
}

/* --- events --- */

/* The entry's next event, of this stage or a later one, into its slot; false when there is none. The heap wants its
 * time. */
static int step(struct har *h, uint32_t entry, struct err *err) {
    struct har_entry *e = &h->entries[entry];
    struct har_slot *s;
    int rc = slot_of(h, entry, &s, err);
    if (rc < 0)
        return rc;
    for (; e->stage < HAR_DONE; e->stage++) {
        rc = har_load(h, e, s, err);
        if (rc < 0 && h->recover && rc != MF_ENOMEM) {
            h->truncated = true;
            rc = 0;
        }
        if (rc != 0)
            break;
    }
    s->ready = rc > 0;
    if (rc > 0)
        e->time_us = s->event.timestamp_us;
    else if (rc == 0)
        slot_release(h, s);
    return rc;
}

/* What was given out is over with: where its entry goes on. */
static int go_on(struct har *h, struct err *err) {
    uint32_t entry = h->current;
    if (entry == NONE)
        return MF_OK;
    h->current = NONE;
    struct har_entry *e = &h->entries[entry];
    struct har_slot *s = &h->slots[e->slot];
    e->last_us = e->time_us;
    if (e->stage == HAR_MESSAGES) {
        h->given_bytes += s->after.offset - e->place.offset;
        e->place = s->after;
        e->first = false;
    } else {
        e->stage++;
    }
    int rc = step(h, entry, err);
    if (rc > 0)
        push(h, entry);
    if (rc > 0 && slot_size(s) > SLOT_KEEP_MAX)
        slot_shrink(s);
    return rc;
}

static int give_recording(struct har *h, struct session_event *e) {
    h->recording_given = true;
    *e = (struct session_event){.type = EVENT_RECORDING,
                                .fin = true,
                                .version = SESSION_FILE_VERSION,
                                .recorded_at_us = h->recorded_at_us,
                                .generator = h->generator && *h->generator ? h->generator : NULL};
    return 1;
}

static int at_end(struct har *h, struct err *err) {
    if (!h->damaged)
        return 0;
    if (!h->recover) {
        *err = h->damage;
        return h->damaged;
    }
    h->truncated = true;
    return 0;
}

int har_next(struct har *h, struct session_event *e, struct err *err) {
    if (h->has_recording && !h->recording_given)
        return give_recording(h, e);
    int rc = go_on(h, err);
    while (rc >= 0 && h->heap_count) {
        uint32_t entry = pop(h);
        struct har_entry *of = &h->entries[entry];
        if (of->slot < 0 || !h->slots[of->slot].ready) {
            uint64_t before = of->time_us;
            rc = step(h, entry, err);
            if (rc <= 0)
                continue;
            if (of->time_us > before) { /* its own time is better than what the walk found: its turn may be later */
                push(h, entry);
                continue;
            }
        }
        h->current = entry;
        *e = h->slots[of->slot].event;
        return 1;
    }
    return rc < 0 ? rc : at_end(h, err);
}

/* --- the archive --- */

/* Times count from the first thing that happened, if nothing says better. */
static void set_beginning(struct har *h) {
    int64_t first = HAR_NO_TIME;
    for (uint32_t i = 0; i < h->count; i++)
        if (h->entries[i].begin_us != HAR_NO_TIME && (first == HAR_NO_TIME || h->entries[i].begin_us < first))
            first = h->entries[i].begin_us;
    if (h->recorded_at_us == HAR_NO_TIME)
        h->recorded_at_us = first;
    h->has_recording = h->recorded_at_us != HAR_NO_TIME;
    if (!h->has_recording)
        h->recorded_at_us = 0;
}

static void begin(struct har *h) {
    h->heap_count = 0;
    h->current = NONE;
    h->recording_given = false;
    h->given_bytes = 0;
    for (size_t i = 0; i < HAR_SLOTS; i++)
        slot_release(h, &h->slots[i]);
    for (uint32_t i = 0; i < h->count; i++) {
        struct har_entry *e = &h->entries[i];
        int64_t us = e->begin_us == HAR_NO_TIME ? 0 : e->begin_us - h->recorded_at_us;
        e->time_us = us > 0 ? (uint64_t)us : 0;
        e->last_us = 0;
        e->stage = HAR_OPEN;
        e->first = true;
        e->place = e->messages;
        push(h, i);
    }
}

int har_open(const char *path, struct har **out, struct err *err) {
    struct har *h = calloc(1, sizeof *h);
    if (!h || !(h->path = strdup(path))) {
        free(h);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < HAR_SLOTS; i++)
        h->slots[i].entry = NONE;
    int rc = har_index(h, err);
    if (rc == MF_OK && !(h->heap = calloc(h->count ? h->count : 1, sizeof *h->heap)))
        rc = err_set(err, MF_ENOMEM, "out of memory");
    if (rc < 0) {
        har_close(h);
        return rc;
    }
    set_beginning(h);
    begin(h);
    *out = h;
    return MF_OK;
}

static void slot_close(struct har_slot *s) {
    if (s->open)
        cursor_close(&s->cursor);
    parse_fini(&s->parse);
    parse_fini(&s->request);
    parse_fini(&s->response);
    buf_fini(&s->url);
    buf_fini(&s->owned);
    buf_fini(&s->file);
    har_attached_close(s);
}

void har_close(struct har *h) {
    if (!h)
        return;
    for (size_t i = 0; i < HAR_SLOTS; i++)
        slot_close(&h->slots[i]);
    cursor_close(&h->file);
    free(h->entries);
    free(h->heap);
    free(h->generator);
    free(h->path);
    free(h);
}

int har_rewind(struct har *h, struct err *err) {
    (void)err;
    begin(h);
    return MF_OK;
}

void har_recover(struct har *h, bool on) {
    h->recover = on;
}

bool har_truncated(const struct har *h) {
    return h->truncated;
}

uint64_t har_position(const struct har *h) {
    return h->heap_count || h->current != NONE ? MIN(h->given_bytes, h->size) : h->size;
}

struct step_back *har_step_back(struct har *h) {
    return &h->step_back;
}
