/* Widths and cutting for terminals; the rest of the user's side is in cli/command.h. Main thread. */
#ifndef MF_CLI_UI_H
#define MF_CLI_UI_H

#include "base/buf.h"

/* Columns of the terminal on fd; 80 when it is none. */
size_t ui_width(int fd);
/* Appends as much of text (UTF-8) as fits into `width` columns, never half a character; what is no printable
 * character becomes '?', colours pass and are switched off at the end. */
void ui_fit(struct buf *out, const char *text, size_t width);
/* Writes out to stdout and empties it: 0 or an errno (EPIPE: whoever read it has seen enough). */
MF_MUSTCHECK int ui_write(struct buf *out);

#endif
