/* A session file in the guide's form, {"metadata":{…},"messages":[…]}, as a stream of events (docs/session-file.md).
 *
 * Two cursors run over the file, one on "messages" and one on "metadata.connections", where what is not a message
 * stands (opens, ends) with its place among the messages; what they give is merged. Members may come in any order.
 * Thread: the owner's. */
#ifndef MF_RECORDING_DOCUMENT_H
#define MF_RECORDING_DOCUMENT_H

#include "recording/document_cursor.h"
#include "recording/parse.h"

/* In documents that name no connection all messages are of this one. */
#define DOCUMENT_CONNECTION "conn-1"

struct document;

MF_MUSTCHECK int document_open(const char *path, struct document **out, struct err *err);
void document_close(struct document *d);
/* As reader_next(). */
MF_MUSTCHECK int document_next(struct document *d, struct session_event *e, struct err *err);
/* After 0: the document was cut. */
bool document_truncated(const struct document *d);
/* As reader_recover(). */
void document_recover(struct document *d, bool on);
/* The line of the last message, from 1. */
int document_line(const struct document *d);
/* Bytes of the file that were used up. */
uint64_t document_position(const struct document *d);
/* Goes back to the first event. */
MF_MUSTCHECK int document_rewind(struct document *d, struct err *err);

/* What is the JSON text in this file? Looks at the first member names. A text that is too short to tell is what its
 * name says. */
enum document_kind { KIND_LINES, KIND_DOCUMENT, KIND_HAR, KIND_MOCKFORGE };
MF_MUSTCHECK int document_detect(const char *path, struct err *err);

#endif
