/* The upstream of the benchmarks: a bare epoll echo, which costs as little as an echo can, so that what is measured is
 * the relay before it. It streams: a message of any size needs no more than one buffer.
 *
 *     echo PORT
 *     echo PORT FRAMES    no echo: sends what the file FRAMES holds, over and over, and reads nothing but the handshake
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define HEAD_MAX 8192
#define BURST 256

struct peer {
    int fd;
    bool open;          /* the opening handshake is over */
    bool closing;       /* a close frame came: the socket goes when all is sent */
    bool dropping;      /* this frame's payload is not answered (a pong) */
    uint8_t header[14]; /* of the frame that is coming in */
    unsigned header_have;
    uint64_t payload_left;
    uint8_t key[4]; /* turned so that key[0] masks the next byte */
    uint8_t *kept;  /* what the socket refused; nothing is read meanwhile */
    size_t kept_at, kept_length;
    char *head; /* of the request, until it is complete */
    size_t head_length;
    size_t flooded; /* where in the flood it is */
};

static int epoll;
static uint8_t *flood; /* what is sent unasked; NULL: nothing */
static size_t flood_length;
static uint8_t in[CHUNK];
/* An answer is never longer than the question: its header lacks the key. */
static uint8_t out[CHUNK + 64];

static void peer_free(struct peer *p) {
    (void)close(p->fd);
    free(p->kept);
    free(p->head);
    free(p);
}

static void watch(struct peer *p, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = p};
    (void)epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &event);
}

/* Sends once what the socket takes of it. False: the peer is gone. */
static bool deliver_flood(struct peer *p) {
    size_t left = flood_length - p->flooded;
    ssize_t sent = send(p->fd, flood + p->flooded, left < CHUNK ? left : CHUNK, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    p->flooded = (p->flooded + (size_t)sent) % flood_length;
    return true;
}

/* Sends, and keeps what the socket does not take. False: the peer is gone. */
static bool deliver(struct peer *p, const uint8_t *data, size_t length) {
    ssize_t sent = length ? send(p->fd, data, length, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == length)
        return !p->closing;
    p->kept = malloc(length - done);
    if (p->kept == NULL)
        return false;
    p->kept_length = length - done;
    p->kept_at = 0;
    memcpy(p->kept, data + done, p->kept_length);
    watch(p, EPOLLOUT);
    return true;
}

static bool deliver_kept(struct peer *p) {
    if (flood)
        return deliver_flood(p);
    ssize_t sent = send(p->fd, p->kept + p->kept_at, p->kept_length - p->kept_at, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    p->kept_at += (size_t)sent;
    if (p->kept_at < p->kept_length)
        return true;
    free(p->kept);
    p->kept = NULL;
    watch(p, EPOLLIN);
    return !p->closing;
}

static const char *find_header(const char *head, const char *name, size_t *length) {
    size_t name_length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, name_length) == 0 && line[2 + name_length] == ':') {
            const char *value = line + 3 + name_length;
            value += strspn(value, " \t");
            *length = strcspn(value, " \t\r\n");
            return value;
        }
    }
    return NULL;
}

static bool answer_handshake(struct peer *p) {
    size_t length;
    const char *key = find_header(p->head, "Sec-WebSocket-Key", &length);
    char text[256];
    if (key == NULL || length > 64)
        return false;
    int n = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)length, key);
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    (void)SHA1((const unsigned char *)text, (size_t)n, digest);
    (void)EVP_EncodeBlock(accept, digest, sizeof digest);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
    p->open = true;
    free(p->head);
    p->head = NULL;
    if (!deliver(p, (const uint8_t *)text, (size_t)n))
        return false;
    if (flood)
        watch(p, EPOLLOUT);
    return true;
}

/* Takes bytes of the request head; returns how many belonged to it, or -1. */
static ssize_t read_head(struct peer *p, const uint8_t *data, size_t length) {
    if (p->head == NULL && (p->head = malloc(HEAD_MAX + 1)) == NULL)
        return -1;
    size_t before = p->head_length, taken = length < HEAD_MAX - before ? length : HEAD_MAX - before;
    memcpy(p->head + before, data, taken);
    p->head_length += taken;
    p->head[p->head_length] = '\0';
    const char *end = strstr(p->head, "\r\n\r\n");
    if (end == NULL)
        return p->head_length == HEAD_MAX ? -1 : (ssize_t)taken;
    taken = (size_t)(end + 4 - p->head) - before;
    return answer_handshake(p) ? (ssize_t)taken : -1;
}

/* Collects the header at data; true once it is complete and its answer is at *to. */
static bool read_header(struct peer *p, const uint8_t **data, const uint8_t *end, uint8_t **to) {
    for (;;) {
        unsigned need = 2;
        if (p->header_have >= 2) {
            unsigned code = p->header[1] & 127;
            need = 6 + (code == 126 ? 2 : code == 127 ? 8 : 0);
        }
        if (p->header_have >= 2 && p->header_have == need)
            break;
        if (*data == end)
            return false;
        p->header[p->header_have++] = *(*data)++;
    }
    unsigned opcode = p->header[0] & 15, answer = p->header_have - 4;
    memcpy(p->key, p->header + answer, 4);
    p->payload_left = p->header[1] & 127;
    if (answer > 2) {
        p->payload_left = 0;
        for (unsigned i = 2; i < answer; i++)
            p->payload_left = p->payload_left << 8 | p->header[i];
    }
    p->header_have = 0;
    p->dropping = opcode == 10;
    if (p->dropping)
        return true;
    p->closing = opcode == 8;
    p->header[0] = (uint8_t)(opcode == 9 ? 0x8a : p->header[0]);
    p->header[1] &= 127;
    memcpy(*to, p->header, answer);
    *to += answer;
    return true;
}

static void unmask(uint8_t *restrict to, const uint8_t *restrict from, size_t length, uint8_t key[4]) {
    uint64_t wide;
    uint32_t narrow;
    memcpy(&narrow, key, 4);
    wide = (uint64_t)narrow << 32 | narrow;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i < length; i++)
        to[i] = from[i] ^ key[i % 4];
    uint8_t turned[4];
    for (size_t k = 0; k < 4; k++)
        turned[k] = key[(length + k) % 4];
    memcpy(key, turned, 4);
}

static bool answer_frames(struct peer *p, const uint8_t *data, size_t length) {
    const uint8_t *end = data + length;
    uint8_t *to = out;
    for (;;) {
        if (p->payload_left == 0 && !read_header(p, &data, end, &to))
            break;
        size_t now = (size_t)(end - data);
        now = p->payload_left < now ? (size_t)p->payload_left : now;
        if (!p->dropping) {
            unmask(to, data, now, p->key);
            to += now;
        }
        data += now;
        p->payload_left -= now;
        if (p->payload_left || p->closing)
            break;
    }
    return deliver(p, out, (size_t)(to - out));
}

static bool on_readable(struct peer *p) {
    ssize_t got = recv(p->fd, in, CHUNK, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    const uint8_t *data = in;
    size_t length = (size_t)got;
    if (!p->open) {
        ssize_t taken = read_head(p, data, length);
        if (taken < 0)
            return false;
        data += taken;
        length -= (size_t)taken;
    }
    return length == 0 || answer_frames(p, data, length);
}

static void on_accept(int listener) {
    int fd;
    /* What it takes for a leak is what epoll holds. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct peer *p = calloc(1, sizeof *p);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        if (p == NULL || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
            (void)close(fd);
            free(p);
            continue;
        }
        p->fd = fd;
    }
}

static int listen_on(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
        perror("echo: listen");
        exit(1);
    }
    return fd;
}

static void read_flood(const char *path) {
    FILE *file = fopen(path, "rb");
    long length = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        length = ftell(file);
    if (length > 0)
        flood = malloc((size_t)length);
    flood_length = (size_t)length;
    if (flood == NULL || fseek(file, 0, SEEK_SET) != 0 || fread(flood, 1, flood_length, file) != flood_length) {
        fprintf(stderr, "echo: cannot read %s, or it is empty\n", path);
        exit(1);
    }
    (void)fclose(file);
}

int main(int argc, char **argv) {
    long port = argc == 2 || argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: echo PORT [FRAMES]\n");
        return 2;
    }
    if (argc == 3)
        read_flood(argv[2]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[BURST];
        int count = epoll_wait(epoll, events, BURST, -1);
        for (int i = 0; i < count; i++) {
            struct peer *p = events[i].data.ptr;
            if (p == NULL)
                on_accept(listener);
            else if (!(events[i].events & EPOLLOUT ? deliver_kept(p) : on_readable(p)))
                peer_free(p);
        }
    }
}
