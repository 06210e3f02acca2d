/* One message being compared with another: what the files of the comparison share. Lives on the stack of
 * compare_message(). */
#ifndef MF_REPLAY_COMPARE_PRIVATE_H
#define MF_REPLAY_COMPARE_PRIVATE_H

#include "replay/compare.h"

#define COMPARE_NODES_MAX (1u << 20) /* JSON nodes of one message; larger ones are compared byte by byte */
#define COMPARE_UNORDERED_MAX 2000u  /* elements of an array in any order; larger ones are compared in their order */
#define COMPARE_WORK_MAX (5u << 20)  /* nodes looked at for one message to pair elements by similarity */

/* A JSON text that was parsed. */
struct json_doc {
    const char *text;
    struct json_tape tape;
};

struct compare_run {
    struct comparison *c;
    const struct compare_options *o;
    const struct path_table *paths;
    const uint32_t *free_paths;
    size_t free_count;
    size_t message;
    struct buf path;     /* of the place where we are */
    struct buf one, two; /* working memory: strings without their escapes */
    unsigned nested;     /* in how many JSON strings we are */
    bool counting;       /* nothing is added: only `weight` is asked for, to find what is similar */
    uint64_t weight;     /* while counting: of the differences, in nodes */
    uint64_t work;       /* nodes looked at while counting */
    int added;
    int rc; /* MF_ENOMEM: everything returns quickly */
};

/* ---- compare.c ---- */

/* Adds a difference at the place where we are, unless that is ignored. The texts are taken over; NULL: nothing there.
 */
void run_add(struct compare_run *run, enum difference_kind kind, MF_TAKES char *expected, MF_TAKES char *got);
bool run_ignored(struct compare_run *run);
/* Is the value here one that the other side was free to choose? */
bool run_free(struct compare_run *run);
/* They return the length that run_up() takes to go back. */
size_t run_down_name(struct compare_run *run, const char *name, size_t len);
size_t run_down_index(struct compare_run *run, uint32_t index);
size_t run_down(struct compare_run *run, const char *segment); /* "@json": as it is */
void run_up(struct compare_run *run, size_t len);

/* As difference.expected and got are: cut, never NULL but for want of memory. */
char *excerpt_text(const void *data, size_t len);
/* Of a long text what stands around that byte. */
char *excerpt_around(const void *data, size_t len, size_t at);
/* JSON: white space between its tokens is left out. */
char *excerpt_json(const char *text, size_t len);
/* Where two differ first, with what comes before and after: "12 bytes, from byte 4: 00 01 02". */
char *excerpt_bytes(const uint8_t *data, size_t len, size_t at);
size_t first_difference(const void *a, size_t a_len, const void *b, size_t b_len);

/* ---- compare_number.c ---- */

/* Equal, or within the tolerance? Both are JSON numbers. */
bool numbers_agree(const struct compare_options *o, const char *a, size_t a_len, const char *b, size_t b_len);
/* Is it written as a JSON number is? */
bool is_json_number(const char *s, size_t len);

/* ---- compare_json.c ---- */

/* Two messages that hold one JSON text or several. False: one of them is not JSON, and nothing was compared (or some of
 * it, where one of several texts cannot be read). */
bool compare_records(struct compare_run *run, const char *expected, size_t expected_len, const char *got,
                     size_t got_len);
void compare_nodes(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                   uint32_t g);
/* How different are they, from 0 (not at all) to UINT8_MAX (in all)? */
uint8_t count_nodes(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                    uint32_t g);
void add_missing_node(struct compare_run *run, const struct json_doc *expected, uint32_t e);
void add_extra_node(struct compare_run *run, const struct json_doc *got, uint32_t g);
/* The string's text, unescaped into scratch when it must be. */
const char *string_text(const struct json_doc *doc, const struct json_node *n, struct buf *scratch, size_t *len);

/* ---- compare_array.c ---- */

void compare_arrays(struct compare_run *run, const struct json_doc *expected, uint32_t e, const struct json_doc *got,
                    uint32_t g);

/* ---- compare_text.c ---- */

/* Word by word (the values of both with paths that begin with `prefix`), then what stands between the words. */
void compare_words(struct compare_run *run, const struct structure *expected, const char *expected_data,
                   size_t expected_len, const struct structure *got, const char *got_data, size_t got_len,
                   const char *prefix);
void compare_bytes(struct compare_run *run, const uint8_t *expected, size_t expected_len, const uint8_t *got,
                   size_t got_len);

#endif
