/* The first walk through an HTTP archive: where its connections are, and when each began. */
#include <stdlib.h>
#include <strings.h>

#include "base/array.h"
#include "recording/har_private.h"
#include "recording/parse_json.h"

struct walk {
    struct har *h;
    struct cursor c;
    struct parse parse;
    uint64_t seen; /* entries of any kind */
};

static int add_entry(struct har *h, const struct har_entry *e, struct err *err) {
    if (h->count == HAR_ENTRIES_MAX)
        return err_set_at(err, MF_ELIMIT, h->path, e->entry.line, 0, "expected at most %u WebSocket connections",
                          HAR_ENTRIES_MAX);
    if (!ARRAY_ROOM(h->entries, h->count, h->cap, 16))
        return err_set(err, MF_ENOMEM, "out of memory");
    h->entries[h->count++] = *e;
    return 1;
}

static void begins_by(struct har_entry *e, int64_t wall_us) {
    if (wall_us != HAR_NO_TIME && (e->begin_us == HAR_NO_TIME || wall_us < e->begin_us))
        e->begin_us = wall_us;
}

/* A short string, as it stands between its quotes; *ok is false for anything else. */
static int take_short(struct cursor *c, char *out, size_t size, bool *ok, struct err *err) {
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(c, &text, &len, err);
    if (rc <= 0)
        return rc;
    *ok = len >= 2 && len - 2 < size && text[0] == '"';
    if (*ok) {
        memcpy(out, text + 1, len - 2);
        out[len - 2] = '\0';
    }
    return (int)MIN(len, (size_t)INT32_MAX);
}

static int note_start(struct walk *w, struct har_entry *e, struct err *err) {
    char when[64] = "";
    bool ok;
    int64_t us = HAR_NO_TIME;
    int rc = take_short(&w->c, when, sizeof when, &ok, err);
    if (rc <= 0)
        return rc;
    if (!ok || !parse_rfc3339(when, &us)) /* its messages' times may do */
        us = HAR_NO_TIME;
    cursor_taken(&w->c, (size_t)rc);
    begins_by(e, us);
    return 1;
}

static int note_type(struct walk *w, bool *websocket, struct err *err) {
    char type[32] = "";
    bool ok;
    int rc = take_short(&w->c, type, sizeof type, &ok, err);
    if (rc <= 0)
        return rc;
    cursor_taken(&w->c, (size_t)rc);
    *websocket |= ok && !strcasecmp(type, "websocket");
    return 1;
}

/* The first message may be older than what the entry says of itself. A message that cannot be read is told of when its
 * turn comes. */
static int note_first_message(struct walk *w, struct har_entry *e, struct err *err) {
    const uint8_t *text;
    size_t len;
    int64_t us = HAR_NO_TIME;
    struct err ignored;
    int rc = cursor_take(&w->c, &text, &len, err);
    if (rc <= 0)
        return rc;
    if (har_message_time(&w->parse, text, len, &us, &ignored) == MF_ENOMEM)
        return err_set(err, MF_ENOMEM, "out of memory");
    cursor_taken(&w->c, len);
    begins_by(e, us);
    return 1;
}

static int note_messages(struct walk *w, struct har_entry *e, struct err *err) {
    uint8_t byte;
    bool first = true, more, noted = false;
    int rc = cursor_peek(&w->c, &byte, err);
    if (rc <= 0 || byte != '[')
        return rc > 0 ? cursor_skip(&w->c, err) : rc;
    cursor_pass(&w->c);
    e->messages = e->place = cursor_here(&w->c);
    e->has_messages = true;
    while ((rc = cursor_next(&w->c, ']', &first, &more, err)) > 0 && more) {
        rc = noted ? cursor_skip(&w->c, err) : note_first_message(w, e, err);
        e->any = noted = true;
        if (rc <= 0)
            break;
    }
    if (rc > 0)
        e->behind = cursor_here(&w->c);
    return rc;
}

static int note_end(struct walk *w, struct har_entry *e, struct err *err) {
    e->end = cursor_here(&w->c);
    e->has_end = true;
    return cursor_skip(&w->c, err);
}

static int walk_entry(struct walk *w, struct err *err) {
    struct har *h = w->h;
    struct har_entry e = {.begin_us = HAR_NO_TIME, .first = true, .slot = -1, .number = h->count + 1};
    uint8_t byte;
    bool first = true, more, websocket = false;
    int rc = cursor_peek(&w->c, &byte, err);
    e.entry = cursor_here(&w->c);
    if (rc > 0)
        rc = cursor_enter(&w->c, '{', err);
    while (rc > 0 && (rc = cursor_next(&w->c, '}', &first, &more, err)) > 0 && more) {
        char name[40];
        uint8_t value;
        if ((rc = cursor_name(&w->c, name, sizeof name, err)) <= 0 || (rc = cursor_peek(&w->c, &value, err)) <= 0)
            break;
        if (!strcmp(name, "_webSocketMessages") && !e.has_messages)
            rc = note_messages(w, &e, err);
        else if (!strcmp(name, "startedDateTime"))
            rc = note_start(w, &e, err);
        else if (!strcmp(name, "_resourceType"))
            rc = note_type(w, &websocket, err);
        else if (!strcmp(name, "_mockforgeEnd") && value == '{')
            rc = note_end(w, &e, err);
        else
            rc = cursor_skip(&w->c, err);
    }
    w->seen++;
    /* What is left of an entry that was cut, or is damaged further on, is given out too. */
    if (e.has_messages || (websocket && rc > 0)) {
        int added = add_entry(h, &e, err);
        if (added < 0)
            return added;
    }
    return rc;
}

static int walk_entries(struct walk *w, struct err *err) {
    bool first = true, more;
    int rc = cursor_enter(&w->c, '[', err);
    while (rc > 0 && (rc = cursor_next(&w->c, ']', &first, &more, err)) > 0 && more)
        if ((rc = walk_entry(w, err)) <= 0)
            break;
    return rc;
}

/* The recording line that our own export keeps. */
static int note_recording(struct walk *w, struct err *err) {
    struct har *h = w->h;
    struct session_event e;
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(&w->c, &text, &len, err);
    if (rc <= 0)
        return rc;
    rc = parse_event(&w->parse, text, len, &e, err);
    if (rc < 0) {
        cursor_place(&w->c, err);
        return rc;
    }
    if (e.type != EVENT_RECORDING)
        return cursor_fail(&w->c, err, "expected a recording line in \"_mockforge\"");
    h->is_ours = true;
    h->recorded_at_us = e.recorded_at_us;
    free(h->generator);
    if (!(h->generator = strdup(e.generator ? e.generator : "")))
        return err_set(err, MF_ENOMEM, "out of memory");
    cursor_taken(&w->c, len);
    return 1;
}

static int walk_log(struct walk *w, struct err *err) {
    bool first = true, more, found = false;
    int rc = cursor_enter(&w->c, '{', err);
    while (rc > 0 && (rc = cursor_next(&w->c, '}', &first, &more, err)) > 0 && more) {
        char name[40];
        uint8_t value;
        if ((rc = cursor_name(&w->c, name, sizeof name, err)) <= 0 || (rc = cursor_peek(&w->c, &value, err)) <= 0)
            break;
        if (!strcmp(name, "entries") && found)
            return cursor_fail(&w->c, err, "expected \"entries\" once");
        if (!strcmp(name, "entries") && (found = true))
            rc = walk_entries(w, err);
        else if (!strcmp(name, "_mockforge") && value == '{')
            rc = note_recording(w, err);
        else
            rc = cursor_skip(&w->c, err);
    }
    if (rc > 0 && !found)
        return cursor_fail(&w->c, err, "expected a member \"entries\" in the log");
    return rc;
}

static int walk_file(struct walk *w, struct err *err) {
    bool first = true, found = false;
    uint8_t byte;
    int rc = cursor_pass_bom(&w->c, err);
    if (rc > 0)
        rc = cursor_enter(&w->c, '{', err);
    if (rc > 0)
        rc = cursor_find(&w->c, "log", &first, &found, err);
    if (rc > 0 && !found)
        return cursor_fail(&w->c, err, "expected a member \"log\"");
    if (rc > 0)
        rc = walk_log(w, err);
    if (rc > 0)
        rc = cursor_find(&w->c, "log", &first, &found, err);
    if (rc > 0 && found)
        return cursor_fail(&w->c, err, "expected \"log\" once");
    if (rc > 0 && cursor_peek(&w->c, &byte, err) > 0)
        return cursor_fail(&w->c, err, "expected nothing after the archive");
    return rc;
}

static int check(struct walk *w, int rc, struct err *err) {
    struct har *h = w->h;
    h->truncated = rc == 0;
    if (rc < 0 && rc != MF_ENOMEM && h->count) {
        h->damaged = rc;
        h->damage = *err;
        return MF_OK;
    }
    if (rc > 0 && !h->count && !h->is_ours)
        return err_set_at(err, MF_EINVAL, h->path, 0, 0,
                          "expected a WebSocket connection (an entry with \"_webSocketMessages\") among the %llu "
                          "entries",
                          (unsigned long long)w->seen);
    return MIN(rc, MF_OK);
}

int har_index(struct har *h, struct err *err) {
    struct walk w = {.h = h};
    h->recorded_at_us = HAR_NO_TIME;
    int rc = cursor_open(&h->file, h->path, err);
    if (rc == MF_OK && h->file.in.zstd)
        rc = err_set_at(err, MF_EINVAL, h->path, 0, 0,
                        "is a HAR file in zstd: decompress it first (zstd -d), it is read in several places at once");
    if (rc == MF_OK)
        rc = cursor_share(&w.c, &h->file, err);
    if (rc == MF_OK) {
        w.c.in.chunk = 0;
        h->size = input_size(&w.c.in);
        rc = check(&w, walk_file(&w, err), err);
    }
    cursor_close(&w.c);
    parse_fini(&w.parse);
    return rc;
}
