#include <inttypes.h>
#include <string.h>

#include "gateway/admin_answer.h"

static bool is_alike(const struct metric_info *a, const struct metric_info *b) {
    return !strcmp(a->name, b->name);
}

static bool is_first_of_its_name(size_t i) {
    for (size_t k = 0; k < i; k++)
        if (is_alike(&metric_infos[k], &metric_infos[i]))
            return false;
    return true;
}

static void put_sample(struct buf *out, const struct metric_info *m, const char *suffix, uint64_t value) {
    buf_printf(out, m->labels[0] ? "%s%s{%s}" : "%s%s%s", m->name, suffix, m->labels);
    /* A gauge is a sum of cells that are read one after the other: for a moment it may seem to be below zero. */
    if (m->kind == METRIC_KIND_GAUGE)
        buf_printf(out, " %" PRId64 "\n", (int64_t)value);
    else
        buf_printf(out, " %" PRIu64 "\n", value);
}

/* All samples of a name stand together, under one HELP and TYPE. */
static void put_family(struct buf *out, size_t first, const char *suffix, const uint64_t sum[METRIC_COUNT]) {
    const struct metric_info *m = &metric_infos[first];
    buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", m->name, suffix, m->help, m->name, suffix,
               m->kind == METRIC_KIND_GAUGE ? "gauge" : "counter");
    for (size_t i = first; i < METRIC_COUNT; i++)
        if (is_alike(&metric_infos[i], m))
            put_sample(out, &metric_infos[i], suffix, sum[i]);
}

static bool needs_alias(const struct metric_info *m) {
    static const char ending[] = "_total";
    size_t len = strlen(m->name), n = sizeof ending - 1;
    return m->kind == METRIC_KIND_COUNTER && (len < n || strcmp(m->name + len - n, ending) != 0);
}

void admin_metrics_page(struct buf *out, const uint64_t sum[METRIC_COUNT], int64_t started_us) {
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (!is_first_of_its_name(i))
            continue;
        put_family(out, i, "", sum);
        if (needs_alias(&metric_infos[i]))
            put_family(out, i, "_total", sum);
    }
    buf_puts(out, "# HELP mockforge_build_info What is running.\n# TYPE mockforge_build_info gauge\n");
    buf_puts(out, "mockforge_build_info{version=\"" MF_VERSION "\"} 1\n");
    buf_puts(out, "# HELP process_start_time_seconds When it was started, in seconds since 1970-01-01 UTC.\n"
                  "# TYPE process_start_time_seconds gauge\n");
    buf_printf(out, "process_start_time_seconds %" PRId64 ".%03d\n", started_us / 1000000,
               (int)(started_us / 1000 % 1000));
}
