/* TLS under a link: SSL reads the socket and writes to the loop's ciphertext buffer, which leaves in one send(2). */
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/link_private.h"
#include "net/tls.h"

static int bio_read(BIO *bio, char *out, int len) {
    struct link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (link->drained) { /* a short read told that the socket is empty: the EAGAIN that would follow is saved */
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n;
    do {
        n = recv(link->fd, out, (size_t)len, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        link->drained = true;
        BIO_set_retry_read(bio);
    }
    if (n > 0 && n < len)
        link->drained = true;
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len) {
    struct link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&link->loop->ciphertext, data, (size_t)len);
    if (link->loop->ciphertext.failed) {
        errno = ENOMEM;
        return -1;
    }
    return len;
}

static long bio_ctrl(BIO *bio, int command, long larg, void *parg) {
    (void)bio, (void)larg, (void)parg;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mockforge link");
    MUST(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

void link_tls_attach(struct link *link) {
    pthread_once(&bio_once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    MUST(bio);
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->ssl, bio, bio); /* one reference serves both directions */
}

/* Sends what SSL has put into the ciphertext buffer. */
static int flush(struct link *link) {
    struct buf *out = &link->loop->ciphertext;
    if (out->len == 0)
        return MF_OK;
    const struct iovec iov = {out->data, out->len};
    int rc = link_send_raw(link, &iov, 1);
    buf_reset(out);
    return rc;
}

static void fail(struct link *link, int ssl_error) {
    int error = errno;
    if (ssl_error == SSL_ERROR_ZERO_RETURN) {
        link_fail(link, LINK_END_EOF);
        return;
    }
    char text[256];
    if (!link->error_text)
        link->error_text = strdup(tls_error_text(link->ssl, text, sizeof text));
    link->error = ssl_error == SSL_ERROR_SYSCALL && error ? error : EPROTO;
    link_fail(link, LINK_END_ERROR);
}

/* true: go on reading. */
static bool handshake(struct link *link) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(link->ssl);
    int ssl_error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(link->ssl, rc);
    if (flush(link) < 0 && ssl_error == SSL_ERROR_NONE)
        ssl_error = SSL_ERROR_SYSCALL;
    if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE)
        return false;
    if (ssl_error != SSL_ERROR_NONE) {
        fail(link, ssl_error);
        return false;
    }
    link->secure = true;
    link->more = true; /* application data may have come with the handshake's last flight */
    if (link->paused)
        event_del(&link->read_event);
    if (link->events->on_secure)
        link->events->on_secure(link, link->owner);
    return !link->paused && link->events && !link->ended;
}

ssize_t link_tls_read(struct link *link, size_t room) {
    if (!link->secure && !handshake(link))
        return 0;
    size_t got = 0;
    link->more = false;
    while (!(link->more = got == room)) {
        ERR_clear_error();
        errno = 0;
        size_t n = 0;
        int rc = SSL_read_ex(link->ssl, link->loop->scratch + got, room - got, &n);
        if (rc == 1) {
            got += n;
            if (link->drained && !SSL_has_pending(link->ssl)) /* a further call would only say so */
                break;
            continue;
        }
        int ssl_error = SSL_get_error(link->ssl, rc);
        if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE)
            break;
        if (got) { /* what came before the end is delivered first; the next event finds the end again */
            link->more = true;
            break;
        }
        fail(link, ssl_error);
        return -1;
    }
    if (flush(link) < 0) { /* key updates and alerts */
        link_fail(link, LINK_END_ERROR);
        return -1;
    }
    return (ssize_t)got;
}

/* The BIO takes everything, a record at a time. */
static int encrypt(struct link *link, const uint8_t *data, size_t len) {
    size_t n = 0;
    ERR_clear_error();
    for (; len; data += n, len -= n) {
        if (SSL_write_ex(link->ssl, data, len, &n) != 1) {
            link->error = EPROTO;
            return MF_ECLOSED;
        }
    }
    return MF_OK;
}

int link_tls_write(struct link *link, const struct iovec *iov, int count) {
    /* Small pieces are put together, so that they leave as one record. */
    enum { GATHER = 16384 };
    uint8_t small[GATHER];
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    int rc = MF_OK;
    if (count > 1 && total <= GATHER) {
        size_t at = 0;
        for (int i = 0; i < count; i++) {
            if (iov[i].iov_len)
                memcpy(small + at, iov[i].iov_base, iov[i].iov_len);
            at += iov[i].iov_len;
        }
        rc = encrypt(link, small, total);
    } else {
        for (int i = 0; i < count && rc == MF_OK; i++)
            rc = encrypt(link, iov[i].iov_base, iov[i].iov_len);
    }
    int flushed = flush(link);
    return rc < 0 ? rc : flushed;
}

void link_tls_shutdown(struct link *link) {
    if (!link->ssl || !link->secure || link->error)
        return;
    ERR_clear_error();
    SSL_shutdown(link->ssl); /* bufferevents forget this: without close_notify the peer sees a truncation */
    int ignored = flush(link);
    (void)ignored;
}
