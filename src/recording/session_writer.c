#include "recording/session_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "recording/convert_output.h"

#define LEVEL 1

struct session_writer {
    char *to, *aside; /* aside: the native file that is converted at the end; NULL: there is none */
    bool overwrite;
    struct output out;
};

/* A name that nobody else has. */
static int choose_aside(struct session_writer *w, struct err *err) {
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s.tmp-XXXXXX", w->to);
    w->aside = buf_steal(&name);
    if (!w->aside)
        return err_set(err, MF_ENOMEM, "out of memory");
    int fd = mkostemp(w->aside, O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return MF_OK;
    }
    free(w->aside);
    w->aside = NULL;
    return err_set_at(err, MF_EIO, w->to, 0, 0, "cannot be written: %s", strerror(errno));
}

int session_writer_open(const char *to, bool overwrite, struct session_writer **out, struct err *err) {
    enum session_form form;
    int rc = session_target_of(to, &form, err);
    if (rc < 0)
        return rc;
    if (!overwrite && access(to, F_OK) == 0)
        return err_set_at(err, MF_EINVAL, to, 0, 0, "exists already");
    struct session_writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, MF_ENOMEM, "out of memory");
    *w = (struct session_writer){.to = strdup(to), .overwrite = overwrite, .out = {.fd = -1}};
    bool lines = form == SESSION_NATIVE || form == SESSION_JSONL;
    struct output_options options = {
        .zstd = form != SESSION_JSONL, .seek_table = form != SESSION_JSONL, .level = LEVEL};
    rc = !w->to ? err_set(err, MF_ENOMEM, "out of memory") : lines ? MF_OK : choose_aside(w, err);
    if (rc == MF_OK)
        rc = output_open(&w->out, lines ? to : w->aside, &options, err);
    if (rc < 0)
        session_writer_free(w);
    else
        *out = w;
    return rc;
}

int session_writer_add(struct session_writer *w, const struct session_event *e, struct err *err) {
    if (event_write_line(&w->out.pending, e) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    return output_line_done(&w->out, err);
}

int session_writer_add_line(struct session_writer *w, const struct buf *line, struct err *err) {
    buf_append(&w->out.pending, line->data, line->len);
    return output_line_done(&w->out, err);
}

int session_writer_finish(struct session_writer *w, struct err *err) {
    int rc = output_finish(&w->out, w->overwrite || w->aside, err);
    if (rc == MF_OK && w->aside) {
        struct convert_options options = {.overwrite = w->overwrite};
        rc = session_convert(w->aside, w->to, &options, NULL, err);
    }
    return rc;
}

void session_writer_free(struct session_writer *w) {
    if (!w)
        return;
    output_close(&w->out);
    if (w->aside)
        unlink(w->aside);
    free(w->aside);
    free(w->to);
    free(w);
}
