/* The recorder's hot path: the line of a text frame, byte for byte what event_write_line() writes for it (a test holds
 * the two together), at a third of the price. Thread: any. */
#ifndef MF_RECORDING_LINE_H
#define MF_RECORDING_LINE_H

#include "base/connection.h"
#include "recording/event.h"

/* `{"connection":"conn-1","timestamp_ms":`, made once for a connection. */
struct line_prefix {
    uint8_t len;
    char text[39 + CONNECTION_ID_LEN];
};

/* id: "conn-<number>", nothing in it to escape. */
void line_prefix_init(struct line_prefix *p, const char *id);

/* Appends the line of a whole final text frame without RSV bits. False: the data is not UTF-8, or there is no memory
 * (out->failed); out is then as it was. */
MF_MUSTCHECK bool line_text_frame(struct buf *out, const struct line_prefix *prefix, uint64_t timestamp_us,
                                  enum event_direction direction, enum event_leg leg, const uint8_t *data, size_t len);

#endif
