/* What a person sees besides a command's output: errors, colour, the status line. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/ui.h"

#include <sys/ioctl.h>

#define WIDTH_DEFAULT 80

int cli_usage_error(const struct cli_args *args, const char *fmt, ...) {
    const char *name = args->command->name, *gap = *name ? " " : "";
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    cli_status(NULL);
    fprintf(stderr, "mockforge%s%s: %s\nTry 'mockforge%s%s --help'.\n", gap, name, buf_cstr(&text), gap, name);
    buf_fini(&text);
    return EXIT_USAGE;
}

int cli_fail(enum exit_code code, const struct err *err) {
    char text[sizeof err->text + sizeof err->file + 32];
    cli_status(NULL);
    fprintf(stderr, "mockforge: %s\n", err_format(err, text, sizeof text));
    if (err->damaged)
        fprintf(stderr, "mockforge: --recover reads what else is in it\n");
    return (int)code;
}

bool cli_colour(int fd) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    if (no_color && *no_color) /* https://no-color.org */
        return false;
    return term && strcmp(term, "dumb") != 0 && isatty(fd);
}

size_t ui_width(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_DEFAULT;
}

/* ---- the status line ---- */

/* How long the UTF-8 character at p is; 0 when it is ill-formed (near enough for display) or a control. */
static size_t character(const char *p, uint32_t *code) {
    const unsigned char *u = (const unsigned char *)p;
    size_t len = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
    if (len == 0)
        return 0;
    *code = len == 1 ? u[0] : u[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80) /* the NUL at the end, too */
            return 0;
        *code = *code << 6 | (u[i] & 0x3f);
    }
    bool control = *code < 0x20 || (*code >= 0x7f && *code < 0xa0) || *code == 0x2028 || *code == 0x2029 ||
                   (*code >= 0x202a && *code <= 0x202e) || (*code >= 0x2066 && *code <= 0x2069);
    return control ? 0 : len;
}

/* ESC [ digits and semicolons m: a colour, which takes no column. 0 when there is none. */
static size_t colour_sequence(const char *p) {
    if (p[0] != '\033' || p[1] != '[')
        return 0;
    size_t n = 2 + strspn(p + 2, "0123456789;");
    return p[n] == 'm' ? n + 1 : 0;
}

void ui_fit(struct buf *out, const char *text, size_t width) {
    size_t at = 0;
    bool coloured = false;
    while (*text) {
        size_t n = colour_sequence(text);
        if (n) {
            coloured = true;
            buf_append(out, text, n);
            text += n;
            continue;
        }
        uint32_t code = 0;
        n = character(text, &code);
        /* Hangul and all above may be wide. Calling every one of them wide cuts some lines early; the other mistake
         * would wrap them, and a wrapped line cannot be redrawn in place. */
        size_t wide = n && code >= 0x1100 && (code < 0x2000 || code >= 0x2e80) ? 2 : 1;
        if (at + wide > width)
            break;
        at += wide;
        if (n)
            buf_append(out, text, n);
        else
            buf_putc(out, '?');
        text += MAX(n, (size_t)1);
    }
    if (coloured)
        buf_puts(out, "\033[0m");
}

static void write_all(int fd, const struct buf *b) {
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a terminal that is gone has nobody to tell */
        done += (size_t)n;
    }
}

void cli_status(const char *fmt, ...) {
    static bool shown;
    if (fmt ? !isatty(STDERR_FILENO) : !shown)
        return;
    struct buf line = BUF_INIT, text = BUF_INIT;
    buf_puts(&line, "\r\033[K");
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        buf_vprintf(&text, fmt, ap);
        va_end(ap);
        size_t width = ui_width(STDERR_FILENO);
        ui_fit(&line, buf_cstr(&text), width > 1 ? width - 1 : 1); /* the last column makes some terminals wrap */
        buf_putc(&line, '\r');
    }
    if (!line.failed)
        write_all(STDERR_FILENO, &line);
    shown = fmt != NULL;
    buf_fini(&line);
    buf_fini(&text);
}

int ui_write(struct buf *out) {
    size_t done = 0;
    int failed = 0;
    while (done < out->len && !failed) {
        ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            failed = errno;
    }
    buf_reset(out);
    return failed;
}
