#include "template/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "template/segment.h"

/* Where the compiler is. Inside a placeholder `p` moves from word to word. */
struct parser {
    const char *text, *p;
    struct template *out;
    struct err *err;
};

/* A word or a quoted string within a placeholder; borrowed from the text. */
struct word {
    const char *s; /* NULL: there is none */
    size_t len;
    bool quoted;
};

/* -- errors -------------------------------------------------------------------------------------------------------- */

/* Gives err the line and column of `at` within the text (characters, not bytes). */
static int fail_at(struct parser *p, const char *at) {
    int line = 1, column = 1;
    for (const char *s = p->text; s < at; s++) {
        if (*s == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*s & 0xc0) != 0x80) {
            column++;
        }
    }
    if (p->err)
        p->err->line = p->err->column = 0;
    err_at(p->err, NULL, line, column);
    return MF_EINVAL;
}

static int no_memory(struct parser *p) {
    return err_set(p->err, MF_ENOMEM, "out of memory");
}

/* -- words --------------------------------------------------------------------------------------------------------- */

static bool at_end(const char *p) {
    return *p == '\0' || (p[0] == '}' && p[1] == '}');
}

static void skip_space(struct parser *p) {
    while (*p->p == ' ' || *p->p == '\t' || *p->p == '\n' || *p->p == '\r')
        p->p++;
}

/* The next word up to a space, '|' or "}}", or what stands between quotes. */
static int next_word(struct parser *p, struct word *w) {
    skip_space(p);
    *w = (struct word){0};
    const char *begin = p->p;
    if (at_end(begin) || *begin == '|')
        return MF_OK;
    if (*begin == '"' || *begin == '\'') {
        const char *end = strchr(begin + 1, *begin);
        if (!end) {
            err_set(p->err, MF_EINVAL, "quote without its end");
            return fail_at(p, begin);
        }
        *w = (struct word){begin + 1, (size_t)(end - begin) - 1, true};
        p->p = end + 1;
        return MF_OK;
    }
    while (!at_end(p->p) && !strchr(" \t\r\n|\"'", *p->p))
        p->p++;
    *w = (struct word){begin, (size_t)(p->p - begin), false};
    return MF_OK;
}

/* -- names --------------------------------------------------------------------------------------------------------- */

static bool matches(const struct function *f, const char *name) {
    size_t len = strlen(f->name);
    if (strncmp(name, f->name, len))
        return false;
    switch (f->match) {
    case NAME_PREFIX:
        return name[len] != '\0';
    case NAME_TIME:
        return name[len] == '\0' || name[len] == '+' || name[len] == '-';
    case NAME_EXACT:
        return name[len] == '\0';
    }
    return false;
}

/* Cuts name behind its first '.', so that "evn.HOME" is compared with "env.". */
static void cut_after_dot(const char *name, char *head, size_t size) {
    size_t len = strcspn(name, ".");
    len = MIN(name[len] ? len + 1 : len, size - 1);
    memcpy(head, name, len);
    head[len] = '\0';
}

static int unknown_name(struct parser *p, const char *at, const char *name) {
    char head[64];
    cut_after_dot(name, head, sizeof head);
    struct near whole = near_to(name), prefix = near_to(head);
    for (size_t i = 0; i < function_count; i++)
        near_try(functions[i].match == NAME_PREFIX ? &prefix : &whole, functions[i].name);
    const char *best = whole.distance <= prefix.distance ? whole.best : prefix.best;
    if (best)
        err_set(p->err, MF_EINVAL, "unknown placeholder \"{{%.100s}}\"; did you mean \"%s\"?", name, best);
    else
        err_set(p->err, MF_EINVAL, "unknown placeholder \"{{%.100s}}\"", name);
    return fail_at(p, at);
}

static int unknown_filter(struct parser *p, const struct word *w) {
    char name[64];
    size_t len = MIN(w->len, sizeof name - 1);
    memcpy(name, w->s, len);
    name[len] = '\0';
    struct near near = near_to(name);
    for (size_t i = 0; i < filter_count; i++)
        near_try(&near, filters[i].name);
    if (near.best)
        err_set(p->err, MF_EINVAL, "unknown filter \"%s\"; did you mean \"%s\"?", name, near.best);
    else
        err_set(p->err, MF_EINVAL, "unknown filter \"%s\"", name);
    return fail_at(p, w->s);
}

/* -- compiling ----------------------------------------------------------------------------------------------------- */

static struct segment *add_segment(struct parser *p) {
    struct template *t = p->out;
    if (t->count == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        struct segment *grown = realloc(t->segments, cap * sizeof *grown);
        if (!grown)
            return NULL;
        t->segments = grown;
        t->cap = cap;
    }
    t->segments[t->count] = (struct segment){0};
    return &t->segments[t->count++];
}

static int add_literal(struct parser *p, const char *s, size_t len) {
    if (len == 0)
        return MF_OK;
    struct segment *segment = add_segment(p);
    if (!segment || !(segment->literal = strndup(s, len)))
        return no_memory(p);
    segment->literal_len = len;
    return MF_OK;
}

static int find_function(struct parser *p, struct call *call, const char *at) {
    for (size_t i = 0; i < function_count; i++)
        if (matches(&functions[i], call->name)) {
            call->function = &functions[i];
            call->suffix = call->name + strlen(functions[i].name);
            return MF_OK;
        }
    return unknown_name(p, at, call->name);
}

static int parse_arguments(struct parser *p, struct call *call) {
    struct word w;
    for (;;) {
        int rc = next_word(p, &w);
        if (rc < 0 || !w.s)
            return rc;
        if (call->argument_count == call->function->arguments_max) {
            err_set(p->err, MF_EINVAL, "too many arguments for \"%s\"", call->name);
            return fail_at(p, w.s);
        }
        char *argument = strndup(w.s, w.len);
        if (!argument)
            return no_memory(p);
        call->arguments[call->argument_count++] = argument;
    }
}

/* One filter; p->p is behind its '|'. */
static int parse_filter(struct parser *p, struct call *call) {
    struct word w, argument = {0};
    int rc = next_word(p, &w);
    if (rc < 0)
        return rc;
    if (!w.s) {
        err_set(p->err, MF_EINVAL, "filter without a name");
        return fail_at(p, p->p);
    }
    const struct filter *filter = NULL;
    for (size_t i = 0; i < filter_count && !filter; i++)
        if (strlen(filters[i].name) == w.len && !strncmp(filters[i].name, w.s, w.len))
            filter = &filters[i];
    if (!filter)
        return unknown_filter(p, &w);
    rc = next_word(p, &argument);
    if (rc < 0)
        return rc;
    if (!argument.s != !filter->takes_argument) {
        err_set(p->err, MF_EINVAL, "filter \"%s\" takes %s", filter->name,
                filter->takes_argument ? "one argument" : "no argument");
        return fail_at(p, argument.s ? argument.s : p->p);
    }
    struct filter_call *grown = realloc(call->filters, (call->filter_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(p);
    call->filters = grown;
    grown[call->filter_count] = (struct filter_call){filter, argument.s ? strndup(argument.s, argument.len) : NULL};
    if (argument.s && !grown[call->filter_count].argument)
        return no_memory(p);
    call->filter_count++;
    return MF_OK;
}

/* "}}", or an error that says what stands in its place. */
static int parse_closing(struct parser *p, const char *open) {
    skip_space(p);
    if (*p->p == '\0') {
        err_set(p->err, MF_EINVAL, "\"{{\" without its \"}}\"");
        return fail_at(p, open);
    }
    if (!at_end(p->p)) {
        err_set(p->err, MF_EINVAL, "expected \"}}\" or \"|\"");
        return fail_at(p, p->p);
    }
    p->p += 2;
    return MF_OK;
}

static int parse_call(struct parser *p, const struct word *name, const char *open) {
    struct segment *segment = add_segment(p);
    if (!segment)
        return no_memory(p);
    struct call *call = &segment->call;
    call->name = strndup(name->s, name->len);
    if (!call->name)
        return no_memory(p);
    int rc = find_function(p, call, name->s);
    if (rc == MF_OK)
        rc = parse_arguments(p, call);
    if (rc == MF_OK && call->function->prepare && call->function->prepare(call, p->err) < 0)
        rc = fail_at(p, name->s);
    for (skip_space(p); rc == MF_OK && *p->p == '|'; skip_space(p)) {
        p->p++;
        rc = parse_filter(p, call);
    }
    return rc < 0 ? rc : parse_closing(p, open);
}

/* What stands after "{{": a call, or a quoted literal. */
static int parse_placeholder(struct parser *p) {
    const char *open = p->p;
    p->p += 2;
    if (!strstr(p->p, "}}")) {
        err_set(p->err, MF_EINVAL, "\"{{\" without its \"}}\"");
        return fail_at(p, open);
    }
    struct word name;
    int rc = next_word(p, &name);
    if (rc < 0)
        return rc;
    if (!name.s) {
        err_set(p->err, MF_EINVAL, "placeholder without a name");
        return fail_at(p, open);
    }
    if (!name.quoted)
        return parse_call(p, &name, open);
    rc = add_literal(p, name.s, name.len);
    return rc < 0 ? rc : parse_closing(p, open);
}

int template_compile(const char *text, struct template **out, struct err *err) {
    *out = NULL;
    struct template *t = calloc(1, sizeof *t);
    struct parser p = {.text = text, .p = text, .out = t, .err = err};
    if (!t)
        return no_memory(&p);
    int rc = MF_OK;
    while (rc == MF_OK && *p.p) {
        const char *open = strstr(p.p, "{{");
        size_t literal = open ? (size_t)(open - p.p) : strlen(p.p);
        rc = add_literal(&p, p.p, literal);
        p.p += literal;
        if (rc == MF_OK && open)
            rc = parse_placeholder(&p);
    }
    if (rc < 0) {
        template_free(t);
        return rc;
    }
    *out = t;
    return MF_OK;
}

static void call_fini(struct call *call) {
    free(call->name);
    for (unsigned i = 0; i < call->argument_count; i++)
        free(call->arguments[i]);
    for (size_t i = 0; i < call->filter_count; i++)
        free(call->filters[i].argument);
    free(call->filters);
}

void template_free(struct template *t) {
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->segments[i].literal);
        call_fini(&t->segments[i].call);
    }
    free(t->segments);
    free(t);
}

/* -- using --------------------------------------------------------------------------------------------------------- */

bool template_is_constant(const struct template *t) {
    for (size_t i = 0; i < t->count; i++)
        if (!t->segments[i].literal)
            return false;
    return true;
}

bool template_uses(const struct template *t, const char *prefix) {
    for (size_t i = 0; i < t->count; i++)
        if (!t->segments[i].literal && !strncmp(t->segments[i].call.name, prefix, strlen(prefix)))
            return true;
    return false;
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

int template_render(const struct template *t, const struct template_context *ctx, struct buf *out) {
    for (size_t i = 0; i < t->count; i++) {
        const struct segment *s = &t->segments[i];
        if (s->literal) {
            buf_append(out, s->literal, s->literal_len);
            continue;
        }
        size_t from = out->len;
        bool missing = !s->call.function->render(&s->call, ctx, out);
        for (size_t f = 0; f < s->call.filter_count; f++) {
            s->call.filters[f].filter->apply(&s->call.filters[f], missing, out, from);
            missing = missing && out->len == from;
        }
        if (ctx->file_name)
            make_file_name(&s->call, out, from);
    }
    return out->failed ? MF_ENOMEM : MF_OK;
}
