#include "cli/http_stream.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "protocol/http_head.h"

#define READ_BYTES (64u << 10)
#define CHUNK_LINE_MAX 32u /* hexadecimal digits and whatever extension */

/* For each system call; 0: for ever. */
static void set_patience(int fd, unsigned seconds) {
    const struct timeval patience = {.tv_sec = (time_t)seconds};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* connect(2) as well */
}

static int connect_to(const struct url *url, int *fd, struct err *err) {
    char service[8];
    snprintf(service, sizeof service, "%u", url->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(url->host, service, &hints, &found), why = 0;
    if (rc != 0)
        return err_set(err, MF_EIO, "%s: %s", url->host, gai_strerror(rc));
    for (struct addrinfo *a = found; a && *fd < 0; a = a->ai_next) {
        *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (*fd < 0) {
            why = errno;
            continue;
        }
        set_patience(*fd, HTTP_STREAM_HEAD_S);
        if (connect(*fd, a->ai_addr, a->ai_addrlen) < 0) {
            why = errno == EINPROGRESS ? ETIMEDOUT : errno;
            close(*fd);
            *fd = -1;
        }
    }
    freeaddrinfo(found);
    return *fd >= 0 ? MF_OK
                    : err_set(err, MF_EIO, "%s port %u: %s%s", url->host, url->port, strerror(why),
                              why == ECONNREFUSED ? " (is a gateway running, and its admin side there?)" : "");
}

static int ask(struct http_stream *h, const struct url *url, const char *token, struct err *err) {
    struct buf request = BUF_INIT;
    char *authority = url_authority(url);
    buf_printf(&request, "GET %s%s%s HTTP/1.1\r\nHost: %s\r\n", url->path, url->query ? "?" : "",
               url->query ? url->query : "", authority ? authority : "");
    if (token)
        buf_printf(&request, "Authorization: Bearer %s\r\n", token);
    buf_puts(&request, "\r\n");
    int rc = MF_OK;
    if (!authority || request.failed)
        rc = err_set(err, MF_ENOMEM, "out of memory");
    else if (send(h->fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        rc = err_set(err, MF_EIO, "%s port %u: cannot send: %s", url->host, url->port, strerror(errno));
    free(authority);
    buf_fini(&request);
    return rc;
}

/* As read(2), into h->in. */
static ssize_t fill(struct http_stream *h) {
    ssize_t n;
    if (buf_reserve(&h->in, READ_BYTES) < 0)
        return -1;
    do
        n = recv(h->fd, h->in.data + h->in.len, READ_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        h->in.len += (size_t)n;
    return n;
}

static int parse_head(struct http_stream *h, int size, struct err *err) {
    struct http_head head = {0};
    const char *why = "malformed head";
    int rc = http_response_parse(&head, (const char *)h->in.data, (size_t)size, &why);
    if (rc == MF_OK) {
        const char *coding = headers_get(&head.headers, "Transfer-Encoding");
        h->status = head.status;
        h->chunked = coding && !strcasecmp(coding, "chunked");
        buf_consume(&h->in, (size_t)size);
    } else {
        rc = err_set(err, MF_EPROTO, "the answer is not understood: %s", why);
    }
    http_head_fini(&head);
    return rc;
}

static int read_head(struct http_stream *h, const struct url *url, struct err *err) {
    const uint64_t until_us = clock_mono_us() + HTTP_STREAM_HEAD_S * 1000000;
    for (size_t seen = 0;;) {
        ssize_t n = clock_mono_us() < until_us ? fill(h) : 0;
        if (n <= 0)
            return err_set(err, MF_EIO, "%s port %u: no answer", url->host, url->port);
        int size = http_head_end((const char *)h->in.data, h->in.len, seen);
        seen = h->in.len;
        if (size < 0)
            return err_set(err, MF_EPROTO, "%s port %u: the answer is no HTTP", url->host, url->port);
        if (size > 0)
            return parse_head(h, size, err);
    }
}

int http_stream_open(struct http_stream *h, const struct url *url, const char *token, struct err *err) {
    *h = (struct http_stream){.fd = -1};
    int rc = connect_to(url, &h->fd, err);
    if (rc == MF_OK)
        rc = ask(h, url, token, err);
    if (rc == MF_OK)
        rc = read_head(h, url, err);
    if (rc == MF_OK)
        set_patience(h->fd, 0);
    return rc;
}

/* The line in front of a chunk, and the end of the line behind the one before it: 1 when it was there, 0 when more
 * bytes are needed, negative when it is none. */
static int take_chunk_line(struct http_stream *h) {
    size_t at = h->first_chunk_seen ? 2 : 0;
    const uint8_t *p = h->in.data;
    if (!p || h->in.len < at + 3)
        return 0;
    if (at && (p[0] != '\r' || p[1] != '\n'))
        return MF_EPROTO;
    const uint8_t *end = memmem(p + at, MIN(h->in.len - at, (size_t)CHUNK_LINE_MAX), "\r\n", 2);
    if (!end)
        return h->in.len - at < CHUNK_LINE_MAX ? 0 : MF_EPROTO;
    char *stop, text[CHUNK_LINE_MAX + 1] = "";
    memcpy(text, p + at, (size_t)(end - p) - at);
    h->left = strtoull(text, &stop, 16);
    if (stop == text || text[0] == '-' || (*stop && *stop != ';' && *stop != ' '))
        return MF_EPROTO;
    buf_consume(&h->in, (size_t)(end + 2 - p));
    h->first_chunk_seen = true;
    h->ended = h->left == 0;
    return 1;
}

static int give(struct http_stream *h, struct buf *out, size_t len, struct err *err) {
    buf_append(out, h->in.data, len);
    buf_consume(&h->in, len);
    return out->failed ? err_set(err, MF_ENOMEM, "out of memory") : 1;
}

int http_stream_read(struct http_stream *h, struct buf *out, struct err *err) {
    for (;;) {
        if (h->ended)
            return 0;
        if (h->chunked && h->left == 0) {
            int rc = take_chunk_line(h);
            if (rc < 0)
                return err_set(err, MF_EPROTO, "the answer is not understood: expected the size of a chunk");
            if (rc > 0)
                continue;
        } else if (h->in.len) {
            size_t len = h->chunked ? (size_t)MIN(h->left, (uint64_t)h->in.len) : h->in.len;
            h->left -= h->chunked ? len : 0;
            return give(h, out, len, err);
        }
        ssize_t n = fill(h);
        if (n == 0 && !h->chunked)
            h->ended = true;
        else if (n <= 0)
            return err_set(err, MF_ECLOSED, "the connection broke off%s%s", n < 0 ? ": " : "",
                           n < 0 ? strerror(errno) : "");
    }
}

void http_stream_close(struct http_stream *h) {
    if (h->fd >= 0)
        close(h->fd);
    buf_fini(&h->in);
    *h = (struct http_stream){.fd = -1};
}
