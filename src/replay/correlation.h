/* A correlation from within. Immutable once correlation_new() has returned it. */
#ifndef MF_REPLAY_CORRELATION_H
#define MF_REPLAY_CORRELATION_H

#include "base/numbers.h"
#include "replay/correlate.h"
#include "replay/rules.h"

/* A variable gets its value here: a value of a message, or a part of it. */
struct birth {
    uint32_t message;
    uint32_t value;      /* index in the message's structure */
    uint32_t begin, end; /* of its text; what stands around it must stand in the live message too */
    uint32_t variable;
    bool whole;
};

/* The client's handshake (handshake.h), where the index of a message is asked for. */
#define MESSAGE_HANDSHAKE (UINT32_MAX - 1)

/* What is known about one connection. By message: [of[m], of[m + 1]). */
struct connection_plan {
    struct structure *structures; /* values lie in the correlation's slab */
    struct slot *slots;
    struct birth *births;
    uint32_t *free_paths;
    uint32_t *slots_of, *births_of, *free_of; /* NULL: there are none */
    uint32_t *parents;                        /* by variable: the same text's one before it, or SPOKEN_NONE */
    uint32_t slot_count, birth_count, free_count, variable_count;
    uint32_t slot_cap, birth_cap, free_cap, variable_cap;
    /* The handshake as a message: it comes first, and so do its variables. */
    struct replay_message handshake;
    struct structure handshake_structure;
    struct birth *handshake_births;
    uint32_t handshake_birth_count, handshake_birth_cap, handshake_variables;
};

/* --correlate */
struct asked_rule {
    uint8_t from;
    char *source, *target; /* patterns */
};
#define ASKED_MAX 64u

struct counter {
    uint32_t connection, path;
    uint8_t direction;
    uint32_t values;
    uint32_t slots; /* filled by it */
    int64_t first, last;
};

struct correlation {
    atomic_int refs;
    struct replay_source *source;
    struct path_table *paths;
    struct connection_plan *plans; /* by connection */
    struct slab slab;
    /* for reports */
    struct keys keys;
    struct rules rules;
    struct asked_rule asked[ASKED_MAX];
    size_t asked_count;
    struct counter *counters;
    uint32_t counter_count, counter_cap;
    uint64_t times;              /* slots */
    bool off, refresh_time, cut; /* cut: CORRELATE_MESSAGES_MAX was reached */
};

static inline const struct structure *plan_structure(const struct connection_plan *p, uint32_t message) {
    return message == MESSAGE_HANDSHAKE ? &p->handshake_structure : &p->structures[message];
}

/* Where a rule was read: which patterns a path matches. */
struct path_marks {
    uint8_t *excluded;         /* by path */
    uint64_t *source, *target; /* by path: bits of asked rules */
};

/* correlate_options.c */
MF_MUSTCHECK int asked_rules_read(struct correlation *c, const struct correlate_options *o, struct err *err);
MF_MUSTCHECK int path_marks_init(struct path_marks *m, const struct correlation *c, const struct correlate_options *o);
void path_marks_fini(struct path_marks *m);

/* infer.c: fills plans, but for the structures. */
MF_MUSTCHECK int infer(struct correlation *c, const struct correlate_options *o, const struct path_marks *marks);

/* plan.c */
/* The bytes of a part of a value's text in its message; false: they cannot be told. */
bool part_in_message(const void *data, const struct message_value *v, const char *text, size_t size, uint32_t begin,
                     uint32_t end, uint32_t *from, uint32_t *to);
bool plan_slot(struct connection_plan *p, struct slot slot);
bool plan_birth(struct connection_plan *p, struct birth birth);
bool plan_free(struct connection_plan *p, uint32_t path);
/* A variable whose text is that of `parent`. SPOKEN_NONE: no memory. */
uint32_t plan_variable(struct connection_plan *p, uint32_t parent);
bool plan_begin(struct connection_plan *p, size_t messages);
/* Messages come in their order, and each ends with this. */
void plan_end_message(struct connection_plan *p, size_t message);
void plan_end(struct connection_plan *p);
void plan_fini(struct connection_plan *p);

/* refresh.c */
struct refresh;
MF_MUSTCHECK int refresh_new(struct correlation *c, const struct path_marks *marks, struct refresh **out);
void refresh_free(struct refresh *r);
/* Looks for counters. MF_ENOMEM. */
MF_MUSTCHECK int refresh_connection(struct refresh *r, size_t connection);
/* Is it a time or a counter (slot->kind; of a counter slot->variable is its index in c->counters)? */
bool refresh_slot(struct refresh *r, size_t connection, size_t message, const struct message_value *v,
                  struct slot *slot);
/* The value as it is later or in a later round; false: as it was. */
bool refresh_time_text(const char *text, size_t len, int64_t shift_us, struct buf *out);
bool refresh_counter_text(const char *text, size_t len, const struct counter *counter, uint64_t round, struct buf *out);
/* A point in time, as microseconds since 1970; false: it is none. */
bool refresh_read_time(const char *text, size_t len, int64_t *us);

#endif
