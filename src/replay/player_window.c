/* Which of the awaited messages have come: bits for PLAYER_WINDOW of them. */
#include "player_private.h"

#define BEHIND_MAX 32u /* messages that were given up and may still come late */

static uint32_t first_zero(uint64_t bits) {
    return bits == UINT64_MAX ? 64 : (uint32_t)__builtin_ctzll(~bits);
}

uint32_t window_first_open(const struct player *p) {
    return p->window + first_zero(p->come | p->passed);
}

bool window_is_open(const struct player *p, uint32_t ordinal) {
    return ordinal >= p->window && ordinal - p->window < PLAYER_WINDOW && !(p->come >> (ordinal - p->window) & 1);
}

bool window_was_passed(const struct player *p, uint32_t ordinal) {
    return window_is_open(p, ordinal) && (p->passed >> (ordinal - p->window) & 1);
}

bool window_is_overtaken(const struct player *p) {
    uint32_t open = first_zero(p->come | p->passed);
    return open < 64 && p->come >> open != 0;
}

static void slide_one(struct player *p) {
    p->come >>= 1;
    p->passed >>= 1;
    p->window++;
}

static void slide(struct player *p) {
    while ((p->come & 1) || ((p->passed & 1) && first_zero(p->come | p->passed) > BEHIND_MAX))
        slide_one(p);
}

void window_come(struct player *p, uint32_t ordinal) {
    p->come |= UINT64_C(1) << (ordinal - p->window);
    slide(p);
}

void window_pass(struct player *p, uint32_t ordinal) {
    if (ordinal < p->window)
        return;
    while (ordinal - p->window >= PLAYER_WINDOW) {
        p->passed |= 1;
        slide_one(p);
    }
    p->passed |= UINT64_C(1) << (ordinal - p->window);
    slide(p);
}

void window_reset(struct player *p) {
    p->window = 0;
    p->come = p->passed = 0;
    p->overtaken_us = 0;
}
