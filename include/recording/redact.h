/* What must not be written: secrets by their name become "[redacted]" (docs/session-file.md, "Redaction").
 *
 * The recorder, the log and the command line use the same rules. A struct redactor is immutable once it is made: any
 * thread may use it. */
#ifndef MF_RECORDING_REDACT_H
#define MF_RECORDING_REDACT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/headers.h"

#define REDACTED "[redacted]"
#define REDACT_PATHS_MAX 64    /* JSON paths of one redactor */
#define REDACT_SEGMENTS_MAX 31 /* of one path */

struct redact_rules {
    bool defaults;        /* Authorization, Cookie, …token…: the names in docs/session-file.md */
    char *const *headers; /* further names, compared without case */
    size_t headers_count;
    char *const *query; /* further parameter names, compared without case, after percent-decoding */
    size_t query_count;
    char *const *json; /* "password", "user.token", "items.*.secret", "items.0.id", "**.password" (any depth) */
    size_t json_count;
};

struct redactor;

/* Copies the rules. MF_EINVAL for a JSON path that is none. */
MF_MUSTCHECK int redactor_new(const struct redact_rules *rules, struct redactor **out, struct err *err);
/* Counted: a route has one, and so has each connection whose lines are still to be written. Any thread. */
struct redactor *redactor_ref(struct redactor *r);
void redactor_unref(struct redactor *r);
/* Are there JSON paths? Without them redact_json() changes nothing. */
bool redactor_has_json(const struct redactor *r);

/* Is a header of this name a secret? */
bool redact_header_name(const struct redactor *r, const char *name);
/* Replaces values in place. MF_ENOMEM: some may be left; write none of them then. */
MF_MUSTCHECK int redact_headers(const struct redactor *r, struct headers *h);
/* Of Sec-WebSocket-Protocol, whose values are said in other places too. Borrowed; NULL stays NULL. */
const char *redact_subprotocol(const struct redactor *r, const char *subprotocol);
/* "a=1&token=x" -> "a=1&token=[redacted]". malloc'd; NULL: out of memory. */
char *redact_query(const struct redactor *r, const char *query);
/* As redact_query() for a whole URL, its user information included. malloc'd; NULL: out of memory. */
char *redact_url(const struct redactor *r, const char *url);
/* Appends text with the values at the JSON paths replaced, byte for byte the same elsewhere. Returns 1; 0 when nothing
 * had to be replaced or text is not JSON (out is then unchanged); MF_ELIMIT: write none of it, for it has a value that
 * is to be replaced and is not JSON as a whole, or is nested too deeply to be searched; MF_ENOMEM: write none either.
 * Several values, one behind the other, are each searched. */
MF_MUSTCHECK int redact_json(const struct redactor *r, const void *text, size_t len, struct buf *out);

#endif
