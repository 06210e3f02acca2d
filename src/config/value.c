#include "config/value.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/near.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* In the order in which they are tried for printing. K, M and G alone are refused: nobody agrees on what they are. */
static const struct unit size_units[] = {
    {"TiB", (uint64_t)1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1000000000000},
    {"GB", 1000000000},         {"MB", 1000000},  {"KB", 1000},     {"B", 1},         {"", 1},
};
static const struct unit duration_units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"", 1}};

/* Digits only, no leading zeros: 010 is eight for some and ten for others. Returns what follows; NULL: no number, or
 * one beyond 64 bits. */
static const char *parse_digits(const char *text, uint64_t *out) {
    uint64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return NULL;
    if (p == text || (text[0] == '0' && p != text + 1))
        return NULL;
    *out = n;
    return p;
}

static bool parse_whole(const char *text, int64_t *out) {
    bool negative = *text == '-';
    uint64_t n;
    const char *end = parse_digits(text + negative, &n);
    if (!end || *end || n > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool parse_with_unit(const char *text, const struct unit *units, size_t count, int64_t *out) {
    uint64_t n;
    const char *end = parse_digits(text, &n);
    if (!end)
        return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < count; i++)
        if (!strcasecmp(end, units[i].name)) {
            bool overflow = __builtin_mul_overflow(n, units[i].factor, &n) || n > INT64_MAX;
            *out = overflow ? INT64_MAX : (int64_t)n;
            return true;
        }
    return false;
}

static bool parse_bool(const char *text, bool *out) {
    static const char *const words[][2] = {{"false", "true"}, {"no", "yes"}, {"off", "on"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (int value = 0; value < 2; value++)
            if (!strcasecmp(text, words[i][value])) {
                *out = value;
                return true;
            }
    return false;
}

static const char *format_with_unit(uint64_t n, const struct unit *units, size_t count, char *out, size_t size) {
    for (size_t i = 0; i < count; i++)
        if (n && n % units[i].factor == 0 && n >= units[i].factor) {
            bool bare = units[i].factor == 1 && units == size_units;
            snprintf(out, size, "%llu%s", (unsigned long long)(n / units[i].factor), bare ? "" : units[i].name);
            return out;
        }
    snprintf(out, size, "0");
    return out;
}

const char *value_format_size(uint64_t bytes, char *out, size_t size) {
    return format_with_unit(bytes, size_units, ARRAY_LEN(size_units), out, size);
}

const char *value_format_duration(uint64_t seconds, char *out, size_t size) {
    return format_with_unit(seconds, duration_units, ARRAY_LEN(duration_units), out, size);
}

const char *value_choice_name(const struct option *row, int value) {
    for (const struct option_choice *c = row->choices; c->name; c++)
        if (!c->later && c->value == value)
            return c->name;
    return NULL;
}

static void expected_choice(const struct option *row, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "one of");
    for (const struct option_choice *c = row->choices; c->name && used < size; c++)
        if (!c->later)
            used += (size_t)snprintf(out + used, size - used, "%s %s", c == row->choices ? "" : ",", c->name);
}

const char *value_expected(const struct option *row, char *out, size_t size) {
    char low[32], high[32];
    switch (row->kind) {
    case OPTION_BOOL:
        snprintf(out, size, "true or false");
        break;
    case OPTION_UINT:
    case OPTION_INT:
    case OPTION_PORT:
    case OPTION_UINT64:
        snprintf(out, size, "a whole number from %lld to %lld", (long long)row->min, (long long)row->max);
        break;
    case OPTION_SIZE:
        snprintf(out, size, "a size from %s to %s, such as 65536, 64KiB or 10MB",
                 value_format_size((uint64_t)row->min, low, sizeof low),
                 value_format_size((uint64_t)row->max, high, sizeof high));
        break;
    case OPTION_DURATION:
        snprintf(out, size, "a time from %s to %s, such as 30s, 10m, 24h or 7d",
                 value_format_duration((uint64_t)row->min, low, sizeof low),
                 value_format_duration((uint64_t)row->max, high, sizeof high));
        break;
    case OPTION_ENUM:
        expected_choice(row, out, size);
        break;
    case OPTION_STRING:
    case OPTION_TEXT:
        snprintf(out, size, row->tagged ? "a text, or a mapping of one text" : "a text");
        break;
    case OPTION_VALUE:
        snprintf(out, size, "a value");
        break;
    case OPTION_STRINGS:
        snprintf(out, size, "a list of texts");
        break;
    case OPTION_HEADERS:
        snprintf(out, size, "a mapping of header names to values");
        break;
    case OPTION_LIST:
        snprintf(out, size, row->single ? "a mapping, or a list of them" : "a list of mappings");
        break;
    case OPTION_SECTION:
    case OPTION_ALIAS:
    case OPTION_LATER:
        snprintf(out, size, "a mapping");
        break;
    }
    return out;
}

static int refuse(const struct option *row, const char *text, char *why) {
    char expected[256];
    value_expected(row, expected, sizeof expected);
    if (row->secret)
        snprintf(why, VALUE_WHY_SIZE, "expected %s", expected);
    else
        snprintf(why, VALUE_WHY_SIZE, "expected %s; found %.80s", expected, log_quote_n(text, strnlen(text, 60)));
    return MF_EINVAL;
}

static int store_number(const struct option *row, const char *text, void *field, char *why) {
    int64_t n;
    bool parsed = row->kind == OPTION_SIZE       ? parse_with_unit(text, size_units, ARRAY_LEN(size_units), &n)
                  : row->kind == OPTION_DURATION ? parse_with_unit(text, duration_units, ARRAY_LEN(duration_units), &n)
                                                 : parse_whole(text, &n);
    if (!parsed || n < row->min || n > row->max)
        return refuse(row, text, why);
    switch (row->kind) {
    case OPTION_UINT:
    case OPTION_DURATION:
        *(unsigned *)field = (unsigned)n;
        break;
    case OPTION_INT:
        *(int *)field = (int)n;
        break;
    case OPTION_PORT:
        *(uint16_t *)field = (uint16_t)n;
        break;
    default:
        *(uint64_t *)field = (uint64_t)n;
        break;
    }
    return 0;
}

static int store_choice(const struct option *row, const char *text, void *field, char *why) {
    struct near near = near_to(text);
    for (const struct option_choice *c = row->choices; c->name; c++) {
        near_try(&near, c->name);
        if (strcmp(c->name, text))
            continue;
        if (c->later) {
            snprintf(why, VALUE_WHY_SIZE, "\"%s\" handlers are not available in this version yet", text);
            return MF_EINVAL;
        }
        /* An enum of ours is as large as an int; memcpy, because they are different types. */
        memcpy(field, &c->value, sizeof c->value);
        return 0;
    }
    refuse(row, text, why);
    size_t used = strlen(why);
    if (near.best)
        snprintf(why + used, VALUE_WHY_SIZE - used, "; did you mean \"%s\"?", near.best);
    return MF_EINVAL;
}

int value_store(const struct option *row, const char *text, struct arena *a, void *field, char *why) {
    if (row->kind == OPTION_BOOL)
        return parse_bool(text, field) ? 0 : refuse(row, text, why);
    if (row->kind == OPTION_ENUM)
        return store_choice(row, text, field, why);
    if (row->kind != OPTION_STRING && row->kind != OPTION_TEXT)
        return store_number(row, text, field, why);

    const char *wrong = row->wrong ? row->wrong(text) : NULL;
    if (wrong) {
        if (row->secret || row->sensitive)
            snprintf(why, VALUE_WHY_SIZE, "the value %s", wrong);
        else
            snprintf(why, VALUE_WHY_SIZE, "%.100s %s", log_quote_n(text, strnlen(text, 80)), wrong);
        return MF_EINVAL;
    }
    char *copy = arena_strdup(a, text);
    if (!copy)
        return MF_ENOMEM;
    if (row->kind == OPTION_STRING)
        *(char **)field = copy;
    else
        *(struct config_text *)field = (struct config_text){.text = copy};
    return 0;
}
