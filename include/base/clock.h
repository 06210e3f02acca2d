/* The only source of time. Tests put their own in its place.
 *
 * Thread: any; clock_set_fake() before the threads start. */
#ifndef MF_BASE_CLOCK_H
#define MF_BASE_CLOCK_H

#include "base/defs.h"

/* Microseconds on a clock that never goes back (CLOCK_MONOTONIC). */
uint64_t clock_mono_us(void);
/* Microseconds since 1970-01-01T00:00:00Z (CLOCK_REALTIME). */
int64_t clock_wall_us(void);

/* For tests: both clocks give *us until called with NULL. */
void clock_set_fake(const uint64_t *us);

#define CLOCK_RFC3339_LEN 25 /* with the NUL */
/* "2024-01-15T10:30:00.000Z" (RFC 3339, UTC, milliseconds) for a clock_wall_us() time; what lies outside the
 * years 0000 to 9999 becomes their first or last millisecond. Returns out. */
char *clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN]);

#endif
