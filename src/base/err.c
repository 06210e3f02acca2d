#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a file or a peer chose is in there too, and a terminal obeys control characters. */
static void disarm(char *text) {
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7f)
            *text = '?';
}

static int set_v(struct err *err, enum mf_err code, const char *fmt, va_list ap) {
    if (err) {
        err->code = code;
        err->line = err->column = 0;
        err->damaged = false;
        err->file[0] = '\0';
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        disarm(err->text);
    }
    return (int)code;
}

int err_set(struct err *err, enum mf_err code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int rc = set_v(err, code, fmt, ap);
    va_end(ap);
    return rc;
}

int err_set_at(struct err *err, enum mf_err code, const char *file, int line, int column, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int rc = set_v(err, code, fmt, ap);
    va_end(ap);
    err_at(err, file, line, column);
    return rc;
}

void err_at(struct err *err, const char *file, int line, int column) {
    if (!err || err->file[0] || err->line)
        return;
    if (file)
        snprintf(err->file, sizeof err->file, "%s", file);
    err->line = line;
    err->column = column;
}

void err_place_to_text(struct err *err) {
    char whole[sizeof err->file + sizeof err->text + 32];
    if (!err || !err->file[0])
        return;
    bool damaged = err->damaged;
    err_format(err, whole, sizeof whole);
    err_set(err, err->code, "%s", whole);
    err->damaged = damaged;
}

void err_prefix(struct err *err, const char *fmt, ...) {
    if (!err)
        return;
    char head[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    char whole[2 * sizeof err->text + 3];
    snprintf(whole, sizeof whole, "%s: %s", head, err->text);
    memcpy(err->text, whole, sizeof err->text - 1);
    err->text[sizeof err->text - 1] = '\0';
}

const char *err_format(const struct err *err, char *out, size_t size) {
    if (!err->file[0])
        snprintf(out, size, "%s", err->text);
    else if (err->line && err->column)
        snprintf(out, size, "%s:%d:%d: %s", err->file, err->line, err->column, err->text);
    else if (err->line)
        snprintf(out, size, "%s:%d: %s", err->file, err->line, err->text);
    else
        snprintf(out, size, "%s: %s", err->file, err->text);
    return out;
}
