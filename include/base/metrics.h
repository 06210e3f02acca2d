/* Counters and gauges: one table, one cell array for each thread that counts, summed when somebody asks.
 *
 * Each cell has one writer, so counting is a plain add (relaxed load and store, no bus lock). Names are the guide's.
 * A gauge is counted up and down; the sum over threads is its value. */
#ifndef MF_BASE_METRICS_H
#define MF_BASE_METRICS_H

#include <stdatomic.h>

#include "base/defs.h"

/* X(id, kind, prometheus name, labels or "", help) */
#define METRICS_TABLE(X)                                                                                               \
    X(CONNECTIONS_ACTIVE, GAUGE, "ws_connections_active", "", "Open client connections.")                              \
    X(CONNECTIONS_TOTAL, COUNTER, "ws_connections_total", "", "Client connections accepted since the start.")          \
    X(CONNECTIONS_REJECTED, COUNTER, "ws_connections_rejected", "", "Clients refused before their session opened.")    \
    X(MESSAGES_RECEIVED, COUNTER, "ws_messages_received_total", "", "Messages received from clients.")                 \
    X(MESSAGES_SENT, COUNTER, "ws_messages_sent_total", "", "Messages sent to clients.")                               \
    X(BYTES_RECEIVED, COUNTER, "ws_messages_bytes_received", "", "Payload bytes received from clients.")               \
    X(BYTES_SENT, COUNTER, "ws_messages_bytes_sent", "", "Payload bytes sent to clients.")                             \
    X(ERRORS_PARSE, COUNTER, "ws_errors_total", "type=\"parse\"", "Errors by type.")                                   \
    X(ERRORS_PROTOCOL, COUNTER, "ws_errors_total", "type=\"protocol\"", "Errors by type.")                             \
    X(ERRORS_TIMEOUT, COUNTER, "ws_errors_total", "type=\"timeout\"", "Errors by type.")                               \
    X(ERRORS_UPSTREAM, COUNTER, "ws_errors_total", "type=\"upstream\"", "Errors by type.")                             \
    X(ERRORS_TLS, COUNTER, "ws_errors_total", "type=\"tls\"", "Errors by type.")                                       \
    X(ERRORS_SCRIPT, COUNTER, "ws_errors_total", "type=\"script\"", "Errors by type.")                                 \
    X(ERRORS_RECORDING, COUNTER, "ws_errors_total", "type=\"recording\"", "Errors by type.")                           \
    X(ERRORS_ACCEPT, COUNTER, "ws_errors_total", "type=\"accept\"", "Errors by type.")                                 \
    X(UNMATCHED, COUNTER, "ws_unmatched_total", "", "Messages that no rule of a mock matched, or no recording answers.")                         \
    X(PUSHES_DROPPED, COUNTER, "ws_pushes_dropped_total", "", "Messages not sent: the client's send queue was full.")   \
    X(RECORDINGS_OPEN, GAUGE, "ws_recordings_open", "", "Recordings being written.")                                   \
    X(RECORDED_FRAMES, COUNTER, "ws_recorded_frames_total", "", "Lines of frames written to recordings.")              \
    X(RECORDED_BYTES, COUNTER, "ws_recorded_bytes_total", "", "Payload bytes recorded.")                               \
    X(RECORDED_FILE_BYTES, COUNTER, "ws_recorded_file_bytes_total", "", "Bytes written to recording files.")           \
    X(RECORD_DROPPED, COUNTER, "ws_recorded_dropped_total", "", "Frames not recorded: the ring was full or the disk failed.") \
    X(RECORD_PAUSES, COUNTER, "ws_record_pauses_total", "", "Times that a session waited for the recorder.")

enum metric_id {
#define X(id, kind, name, labels, help) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_COUNT
};
enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE };

struct metric_info {
    const char *name, *labels, *help;
    enum metric_kind kind;
};
extern const struct metric_info metric_infos[METRIC_COUNT];

struct metrics {
    atomic_uint_least64_t cells[METRIC_COUNT];
};

/* Only the thread that owns m. */
static inline void metrics_add(struct metrics *m, enum metric_id id, uint64_t n) {
    atomic_store_explicit(&m->cells[id], atomic_load_explicit(&m->cells[id], memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void metrics_inc(struct metrics *m, enum metric_id id) {
    metrics_add(m, id, 1);
}
static inline void metrics_dec(struct metrics *m, enum metric_id id) {
    metrics_add(m, id, (uint64_t)-1);
}
/* Any thread. */
static inline uint64_t metrics_get(const struct metrics *m, enum metric_id id) {
    return atomic_load_explicit(&m->cells[id], memory_order_relaxed);
}
/* Adds every cell of m to sum[]. */
void metrics_sum(const struct metrics *m, uint64_t sum[METRIC_COUNT]);

#endif
