/* The line that nearly all lines of a recording are: a whole text frame, its members as event_write_line() writes them.
 *
 * It is read without a look for members, and who hands the event on unchanged can often copy it (p->exact). Any other
 * line is parse.c's, which tells what is wrong with it as well. Thread: the owner's. */
#ifndef MF_RECORDING_USUAL_LINE_H
#define MF_RECORDING_USUAL_LINE_H

#include "recording/parse.h"

/* After parse_begin(), e being empty: reads all of the text if it is such a line. On false, e and p are to be begun
 * anew. */
MF_MUSTCHECK bool usual_line_read(struct parse *p, struct session_event *e);

#endif
