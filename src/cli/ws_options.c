#include "cli/ws_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SECONDS_MAX 1e12 /* 30,000 years: microseconds stay far from 2^64 */

bool ws_option_seconds(const struct cli_args *args, const char *name, uint64_t *out_us) {
    const char *text = cli_value(args, name);
    char *end;
    if (!text)
        return true;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds <= SECONDS_MAX)) {
        cli_usage_error(args, "--%s: \"%s\" is not a number of seconds", name, text);
        return false;
    }
    *out_us = (uint64_t)(seconds * 1e6 + 0.5);
    return true;
}

static bool add_type(const struct cli_args *args, enum event_type first, enum event_type last, unsigned *types,
                     const char *name, size_t len) {
    struct buf known = BUF_INIT;
    for (unsigned i = first; i <= last; i++) {
        if (strlen(event_type_names[i]) == len && !memcmp(event_type_names[i], name, len)) {
            *types |= 1u << i;
            buf_fini(&known);
            return true;
        }
        buf_printf(&known, "%s%s", known.len ? ", " : "", event_type_names[i]);
    }
    cli_usage_error(args, "--type: \"%.*s\" is none of %s", (int)len, name, buf_cstr(&known));
    buf_fini(&known);
    return false;
}

bool ws_option_types(const struct cli_args *args, enum event_type first, enum event_type last, unsigned *types) {
    const char *list = cli_value(args, "type");
    if (!list)
        return true;
    *types = 0;
    while (*list) {
        size_t len = strcspn(list, ",");
        if (len && !add_type(args, first, last, types, list, len))
            return false;
        list += len + (list[len] == ',');
    }
    return true;
}

bool ws_option_direction(const struct cli_args *args, bool *given, enum event_direction *direction) {
    const char *text = cli_value(args, "direction");
    if (!text)
        return true;
    *given = true;
    if (event_direction_named(text, direction))
        return true;
    cli_usage_error(args, "--direction: \"%s\" is neither incoming nor outgoing", text);
    return false;
}

bool ws_option_tolerance(const struct cli_args *args, struct compare_options *o) {
    const char *text = cli_value(args, "tolerance");
    char *end;
    if (!text)
        return true;
    size_t digits = strspn(text, "0123456789.eE+-"); /* strtod() reads 0x10, inf and nan too */
    double n = strtod(text, &end);
    bool percent = text[digits] == '%';
    if (end == text || end != text + digits || end[percent] || !isfinite(n) || signbit(n)) {
        cli_usage_error(args,
                        "--tolerance takes a number that is not negative, such as 0.5, or 1%% of the number; found %s",
                        log_quote(text));
        return false;
    }
    if (percent)
        o->tolerance_relative = n / 100;
    else
        o->tolerance = n;
    return true;
}
