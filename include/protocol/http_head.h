/* The head of an HTTP/1.1 request or response, read strictly (RFC 9112): the WebSocket port meets strangers.
 *
 * The caller collects bytes until http_head_end() finds the blank line, and then parses the whole head at once.
 * Refused: bare LF or CR, NUL and other controls, obs-fold, space before the colon, an empty or non-token field name,
 * a missing (HTTP/1.1), double or malformed Host, two Content-Lengths or one beside Transfer-Encoding, a version other than
 * 1.1 or 1.0, an empty line before the first, bytes in the target that RFC 3986 does not allow except those that browsers
 * leave unescaped in queries ([ ] { } | \ ^ `). Bytes 80..FF are allowed in field values and reason phrases only.
 * Allocates the header list. Thread: the owner's. */
#ifndef MF_PROTOCOL_HTTP_HEAD_H
#define MF_PROTOCOL_HTTP_HEAD_H

#include "base/headers.h"

#define HTTP_HEAD_MAX 16384  /* bytes of a whole head; beyond it 431 */
#define HTTP_TARGET_MAX 8192 /* bytes of a request target; beyond it 414 */
#define HTTP_FIELDS_MAX 128  /* header fields; beyond it 431 */

struct http_head {
    char *method;  /* request: "GET" */
    char *target;  /* request: as it came, "/ws?x=1" (origin form) or "http://h/ws" (absolute form) */
    char *path;    /* request: the target's path, not decoded; "/" at least, and for CONNECT and OPTIONS * */
    char *query;   /* request: what follows '?', or NULL */
    int status;    /* response: 100..999 */
    char *reason;  /* response */
    int minor;     /* HTTP/1.<minor>: 0 or 1 */
    struct headers headers;
};

/* Looks for the end of the head in data[0..len). `from` is how many bytes were looked at before (0 at first).
 * Returns the head's size with its blank line, 0 when it has not ended yet, or a negated HTTP status (-400, -414,
 * -431) as soon as it can be told that this head will be refused: too long already, or bytes that no head begins with. */
int http_head_end(const char *data, size_t len, size_t from);

/* Parses a whole head of `len` bytes, blank line included. Returns MF_OK, MF_ENOMEM, or a negated HTTP status (-400,
 * -414, -431, -505) with *why a constant phrase. `h` is to be freed with http_head_fini() on every path. */
MF_MUSTCHECK int http_request_parse(struct http_head *h, const char *data, size_t len, const char **why);
MF_MUSTCHECK int http_response_parse(struct http_head *h, const char *data, size_t len, const char **why);
void http_head_fini(struct http_head *h);

/* Can a field have this name (a token), and this value (no control characters but the tab)? What comes from a recording or
 * a person may be anything. */
bool http_name_is_valid(const char *name, size_t len);
bool http_value_is_valid(const char *value, size_t len);

/* "Not Found" for 404; "" for a status that it does not know. */
const char *http_status_text(int status);

#endif
