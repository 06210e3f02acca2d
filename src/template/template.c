#include "template/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/near.h"
#include "template/segment.h"

/* Where the compiler is. Inside a placeholder `p` moves from word to word. */
struct parser {
    const char *text, *p;
    struct template *out;
    unsigned roots; /* that may be named */
    enum place place;
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

/* Behind the quote that closes the one at `open`, or NULL and an error. */
static const char *skip_quoted(struct parser *p, const char *open) {
    const char *end = strchr(open + 1, *open);
    if (end)
        return end + 1;
    err_set(p->err, MF_EINVAL, "quote without its end");
    fail_at(p, open);
    return NULL;
}

static void skip_bare(struct parser *p) {
    while (!at_end(p->p) && !strchr(" \t\r\n|\"'", *p->p))
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
        const char *end = skip_quoted(p, begin);
        if (!end)
            return MF_EINVAL;
        *w = (struct word){begin + 1, (size_t)(end - begin) - 2, true};
        p->p = end;
        return MF_OK;
    }
    skip_bare(p);
    *w = (struct word){begin, (size_t)(p->p - begin), false};
    return MF_OK;
}

/* A placeholder's name: a word, in which what follows a '.' may stand in quotes. */
static int next_name(struct parser *p, struct word *w) {
    int rc = next_word(p, w);
    if (rc < 0 || !w->s || w->quoted)
        return rc;
    while ((*p->p == '"' || *p->p == '\'') && p->p[-1] == '.') {
        p->p = skip_quoted(p, p->p);
        if (!p->p)
            return MF_EINVAL;
        skip_bare(p);
    }
    w->len = (size_t)(p->p - w->s);
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
    case NAME_PATH:
        return name[len] == '\0' || name[len] == '.';
    case NAME_EXACT:
        return name[len] == '\0';
    }
    return false;
}

static bool is_allowed(const struct parser *p, const struct function *f) {
    return !f->root || (p->roots & f->root);
}

/* What of a name is compared with names that match in this way: of "evn.HOME" "evn." with "env.", of "mesage.id"
 * "mesage" with "message". */
static size_t compared_length(const char *name, enum name_match match) {
    size_t dot = strcspn(name, ".");
    if (match == NAME_PATH)
        return dot;
    return match == NAME_PREFIX && name[dot] ? dot + 1 : strlen(name);
}

static int unknown_name(struct parser *p, const char *at, const char *name) {
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    for (size_t i = 0; i < function_count; i++) {
        char head[64];
        size_t len = MIN(compared_length(name, functions[i].match), sizeof head - 1);
        memcpy(head, name, len);
        head[len] = '\0';
        struct near near = near_to(head);
        if (is_allowed(p, &functions[i]))
            near_try(&near, functions[i].name);
        if (near.best && near.distance < distance) {
            best = near.best;
            distance = near.distance;
        }
    }
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

struct segment *template_add_segment(struct template *t) {
    if (!ARRAY_ROOM(t->segments, t->count, t->cap, 4))
        return NULL;
    t->segments[t->count] = (struct segment){0};
    return &t->segments[t->count++];
}

static int add_literal(struct parser *p, const char *s, size_t len) {
    if (len == 0)
        return MF_OK;
    struct segment *segment = template_add_segment(p->out);
    if (!segment || !(segment->literal = strndup(s, len)))
        return no_memory(p);
    segment->literal_len = len;
    return MF_OK;
}

static int refuse_root(struct parser *p, const char *at, unsigned root) {
    if (root == TEMPLATE_MESSAGE)
        err_set(p->err, MF_EINVAL, "{{message}} can be used only in what answers a message; here there is none");
    else if (root == TEMPLATE_PARAMS)
        err_set(p->err, MF_EINVAL, "{{params}} can be used only in the responses of a jsonrpc handler's methods");
    else
        err_set(p->err, MF_EINVAL, "{{state}} can be used only in what a mock sends to one connection");
    return fail_at(p, at);
}

/* header."X-User": the quotes go. Those of a path are its own. */
static int unquote_suffix(struct parser *p, struct call *call, const char *at) {
    char *s = call->suffix;
    if (call->function->match != NAME_PREFIX || (*s != '"' && *s != '\''))
        return MF_OK;
    char *end = strchr(s + 1, *s);
    if (!end || end[1]) {
        err_set(p->err, MF_EINVAL, "\"%.100s\": nothing may follow the name in quotes", call->name);
        return fail_at(p, at);
    }
    *end = '\0';
    memmove(s, s + 1, (size_t)(end - s));
    return MF_OK;
}

static int find_function(struct parser *p, struct call *call, const char *at) {
    for (size_t i = 0; i < function_count; i++) {
        if (!matches(&functions[i], call->name))
            continue;
        if (!is_allowed(p, &functions[i]))
            return refuse_root(p, at, functions[i].root);
        call->function = &functions[i];
        call->suffix = call->name + strlen(functions[i].name);
        return unquote_suffix(p, call, at);
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

static int add_filter(struct parser *p, struct call *call, const struct filter *filter, const struct word *argument) {
    struct filter_call *grown = realloc(call->filters, (call->filter_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(p);
    call->filters = grown;
    struct filter_call *f = &grown[call->filter_count];
    *f = (struct filter_call){.filter = filter, .argument_len = argument->len, .quoted = argument->quoted};
    if (argument->s && !(f->argument = strndup(argument->s, argument->len)))
        return no_memory(p);
    call->filter_count++;
    int rc = filter->prepare ? filter->prepare(f, p->err) : MF_OK;
    return rc == MF_EINVAL && argument->s ? fail_at(p, argument->s) : rc;
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
    if (argument.s ? filter->takes == ARGUMENT_NONE : filter->takes == ARGUMENT_ONE) {
        err_set(p->err, MF_EINVAL, "filter \"%s\" takes %s", filter->name, argument.s ? "no argument" : "one argument");
        return fail_at(p, argument.s ? argument.s : p->p);
    }
    return add_filter(p, call, filter, &argument);
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
    struct segment *segment = template_add_segment(p->out);
    if (!segment)
        return no_memory(p);
    struct call *call = &segment->call;
    call->place = p->place;
    call->name = strndup(name->s, name->len);
    if (!call->name)
        return no_memory(p);
    int rc = find_function(p, call, name->s);
    if (rc == MF_OK)
        rc = parse_arguments(p, call);
    if (rc == MF_OK && call->function->prepare) {
        rc = call->function->prepare(call, p->err);
        if (rc == MF_EINVAL)
            fail_at(p, name->s);
    }
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
    int rc = next_name(p, &name);
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

static int compile(const char *text, unsigned roots, enum place place, struct template **out, struct err *err) {
    *out = NULL;
    struct template *t = calloc(1, sizeof *t);
    struct parser p = {.text = text, .p = text, .out = t, .roots = roots, .place = place, .err = err};
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

int template_compile(const char *text, struct template **out, struct err *err) {
    return compile(text, 0, PLACE_RAW, out, err);
}

int template_compile_roots(const char *text, unsigned roots, struct template **out, struct err *err) {
    return compile(text, roots, PLACE_TEXT, out, err);
}

static void call_fini(struct call *call) {
    free(call->name);
    for (unsigned i = 0; i < call->argument_count; i++)
        free(call->arguments[i]);
    for (size_t i = 0; i < call->path_count; i++)
        free(call->path[i]);
    free(call->path);
    for (size_t i = 0; i < call->filter_count; i++)
        free(call->filters[i].argument);
    free(call->filters);
}

void template_fini(struct template *t) {
    for (size_t i = 0; i < t->count; i++) {
        free(t->segments[i].literal);
        call_fini(&t->segments[i].call);
    }
    free(t->segments);
    *t = (struct template){0};
}

void template_free(struct template *t) {
    if (t)
        template_fini(t);
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
