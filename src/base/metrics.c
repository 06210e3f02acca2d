#include "base/metrics.h"

const struct metric_info metric_infos[METRIC_COUNT] = {
#define X(id, kind, name, labels, help) [METRIC_##id] = {name, labels, help, METRIC_KIND_##kind},
    METRICS_TABLE(X)
#undef X
};

void metrics_sum(const struct metrics *m, uint64_t sum[METRIC_COUNT]) {
    for (size_t i = 0; i < METRIC_COUNT; i++)
        sum[i] += metrics_get(m, (enum metric_id)i);
}
