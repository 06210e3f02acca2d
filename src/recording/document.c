#include "recording/document.h"

#include <stdlib.h>

#include "base/clock.h"

/* Items of one array of the document. */
struct items {
    struct cursor cursor;
    struct parse parse;
    bool first;
    enum { ITEMS_OPEN, ITEMS_CLOSED, ITEMS_CUT } state;
    bool ready; /* `next` was read and is not given out yet */
    size_t taken;
    struct session_event next;
};

struct document {
    char *path;
    bool has_recording, recording_given;
    struct session_event recording; /* from the metadata; its strings are below */
    char generator[128];
    struct items messages, connections;
    bool has_connections;
    uint64_t given; /* messages */
    bool truncated, recover;
    uint64_t last_us;
    struct err damage; /* of the metadata, which is not needed; code 0: none */
};

/* --- the way to an array --- */

static int enter_document(struct cursor *c, const char *path, struct err *err) {
    int rc = cursor_open(c, path, err);
    if (rc < 0)
        return rc;
    rc = cursor_pass_bom(c, err);
    return rc > 0 ? cursor_enter(c, '{', err) : rc;
}

/* --- metadata --- */

static int take_recorded_at(struct document *d, struct cursor *c, struct err *err) {
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(c, &text, &len, err);
    if (rc <= 0)
        return rc;
    char when[64];
    bool ok = len >= 2 && len < sizeof when && text[0] == '"';
    if (ok) {
        memcpy(when, text + 1, len - 2);
        when[len - 2] = '\0';
        ok = parse_rfc3339(when, &d->recording.recorded_at_us);
    }
    if (!ok && (len != 4 || memcmp(text, "null", 4) != 0))
        return cursor_fail(c, err, "expected a time such as \"2024-01-15T10:30:00Z\" for \"recorded_at\"");
    d->has_recording = ok;
    cursor_taken(c, len);
    return 1;
}

static int take_generator(struct document *d, struct cursor *c, struct err *err) {
    const uint8_t *text;
    size_t len;
    int rc = cursor_take(c, &text, &len, err);
    if (rc <= 0)
        return rc;
    /* Only what needs no unescaping: this is ours, or a remark. */
    bool plain = len >= 2 && len - 2 < sizeof d->generator && text[0] == '"' && !memchr(text, '\\', len);
    for (size_t i = 1; plain && i < len - 1; i++)
        plain = text[i] >= 0x20 && text[i] < 0x7f;
    if (plain) {
        memcpy(d->generator, text + 1, len - 2);
        d->generator[len - 2] = '\0';
        d->recording.generator = d->generator;
    }
    cursor_taken(c, len);
    return 1;
}

static int read_metadata(struct document *d, struct cursor *c, struct err *err) {
    bool first = true, more;
    int rc = cursor_enter(c, '{', err);
    while (rc > 0 && (rc = cursor_next(c, '}', &first, &more, err)) > 0 && more) {
        char name[64];
        rc = cursor_name(c, name, sizeof name, err);
        if (rc <= 0)
            break;
        if (!strcmp(name, "recorded_at"))
            rc = take_recorded_at(d, c, err);
        else if (!strcmp(name, "generator"))
            rc = take_generator(d, c, err);
        else
            rc = cursor_skip(c, err);
    }
    return rc;
}

static int look_at_metadata(struct document *d, struct err *err) {
    struct cursor c;
    bool first = true, found;
    int rc = enter_document(&c, d->path, err);
    if (rc > 0)
        rc = cursor_find(&c, "metadata", &first, &found, err);
    if (rc > 0 && found)
        rc = read_metadata(d, &c, err);
    cursor_close(&c);
    return rc < 0 ? rc : MF_OK; /* that it is cut is found again with the messages */
}

/* --- items --- */

static void items_close(struct items *it) {
    cursor_close(&it->cursor);
    parse_fini(&it->parse);
}

/* Passes the last item's text, which `next` does not need any more. */
static int items_pass(struct items *it, bool *more, struct err *err) {
    cursor_taken(&it->cursor, it->taken);
    it->taken = 0;
    return cursor_next(&it->cursor, ']', &it->first, more, err);
}

/* Reads the next item into it->next; at the array's end the state says so. 0 or negative. */
static int items_read_strictly(struct items *it, struct err *err) {
    bool more;
    size_t len;
    const uint8_t *text;
    if (it->state != ITEMS_OPEN || it->ready)
        return MF_OK;
    int rc = items_pass(it, &more, err);
    if (rc > 0 && !more) {
        it->state = ITEMS_CLOSED;
        return MF_OK;
    }
    if (rc > 0)
        rc = cursor_take(&it->cursor, &text, &len, err);
    if (rc == 0)
        it->state = ITEMS_CUT;
    if (rc <= 0)
        return rc;
    it->taken = len;
    rc = parse_event(&it->parse, text, len, &it->next, err);
    if (rc < 0) {
        cursor_place(&it->cursor, err);
        return rc;
    }
    it->ready = true;
    if (!it->next.connection && it->next.type != EVENT_RECORDING)
        it->next.connection = DOCUMENT_CONNECTION;
    return MF_OK;
}

/* With recovery a gap stands for an item that is no event; where the array itself is broken, it ends. */
static int items_read(struct items *it, const struct document *d, struct err *err) {
    int rc = items_read_strictly(it, err);
    if (rc >= 0 || rc == MF_ENOMEM || !d->recover)
        return rc;
    if (!it->taken) {
        it->state = ITEMS_CUT;
        return MF_OK;
    }
    it->next = (struct session_event){
        .type = EVENT_GAP, .connection = "*", .fin = true, .timestamp_us = d->last_us, .gap_bytes = it->taken};
    it->ready = true;
    return MF_OK;
}

static int open_messages(struct document *d, struct err *err) {
    struct cursor *c = &d->messages.cursor;
    bool first = true, found = false;
    d->messages.first = true;
    int rc = enter_document(c, d->path, err);
    if (rc > 0)
        rc = cursor_find(c, "messages", &first, &found, err);
    if (rc > 0 && !found)
        rc = cursor_fail(c, err, "expected a member \"messages\" in the document");
    if (rc > 0)
        rc = cursor_enter(c, '[', err);
    if (rc == 0)
        d->messages.state = ITEMS_CUT;
    return rc < 0 ? rc : MF_OK;
}

/* A document of another program may have something else by this name, or nothing. */
static int open_connections(struct document *d, struct err *err) {
    struct cursor *c = &d->connections.cursor;
    bool first = true, found = false;
    uint8_t bracket = 0;
    d->connections.first = true;
    d->connections.state = ITEMS_CLOSED;
    int rc = enter_document(c, d->path, err);
    if (rc > 0)
        rc = cursor_find(c, "metadata", &first, &found, err);
    if (rc > 0 && found && (rc = cursor_enter(c, '{', err)) > 0) {
        first = true;
        rc = cursor_find(c, "connections", &first, &found, err);
    }
    if (rc > 0 && found)
        rc = cursor_peek(c, &bracket, err);
    if (rc > 0 && bracket == '[') {
        cursor_pass(c);
        d->connections.state = ITEMS_OPEN;
    }
    return rc < 0 ? rc : MF_OK;
}

/* --- the document --- */

int document_open(const char *path, struct document **out, struct err *err) {
    struct document *d = calloc(1, sizeof *d);
    if (!d || !(d->path = strdup(path))) {
        free(d);
        return err_set(err, MF_ENOMEM, "out of memory");
    }
    d->messages.cursor.in.fd = d->connections.cursor.in.fd = -1;
    int rc = document_rewind(d, err);
    if (rc < 0)
        document_close(d);
    else
        *out = d;
    return rc;
}

void document_close(struct document *d) {
    if (!d)
        return;
    items_close(&d->messages);
    items_close(&d->connections);
    free(d->path);
    free(d);
}

int document_rewind(struct document *d, struct err *err) {
    items_close(&d->messages);
    items_close(&d->connections);
    d->messages = d->connections = (struct items){0};
    d->given = 0;
    d->recording_given = d->truncated = d->has_recording = false;
    d->last_us = 0;
    d->damage = (struct err){0};
    d->recording = (struct session_event){.type = EVENT_RECORDING, .fin = true, .version = SESSION_FILE_VERSION};
    int rc = look_at_metadata(d, &d->damage);
    if (rc == MF_OK)
        rc = open_connections(d, &d->damage);
    if (rc == MF_OK)
        d->damage = (struct err){0};
    return rc == MF_ENOMEM ? err_set(err, MF_ENOMEM, "out of memory") : open_messages(d, err);
}

static int give(struct document *d, struct items *it, struct session_event *e) {
    it->ready = false;
    *e = it->next;
    d->last_us = e->timestamp_us;
    return 1;
}

/* What follows the messages: other members, the closing bracket, nothing. */
static int read_tail(struct document *d, struct err *err) {
    struct cursor *c = &d->messages.cursor;
    bool first = false, found;
    uint8_t byte;
    int rc = cursor_find(c, "messages", &first, &found, err);
    if (rc > 0 && found)
        return cursor_fail(c, err, "expected \"messages\" once");
    d->truncated = rc == 0;
    if (rc > 0 && (rc = cursor_peek(c, &byte, err)) > 0)
        return cursor_fail(c, err, "expected nothing after the document");
    return rc < 0 ? rc : MF_OK;
}

/* At the end of the messages. */
static int end(struct document *d, struct err *err) {
    int rc = d->messages.state == ITEMS_CUT ? MF_OK : read_tail(d, err);
    d->truncated |= d->messages.state == ITEMS_CUT || rc < 0 || d->damage.code;
    return d->recover && rc != MF_ENOMEM ? MF_OK : rc;
}

int document_next(struct document *d, struct session_event *e, struct err *err) {
    if (d->has_recording && !d->recording_given) {
        d->recording_given = true;
        *e = d->recording;
        return 1;
    }
    struct items *m = &d->messages, *o = &d->connections;
    if (d->damage.code && !d->recover) {
        *err = d->damage;
        return (int)err->code;
    }
    int rc = items_read(m, d, err);
    if (rc == MF_OK && m->state != ITEMS_CUT)
        rc = items_read(o, d, err);
    if (rc < 0)
        return rc;
    /* At the messages' end everything else has its turn, whatever place it names; but not where they were cut. */
    if (o->ready && m->state != ITEMS_CUT && (!m->ready || o->parse.before_message <= d->given))
        return give(d, o, e);
    if (m->ready) {
        d->given++;
        return give(d, m, e);
    }
    return end(d, err);
}

void document_recover(struct document *d, bool on) {
    d->recover = on;
}

int document_line(const struct document *d) {
    return d->messages.cursor.line;
}

bool document_truncated(const struct document *d) {
    return d->truncated;
}

uint64_t document_position(const struct document *d) {
    return input_position(&d->messages.cursor.in);
}

/* --- which form --- */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static const struct {
    const char *name;
    enum document_kind kind;
} telling[] = {
    {"metadata", KIND_DOCUMENT}, {"messages", KIND_DOCUMENT},  {"type", KIND_LINES},
    {"connection", KIND_LINES},  {"timestamp_ms", KIND_LINES}, {"timestamp_us", KIND_LINES},
    {"direction", KIND_LINES},   {"data", KIND_LINES},         {"log", KIND_HAR},
    {"ts", KIND_MOCKFORGE},      {"dir", KIND_MOCKFORGE},      {"text", KIND_MOCKFORGE},
    {"waitFor", KIND_MOCKFORGE}, {"wait_for", KIND_MOCKFORGE}, {"step_id", KIND_MOCKFORGE},
};

/* -1: it does not tell. */
static int tells(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(telling); i++)
        if (!strcmp(name, telling[i].name))
            return (int)telling[i].kind;
    return -1;
}

static enum document_kind by_name(const char *path) {
    if (ends_with(path, ".har"))
        return KIND_HAR;
    return ends_with(path, ".json") || ends_with(path, ".json.zst") ? KIND_DOCUMENT : KIND_LINES;
}

int document_detect(const char *path, struct err *err) {
    struct cursor c;
    bool first = true, more = true;
    int verdict = -1, rc = enter_document(&c, path, err);
    while (rc > 0 && verdict < 0 && (rc = cursor_next(&c, '}', &first, &more, err)) > 0 && more) {
        char name[64];
        rc = cursor_name(&c, name, sizeof name, err);
        if (rc > 0 && (verdict = tells(name)) < 0)
            rc = cursor_skip(&c, err);
    }
    cursor_close(&c);
    if (rc < 0)
        return rc;
    /* cut too early, or an object without any of those members */
    return verdict < 0 ? (int)by_name(path) : verdict;
}
