/* Single values: text as in the file -> a field of config.h, and back. Thread: any; nothing is kept. */
#ifndef MF_CONFIG_VALUE_H
#define MF_CONFIG_VALUE_H

#include "config/option.h"

/* Room enough for any of the sentences below. */
#define VALUE_WHY_SIZE 384

/* Stores what the text says into the field, for every kind that is a single value except OPTION_STRINGS.
 * MF_EINVAL: `why` (VALUE_WHY_SIZE bytes) says what was expected and what was found. */
MF_MUSTCHECK int value_store(const struct option *row, const char *text, struct arena *a, void *field, char *why);
/* "a whole number from 0 to 65535": what the row takes. Returns out. */
const char *value_expected(const struct option *row, char *out, size_t size);
/* "64KiB": a size in the largest unit that divides it; "24h": a duration likewise. Returns out. */
const char *value_format_size(uint64_t bytes, char *out, size_t size);
const char *value_format_duration(uint64_t seconds, char *out, size_t size);
/* The name of an enum's value, or NULL when none of the row's choices has it. */
const char *value_choice_name(const struct option *row, int value);

#endif
