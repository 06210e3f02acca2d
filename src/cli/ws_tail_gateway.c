/* ws tail without a file: what a running gateway records, through its admin side. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/http_stream.h"
#include "cli/ws_tail.h"
#include "recording/reader.h"

#define PAGE "/__mockforge/ws/tail"
#define LINE_MAX_BYTES (16u << 20)
#define MESSAGE_MAX 4096u

struct listening {
    struct tail *tail;
    struct http_stream http;
    struct line_reader *lines;
    struct buf text; /* of which whole lines are taken */
    bool begun;      /* the first line was seen */
};

/* ---- asking ---- */

static void put_parameter(struct buf *out, const char *name, const char *value) {
    static const char digits[] = "0123456789ABCDEF";
    if (!value)
        return;
    buf_printf(out, "%c%s=", strchr(buf_cstr(out), '?') ? '&' : '?', name);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        char escaped[3] = {'%', digits[*p >> 4], digits[*p & 15]};
        if ((*p | 32) >= 'a' && (*p | 32) <= 'z')
            buf_putc(out, (char)*p);
        else if (strchr("0123456789-._~", *p))
            buf_putc(out, (char)*p);
        else
            buf_append(out, escaped, sizeof escaped);
    }
}

/* The page below the gateway's URL, with what the gateway can filter by itself. */
static int make_url(struct tail *t, const char *gateway, struct url *url) {
    const struct ws_filter *f = &t->filter;
    struct buf text = BUF_INIT;
    struct err err;
    size_t len = strlen(gateway);
    while (len && gateway[len - 1] == '/')
        len--;
    buf_append(&text, gateway, len);
    buf_puts(&text, PAGE);
    put_parameter(&text, "connection", f->connection_count == 1 ? f->connections[0] : NULL);
    put_parameter(&text, "path", cli_value(t->args, "path"));
    put_parameter(&text, "direction", cli_value(t->args, "direction"));
    int rc = url_parse(url, buf_cstr(&text), &err);
    buf_fini(&text);
    if (rc < 0)
        return cli_usage_error(t->args, "--gateway: %s", err.text);
    if (strncasecmp(gateway, "http://", 7) != 0)
        return cli_usage_error(t->args, "--gateway: the admin side speaks http:// only");
    return EXIT_FINE;
}

/* What the gateway says to a refusal. */
static int refused(struct listening *l, const struct url *url, struct err *err) {
    const char *hint = "";
    while (l->text.len < MESSAGE_MAX && http_stream_read(&l->http, &l->text, err) > 0)
        continue;
    if (l->http.status == 401)
        hint = ": give its admin.token with --token, or in MOCKFORGE_ADMIN_TOKEN";
    else if (l->http.status == 404)
        hint = ": is it the admin side of a mockforge that has " PAGE "?";
    else if (l->http.status == 503)
        hint = ": too many look on already";
    else if (l->http.status == 400)
        hint = ": --path is a glob, in which [ needs its ]";
    return err_set(err, MF_EIO, "%s port %u answered %d%s", url->host, url->port, l->http.status, hint);
}

/* ---- the first line ---- */

static void put_routes(struct buf *out, const struct json_tape *tape, const char *text, const char *name,
                       struct buf *scratch) {
    uint32_t tail = json_member(tape, text, 0, "tail", 4, scratch);
    uint32_t list = tail == JSON_NO_NODE ? tail : json_member(tape, text, tail, name, strlen(name), scratch);
    if (list == JSON_NO_NODE || tape->nodes[list].kind != JSON_ARRAY)
        return;
    for (uint32_t at = list + 1; at < tape->nodes[list].next; at = tape->nodes[at].next) {
        const struct json_node *n = &tape->nodes[at];
        buf_puts(out, out->len ? ", " : "");
        if (n->kind == JSON_STRING)
            show_escape(out, text + n->begin + 1, n->end - n->begin - 2);
    }
}

/* Says what can be seen at all. */
static void introduce(const struct url *url, const char *line, size_t len) {
    struct json_tape tape = {.max = 100000};
    struct buf text = BUF_INIT, recorded = BUF_INIT, unrecorded = BUF_INIT, scratch = BUF_INIT;
    size_t error_at;
    buf_append(&text, line, len);
    const char *json = buf_cstr(&text);
    if (json_tape_parse(&tape, json, text.len, &error_at) == MF_OK && tape.nodes[0].kind == JSON_OBJECT) {
        put_routes(&recorded, &tape, json, "recorded_routes", &scratch);
        put_routes(&unrecorded, &tape, json, "unrecorded_routes", &scratch);
    }
    if (recorded.len)
        tail_say("following %s port %u; recorded routes: %s", url->host, url->port, buf_cstr(&recorded));
    else
        tail_say(
            "nothing can be seen at %s port %u: no route is recorded. Put `record: true` on a route and reload, or "
            "start the gateway with `mockforge ws record`, which records them all",
            url->host, url->port);
    if (recorded.len && unrecorded.len)
        tail_say("not recorded, so not seen: %s", buf_cstr(&unrecorded));
    json_tape_fini(&tape);
    buf_fini(&text);
    buf_fini(&recorded);
    buf_fini(&unrecorded);
    buf_fini(&scratch);
}

/* ---- lines ---- */

static int take_line(struct listening *l, const struct url *url, const char *line, size_t len, struct err *err) {
    struct session_event e;
    if (!l->begun) {
        l->begun = true;
        introduce(url, line, len);
        return MF_OK;
    }
    int rc = line_reader_parse(l->lines, line, len, &e, err);
    if (rc < 0) {
        err_prefix(err, "%s port %u sent a line that is not understood", url->host, url->port);
        return rc;
    }
    return tail_add(l->tail, &e, err);
}

static int take_lines(struct listening *l, const struct url *url, struct err *err) {
    size_t at = 0;
    int rc = MF_OK;
    while (rc >= 0) {
        const char *line = (const char *)l->text.data + at;
        const char *end = at < l->text.len ? memchr(line, '\n', l->text.len - at) : NULL;
        if (!end)
            break;
        rc = take_line(l, url, line, (size_t)(end - line), err);
        at += (size_t)(end - line) + 1;
    }
    buf_consume(&l->text, at);
    if (rc >= 0 && l->text.len > LINE_MAX_BYTES)
        rc = err_set(err, MF_ELIMIT, "expected lines of at most %u MiB", LINE_MAX_BYTES >> 20);
    return rc;
}

static int listen_to(struct listening *l, const struct url *url, const char *token, struct err *err) {
    int rc = http_stream_open(&l->http, url, token, err);
    if (rc == MF_OK && l->http.status != 200)
        return refused(l, url, err);
    if (rc == MF_OK && line_reader_new(&l->lines) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    while (rc >= 0 && !l->tail->write_error && (rc = http_stream_read(&l->http, &l->text, err)) > 0) {
        rc = take_lines(l, url, err);
        tail_flush(l->tail);
    }
    if (rc == 0 && !l->tail->write_error)
        tail_say("%s port %u has ended", url->host, url->port);
    return rc;
}

int tail_gateway(struct tail *t, const char *gateway, const char *token) {
    struct listening l = {.tail = t, .http = {.fd = -1}};
    struct url url = {0};
    struct err err;
    int code = make_url(t, gateway, &url);
    if (code == EXIT_FINE) {
        t->live = true;
        int rc = listen_to(&l, &url, token, &err);
        if (rc >= 0 && t->write_error && t->write_error != EPIPE)
            rc = err_set(&err, MF_EIO, "cannot write to stdout: %s", strerror(t->write_error));
        code = rc < 0 ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
    }
    http_stream_close(&l.http);
    line_reader_free(l.lines);
    buf_fini(&l.text);
    url_fini(&url);
    return code;
}
