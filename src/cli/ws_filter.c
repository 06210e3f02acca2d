/* The filter's options, and one whole message against them. */
#include "cli/ws_filter.h"
#include "cli/ws_options.h"

#include <limits.h>
#include <stdlib.h>

#define TAPE_NODES_MAX (4u << 20)
#define ALL_TYPES UINT_MAX

/* --- what is asked for --- */

static bool read_connections(const struct cli_args *args, struct ws_filter *f) {
    const char *name;
    while ((name = cli_value_at(args, "connection", f->connection_count))) {
        if (f->connection_count == WS_FILTER_CONNECTIONS_MAX) {
            cli_usage_error(args, "--connection: at most %d of them", WS_FILTER_CONNECTIONS_MAX);
            return false;
        }
        f->connections[f->connection_count++] = name;
    }
    return true;
}

static bool read_texts(const struct cli_args *args, struct ws_filter *f) {
    const char *regex = cli_value(args, "regex"), *grep = cli_value(args, "grep");
    unsigned flags = cli_flag(args, "ignore-case") ? REGEX_CASELESS : 0;
    struct err err;
    if (regex && regex_compile_as(regex, flags, &f->regex, &err) < 0) {
        cli_usage_error(args, "--regex: %s", err.text);
        return false;
    }
    f->grep = flags ? NULL : grep;
    if (grep && flags && regex_compile_as(grep, flags | REGEX_LITERAL, &f->nocase, &err) < 0) {
        cli_usage_error(args, "--grep: %s", err.text);
        return false;
    }
    return true;
}

static bool read_path(const struct cli_args *args, const char *option, const char *text, struct json_path **out) {
    struct err err;
    if (json_path_compile(text, out, &err) == MF_OK)
        return true;
    cli_usage_error(args, "--%s: \"%s\": %s", option, text, err.text);
    return false;
}

/* How long VALUE is if it can stand in JSON text in no other way than as it is, but for \u escapes; else 0. A number
 * can be written in several ways, and a glob stands for several texts. */
static size_t plain_length(const struct ws_wish *w) {
    const char *s = w->value;
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20)
            return 0;
    if (strpbrk(s, "\"\\/"))
        return 0;
    if (!w->string && (strpbrk(s, "*?[") || *s == '-' || (*s >= '0' && *s <= '9')))
        return 0;
    return len;
}

/* "…" around it means a string; anything else a value of any kind that is written so. */
static bool read_wanted(const struct cli_args *args, struct ws_wish *w) {
    size_t len = strlen(w->value);
    const char *why = NULL;
    w->string = len >= 2 && w->value[0] == '"' && w->value[len - 1] == '"';
    if (w->string) {
        w->unquoted = strndup(w->value + 1, len - 2);
        w->value = w->unquoted ? w->unquoted : "";
        return true;
    }
    int rc = glob_compile(w->value, &w->glob, &why);
    if (rc < 0)
        cli_usage_error(args, "--json-path: \"%s\": %s", w->value, rc == MF_ENOMEM ? "out of memory" : why);
    return rc == MF_OK;
}

static bool read_wishes(const struct cli_args *args, struct ws_filter *f) {
    const char *text;
    while ((text = cli_value_at(args, "json-path", f->wish_count))) {
        if (f->wish_count == WS_FILTER_WISHES_MAX) {
            cli_usage_error(args, "--json-path: at most %d of them", WS_FILTER_WISHES_MAX);
            return false;
        }
        struct ws_wish *w = &f->wishes[f->wish_count++];
        const char *equals = strchr(text, '=');
        w->value = equals ? equals + 1 : NULL;
        char *path = equals ? strndup(text, (size_t)(equals - text)) : strdup(text);
        bool ok = path && read_path(args, "json-path", path, &w->path) && (!w->value || read_wanted(args, w));
        free(path);
        if (!ok)
            return false;
        w->plain = w->value ? plain_length(w) : 0;
    }
    const char *select = cli_value(args, "select");
    return !select || read_path(args, "select", select, &f->select);
}

bool ws_filter_read(const struct cli_args *args, struct ws_filter *f) {
    f->types = ALL_TYPES;
    f->to_us = UINT64_MAX - WS_FILTER_LATE_US;
    f->tape.max = TAPE_NODES_MAX;
    return read_connections(args, f) && ws_option_types(args, EVENT_OPEN, EVENT_FAULT, &f->types) &&
           ws_option_direction(args, &f->has_direction, &f->direction) &&
           ws_option_seconds(args, "from", &f->from_us) && ws_option_seconds(args, "to", &f->to_us) &&
           read_texts(args, f) && read_wishes(args, f);
}

void ws_filter_fini(struct ws_filter *f) {
    regex_free(f->regex);
    regex_free(f->nocase);
    for (size_t i = 0; i < f->wish_count; i++) {
        json_path_free(f->wishes[i].path);
        glob_free(f->wishes[i].glob);
        free(f->wishes[i].unquoted);
    }
    json_path_free(f->select);
    json_tape_fini(&f->tape);
    buf_fini(&f->scratch);
    buf_fini(&f->copy);
    buf_fini(&f->selected);
    *f = (struct ws_filter){0};
}

bool ws_filter_looks(const struct ws_filter *f) {
    return f->grep || f->regex || f->nocase || f->wish_count || f->select;
}

bool ws_filter_place(const struct ws_filter *f, const struct session_event *e) {
    if (f->has_direction && (!event_is_frame(e->type) || e->direction != f->direction))
        return false;
    if (e->type == EVENT_RECORDING || !f->connection_count)
        return true;
    for (size_t i = 0; i < f->connection_count; i++)
        if (!strcmp(f->connections[i], e->connection))
            return true;
    return false;
}
