/* What har.c, har_index.c, har_entry.c and har_attached.c share. */
#ifndef MF_RECORDING_HAR_PRIVATE_H
#define MF_RECORDING_HAR_PRIVATE_H

#include "recording/har.h"
#include "recording/parse.h"
#include "recording/step_back.h"

#define HAR_SLOTS 512              /* entries with a cursor of their own at a time */
#define HAR_ENTRIES_MAX (1u << 20) /* connections of one file */
#define HAR_NO_TIME INT64_MIN

/* Where an entry's next event comes from. */
enum har_stage { HAR_OPEN, HAR_MESSAGES, HAR_END, HAR_DONE };

/* One connection. */
struct har_entry {
    struct cursor_place entry, messages, end; /* of their values' first byte; messages: behind its bracket */
    struct cursor_place behind;               /* the messages' closing bracket; offset 0: that was not seen */
    struct cursor_place place;                /* in the messages: behind the last one that was given */
    int64_t begin_us;                         /* wall clock; HAR_NO_TIME: it does not say */
    uint64_t time_us;                         /* of the next event */
    uint64_t last_us;                         /* of the last event given */
    uint32_t number;                          /* in the file, from 1 */
    int slot;                                 /* -1: none */
    uint8_t stage;                            /* enum har_stage, of the next event */
    bool first;                               /* no element of the messages was passed yet */
    bool has_messages, has_end;
    bool any;      /* its array of messages is not empty */
    bool attached; /* its messages are in a file of their own; load_open() finds that out */
};

/* One entry's next event, with what it borrows from. */
struct har_slot {
    struct cursor cursor;
    struct parse parse, request, response;
    struct buf url;   /* of the connection's URL, parts that events point to */
    char name[32];    /* "conn-1", where the file has no better */
    struct buf owned; /* the connection's own name */
    struct buf file;  /* of har_entry.attached: its name, as the archive has it */
    struct cursor attached;
    struct session_event event;
    struct cursor_place after; /* behind the message that is `event` */
    uint32_t entry;            /* index */
    uint64_t used;             /* when: the least recently used is taken away */
    bool open, ready, attached_open;
};

struct har {
    char *path;
    struct har_entry *entries;
    uint32_t count, cap;
    int64_t recorded_at_us; /* HAR_NO_TIME: nothing tells */
    char *generator;
    bool is_ours, has_recording; /* "_mockforge" stood in the log */
    bool recover, truncated, recording_given;
    int damaged; /* the walk ended with an error; what came before it is given out first */
    struct err damage;

    struct step_back step_back;

    struct cursor file; /* of the descriptor that the slots share */
    uint32_t *heap;     /* indices, the earliest next event on top */
    uint32_t heap_count;
    uint32_t current; /* whose event was given out last, or UINT32_MAX */
    struct har_slot slots[HAR_SLOTS];
    uint64_t clock;
    uint64_t size, given_bytes;
};

/* ---- har_index.c ---- */
/* Walks through the file and fills entries. What is wrong with the file behind the first connection is kept in
 * h->damage. */
MF_MUSTCHECK int har_index(struct har *h, struct err *err);

/* ---- har_entry.c ---- */
/* Reads the event of the entry's stage into its slot: 1; 0 when there is none (the stage is over); negative. The slot's
 * cursor is open. */
MF_MUSTCHECK int har_load(struct har *h, struct har_entry *e, struct har_slot *s, struct err *err);
/* The wall clock time of a message (text[0..len), an object): HAR_NO_TIME when it does not say. */
MF_MUSTCHECK int har_message_time(struct parse *p, const uint8_t *text, size_t len, int64_t *out, struct err *err);

/* ---- har_attached.c ---- */
/* Opens the slot's file of messages at the place where its entry goes on: 1, or negative. */
MF_MUSTCHECK int har_attached_open(const struct har *h, const struct har_entry *e, struct har_slot *s, struct err *err);
void har_attached_close(struct har_slot *s);

#endif
