/* `mockforge health`: asks a running gateway whether it is well, for container health checks. */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "protocol/url.h"

#define ADDRESS_DEFAULT "127.0.0.1:3000"
#define PATIENCE_S 2 /* for each step; and no step is begun after it */
#define STATUS_LINE_LEN (sizeof "HTTP/1.1 200" - 1)

/* The URL operand, or the one that --address and --live stand for. */
static int choose_url(const struct cli_args *args, struct url *url) {
    const char *operand = cli_operand(args, 0), *address = cli_value(args, "address");
    struct buf text = BUF_INIT;
    struct err err;
    if (operand && (address || cli_flag(args, "live")))
        return cli_usage_error(args, "a URL says it all: give it alone, or --address and --live");
    if (operand)
        buf_puts(&text, operand);
    else
        buf_printf(&text, "http://%s/health/%s", address ? address : ADDRESS_DEFAULT,
                   cli_flag(args, "live") ? "live" : "ready");
    int rc = url_parse(url, buf_cstr(&text), &err);
    buf_fini(&text);
    if (rc < 0)
        return cli_usage_error(args, "%s", err.text);
    if (operand && strncasecmp(operand, "http://", 7) != 0)
        return cli_usage_error(args, "the admin side speaks http:// only");
    return EXIT_FINE;
}

static int connect_to(const struct url *url, struct err *err) {
    char service[8];
    snprintf(service, sizeof service, "%u", url->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct addrinfo *found = NULL;
    int fd = -1, rc = getaddrinfo(url->host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, MF_EIO, "%s: %s", url->host, gai_strerror(rc));
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* connect(2) as well */
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            rc = errno == EINPROGRESS ? ETIMEDOUT : errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd >= 0 ? fd : err_set(err, MF_EIO, "%s port %u: %s", url->host, url->port, strerror(rc ? rc : errno));
}

static bool send_request(int fd, const struct url *url) {
    struct buf request = BUF_INIT;
    char *authority = url_authority(url);
    buf_printf(&request, "GET %s%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", url->path,
               url->query ? "?" : "", url->query ? url->query : "", authority ? authority : "");
    bool sent = authority && !request.failed &&
                send(fd, request.data, request.len, MSG_NOSIGNAL) == (ssize_t)request.len;
    free(authority);
    buf_fini(&request);
    return sent;
}

/* The status of the answer; 0: there is none. */
static int read_status(int fd) {
    char line[STATUS_LINE_LEN + 1] = "";
    const uint64_t until_us = clock_mono_us() + PATIENCE_S * 1000000;
    for (size_t len = 0; len < STATUS_LINE_LEN;) {
        ssize_t n = clock_mono_us() < until_us ? recv(fd, line + len, STATUS_LINE_LEN - len, 0) : 0;
        if (n < 0 && errno == EINTR)
            continue; /* because of SO_RCVTIMEO that is also so after a stop, as of a container that is paused */
        if (n <= 0)
            return 0;
        len += (size_t)n;
    }
    static const char begin[] = "HTTP/1.";
    const char *code = line + STATUS_LINE_LEN - 3;
    return !strncmp(line, begin, sizeof begin - 1) && strspn(code, "0123456789") == 3 ? (int)strtol(code, NULL, 10) : 0;
}

static int ask(const struct url *url) {
    struct err err;
    int fd = connect_to(url, &err);
    if (fd < 0)
        return cli_fail(EXIT_IO, &err);
    int status = send_request(fd, url) ? read_status(fd) : 0;
    close(fd);
    if (status == 0) {
        err_set(&err, MF_EIO, "%s port %u: no answer", url->host, url->port);
        return cli_fail(EXIT_IO, &err);
    }
    printf("%s: %d\n", status == 200 ? "healthy" : "not healthy", status);
    return status == 200 ? EXIT_FINE : EXIT_CHECK_FAILED;
}

static int run(const struct cli_args *args) {
    struct url url = {0};
    int rc = choose_url(args, &url);
    if (rc == EXIT_FINE)
        rc = ask(&url);
    url_fini(&url);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "address", .letter = 'a', .argument = "HOST:PORT", .help = "The admin port (" ADDRESS_DEFAULT ")"},
    {.name = "live", .help = "Ask whether it runs, rather than whether it takes connections"},
    {0},
};

const struct cli_command cli_health = {
    .name = "health",
    .arguments = "[URL]",
    .max_arguments = 1,
    .summary = "ask a running gateway whether it is ready",
    .details =
        "Asks http://" ADDRESS_DEFAULT "/health/ready, the admin side of a gateway. The exit status is 0 when it is ready, "
        "1 when it is not (it is stopping, or the URL is another server's), 3 when nobody answers within 2 seconds.\n"
        "\n"
        "  mockforge health\n"
        "  mockforge health --live --address 127.0.0.1:3001\n"
        "  HEALTHCHECK CMD [\"mockforge\", \"health\"]",
    .options = options,
    .run = run,
};
