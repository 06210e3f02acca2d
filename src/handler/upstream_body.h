/* The body of an upstream's refusal, as far as it is short: by length, chunked (RFC 9112 section 7.1), or until the end. */
#ifndef MF_HANDLER_UPSTREAM_BODY_H
#define MF_HANDLER_UPSTREAM_BODY_H

#include "base/buf.h"
#include "base/headers.h"

#define REFUSAL_BODY_MAX 65536

enum body_state { BODY_MORE, BODY_WHOLE, BODY_BAD };

/* Looks at what came so far, without its head. On BODY_WHOLE `out` holds the decoded body. `ended`: nothing more will
 * come. BODY_BAD: malformed, cut, or too long to pass on. */
enum body_state refusal_body(const struct headers *fields, const struct buf *in, bool ended, struct buf *out);

#endif
