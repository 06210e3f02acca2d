/* Why sessions end: one table for the log, the recording's "end" line and the close codes that are sent. */
#ifndef MF_RELAY_REASONS_H
#define MF_RELAY_REASONS_H

#include "base/metrics.h"
#include "protocol/frame.h"

#define NO_METRIC METRIC_COUNT

/* X(id, word, close code for the side at fault (0: none is sent), metric) */
#define END_REASONS(X)                                                                                                 \
    X(CLOSED, "closed", 0, NO_METRIC)                           /* a close frame began it */                           \
    X(GONE, "gone", 0, NO_METRIC)                               /* the connection ended without a close frame */       \
    X(PROTOCOL, "protocol_error", WS_CLOSE_PROTOCOL, METRIC_ERRORS_PROTOCOL)                                           \
    X(INVALID_DATA, "invalid_utf8", WS_CLOSE_INVALID_DATA, METRIC_ERRORS_PROTOCOL)                                     \
    X(TOO_BIG, "message_too_big", WS_CLOSE_TOO_BIG, METRIC_ERRORS_PROTOCOL)                                            \
    X(HEARTBEAT, "heartbeat_timeout", WS_CLOSE_GOING_AWAY, METRIC_ERRORS_TIMEOUT) /* no answer to our ping */          \
    X(SEND_TIMEOUT, "send_timeout", 0, METRIC_ERRORS_TIMEOUT)   /* takes nothing that we send */                       \
    X(SLOW, "slow_client", WS_CLOSE_POLICY, METRIC_ERRORS_TIMEOUT) /* websocket.send_queue is full */                     \
    X(SHUTDOWN, "shutdown", WS_CLOSE_GOING_AWAY, NO_METRIC)     /* the gateway stops */                                \
    X(RECORDER, "recorder_failed", WS_CLOSE_INTERNAL, METRIC_ERRORS_RECORDING) /* on_full or on_error: close */        \
    X(NO_MEMORY, "out_of_memory", WS_CLOSE_INTERNAL, NO_METRIC)                                                        \
    X(DROPPED, "dropped_as_recorded", 0, NO_METRIC)             /* a replay of a connection that ended without a close frame */ \
    X(HEAD_TIMEOUT, "head_timeout", 0, METRIC_ERRORS_TIMEOUT)   /* no whole request within head_timeout_ms */          \
    X(REFUSED, "refused", 0, NO_METRIC)                         /* answered by an HTTP status other than 101 */

enum end_reason {
#define X(id, word, code, metric) END_##id,
    END_REASONS(X)
#undef X
        END_REASON_COUNT
};
struct end_reason_info {
    const char *word;
    unsigned code;
    enum metric_id metric;
};
extern const struct end_reason_info end_reasons[END_REASON_COUNT];

/* Whose doing it was. */
enum end_by { END_BY_CLIENT, END_BY_UPSTREAM, END_BY_GATEWAY };
extern const char *const end_by_names[];

#endif
