/* The load generator: many clients on one thread and one epoll, each with a window of messages in flight. Frames are
 * made before the first is sent, so that it costs less than any relay and never is what is measured.
 *
 *     load [OPTION...] PORT
 *
 * Prints "start" when the warm-up is over, and at the end one line of JSON; whoever runs it reads the relay's CPU time
 * at both. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "corpus.h"
#include "histogram.h"

#define CHUNK (512u << 10)
#define WINDOW_MAX 256
#define BURST 256
/* One message in so many is compared byte by byte with what was sent. */
#define SAMPLE 16
/* So many connections come from one address of 127/8, which has ports for no more. */
#define PER_SOURCE 25000u
#define ROUNDS_MAX 1000

struct client {
    int fd;
    SSL *ssl;
    bool watching_output;
    uint64_t allowed; /* messages that may be sent, counted from the first */
    uint64_t sent, received;
    size_t sent_part; /* bytes of message number `sent` that are out */
    uint64_t sent_at[WINDOW_MAX];
    size_t first;       /* corpus index of message number 0 */
    uint8_t header[10]; /* of the frame that is coming in */
    unsigned header_have;
    bool in_payload;
    uint64_t payload_left; /* of that frame */
    size_t message_have;   /* payload bytes of that message so far */
};

static struct {
    const char *host, *path, *corpus, *hello;
    uint16_t port;
    unsigned clients, window, broadcasts;
    size_t size;
    double seconds, warmup, rate;
    uint64_t big;
    bool tls, idle, any, drain;
} options = {.host = "127.0.0.1", .path = "/", .clients = 64, .window = 1, .size = 64, .seconds = 2, .warmup = 0.5};

static struct corpus corpus;
static struct histogram latencies;
static struct client *clients;
static SSL_CTX *tls;
static int epoll;
static bool measuring;
static uint64_t messages, payload_bytes;
static uint8_t in[CHUNK];

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

/* As send(2) and recv(2); -1 with EAGAIN when TLS wants to wait. */
static ssize_t tls_result(struct client *c, int result) {
    int error = SSL_get_error(c->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t client_send(struct client *c, const uint8_t *data, size_t length) {
    if (c->ssl == NULL)
        return send(c->fd, data, length, MSG_NOSIGNAL);
    int sent = SSL_write(c->ssl, data, (int)(length < 1u << 30 ? length : 1u << 30));
    return sent > 0 ? sent : tls_result(c, sent);
}

static ssize_t client_recv(struct client *c, uint8_t *data, size_t length) {
    if (c->ssl == NULL)
        return recv(c->fd, data, length, 0);
    size_t have = 0;
    while (have < length) {
        int got = SSL_read(c->ssl, data + have, (int)(length - have));
        if (got <= 0)
            return have ? (ssize_t)have : tls_result(c, got);
        have += (size_t)got;
    }
    return (ssize_t)have;
}

/* Sends a first message, and waits for its answer, which is one short frame. */
static void say_hello(struct client *c) {
    uint8_t frame[512];
    static const uint8_t no_key[4]; /* a key of zeros masks nothing */
    size_t length = strlen(options.hello), size = corpus_header(frame, 1, length, no_key);
    memcpy(frame + size, options.hello, length);
    size += length;
    if (client_send(c, frame, size) != (ssize_t)size)
        die("send: %s", strerror(errno));
    for (size_t have = 0; have < 2 || have < 2u + (frame[1] & 127u);) {
        ssize_t got = client_recv(c, frame + have, have < 2 ? 2 - have : 2u + (frame[1] & 127u) - have);
        if (got <= 0)
            die("answer to the first message: %s", got == 0 ? "closed" : strerror(errno));
        have += (size_t)got;
    }
    if ((frame[0] & 15) > 2 || frame[1] > 125)
        die("the answer to the first message is no short message");
}

/* The kernel chooses the port when it knows the destination: two sources may have the same. */
static void bind_source(const struct client *c) {
    unsigned source = (unsigned)(c - clients) / PER_SOURCE;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source)};
    int one = 1;
    if (setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0 ||
        bind(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind to 127.0.0.%u: %s", 2 + source, strerror(errno));
}

/* Connects and does the opening handshake, waiting for each step. */
static void client_open(struct client *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    struct timeval patience = {.tv_sec = 20};
    int one = 1;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (options.clients > PER_SOURCE)
        bind_source(c);
    if (c->fd < 0 || inet_pton(AF_INET, options.host, &address.sin_addr) != 1 ||
        connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect to %s:%u: %s", options.host, options.port, strerror(errno));
    if (options.tls) {
        c->ssl = SSL_new(tls);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
            die("TLS handshake: %s", ERR_reason_error_string(ERR_peek_last_error()));
    }
    char head[1024];
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          options.path, options.host, options.port);
    if (client_send(c, (const uint8_t *)head, (size_t)length) != length)
        die("request: %s", strerror(errno));
    size_t have = 0;
    /* Byte by byte is slow for thousands, and needed only where frames may come before we have sent any. */
    size_t step = options.drain ? 1 : sizeof head - 1;
    while (have < 12 || memcmp(head + have - 4, "\r\n\r\n", 4) != 0) {
        size_t room = sizeof head - 1 - have;
        room = room < step ? room : step;
        ssize_t got = c->ssl ? SSL_read(c->ssl, head + have, (int)room) : recv(c->fd, head + have, room, 0);
        if (got <= 0)
            die("answer to the opening handshake: %s", got == 0 ? "closed" : strerror(errno));
        have += (size_t)got;
    }
    head[have] = '\0';
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        die("refused: %.*s", (int)strcspn(head, "\r\n"), head);
    if (options.hello)
        say_hello(c);
}

static void set_nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl: %s", strerror(errno));
}

static void watch(struct client *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event) < 0)
        die("epoll: %s", strerror(errno));
}

/* --- messages --------------------------------------------------------------------------------------------------- */

/* Sends what is allowed: one call for a burst, two where the corpus ends in its middle. */
static void client_pump(struct client *c) {
    uint64_t now = now_ns();
    while (c->sent < c->allowed) {
        size_t index = (c->first + c->sent) % corpus.count;
        size_t burst = (size_t)(c->allowed - c->sent);
        burst = burst < corpus.count - index ? burst : corpus.count - index;
        const uint8_t *data = corpus.frames + corpus.frame_at[index] + c->sent_part;
        size_t length = corpus.frame_at[index + burst] - corpus.frame_at[index] - c->sent_part;
        if (c->sent_part == 0)
            c->sent_at[c->sent % WINDOW_MAX] = now;
        ssize_t sent = client_send(c, data, length);
        if (sent < 0 && errno == EAGAIN)
            sent = 0;
        if (sent < 0)
            die("send: %s", strerror(errno));
        size_t done = c->sent_part + (size_t)sent;
        for (; done >= corpus.frame_at[index + 1] - corpus.frame_at[index]; index++) {
            done -= corpus.frame_at[index + 1] - corpus.frame_at[index];
            c->sent++;
            c->sent_at[c->sent % WINDOW_MAX] = now;
            if (index + 1 == corpus.count)
                break;
        }
        c->sent_part = done;
        if ((size_t)sent < length) {
            if (!c->watching_output)
                watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->watching_output = true;
            return;
        }
    }
    if (c->watching_output)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->watching_output = false;
}

static void message_done(struct client *c, uint64_t now) {
    size_t index = (c->first + c->received) % corpus.count;
    size_t length = options.any ? c->message_have : corpus.plain_at[index + 1] - corpus.plain_at[index];
    if (c->message_have != length)
        die("message %" PRIu64 " came back with %zu bytes instead of %zu", c->received, c->message_have, length);
    if (measuring) {
        histogram_add(&latencies, now - c->sent_at[c->received % WINDOW_MAX]);
        messages++;
        payload_bytes += length;
    }
    c->received++;
    c->message_have = 0;
    if (options.rate == 0 && !options.drain)
        c->allowed++;
}

static void check_payload(const struct client *c, const uint8_t *data, size_t length) {
    size_t index = (c->first + c->received) % corpus.count;
    if (c->message_have + length > corpus.plain_at[index + 1] - corpus.plain_at[index] ||
        memcmp(corpus.plain + corpus.plain_at[index] + c->message_have, data, length) != 0)
        die("message %" PRIu64 " came back changed", c->received);
}

/* Collects a frame's header; true once it is complete. Control frames are read and forgotten, but for a close. */
static bool read_header(struct client *c, const uint8_t **data, const uint8_t *end) {
    for (;;) {
        unsigned code = c->header[1] & 127u, need = c->header_have < 2 ? 2 : code < 126 ? 2 : code == 126 ? 4 : 10;
        if (c->header_have == need)
            break;
        if (*data == end)
            return false;
        c->header[c->header_have++] = *(*data)++;
    }
    c->payload_left = c->header[1] & 127u;
    if (c->header_have > 2) {
        c->payload_left = 0;
        for (unsigned i = 2; i < c->header_have; i++)
            c->payload_left = c->payload_left << 8 | c->header[i];
    }
    if ((c->header[0] & 15) == 8)
        die("the other side closed the connection");
    if (c->header[1] & 128)
        die("a masked frame from the server");
    c->header_have = 0;
    c->in_payload = true;
    return true;
}

static void client_read(struct client *c) {
    ssize_t got = client_recv(c, in, CHUNK);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("receive: %s", got == 0 ? "closed" : strerror(errno));
    uint64_t now = now_ns();
    const uint8_t *data = in, *end = in + got;
    while (c->in_payload || read_header(c, &data, end)) {
        size_t length = (size_t)(end - data);
        length = c->payload_left < length ? (size_t)c->payload_left : length;
        bool control = c->header[0] & 8;
        if (!control && !options.any && c->received % SAMPLE == 0)
            check_payload(c, data, length);
        if (!control)
            c->message_have += length;
        data += length;
        c->payload_left -= length;
        if (c->payload_left)
            break;
        c->in_payload = false;
        if (!control && c->header[0] & 128)
            message_done(c, now);
    }
    client_pump(c);
}

/* --- the runs --------------------------------------------------------------------------------------------------- */

static void open_all(void) {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc(options.clients, sizeof *clients);
    if (clients == NULL)
        die("out of memory");
    for (unsigned i = 0; i < options.clients; i++)
        client_open(&clients[i]);
}

static void start_all(void) {
    for (unsigned i = 0; i < options.clients; i++) {
        struct client *c = &clients[i];
        set_nonblocking(c->fd);
        c->first = corpus.count / options.clients * i % corpus.count;
        c->allowed = options.rate > 0 ? 0 : options.window;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
        client_pump(c);
    }
}

/* With --rate: lets as many idle clients send as are due by now. */
static void pace(uint64_t elapsed_ns) {
    static uint64_t given;
    static unsigned next;
    uint64_t due = (uint64_t)((double)elapsed_ns * options.rate / 1e9);
    for (unsigned tried = 0; given < due && tried < options.clients; tried++) {
        struct client *c = &clients[next];
        next = (next + 1) % options.clients;
        if (c->received == c->allowed) {
            c->allowed++;
            given++;
            client_pump(c);
        }
    }
}

/* One turn of the loop. */
static void turn(int wait_ms) {
    struct epoll_event events[BURST];
    int count = epoll_wait(epoll, events, BURST, wait_ms);
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            client_pump(c);
        if (events[i].events & ~(uint32_t)EPOLLOUT) {
            do
                client_read(c);
            while (c->ssl && SSL_pending(c->ssl) > 0);
        }
    }
}

/* Turns the loop until that time. */
static void run_until(uint64_t begin, uint64_t end) {
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
        if (options.rate > 0)
            pace(now - begin);
        turn(options.rate > 0 ? 1 : 100);
    }
}

static void say(const char *line) {
    if (puts(line) < 0 || fflush(stdout) != 0)
        die("standard output is gone");
}

static void run_load(void) {
    corpus_make(&corpus, options.corpus, options.size);
    if (options.drain) {
        options.any = true;
        options.window = 0;
    }
    open_all();
    uint64_t begin = now_ns();
    start_all();
    run_until(begin, begin + (uint64_t)(options.warmup * 1e9));
    say("start");
    measuring = true;
    uint64_t start = now_ns();
    run_until(begin, start + (uint64_t)(options.seconds * 1e9));
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"mean_bytes\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
           messages, payload_bytes, seconds, corpus.mean, (double)histogram_at(&latencies, 0.50) / 1e3,
           (double)histogram_at(&latencies, 0.99) / 1e3, (double)latencies.max / 1e3);
}

static void wait_for_end_of_input(void) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

/* Holds connections that say nothing, until standard input ends. */
static void run_idle(void) {
    open_all();
    say("start");
    wait_for_end_of_input();
    printf("{\"connections\": %u}\n", options.clients);
}

static int compare_times(const void *a, const void *b) {
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

/* The first client sends, and all get it; returns how long it takes to the last of them. */
static uint64_t broadcast(void) {
    uint64_t start = now_ns(), wanted = messages + options.clients;
    clients->allowed++;
    client_pump(clients);
    while (messages < wanted) {
        turn(1000);
        if (now_ns() - start > 30000000000u)
            die("%" PRIu64 " members have not heard of a broadcast within 30 s", wanted - messages);
    }
    return now_ns() - start;
}

/* One to warm up; the others once standard input ends, so that memory can be looked at before. */
static void run_broadcasts(void) {
    static uint64_t times[ROUNDS_MAX];
    corpus_make(&corpus, options.corpus, options.size);
    options.any = true;
    options.rate = 1; /* what comes back allows nothing */
    open_all();
    start_all();
    measuring = true;
    (void)broadcast();
    say("start");
    wait_for_end_of_input();
    messages = payload_bytes = 0;
    for (unsigned i = 0; i < options.broadcasts; i++)
        times[i] = broadcast();
    qsort(times, options.broadcasts, sizeof times[0], compare_times);
    printf("{\"members\": %u, \"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"p50_us\": %.1f, \"max_us\": %.1f}\n",
           options.clients, messages, payload_bytes, (double)times[options.broadcasts / 2] / 1e3,
           (double)times[options.broadcasts - 1] / 1e3);
}

/* One message of options.big bytes in one frame, there and back; the answer may come in any fragments. */
static void run_big(void) {
    const size_t block = 1u << 20;
    corpus_make(&corpus, NULL, block);
    const uint8_t *masked = corpus.frames + corpus.frame_at[1] - block;
    options.clients = 1;
    open_all();
    struct client *c = clients;
    set_nonblocking(c->fd);
    say("start");
    uint64_t start = now_ns(), sent = 0, received = 0;
    uint8_t header[14];
    size_t header_length = corpus_header(header, 1, options.big, masked - 4);
    if (client_send(c, header, header_length) != (ssize_t)header_length)
        die("send: %s", strerror(errno));
    for (bool done = false; !done;) {
        struct pollfd wait = {.fd = c->fd, .events = (short)(POLLIN | (sent < options.big ? POLLOUT : 0))};
        if (poll(&wait, 1, 30000) <= 0)
            die("nothing came for 30 seconds, at %" PRIu64 " bytes", received);
        size_t at = (size_t)(sent % block), left = block - at;
        left = options.big - sent < left ? (size_t)(options.big - sent) : left;
        ssize_t n = left ? client_send(c, masked + at, left) : 0;
        if (n < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        sent += n > 0 ? (uint64_t)n : 0;
        n = client_recv(c, in, CHUNK);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            die("receive: %s", n == 0 ? "closed" : strerror(errno));
        const uint8_t *data = in, *end = in + (n > 0 ? n : 0);
        while (!done && (c->in_payload || read_header(c, &data, end))) {
            size_t length = (size_t)(end - data);
            length = c->payload_left < length ? (size_t)c->payload_left : length;
            bool control = c->header[0] & 8;
            for (size_t i = 0; i < length && !control; i++) {
                if (data[i] != corpus.plain[(received + i) % block])
                    die("byte %" PRIu64 " came back changed", (received + i));
            }
            received += control ? 0 : length;
            data += length;
            c->payload_left -= length;
            if (c->payload_left)
                break;
            c->in_payload = false;
            done = !control && c->header[0] & 128;
        }
    }
    if (received != options.big)
        die("%" PRIu64 " bytes came back", received);
    printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.3f}\n", received, (double)(now_ns() - start) / 1e9);
}

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'h'},
    {"path", required_argument, NULL, 'p'},
    {"clients", required_argument, NULL, 'c'},
    {"window", required_argument, NULL, 'w'},
    {"size", required_argument, NULL, 's'},
    {"corpus", required_argument, NULL, 'j'},
    {"seconds", required_argument, NULL, 't'},
    {"warmup", required_argument, NULL, 'u'},
    {"rate", required_argument, NULL, 'r'},
    {"big", required_argument, NULL, 'b'},
    {"tls", no_argument, NULL, 'T'},
    {"idle", no_argument, NULL, 'i'},
    {"any", no_argument, NULL, 'a'},
    {"drain", no_argument, NULL, 'd'},
    {"hello", required_argument, NULL, 'o'},
    {"broadcasts", required_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage(void) {
    fputs("usage: load [OPTION...] PORT\n"
          "  --host ADDRESS     127.0.0.1\n"
          "  --path PATH        /\n"
          "  --clients N        64\n"
          "  --window N         messages in flight on each connection (1)\n"
          "  --size BYTES       of each message (64)\n"
          "  --corpus NAME      instead of --size: json67, json290, calls or requests (JSON-RPC)\n"
          "  --seconds S        of measuring (2), after --warmup S (0.5)\n"
          "  --rate N           messages a second in all, one in flight; default: as fast as they come back\n"
          "  --tls              to the relay, unverified\n"
          "  --any              answers are counted, one for each message, whatever they are\n"
          "  --drain            nothing is sent: what comes by itself is counted\n"
          "  --hello TEXT       each client's first message, answered with one short frame before anything else\n"
          "  --idle             open the connections and hold them until standard input ends\n"
          "  --broadcasts N     of one client's messages, each of which comes to all of them\n"
          "  --big BYTES        one connection, one message\n",
          stderr);
    exit(2);
}

static double number(const char *text, double low, double high) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        die("'%s' is not a number from %g to %g", text, low, high);
    return value;
}

static void parse(int argc, char **argv) {
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            options.host = optarg;
            break;
        case 'p':
            options.path = optarg;
            break;
        case 'c':
            options.clients = (unsigned)number(optarg, 1, 100000);
            break;
        case 'w':
            options.window = (unsigned)number(optarg, 1, WINDOW_MAX - 1);
            break;
        case 's':
            options.size = (size_t)number(optarg, 0, 64 << 20);
            break;
        case 'j':
            options.corpus = optarg;
            break;
        case 't':
            options.seconds = number(optarg, 0.01, 3600);
            break;
        case 'u':
            options.warmup = number(optarg, 0, 3600);
            break;
        case 'r':
            options.rate = number(optarg, 1, 1e7);
            break;
        case 'b':
            options.big = (uint64_t)number(optarg, 65536, 1e12);
            break;
        case 'T':
            options.tls = true;
            break;
        case 'i':
            options.idle = true;
            break;
        case 'a':
            options.any = true;
            break;
        case 'd':
            options.drain = true;
            break;
        case 'o':
            options.hello = optarg;
            if (strlen(optarg) > 400)
                die("that is a long greeting");
            break;
        case 'm':
            options.broadcasts = (unsigned)number(optarg, 1, ROUNDS_MAX);
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 1)
        usage();
    options.port = (uint16_t)number(argv[optind], 1, 65535);
}

int main(int argc, char **argv) {
    parse(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    if (options.tls) {
        tls = SSL_CTX_new(TLS_client_method());
        /* One cipher, so that every relay does the same work whatever it prefers. */
        if (tls == NULL || SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1)
            die("no TLS");
        (void)SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    }
    if (options.idle)
        run_idle();
    else if (options.big)
        run_big();
    else if (options.broadcasts)
        run_broadcasts();
    else
        run_load();
    return 0;
}
