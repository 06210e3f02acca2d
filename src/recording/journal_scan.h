/* The opening of a journal's file: its lock, and where the last whole frame of an existing one ends. */
#ifndef MF_RECORDING_JOURNAL_SCAN_H
#define MF_RECORDING_JOURNAL_SCAN_H

#include "recording/journal.h"

#define JOURNAL_SEEK_MAGIC 0x184D2A5Eu
#define JOURNAL_SEEK_FOOTER_MAGIC 0x8F92EAB1u
#define JOURNAL_SEEK_ENTRY 8u
#define JOURNAL_SEEK_FOOTER 9u
#define JOURNAL_SEEK_HEAD 8u

/* Fills fd, size, entries and recorded_at_us from j->path; errors as journal_open(). */
MF_MUSTCHECK int journal_scan(struct journal *j, enum journal_want want, struct err *err);

/* False: out of memory. */
bool journal_add_entry(struct journal *j, size_t compressed, unsigned long long decompressed);

#endif
