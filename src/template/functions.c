/* What a placeholder can name: one row each, with its help. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "protocol/json.h"
#include "protocol/text.h"
#include "template/segment.h"

/* -- time ---------------------------------------------------------------------------------------------------------- */

#define SECOND_US INT64_C(1000000)
#define OFFSET_MAX_US (INT64_C(100) * 366 * 86400 * SECOND_US) /* a century either way */

/* "+1h", "-30m": the offset that follows a time's name. */
static int prepare_time(struct call *call, struct err *err) {
    static const struct {
        char letter;
        int64_t us;
    } units[] = {{'s', SECOND_US}, {'m', 60 * SECOND_US}, {'h', 3600 * SECOND_US}, {'d', 86400 * SECOND_US}};
    const char *s = call->suffix;
    call->offset_us = 0;
    if (!*s)
        return MF_OK;
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    bool digits = (s[1] >= '0' && s[1] <= '9') && !errno;
    for (size_t i = 0; digits && i < ARRAY_LEN(units); i++)
        if (*end == units[i].letter && !end[1]) {
            if (__builtin_mul_overflow(n, units[i].us, &call->offset_us) || llabs(call->offset_us) > OFFSET_MAX_US)
                return err_set(err, MF_EINVAL, "offset \"%s\" is over a century", s);
            return MF_OK;
        }
    return err_set(err, MF_EINVAL, "bad offset \"%s\": expected a number and s, m, h or d, such as +1h or -30m", s);
}

static int64_t time_of(const struct call *call) {
    return clock_wall_us() + call->offset_us;
}

static enum form render_now(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)ctx;
    char text[CLOCK_RFC3339_LEN];
    buf_puts(out, clock_rfc3339(time_of(call), text));
    return FORM_PLAIN;
}

static enum form render_date(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)ctx;
    char text[CLOCK_RFC3339_LEN];
    buf_append(out, clock_rfc3339(time_of(call), text), strlen("2024-01-15"));
    return FORM_PLAIN;
}

static enum form render_time(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)ctx;
    char text[CLOCK_RFC3339_LEN];
    buf_append(out, clock_rfc3339(time_of(call), text) + strlen("2024-01-15T"), strlen("10:30:00"));
    return FORM_PLAIN;
}

static enum form render_timestamp(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)ctx;
    int64_t us = time_of(call);
    json_write_integer(out, us / SECOND_US - (us % SECOND_US < 0));
    return FORM_JSON;
}

/* -- chance -------------------------------------------------------------------------------------------------------- */

static enum form render_uuid(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    char text[RNG_UUID_LEN];
    if (!ctx->rng)
        return FORM_MISSING;
    buf_puts(out, rng_uuid(ctx->rng, text));
    return FORM_PLAIN;
}

static int parse_int(const char *s, int64_t *out, struct err *err) {
    char *end;
    errno = 0;
    *out = strtoll(s, &end, 10);
    if (errno || end == s || *end)
        return err_set(err, MF_EINVAL, "\"%s\" is not a whole number", s);
    return MF_OK;
}

static int parse_number(const char *s, double *out, struct err *err) {
    char *end;
    *out = strtod(s, &end);
    if (end == s || *end || !isfinite(*out))
        return err_set(err, MF_EINVAL, "\"%s\" is not a number", s);
    return MF_OK;
}

static int check_range(const struct call *call, bool ordered, struct err *err) {
    if (call->argument_count == 1)
        return err_set(err, MF_EINVAL, "%s takes two numbers or none", call->name);
    if (!ordered)
        return err_set(err, MF_EINVAL, "%s: %s is more than %s", call->name, call->arguments[0], call->arguments[1]);
    return MF_OK;
}

static int prepare_random_int(struct call *call, struct err *err) {
    int64_t bounds[2] = {0, 1000000};
    for (unsigned i = 0; i < call->argument_count; i++)
        if (parse_int(call->arguments[i], &bounds[i], err) < 0)
            return MF_EINVAL;
    call->integer.low = bounds[0];
    call->integer.high = bounds[1];
    return check_range(call, bounds[0] <= bounds[1], err);
}

static enum form render_random_int(const struct call *call, const struct template_context *ctx, struct buf *out) {
    if (!ctx->rng)
        return FORM_MISSING;
    json_write_integer(out, rng_range(ctx->rng, call->integer.low, call->integer.high));
    return FORM_JSON;
}

#define DECIMALS_MAX 17

/* Decimals so that a step is about a millionth of the range (40000..50000 gives cents), and so that the bounds as they
 * were written lie on a step: no value is rounded past them. */
static int decimals_for(const struct call *call, double span) {
    int decimals = span > 0 ? 6 - (int)floor(log10(span)) : 1;
    for (unsigned i = 0; i < call->argument_count; i++) {
        const char *point = strchr(call->arguments[i], '.');
        if (point)
            decimals = MAX(decimals, (int)MIN(strspn(point + 1, "0123456789"), (size_t)DECIMALS_MAX));
    }
    return MIN(MAX(decimals, 1), DECIMALS_MAX);
}

static int prepare_random_float(struct call *call, struct err *err) {
    double bounds[2] = {0, 1};
    for (unsigned i = 0; i < call->argument_count; i++)
        if (parse_number(call->arguments[i], &bounds[i], err) < 0)
            return MF_EINVAL;
    call->number.low = bounds[0];
    call->number.high = bounds[1];
    if (!isfinite(bounds[1] - bounds[0]))
        return err_set(err, MF_EINVAL, "%s: the range is too wide", call->name);
    call->number.decimals = decimals_for(call, bounds[1] - bounds[0]);
    return check_range(call, bounds[0] <= bounds[1], err);
}

/* Always with a decimal point, so that a reader of JSON takes it for a float each time. */
static enum form render_random_float(const struct call *call, const struct template_context *ctx, struct buf *out) {
    if (!ctx->rng)
        return FORM_MISSING;
    double low = call->number.low, high = call->number.high;
    double value = low + (high - low) * rng_unit(ctx->rng);
    char text[DBL_MAX_10_EXP + DECIMALS_MAX + 4]; /* 4: a first digit, sign, point, NUL */
    int len = snprintf(text, sizeof text, "%.*f", call->number.decimals, value);
    while (len > 2 && text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    return value_put(out, FORM_JSON, text, (size_t)len);
}

/* -- the connection ------------------------------------------------------------------------------------------------ */

static enum form put_string(struct buf *out, const char *s) {
    if (!s)
        return FORM_MISSING;
    buf_puts(out, s);
    return FORM_TEXT;
}

static enum form render_connection_id(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    return put_string(out, ctx->connection ? ctx->connection->id : NULL);
}

static enum form render_connection_number(const struct call *call, const struct template_context *ctx,
                                          struct buf *out) {
    (void)call;
    if (!ctx->connection)
        return FORM_MISSING;
    text_u64(out, ctx->connection->number);
    return FORM_JSON;
}

static enum form render_connection_path(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    return put_string(out, ctx->connection ? ctx->connection->path : NULL);
}

static enum form render_remote_addr(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    return put_string(out, ctx->connection ? ctx->connection->remote_addr : NULL);
}

static enum form render_connection_count(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    text_u64(out, ctx->connection_count);
    return FORM_JSON;
}

/* Never less than what this gateway counts itself: what the others last said is a moment old. */
static enum form render_cluster_count(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)call;
    text_u64(out, MAX(ctx->cluster_connection_count, ctx->connection_count));
    return FORM_JSON;
}

static enum form render_header(const struct call *call, const struct template_context *ctx, struct buf *out) {
    return put_string(out, ctx->connection ? headers_get(&ctx->connection->headers, call->suffix) : NULL);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one byte of a query (percent-escapes, and '+' for a space as forms send it); moves *s past it. */
static char next_query_byte(const char **s, const char *end) {
    const char *p = *s;
    if (*p == '%' && end - p >= 3 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
        *s = p + 3;
        return (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
    }
    *s = p + 1;
    return *p == '+' ? ' ' : *p;
}

static bool query_name_is(const char *s, const char *end, const char *name) {
    while (s < end && *name)
        if (next_query_byte(&s, end) != *name++)
            return false;
    return s == end && !*name;
}

static enum form render_query(const struct call *call, const struct template_context *ctx, struct buf *out) {
    const char *s = ctx->connection ? ctx->connection->query : NULL;
    while (s) {
        const char *end = s + strcspn(s, "&");
        const char *equals = memchr(s, '=', (size_t)(end - s));
        if (query_name_is(s, equals ? equals : end, call->suffix)) {
            for (s = equals ? equals + 1 : end; s < end;)
                buf_putc(out, next_query_byte(&s, end));
            return FORM_TEXT;
        }
        s = *end ? end + 1 : NULL;
    }
    return FORM_MISSING;
}

/* Read each time: the environment does not change while we run, and secrets are not copied about. */
static enum form render_env(const struct call *call, const struct template_context *ctx, struct buf *out) {
    (void)ctx;
    return put_string(out, getenv(call->suffix));
}

/* -- the table ----------------------------------------------------------------------------------------------------- */

/* X(name, arguments, how the name is matched, most arguments, prepare, render, root, help) */
#define FUNCTIONS(X)                                                                                                   \
    X("message", "[.PATH]", PATH, 0, prepare_path, render_path, TEMPLATE_MESSAGE,                                      \
      "The message that is answered, or what a path names in it: `{{message.user.id}}`, `{{message.items.0}}`, "       \
      "`{{message.\"odd name\"}}`. Of a text that is not JSON: `message.text`.")                                       \
    X("params", "[.PATH]", PATH, 0, prepare_path, render_path, TEMPLATE_PARAMS,                                        \
      "The params of the JSON-RPC request that is answered, or what a path names in them.")                            \
    X("state", "[.PATH]", PATH, 0, prepare_path, render_path, TEMPLATE_STATE,                                          \
      "The connection's state, or what a path names in it.")                                                           \
    X("now", "[+1h|-30m|+90s|+2d]", TIME, 0, prepare_time, render_now, 0,                                              \
      "The time in UTC as RFC 3339 with milliseconds, moved by an offset: `{{now+1h}}`.")                              \
    X("date", "[+1d]", TIME, 0, prepare_time, render_date, 0,                                                          \
      "The date in UTC, YYYY-MM-DD; takes an offset as `now` does.")                                                   \
    X("time", "[+1h]", TIME, 0, prepare_time, render_time, 0,                                                          \
      "The time of day in UTC, HH:MM:SS; takes an offset.")                                                            \
    X("timestamp", "[+1h]", TIME, 0, prepare_time, render_timestamp, 0,                                                \
      "Seconds since 1970-01-01 UTC, a number; takes an offset.")                                                      \
    X("uuid", "", EXACT, 0, NULL, render_uuid, 0, "A random UUID (version 4).")                                        \
    X("random_int", " [LOW HIGH]", EXACT, 2, prepare_random_int, render_random_int, 0,                                 \
      "A whole number from LOW to HIGH, both included; 0 to 1000000 when none are given.")                             \
    X("randInt", " [LOW HIGH]", EXACT, 2, prepare_random_int, render_random_int, 0, "The same as `random_int`.")       \
    X("rand.int", " [LOW HIGH]", EXACT, 2, prepare_random_int, render_random_int, 0, "The same as `random_int`.")      \
    X("random_float", " [LOW HIGH]", EXACT, 2, prepare_random_float, render_random_float, 0,                           \
      "A number from LOW to HIGH in steps of about a millionth of the range; 0 to 1 when none are given.")             \
    X("rand.float", " [LOW HIGH]", EXACT, 2, prepare_random_float, render_random_float, 0,                             \
      "The same as `random_float`.")                                                                                   \
    X("faker.", "NAME", PREFIX, 0, prepare_faker, render_faker, 0,                                                     \
      "A made-up value of the list below: `{{faker.name}}`.")                                                          \
    X("connection.id", "", EXACT, 0, NULL, render_connection_id, 0, "The client's connection: `conn-1`, `conn-2`, …")  \
    X("connection.number", "", EXACT, 0, NULL, render_connection_number, 0, "The number in `connection.id`.")          \
    X("connection.path", "", EXACT, 0, NULL, render_connection_path, 0, "The path that the client asked for.")         \
    X("connection.remote_addr", "", EXACT, 0, NULL, render_remote_addr, 0, "The client's address and port.")           \
    X("connection_count", "", EXACT, 0, NULL, render_connection_count, 0, "Open connections on the gateway, a number.")\
    X("connection_count.cluster", "", EXACT, 0, NULL, render_cluster_count, 0,                                         \
      "Open connections on all gateways that share a Redis; without one the same as `connection_count`.")              \
    X("env.", "NAME", PREFIX, 0, NULL, render_env, 0, "An environment variable: `{{env.API_TOKEN}}`.")                 \
    X("header.", "NAME", PREFIX, 0, NULL, render_header, 0,                                                            \
      "A header field of the client's request (the first of that name): `{{header.user-agent}}`.")                     \
    X("query.", "NAME", PREFIX, 0, NULL, render_query, 0, "A query parameter of the client's request, decoded.")

const struct function functions[] = {
#define X(name, arguments, match, max, prepare, render, root, help) {name, NAME_##match, max, prepare, render, root},
    FUNCTIONS(X)
#undef X
};
const size_t function_count = ARRAY_LEN(functions);

const struct template_function_info template_functions[] = {
#define X(name, arguments, match, max, prepare, render, root, help) {name, arguments, help},
    FUNCTIONS(X)
#undef X
    {NULL, NULL, NULL}};
