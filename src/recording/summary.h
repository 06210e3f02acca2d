/* What summary.c counts, for those who read a file for another purpose anyway. */
#ifndef MF_RECORDING_SUMMARY_H
#define MF_RECORDING_SUMMARY_H

#include "recording/reader.h"

/* Adds one event to zeroed memory's counts. */
void summary_add(struct session_summary *s, const struct session_event *e);

#endif
