/* One event of a session as a line for a person's eyes. What a peer sent is made harmless first: no control character
 * and nothing that turns the direction of writing reaches the terminal. Main thread. */
#ifndef MF_CLI_WS_SHOW_LINE_H
#define MF_CLI_WS_SHOW_LINE_H

#include "recording/event.h"

struct show_style {
    bool colour;
    bool full;    /* nothing is cut */
    size_t width; /* columns, when not full */
};

/* Appends the line with its newline. */
void show_line(struct buf *out, const struct session_event *e, const struct show_style *style);
/* The same with a value out of the payload, a JSON text, in the payload's place; a string without its quotes. */
void show_selected(struct buf *out, const struct session_event *e, const char *json, const struct show_style *style);
/* As one JSON line: connection, timestamp_ms, direction, type and "value". MF_ENOMEM. */
MF_MUSTCHECK int show_selected_json(struct buf *out, const struct session_event *e, const char *json);
/* "normal closure" for 1000 and so on (RFC 6455 section 7.4.1 and the IANA registry); NULL for codes without a name. */
const char *show_close_name(unsigned code);
/* Appends text with everything that is no printable UTF-8 escaped (\n, \x1b, \u202e). */
void show_escape(struct buf *out, const void *data, size_t len);

#endif
