/* Messages for the load generator: made once, as masked client frames one after the other, so that a burst of any
 * length is one slice of memory to send. */
#ifndef BENCH_CORPUS_H
#define BENCH_CORPUS_H

#include <stddef.h>
#include <stdint.h>

struct corpus {
    size_t count;
    uint8_t *frames;  /* count masked frames */
    size_t *frame_at; /* [count + 1]: where each begins */
    uint8_t *plain;   /* the payloads, to compare answers with */
    size_t *plain_at; /* [count + 1] */
    double mean;      /* payload bytes a message */
};

/* name: "json67" or "json290", realistic JSON of about that length on average, no two alike; "calls": JSON-RPC requests;
 * NULL: size bytes of text without structure. Repeatable. Exits when there is no memory or no such corpus. */
void corpus_make(struct corpus *c, const char *name, size_t size);
void corpus_free(struct corpus *c);

/* Writes the header of a masked frame with FIN set; returns its length, at most 14. */
size_t corpus_header(uint8_t *to, unsigned opcode, uint64_t length, const uint8_t key[4]);

#endif
