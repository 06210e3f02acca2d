/* An HTTP archive (HAR 1.2) as a stream of events: its entries with `_webSocketMessages` are connections, as Chrome's
 * DevTools, Playwright and mitmproxy write them (docs/session-file.md, "HAR").
 *
 * Entries stand one behind the other though they happened at the same time, and an entry may tell its URL after its
 * messages. So the file is walked through once, to note where each connection's entry and messages begin; what the
 * entries give is then merged by time, each read on from its own place. Memory: a hundred bytes for each connection,
 * and cursors for the few that were read last. Thread: the owner's. */
#ifndef MF_RECORDING_HAR_H
#define MF_RECORDING_HAR_H

#include "recording/document_cursor.h"
#include "recording/event.h"

struct har;

MF_MUSTCHECK int har_open(const char *path, struct har **out, struct err *err);
void har_close(struct har *h);
/* As reader_next() and reader_recover(). */
MF_MUSTCHECK int har_next(struct har *h, struct session_event *e, struct err *err);
void har_recover(struct har *h, bool on);
/* After 0: the file was cut. */
bool har_truncated(const struct har *h);
/* The times that ran backwards; borrowed. */
struct step_back *har_step_back(struct har *h);
/* Bytes of connections that were given out, of how many there are; about. */
uint64_t har_position(const struct har *h);
/* Goes back to the first event. */
MF_MUSTCHECK int har_rewind(struct har *h, struct err *err);

#endif
