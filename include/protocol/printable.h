/* What a peer sent, made harmless for a terminal: no control character and nothing that hides text, breaks a line or
 * turns the direction of writing comes out. Thread: any. */
#ifndef MF_PROTOCOL_PRINTABLE_H
#define MF_PROTOCOL_PRINTABLE_H

#include "base/buf.h"

/* Appends text with everything that is no printable UTF-8 escaped (\n, \x1b, \u202e). */
void printable_append(struct buf *out, const void *data, size_t len);

#endif
