/* How much a text says: would it be a coincidence to meet it twice? Thread: any. */
#ifndef MF_REPLAY_STRENGTH_H
#define MF_REPLAY_STRENGTH_H

#include "base/defs.h"

/* In this order: a later one says more. */
enum strength {
    STRENGTH_NONE,    /* 0, "-": never evidence */
    STRENGTH_DECIMAL, /* prices, amounts, times: they meet by chance, and mean something by themselves */
    STRENGTH_NUMBER,  /* 1, 10, 100, "7": small or round whole numbers */
    STRENGTH_WORD,    /* "orders", "ok", "S-99" */
    STRENGTH_TOPIC,   /* "btcusdt@trade", "/topic/prices": put together, but of words */
    STRENGTH_PROOF,   /* UUIDs, random strings, long numbers, sentences */
};
/* No shorter text is STRENGTH_PROOF. */
#define STRENGTH_PROOF_MIN 7u
enum strength strength_of(const char *text, size_t len);

/* Is it a whole number, with or without a sign? */
bool text_is_integer(const char *text, size_t len);
/* Is it a number as JSON writes them? */
bool text_is_number(const char *text, size_t len);
/* Digits alone, at least one. */
bool text_is_digits(const char *text, size_t len);

#endif
