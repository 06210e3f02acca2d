/* An error for a person: what went wrong, and where in which file.
 *
 * Set-up paths (configuration, TLS, recordings, scripts) fill one of these; per-message paths return a bare enum
 * mf_err. It owns nothing and lives on the caller's stack. Thread: its owner's. */
#ifndef MF_BASE_ERR_H
#define MF_BASE_ERR_H

#include "base/defs.h"

struct err {
    enum mf_err code;
    int line;     /* 1 for the first; 0: no line known */
    int column;   /* 1 for the first; 0: no column known */
    bool damaged; /* a file is, and what else is in it could be read (reader_recover()) */
    char file[256];
    char text[512];
};

/* Fills err (may be NULL) and returns code, so that a caller can write `return err_set(err, MF_EINVAL, "…")`.
 * The place is cleared; err_at() sets it. */
int err_set(struct err *err, enum mf_err code, const char *fmt, ...) MF_PRINTF(3, 4);
/* As err_set(), with a place; line or column 0 means unknown. */
int err_set_at(struct err *err, enum mf_err code, const char *file, int line, int column, const char *fmt, ...)
    MF_PRINTF(6, 7);
/* Sets the place of an error that has none yet. */
void err_at(struct err *err, const char *file, int line, int column);
/* Moves the place into the text: "cert.pem: cannot be read". For an error that gets another place, such as the line of
 * the configuration that names the file. */
void err_place_to_text(struct err *err);
/* Puts "text: " before what err says. */
void err_prefix(struct err *err, const char *fmt, ...) MF_PRINTF(2, 3);
/* "file:line:column: text" into out (NUL-terminated, cut to size). Returns out. */
const char *err_format(const struct err *err, char *out, size_t size);

#endif
