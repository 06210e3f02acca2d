/* A GET of an http:// URL whose answer may go on without an end: blocking, for one command. Main thread. */
#ifndef MF_CLI_HTTP_STREAM_H
#define MF_CLI_HTTP_STREAM_H

#include "base/buf.h"
#include "protocol/url.h"

#define HTTP_STREAM_HEAD_S 10 /* from the connect to the end of the answer's head */

struct http_stream {
    int fd; /* -1: none */
    int status;
    bool chunked, ended, first_chunk_seen;
    uint64_t left; /* of this chunk */
    struct buf in; /* read and not yet given out */
};

/* Connects, asks, reads the answer's head. token NULL: none. MF_EIO: nobody answers, err says who and why; MF_EPROTO:
 * it is no HTTP. http_stream_close() in any case. */
MF_MUSTCHECK int http_stream_open(struct http_stream *h, const struct url *url, const char *token, struct err *err);
/* Waits for some of the body and appends it: 1; 0: the body has ended as it should; negative with err (MF_ECLOSED: the
 * connection broke off). */
MF_MUSTCHECK int http_stream_read(struct http_stream *h, struct buf *out, struct err *err);
void http_stream_close(struct http_stream *h);

#endif
