/* What the files of the option table share: how a row is written, and the tables of mocks. Thread: any. */
#ifndef MF_CONFIG_TABLE_H
#define MF_CONFIG_TABLE_H

#include "config/option.h"

#define ROW(S, FIELD) offsetof(struct S, FIELD)
#define COUNT(S, FIELD) .count_offset = offsetof(struct S, FIELD)
#define GIVEN(S, FIELD) .given_offset = offsetof(struct S, FIELD)
#define ITEMS(S, FIELD, ITEM) ROW(S, FIELD), COUNT(S, FIELD##_count), .item_size = sizeof(struct ITEM)
#define RANGE(LOW, HIGH) .min = (LOW), .max = (HIGH)
/* In the guide, for a later version. */
#define LATER(KEY)                                                                                                     \
    { .key = (KEY), .kind = OPTION_LATER }
#define ROWS(ARRAY) .rows = (ARRAY), .count = ARRAY_LEN(ARRAY)

/* table_replay.c */
extern const struct option_table table_replay;

/* table_mock.c: the sections and lists below a handler. */
extern const struct option_table table_static, table_rule, table_method, table_default, table_schedule, table_broadcast,
    table_state, table_scenario;

#endif
