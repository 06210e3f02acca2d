/* What stands behind a '|': one row each, with its help. A filter takes the value that is there and leaves another.
 * What is missing stays missing for all but default and json. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/text.h"
#include "template/segment.h"

/* -- what is missing ----------------------------------------------------------------------------------------------- */

/* `default 0` is a number, `default "0"` a text: a bare word that is JSON keeps its type. */
static int prepare_default(struct filter_call *call, struct err *err) {
    struct json_tape tape = {.max = UINT32_MAX - 1};
    size_t at;
    int rc = call->quoted ? MF_EINVAL : json_tape_parse(&tape, call->argument, call->argument_len, &at);
    json_tape_fini(&tape);
    if (rc == MF_ENOMEM)
        return err_set(err, MF_ENOMEM, "out of memory");
    call->form = rc == MF_OK ? FORM_JSON : FORM_TEXT;
    return MF_OK;
}

static enum form apply_default(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    bool empty = form == FORM_JSON ? out->len - from == 2 && !memcmp(out->data + from, "\"\"", 2) : out->len == from;
    if (!empty)
        return form;
    out->len = from;
    return value_put(out, call->form, call->argument, call->argument_len);
}

static enum form apply_json(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    if (form == FORM_MISSING)
        return value_put(out, FORM_PLAIN, "null", 4);
    if (form != FORM_JSON)
        json_quote_tail(out, from);
    return FORM_TEXT;
}

/* -- texts --------------------------------------------------------------------------------------------------------- */

static enum form as_text(enum form form, struct buf *out, size_t from) {
    value_to_text(form, out, from);
    return form == FORM_JSON ? FORM_TEXT : form;
}

static enum form apply_string(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    return as_text(form, out, from);
}

static enum form apply_upper(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    form = as_text(form, out, from);
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] >= 'a' && out->data[i] <= 'z')
            out->data[i] = (uint8_t)(out->data[i] - 'a' + 'A');
    return form;
}

static enum form apply_lower(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    form = as_text(form, out, from);
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] = (uint8_t)(out->data[i] - 'A' + 'a');
    return form;
}

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum form trim(enum form form, struct buf *out, size_t from) {
    form = as_text(form, out, from);
    while (out->len > from && is_space(out->data[out->len - 1]))
        out->len--;
    size_t at = from;
    while (at < out->len && is_space(out->data[at]))
        at++;
    value_cut_front(out, from, at);
    return form;
}

static enum form apply_trim(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    return trim(form, out, from);
}

/* -- length -------------------------------------------------------------------------------------------------------- */

/* Elements of the JSON array, members of the object. */
static uint64_t count_children(const uint8_t *s, size_t len) {
    uint64_t commas = 0, depth = 0;
    bool quoted = false, empty = true;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = s[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == ',' && depth == 1) {
            commas++;
        }
        empty = empty && (i == 0 || i == len - 1 || is_space(c));
    }
    return empty ? 0 : commas + 1;
}

static uint64_t count_characters(const uint8_t *s, size_t len) {
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += (s[i] & 0xc0) != 0x80;
    return n;
}

static enum form apply_length(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    if (form == FORM_MISSING || out->failed)
        return form;
    uint64_t n;
    if (form == FORM_JSON && (out->data[from] == '[' || out->data[from] == '{')) {
        n = count_children(out->data + from, out->len - from);
    } else {
        as_text(form, out, from);
        n = out->len > from ? count_characters(out->data + from, out->len - from) : 0;
    }
    out->len = from;
    text_u64(out, n);
    return FORM_JSON;
}

/* -- numbers ------------------------------------------------------------------------------------------------------- */

/* A text that reads as a decimal number, spaces around it aside. */
struct number {
    bool negative, whole; /* whole: digits only */
    const char *digits;   /* without sign and leading zeros, up to the end or what follows the digits */
    size_t digits_len;
    double value; /* of what is not whole; finite */
};

static size_t count_digits(const char *s) {
    return strspn(s, "0123456789");
}

static bool read_number(const char *s, struct number *n) {
    n->negative = *s == '-';
    const char *p = s + (*s == '-' || *s == '+');
    size_t whole = count_digits(p), fraction = 0;
    n->digits = p;
    n->digits_len = whole;
    p += whole;
    n->whole = !*p;
    if (*p == '.') {
        fraction = count_digits(p + 1);
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '-' || p[1] == '+');
        if (!count_digits(p))
            return false;
        p += count_digits(p);
    }
    for (; n->digits_len > 1 && *n->digits == '0'; n->digits_len--)
        n->digits++;
    n->value = n->whole ? 0 : strtod(s, NULL);
    return !*p && isfinite(n->value);
}

/* The value as a number; false: it is none, and nothing is left of it. The pointers lead into out, whose bytes stay. */
static bool take_number(enum form form, struct buf *out, size_t from, struct number *n) {
    form = trim(form, out, from);
    buf_putc(out, '\0');
    bool is_number = form != FORM_MISSING && !out->failed && strlen((char *)out->data + from) == out->len - 1 - from &&
                     read_number((char *)out->data + from, n);
    if (!is_number)
        out->len = from;
    return is_number;
}

/* Leaves the number's digits alone, with its sign: they may be more than a double holds. */
static void keep_whole(const struct number *n, struct buf *out, size_t from) {
    size_t at = (size_t)(n->digits - (const char *)out->data);
    out->len = at + n->digits_len;
    bool zero = n->digits_len == 1 && *n->digits == '0';
    if (n->negative && !zero)
        out->data[--at] = '-'; /* over a zero, or the sign itself */
    value_cut_front(out, from, at);
}

static enum form put_rounded(double d, int decimals, struct buf *out, size_t from) {
    out->len = from;
    buf_printf(out, "%.*f", decimals, d);
    if (!out->failed && out->data[from] == '-' && strspn((const char *)out->data + from, "-0.") == out->len - from)
        value_cut_front(out, from, from + 1); /* -0.00 */
    return FORM_JSON;
}

static enum form apply_int(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    (void)call;
    struct number n;
    if (!take_number(form, out, from, &n))
        return FORM_MISSING;
    if (!n.whole)
        return put_rounded(trunc(n.value), 0, out, from);
    keep_whole(&n, out, from);
    return FORM_JSON;
}

static int prepare_round(struct filter_call *call, struct err *err) {
    const char *s = call->argument;
    if (s && (s[0] < '0' || s[0] > '9' || s[1]))
        return err_set(err, MF_EINVAL, "filter \"round\" takes how many decimals to keep, 0 to 9");
    call->decimals = s ? s[0] - '0' : 0;
    return MF_OK;
}

static enum form apply_round(const struct filter_call *call, enum form form, struct buf *out, size_t from) {
    struct number n;
    if (!take_number(form, out, from, &n))
        return FORM_MISSING;
    if (!n.whole)
        return put_rounded(n.value, call->decimals, out, from);
    keep_whole(&n, out, from);
    if (call->decimals)
        buf_printf(out, ".%0*d", call->decimals, 0);
    return FORM_JSON;
}

/* -- the table ----------------------------------------------------------------------------------------------------- */

/* X(name, arguments, how many, prepare, apply, help) */
#define FILTERS(X)                                                                                                     \
    X("default", " VALUE", ONE, prepare_default, apply_default,                                                        \
      "VALUE in place of what is missing, null or an empty text. A bare number, true, false, null, [] or {} keeps "    \
      "its type; a word, and what stands in quotes, is a text.")                                                       \
    X("json", "", NONE, NULL, apply_json,                                                                              \
      "The value as JSON text, texts with their quotes: for JSON that is written by hand in a text.")                  \
    X("string", "", NONE, NULL, apply_string, "The value as a text: 5 becomes \"5\".")                                 \
    X("int", "", NONE, NULL, apply_int,                                                                                \
      "The number, or the text that reads as one, cut to a whole number; what is no number is missing.")               \
    X("round", " [DECIMALS]", OPTIONAL, prepare_round, apply_round,                                                    \
      "The number, or the text that reads as one, with so many decimals (0 to 9; 0 when not given).")                  \
    X("length", "", NONE, NULL, apply_length, "Characters of a text, elements of an array, members of an object.")     \
    X("trim", "", NONE, NULL, apply_trim, "The text without white space around it.")                                   \
    X("upper", "", NONE, NULL, apply_upper, "The text with ASCII letters in upper case.")                              \
    X("lower", "", NONE, NULL, apply_lower, "The text with ASCII letters in lower case.")

const struct filter filters[] = {
#define X(name, arguments, takes, prepare, apply, help) {name, ARGUMENT_##takes, prepare, apply},
    FILTERS(X)
#undef X
};
const size_t filter_count = ARRAY_LEN(filters);

const struct template_function_info template_filters[] = {
#define X(name, arguments, takes, prepare, apply, help) {name, arguments, help},
    FILTERS(X)
#undef X
    {NULL, NULL, NULL}};
