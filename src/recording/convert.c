#include "recording/convert.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "protocol/text.h"
#include "recording/convert_output.h"
#include "recording/har_write.h"
#include "recording/mockforge_write.h"
#include "recording/reader.h"
#include "recording/summary.h"

#define PLACES_MAX (1u << 20) /* of metadata.connections kept in memory; beyond it the input is read once more */
#define PROGRESS_EVERY 512    /* events */
#define DEFAULT_LEVEL 1       /* level 3 is slower and no smaller on such lines */

static const struct {
    const char *extension;
    enum session_form form;
} forms[] = {
    /* The longer of two that both fit comes first. */
    {".jsonl.zst", SESSION_NATIVE}, {".json.zst", SESSION_DOCUMENT_ZST},
    {".jsonl", SESSION_JSONL},      {".json", SESSION_DOCUMENT},
    {".har", SESSION_HAR},
};

#define RECORDED 4 /* of forms[]: those that recordings are written in */

static bool form_of(const char *path, size_t count, enum session_form *out) {
    size_t len = strlen(path);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(forms[i].extension);
        if (len > n && !strcmp(path + len - n, forms[i].extension)) {
            *out = forms[i].form;
            return true;
        }
    }
    return false;
}

int session_form_of(const char *path, enum session_form *out, struct err *err) {
    if (form_of(path, RECORDED, out))
        return MF_OK;
    return err_set_at(err, MF_EINVAL, path, 0, 0,
                      "expected a name that ends in .jsonl.zst, .jsonl, .json or .json.zst");
}

int session_target_of(const char *path, enum session_form *out, struct err *err) {
    if (form_of(path, ARRAY_LEN(forms), out))
        return MF_OK;
    return err_set_at(err, MF_EINVAL, path, 0, 0,
                      "expected a name that ends in .jsonl.zst, .jsonl, .json, .json.zst or .har");
}

int session_form_named(const char *name, enum session_form *out, struct err *err) {
    static const char *const names[] = {
        [SESSION_NATIVE] = "native",         [SESSION_JSONL] = "jsonl", [SESSION_DOCUMENT] = "json",
        [SESSION_DOCUMENT_ZST] = "json.zst", [SESSION_HAR] = "har",     [SESSION_MOCKFORGE] = "mockforge",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(name, names[i])) {
            *out = (enum session_form)i;
            return MF_OK;
        }
    return err_set(err, MF_EINVAL, "expected native, jsonl, json, json.zst, har or mockforge, found \"%s\"", name);
}

struct conversion {
    const char *from, *to;
    const struct convert_options *options;
    struct output out;
    struct session_summary summary;
    bool truncated;
    uint64_t joined, left_out;

    /* Reading */
    struct reader *reader;
    unsigned pass, passes;
    struct session_event event; /* the last one that was read */
    uint64_t events;            /* of this pass */
    uint64_t limit;             /* events of the first pass: a file that grows meanwhile has more of them later */

    /* Documents */
    int64_t recorded_at_us;
    char *generator;
    bool begun;             /* the first event was seen */
    uint64_t items;         /* of "messages", so far */
    uint64_t message_count; /* of "messages", in all */
    struct buf line;        /* scratch */
    struct buf places;      /* metadata.connections, as text */
    bool places_overflowed;
    bool comma;

    /* The forms of others */
    struct har_writer *har;
    struct mockforge_writer mockforge;
};

/* --- reading in passes --- */

static int start_pass(struct conversion *c, struct err *err) {
    reader_close(c->reader);
    c->reader = NULL;
    c->events = c->items = 0;
    c->begun = c->comma = false;
    c->pass++;
    int rc = reader_open(c->from, &c->reader, err);
    if (rc == MF_OK) {
        reader_recover(c->reader, c->options->recover);
        reader_run_ahead(c->reader);
        if (c->pass > 1)
            reader_quiet(c->reader);
    }
    return rc;
}

static void report(struct conversion *c) {
    if (!c->options->progress || c->events % PROGRESS_EVERY)
        return;
    uint64_t size = reader_size(c->reader);
    c->options->progress((c->pass - 1) * size + MIN(reader_position(c->reader), size), c->passes * size,
                         c->options->arg);
}

/* As reader_next(), up to the limit. */
static int next_event(struct conversion *c, struct err *err) {
    if (c->events == c->limit)
        return 0;
    int rc = reader_next(c->reader, &c->event, err);
    if (rc > 0) {
        c->events++;
        report(c);
    }
    return rc;
}

static void first_pass_done(struct conversion *c) {
    c->limit = c->events;
    c->truncated = reader_ended(c->reader) == READER_END_TRUNCATED;
}

/* When a recording began that does not say so: a guess that is better than 1970. */
static int64_t file_time_us(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 : clock_wall_us();
}

/* --- lines --- */

static int write_line(struct conversion *c, const struct session_event *e, struct err *err) {
    struct event_bytes line;
    if (e == &c->event && reader_line(c->reader, &line)) {
        buf_append(&c->out.pending, line.data, line.len);
        buf_putc(&c->out.pending, '\n');
    } else if (event_write_line(&c->out.pending, e) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    return output_line_done(&c->out, err);
}

/* All events in one pass, a recording line in front of them in any case. */
static int each_event(struct conversion *c,
                      int (*take)(struct conversion *c, const struct session_event *e, struct err *err),
                      struct err *err) {
    const struct session_event *e = &c->event;
    c->passes = 1;
    c->limit = UINT64_MAX;
    int rc = start_pass(c, err);
    while (rc >= 0 && (rc = next_event(c, err)) > 0) {
        if (!c->begun && e->type != EVENT_RECORDING) {
            struct session_event first = {.type = EVENT_RECORDING,
                                          .version = SESSION_FILE_VERSION,
                                          .recorded_at_us = file_time_us(c->from),
                                          .generator = "mockforge " MF_VERSION};
            rc = take(c, &first, err);
            if (rc < 0)
                break;
        }
        c->begun = true;
        summary_add(&c->summary, e);
        rc = take(c, e, err);
    }
    if (rc == 0)
        first_pass_done(c);
    return rc;
}

static int to_lines(struct conversion *c, struct err *err) {
    return each_event(c, write_line, err);
}

/* --- the forms of others --- */

static int add_to_har(struct conversion *c, const struct session_event *e, struct err *err) {
    return har_writer_add(c->har, e, err);
}

static int to_har(struct conversion *c, struct err *err) {
    int rc = har_writer_new(c->to, &c->har, err);
    if (rc == MF_OK)
        rc = each_event(c, add_to_har, err);
    if (rc == MF_OK)
        rc = har_writer_finish(c->har, &c->out, err);
    if (rc < 0)
        return rc;
    const struct har_losses *lost = har_writer_losses(c->har);
    c->joined = lost->joined;
    c->left_out = lost->gaps + lost->faults + lost->upstream_leg + lost->incomplete;
    return MF_OK;
}

static int add_to_mockforge(struct conversion *c, const struct session_event *e, struct err *err) {
    int rc = mockforge_writer_add(&c->mockforge, e, &c->out.pending, err);
    if (rc < 0)
        err_at(err, c->from, 0, 0);
    return rc < 0 ? rc : output_line_done(&c->out, err);
}

static int to_mockforge(struct conversion *c, struct err *err) {
    c->mockforge.only = c->options->connection;
    int rc = each_event(c, add_to_mockforge, err);
    if (rc == MF_OK && c->mockforge.only && !c->mockforge.begun)
        rc = err_set_at(err, MF_EINVAL, c->from, 0, 0, "expected a connection \"%s\"", c->mockforge.only);
    c->summary.messages = c->mockforge.written;
    c->summary.connections = c->mockforge.begun;
    c->joined = c->mockforge.joined;
    c->left_out = c->mockforge.control;
    return rc;
}

/* --- documents --- */

/* What a document has in metadata.connections: whatever is neither a frame nor anything between frames. The first
 * recording line has become the metadata itself. */
static bool is_place(const struct session_event *e) {
    return e->type == EVENT_OPEN || e->type == EVENT_END || e->type == EVENT_RECORDING;
}

/* Appends the event as an array's item: `timestamp_ms` is a whole number in documents, with `timestamp_us` beside it.
 */
static void write_item(struct conversion *c, struct buf *out, const struct session_event *e) {
    static const char member[] = "\"timestamp_ms\":";
    struct session_event whole = *e;
    whole.timestamp_us -= e->timestamp_us % 1000;
    buf_reset(&c->line);
    buf_puts(out, c->comma ? ",\n      " : "\n      ");
    c->comma = true;
    if (event_write_line(&c->line, &whole) < 0) {
        out->failed = true;
        return;
    }
    const uint8_t *text = c->line.data;
    size_t len = c->line.len - 2, at = 0; /* without "}\n" */
    if (e->type != EVENT_RECORDING) {
        /* No string of the line can look like this: its quotes would be escaped. */
        const uint8_t *found = memmem(text, len, member, sizeof member - 1);
        MUST(found);
        at = (size_t)(found - text) + sizeof member - 1;
        while (text[at] >= '0' && text[at] <= '9')
            at++;
        buf_append(out, text, at);
        buf_puts(out, ",\"timestamp_us\":");
        text_u64(out, e->timestamp_us);
    }
    buf_append(out, text + at, len - at);
    if (is_place(e)) {
        buf_puts(out, ",\"before_message\":");
        text_u64(out, c->items);
    }
    buf_putc(out, '}');
}

/* Returns true when this event is the document's metadata. */
static bool is_metadata(struct conversion *c, const struct session_event *e) {
    bool first = !c->begun;
    c->begun = true;
    return first && e->type == EVENT_RECORDING;
}

/* First pass: the counts that stand in front, and the places while they are few. */
static int survey(struct conversion *c, struct err *err) {
    const struct session_event *e = &c->event;
    c->limit = UINT64_MAX;
    c->recorded_at_us = file_time_us(c->from);
    int rc = start_pass(c, err);
    while (rc >= 0 && (rc = next_event(c, err)) > 0) {
        summary_add(&c->summary, e);
        if (is_metadata(c, e)) {
            c->recorded_at_us = e->recorded_at_us;
            if (e->generator && !(c->generator = strdup(e->generator)))
                return err_set(err, MF_ENOMEM, "out of memory");
        } else if (!is_place(e)) {
            c->items++;
        } else if (!c->places_overflowed) {
            write_item(c, &c->places, e);
            c->places_overflowed = c->places.len > PLACES_MAX;
        }
    }
    if (rc == 0)
        first_pass_done(c);
    c->message_count = c->items;
    c->passes = c->places_overflowed ? 3 : 2;
    if (c->places_overflowed)
        buf_fini(&c->places);
    return rc;
}

static int write_items(struct conversion *c, bool places, struct err *err) {
    const struct session_event *e = &c->event;
    int rc = start_pass(c, err);
    while (rc >= 0 && (rc = next_event(c, err)) > 0) {
        if (is_metadata(c, e))
            continue;
        if (is_place(e) == places)
            write_item(c, &c->out.pending, e);
        c->items += !is_place(e);
        rc = output_line_done(&c->out, err);
    }
    return rc;
}

static void write_head(struct conversion *c) {
    struct buf *out = &c->out.pending;
    char when[CLOCK_RFC3339_LEN];
    buf_puts(out, "{\n  \"metadata\": {\n    \"recorded_at\": \"");
    buf_puts(out, clock_rfc3339(c->recorded_at_us, when));
    buf_puts(out, "\",\n    \"duration_ms\": ");
    text_u64(out, c->summary.duration_us / 1000);
    buf_puts(out, ",\n    \"message_count\": ");
    text_u64(out, c->message_count);
    buf_printf(out, ",\n    \"version\": %d", SESSION_FILE_VERSION);
    if (c->generator) {
        buf_puts(out, ",\n    \"generator\": ");
        json_quote(out, c->generator, strlen(c->generator));
    }
    buf_puts(out, ",\n    \"connections\": [");
}

static int to_document(struct conversion *c, struct err *err) {
    c->passes = 2;
    int rc = survey(c, err);
    if (rc < 0)
        return rc;
    write_head(c);
    if (c->places_overflowed)
        rc = write_items(c, true, err);
    else
        buf_append(&c->out.pending, c->places.data, c->places.len);
    if (rc < 0)
        return rc;
    buf_puts(&c->out.pending, "\n    ]\n  },\n  \"messages\": [");
    rc = write_items(c, false, err);
    buf_puts(&c->out.pending, "\n  ]\n}\n");
    return rc;
}

/* --- all forms --- */

static int convert(struct conversion *c, enum session_form form, struct err *err) {
    static int (*const to[])(struct conversion * c, struct err * err) = {
        [SESSION_NATIVE] = to_lines,          [SESSION_JSONL] = to_lines, [SESSION_DOCUMENT] = to_document,
        [SESSION_DOCUMENT_ZST] = to_document, [SESSION_HAR] = to_har,     [SESSION_MOCKFORGE] = to_mockforge,
    };
    struct output_options options = {
        .zstd = form == SESSION_NATIVE || form == SESSION_DOCUMENT_ZST,
        .seek_table = form == SESSION_NATIVE,
        .level = c->options->level ? c->options->level : DEFAULT_LEVEL,
    };
    int rc = output_open(&c->out, c->to, &options, err);
    if (rc == MF_OK)
        rc = to[form](c, err);
    if (rc == MF_OK)
        rc = output_finish(&c->out, c->options->overwrite, err);
    return rc;
}

int session_convert(const char *from, const char *to, const struct convert_options *options, struct convert_result *out,
                    struct err *err) {
    static const struct convert_options defaults = {0};
    struct conversion c = {.from = from, .to = to, .options = options ? options : &defaults, .out = {.fd = -1}};
    enum session_form form;
    int rc = MF_OK;
    if (c.options->form)
        form = *c.options->form;
    else
        rc = session_target_of(to, &form, err);
    if (rc < 0)
        return rc;
    if (!c.options->overwrite && access(to, F_OK) == 0)
        return err_set_at(err, MF_EINVAL, to, 0, 0, "exists already");
    rc = convert(&c, form, err);
    if (rc == MF_OK && out)
        *out = (struct convert_result){c.summary.messages, c.summary.connections, c.joined, c.left_out, c.truncated};
    reader_close(c.reader);
    output_close(&c.out);
    buf_fini(&c.line);
    buf_fini(&c.places);
    free(c.generator);
    har_writer_free(c.har);
    mockforge_writer_fini(&c.mockforge);
    return rc;
}
