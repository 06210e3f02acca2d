/* Regular expressions, and what one match may cost.
 *
 * PCRE2's own match limit counts backtracking only and begins anew at each start position: a harmless looking `\s+$` on
 * 64 KiB of spaces takes seconds under any limit. So each pattern has a callout before each of its items, which counts
 * steps and the way that was gone since the last, over the whole call. Whoever exceeds that budget does not match; the
 * count, and so the answer, is the same each time. Spending it takes a few milliseconds. */
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "match/condition.h"
#include "protocol/utf8.h"

/* In bytes gone over; a callout costs as much as some. */
#define BUDGET 2000000
#define BUDGET_PER_BYTE 32
#define CALLOUT_COST 8
/* Behind the budget: what PCRE2 counts itself, and where it remembers what is to be tried again: a stack when it runs
 * translated to machine code (24 bytes for each turn of a group), else the heap. */
#define MATCH_LIMIT 1000000
#define STACK_START (64 << 10)
#define STACK_MAX (8 << 20)
#define DEPTH_LIMIT 300000
#define HEAP_LIMIT_KIB (64 << 10)

struct regex {
    pcre2_code *code;
    bool has_references;
};

struct budget {
    int64_t left;
    size_t position; /* at the last callout */
    bool has_references;
};

static int compile(struct regex *r, const char *pattern, unsigned flags, pcre2_compile_context *context,
                   struct err *err) {
    int code;
    PCRE2_SIZE offset;
    uint32_t references = 0;
    /* A literal has no items to call out for, and nothing in it that could run away. */
    uint32_t options = flags & REGEX_LITERAL ? PCRE2_LITERAL : PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C;
    if (flags & REGEX_CASELESS)
        options |= PCRE2_CASELESS;
    /* The same on all machines, whatever the library was built with. */
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
    r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | options, &code, &offset, context);
    if (!r->code) {
        char text[160] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return err_set(err, MF_EINVAL, "%s (at offset %zu)", text, offset);
    }
    pcre2_pattern_info(r->code, PCRE2_INFO_BACKREFMAX, &references);
    r->has_references = references > 0;
    /* Where memory may not be made executable, the interpreter gives the same answers. */
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    return MF_OK;
}

int regex_compile(const char *pattern, struct regex **out, struct err *err) {
    return regex_compile_as(pattern, 0, out, err);
}

int regex_compile_as(const char *pattern, unsigned flags, struct regex **out, struct err *err) {
    struct regex *r = calloc(1, sizeof *r);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int rc = r && context ? compile(r, pattern, flags, context, err) : err_set(err, MF_ENOMEM, "out of memory");
    pcre2_compile_context_free(context);
    *out = NULL;
    if (rc == MF_OK)
        *out = r;
    else
        regex_free(r);
    return rc;
}

void regex_free(struct regex *r) {
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r);
}

/* A reference that fails at its last byte has compared all that its group holds, and the position does not tell. */
static int64_t captured(const pcre2_callout_block *block) {
    int64_t sum = 0;
    for (uint32_t i = 1; i < block->capture_top; i++) {
        PCRE2_SIZE from = block->offset_vector[2 * (size_t)i], to = block->offset_vector[2 * (size_t)i + 1];
        if (from != PCRE2_UNSET && to > from)
            sum += (int64_t)(to - from);
    }
    return sum;
}

static int on_callout(pcre2_callout_block *block, void *data) {
    struct budget *b = data;
    size_t p = block->current_position;
    b->left -= CALLOUT_COST + (int64_t)(p > b->position ? p - b->position : b->position - p);
    b->position = p;
    if (b->has_references)
        b->left -= captured(block);
    return b->left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

/* Again, with more than the 32 KiB that translated code has of the thread's own stack. */
static int match_on_stack(const struct regex *r, const char *s, size_t len, pcre2_match_data *data,
                          pcre2_match_context *context) {
    pcre2_jit_stack *stack = pcre2_jit_stack_create(STACK_START, STACK_MAX, NULL);
    if (!stack)
        return PCRE2_ERROR_NOMEMORY;
    pcre2_jit_stack_assign(context, NULL, stack);
    int rc = pcre2_match(r->code, (PCRE2_SPTR)s, len, 0, PCRE2_NO_UTF_CHECK, data, context);
    pcre2_jit_stack_free(stack);
    return rc;
}

/* s is valid UTF-8. What a match works with is made for each call: the compiled pattern belongs to all threads. */
static bool match_valid(const struct regex *r, const char *s, size_t len) {
    struct budget budget = {BUDGET + BUDGET_PER_BYTE * (int64_t)len, 0, r->has_references};
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int rc = PCRE2_ERROR_NOMEMORY;
    if (data && context) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_depth_limit(context, DEPTH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
        pcre2_set_callout(context, on_callout, &budget);
        rc = pcre2_match(r->code, (PCRE2_SPTR)s, len, 0, PCRE2_NO_UTF_CHECK, data, context);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
            rc = match_on_stack(r, s, len, data, context);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return rc >= 0;
}

/* Lone surrogates, which JSON's escapes can make, become U+FFFD: one character each, and as many bytes. */
static void replace_surrogates(struct buf *text) {
    for (size_t i = 0; i + 2 < text->len; i++) {
        uint8_t *p = text->data + i;
        if (p[0] == 0xed && (p[1] & 0xe0) == 0xa0 && (p[2] & 0xc0) == 0x80)
            memcpy(p, "\xef\xbf\xbd", 3);
    }
}

bool regex_matches(const struct regex *r, const char *s, size_t len) {
    if (utf8_valid(s, len))
        return match_valid(r, s, len);
    struct buf copy = BUF_INIT, clean = BUF_INIT;
    buf_append(&copy, s, len);
    replace_surrogates(&copy);
    json_write_clean_text(&clean, buf_cstr(&copy), copy.len);
    bool yes = !copy.failed && !clean.failed && match_valid(r, buf_cstr(&clean), clean.len);
    buf_fini(&copy);
    buf_fini(&clean);
    return yes;
}
