/* Rendering: what a placeholder gives goes straight behind what is there already, and is fitted to its place where it
 * stands: quoted, escaped, or freed of its quotes. Nothing is allocated but the output. */
#include <string.h>

#include "protocol/json.h"
#include "template/segment.h"

/* -- values on their way ------------------------------------------------------------------------------------------- */

void value_cut_front(struct buf *out, size_t from, size_t at) {
    if (at > from) {
        memmove(out->data + from, out->data + at, out->len - at);
        out->len -= at - from;
    }
}

enum form value_put(struct buf *out, enum form form, const char *s, size_t len) {
    buf_append(out, s, len);
    return form;
}

static bool is_json_string(enum form form, const struct buf *out, size_t from) {
    return form == FORM_JSON && out->len > from && out->data[from] == '"' && !out->failed;
}

static void strip_quotes(struct buf *out, size_t from) {
    out->len--;
    value_cut_front(out, from, from + 1);
}

void value_to_text(enum form form, struct buf *out, size_t from) {
    if (!is_json_string(form, out, from))
        return;
    strip_quotes(out, from);
    size_t end = out->len, len = end - from;
    if (!len || !memchr(out->data + from, '\\', len))
        return;
    if (buf_reserve(out, len) < 0) /* no escape is shorter than what it stands for: the source stays where it is */
        return;
    json_unescape(out, (const char *)out->data + from, len);
    value_cut_front(out, from, end);
}

/* In JSON and in UTF-8 it means what it is, byte for byte. */
static bool is_plain(const uint8_t *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (s[i] < 0x20 || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\')
            return false;
    return true;
}

static void put_quotes(struct buf *out, size_t from) {
    buf_append(out, "\"\"", 2);
    if (out->failed)
        return;
    memmove(out->data + from + 1, out->data + from, out->len - 2 - from);
    out->data[from] = '"';
}

/* -- the place ----------------------------------------------------------------------------------------------------- */

static void fit_text(enum form form, struct buf *out, size_t from) {
    value_to_text(form, out, from);
    if (form != FORM_PLAIN)
        json_clean_tail(out, from);
}

static void fit_json(enum form form, struct buf *out, size_t from) {
    if (form == FORM_MISSING)
        buf_append(out, "null", 4);
    else if (form == FORM_PLAIN)
        put_quotes(out, from);
    else if (form == FORM_TEXT)
        json_quote_tail(out, from);
}

static void fit_string(enum form form, struct buf *out, size_t from) {
    if (is_json_string(form, out, from)) {
        strip_quotes(out, from); /* escaped already */
    } else if (form != FORM_PLAIN && out->len > from && !is_plain(out->data + from, out->len - from)) {
        json_quote_tail(out, from);
        if (!out->failed)
            strip_quotes(out, from);
    }
}

static void fit(enum place place, enum form form, struct buf *out, size_t from) {
    switch (place) {
    case PLACE_RAW:
        value_to_text(form, out, from);
        break;
    case PLACE_TEXT:
        fit_text(form, out, from);
        break;
    case PLACE_JSON:
        fit_json(form, out, from);
        break;
    case PLACE_STRING:
        fit_string(form, out, from);
        break;
    }
}

/* Headers, query and path are the client's: they must not lead out of a directory. */
static void make_file_name(const struct call *call, struct buf *out, size_t from) {
    if (strncmp(call->name, "header.", 7) != 0 && strncmp(call->name, "query.", 6) != 0 &&
        strcmp(call->name, "connection.path") != 0)
        return;
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '/' || out->data[i] < 0x20 || out->data[i] == 0x7f || (i == from && out->data[i] == '.'))
            out->data[i] = '_';
}

static void render_call(const struct call *call, const struct template_context *ctx, struct buf *out) {
    size_t from = out->len;
    enum form form = call->function->render(call, ctx, out);
    for (size_t i = 0; i < call->filter_count && !out->failed; i++)
        form = call->filters[i].filter->apply(&call->filters[i], form, out, from);
    fit(call->place, form, out, from);
    if (ctx->file_name)
        make_file_name(call, out, from);
}

int template_render(const struct template *t, const struct template_context *ctx, struct buf *out) {
    size_t begin = out->len;
    for (size_t i = 0; i < t->count && !out->failed; i++) {
        const struct segment *s = &t->segments[i];
        if (s->literal)
            buf_append(out, s->literal, s->literal_len);
        else
            render_call(&s->call, ctx, out);
        if (out->len - begin > TEMPLATE_OUTPUT_MAX) {
            out->len = begin;
            return MF_ELIMIT;
        }
    }
    if (out->failed)
        out->len = begin;
    return out->failed ? MF_ENOMEM : MF_OK;
}
