/* Messages that an archive has not in itself but in a file beside it: Playwright's `content: "attach"` writes them as
 * JSON lines, and the entry's `response.content._file` names the file. */
#include <string.h>

#include "recording/har_private.h"

#define CHUNK (16u << 10) /* as of the archive's own cursors: there may be many of them */

/* An archive is no reason to open whatever it names: it is a file of the archive's own directory. */
static bool is_plain_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/');
}

static int fail(const struct har *h, const struct har_entry *e, struct err *err, const char *name, const char *why) {
    return err_set_at(err, MF_EIO, h->path, e->entry.line, 0,
                      "expected the messages of this connection in the file \"%s\" beside the archive (Playwright's "
                      "content \"attach\"): %s",
                      name, why);
}

static int beside(const char *archive, const char *name, struct buf *out, struct err *err) {
    const char *slash = strrchr(archive, '/');
    if (slash)
        buf_append(out, archive, (size_t)(slash + 1 - archive));
    buf_puts(out, name);
    buf_putc(out, '\0');
    return out->failed ? err_set(err, MF_ENOMEM, "out of memory") : 1;
}

int har_attached_open(const struct har *h, const struct har_entry *e, struct har_slot *s, struct err *err) {
    struct buf path = BUF_INIT;
    struct err why = {0};
    const char *name = buf_cstr(&s->file);
    if (!is_plain_name(name))
        return fail(h, e, err, name, "it is no plain file name");
    int rc = beside(h->path, name, &path, err);
    if (rc > 0 && cursor_open(&s->attached, buf_cstr(&path), &why) < 0)
        rc = why.code == MF_ENOMEM ? err_set(err, MF_ENOMEM, "out of memory") : fail(h, e, err, name, why.text);
    buf_fini(&path);
    if (rc < 0) {
        cursor_close(&s->attached);
        return rc;
    }
    s->attached.in.chunk = CHUNK;
    s->attached_open = true;
    if (s->attached.in.zstd)
        rc = fail(h, e, err, name, "it is compressed");
    else if (e->place.offset)
        rc = cursor_seek(&s->attached, e->place, err) < 0 ? (int)err->code : 1;
    return rc;
}

void har_attached_close(struct har_slot *s) {
    if (s->attached_open)
        cursor_close(&s->attached);
    s->attached_open = false;
}
