#include "relay/reasons.h"

const struct end_reason_info end_reasons[END_REASON_COUNT] = {
#define X(id, word, code, metric) [END_##id] = {word, code, metric},
    END_REASONS(X)
#undef X
};

const char *const end_by_names[] = {[END_BY_CLIENT] = "client", [END_BY_UPSTREAM] = "upstream", [END_BY_GATEWAY] = "gateway"};
