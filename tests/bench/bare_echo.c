/* What our echo is measured against: the least that libevent and wslay's frame API can be asked for. Two events, one
 * read and one write a burst, every frame sent back as it came; no limits, no checks beyond wslay's, no time-outs.
 *
 *     bare_echo PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#define CHUNK (256u << 10)
#define HEAD_MAX 8192
#define OPCODE_PONG 10

struct client {
    int fd;
    struct event *readable, *writable; /* the second is added while the socket takes nothing */
    wslay_frame_context_ptr frames;    /* NULL: the opening handshake is not over */
    char *head;
    size_t head_length;
    uint8_t *kept; /* what the socket refused; nothing is read meanwhile */
    size_t kept_length;
    bool closing;
};

static struct event_base *base;
/* Of the burst under way. An answer is never longer than its question: its header lacks the key. */
static uint8_t in[CHUNK], out[CHUNK + 64];
static size_t in_at, in_length, out_length;

static void client_free(struct client *c) {
    event_free(c->readable);
    event_free(c->writable);
    if (c->frames)
        wslay_frame_context_free(c->frames);
    (void)close(c->fd);
    free(c->kept);
    free(c->head);
    free(c);
}

/* false: the client is gone. */
static bool deliver(struct client *c, const uint8_t *data, size_t length) {
    ssize_t sent = length ? send(c->fd, data, length, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == length)
        return !c->closing;
    c->kept = malloc(length - done);
    if (c->kept == NULL)
        return false;
    c->kept_length = length - done;
    memcpy(c->kept, data + done, c->kept_length);
    return event_del(c->readable) == 0 && event_add(c->writable, NULL) == 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    struct client *c = arg;
    (void)what;
    ssize_t sent = send(fd, c->kept, c->kept_length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        client_free(c);
        return;
    }
    c->kept_length -= sent > 0 ? (size_t)sent : 0;
    memmove(c->kept, c->kept + (sent > 0 ? sent : 0), c->kept_length);
    if (c->kept_length)
        return;
    free(c->kept);
    c->kept = NULL;
    if (c->closing || event_del(c->writable) < 0 || event_add(c->readable, NULL) < 0)
        client_free(c);
}

/* ---- wslay's callbacks: from the burst that was read, to the burst that is written ---- */

static ssize_t on_recv(uint8_t *to, size_t length, int flags, void *arg) {
    (void)flags, (void)arg;
    size_t taken = in_length - in_at < length ? in_length - in_at : length;
    if (taken == 0)
        return -1;
    memcpy(to, in + in_at, taken);
    in_at += taken;
    return (ssize_t)taken;
}

static ssize_t on_send(const uint8_t *data, size_t length, int flags, void *arg) {
    (void)flags, (void)arg;
    if (length > sizeof out - out_length)
        return -1;
    memcpy(out + out_length, data, length);
    out_length += length;
    return (ssize_t)length;
}

static bool answer_frames(struct client *c) {
    out_length = 0;
    for (;;) {
        struct wslay_frame_iocb frame;
        ssize_t got = wslay_frame_recv(c->frames, &frame);
        if (got == WSLAY_ERR_WANT_READ)
            break;
        if (got < 0)
            return false;
        c->closing |= frame.opcode == WSLAY_CONNECTION_CLOSE;
        frame.mask = 0;
        frame.opcode = frame.opcode == WSLAY_PING ? OPCODE_PONG : frame.opcode;
        if (wslay_frame_send(c->frames, &frame) < 0)
            return false;
    }
    return deliver(c, out, out_length);
}

/* ---- the opening handshake ---- */

static bool accept_client(struct client *c) {
    const struct wslay_frame_callbacks callbacks = {.send_callback = on_send, .recv_callback = on_recv};
    static const char name[] = "\r\nSec-WebSocket-Key:";
    const char *key = strcasestr(c->head, name);
    char text[256];
    if (key == NULL)
        return false;
    key += sizeof name - 1;
    key += strspn(key, " \t");
    int n = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    unsigned char digest[SHA_DIGEST_LENGTH], accepted[32];
    (void)SHA1((const unsigned char *)text, (size_t)n, digest);
    (void)EVP_EncodeBlock(accepted, digest, sizeof digest);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 accepted);
    free(c->head);
    c->head = NULL;
    return wslay_frame_context_init(&c->frames, &callbacks, c) == 0 && deliver(c, (const uint8_t *)text, (size_t)n);
}

/* The request head; frames may stand behind it. */
static bool read_head(struct client *c) {
    if (c->head == NULL && (c->head = malloc(HEAD_MAX + 1)) == NULL)
        return false;
    size_t before = c->head_length, taken = in_length < HEAD_MAX - before ? in_length : HEAD_MAX - before;
    memcpy(c->head + before, in, taken);
    c->head_length += taken;
    c->head[c->head_length] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return c->head_length < HEAD_MAX;
    in_at = (size_t)(end + 4 - c->head) - before;
    return accept_client(c) && (in_at == in_length || answer_frames(c));
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct client *c = arg;
    (void)what;
    ssize_t got = recv(fd, in, sizeof in, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    in_at = 0;
    in_length = got > 0 ? (size_t)got : 0;
    if (got <= 0 || !(c->frames ? answer_frames(c) : read_head(c)))
        client_free(c);
}

static void on_accept(evutil_socket_t listener, short what, void *arg) {
    int fd, one = 1;
    (void)what, (void)arg;
    /* What it takes for a leak is what the events hold. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct client *c = calloc(1, sizeof *c);
        if (c == NULL) {
            (void)close(fd);
            continue;
        }
        c->fd = fd;
        c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
        c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
        if (c->readable == NULL || c->writable == NULL || event_add(c->readable, NULL) < 0)
            abort();
    }
}

static int listen_on(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
        perror("bare_echo: listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    long port = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: bare_echo PORT\n");
        return 2;
    }
    struct event_config *config = event_config_new();
    if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) < 0 ||
        (base = event_base_new_with_config(config)) == NULL)
        abort();
    event_config_free(config);
    struct event *accepting = event_new(base, listen_on((uint16_t)port), EV_READ | EV_PERSIST, on_accept, NULL);
    if (accepting == NULL || event_add(accepting, NULL) < 0)
        abort();
    return event_base_dispatch(base) < 0;
}
