#include "config/check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/redis_url.h"

/* RFC 9110 section 5.6.2, beside letters and digits. */
#define TOKEN_MARKS "!#$%&'*+-.^_`|~"

static bool all_of(const char *text, const char *marks) {
    for (const char *p = text; *p; p++)
        if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && !strchr(marks, *p)))
            return false;
    return true;
}

static bool has_blank_or_control(const char *text) {
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return true;
    return false;
}

const char *check_not_empty(const char *text) {
    return *text ? NULL : "is empty";
}

const char *check_token(const char *text) {
    return *text && all_of(text, TOKEN_MARKS) ? NULL
                                              : "is not a name that HTTP allows (letters, digits, - and the like)";
}

const char *check_upstream_header(const char *text) {
    static const char *const ours[] = {
        "Connection", "Upgrade", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Content-Length", "Sec-WebSocket-Key",
        "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (!strcasecmp(text, ours[i]))
            return "belongs to the opening handshake itself, which mockforge writes";
    return check_token(text);
}

const char *check_bearer(const char *text) {
    if (!*text)
        return "is empty";
    return all_of(text, "-._~+/=") ? NULL : "holds something else than letters, digits and -._~+/=";
}

const char *check_host(const char *text) {
    if (!*text)
        return "is empty";
    if (*text == '[')
        return "has brackets; write an IPv6 address without them";
    if (!strchr(text, ':'))
        return strlen(text) < 256 && all_of(text, ".-_") ? NULL : "is neither a host name nor an address";
    struct in6_addr address;
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "%"); /* the interface of a link-local address (RFC 4007) */
    if (len >= sizeof bare || !all_of(text + len, "%-._"))
        return "is not an IPv6 address";
    memcpy(bare, text, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, &address) == 1 ? NULL : "is not an IPv6 address; the port is a key of its own";
}

const char *check_endpoint_path(const char *text) {
    if (*text != '/')
        return "does not begin with /";
    if (has_blank_or_control(text))
        return "holds a blank or a control character";
    return text[strcspn(text, "?#")] ? "holds ? or #; a path ends before the query" : NULL;
}

const char *check_route_path(const char *text) {
    const char *wrong = check_endpoint_path(text);
    if (wrong)
        return wrong;
    for (const char *segment = text; *segment == '/';) {
        size_t len = strcspn(++segment, "/");
        if (memchr(segment, '*', len)) {
            bool one = len == 1, rest = len == 2 && segment[1] == '*';
            if (!one && !rest)
                return "has a * beside other characters; * is one whole segment, ** the rest";
            if (rest && segment[len])
                return "goes on after **, which is the whole rest";
        }
        segment += len;
    }
    return NULL;
}

const char *check_path_filter(const char *text) {
    return *text == '/' || *text == '*' ? NULL : "does not begin with / or *";
}

const char *check_upstream(const char *text) {
    if (!strncasecmp(text, "ws://", 5) || !strncasecmp(text, "wss://", 6)) {
        if (has_blank_or_control(text))
            return "holds a blank or a control character";
        return text[strcspn(text, ":") + 3] ? NULL : "has no host";
    }
    if (!strncasecmp(text, "http://", 7) || !strncasecmp(text, "https://", 8))
        return "is an HTTP URL; write ws:// for http:// and wss:// for https://";
    return "does not begin with ws:// or wss://";
}

const char *check_redis_url(const char *text) {
    struct redis_url url;
    return redis_url_parse(text, &url);
}

const char *check_prefix(const char *text) {
    if (!*text)
        return "is empty";
    return has_blank_or_control(text) ? "holds a blank or a control character" : NULL;
}

/* ---- keys together ----------------------------------------------------------------------------------------------- */

void check_route_begin(const void *websocket, void *route) {
    ((struct route_config *)route)->record = ((const struct websocket_config *)websocket)->record;
}

/* A certificate is of no use without its key. */
static int check_pair(const struct apply *ctx, const struct yaml_node *node, const char *cert_key, const char *cert,
                      const char *key_key, const char *key) {
    if (!cert == !key)
        return 0;
    const char *given = cert ? cert_key : key_key, *missing = cert ? key_key : cert_key;
    const struct yaml_node *at = yaml_get(node, given);
    return apply_fail(ctx, at ? at : node, given, "\"%s\" is given without \"%s\"; both or neither", given, missing);
}

int check_server_tls(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct server_tls_config *tls = at;
    return check_pair(ctx, node, "cert_path", tls->cert_path, "key_path", tls->key_path);
}

int check_upstream_tls(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct upstream_tls_config *tls = at;
    return check_pair(ctx, node, "cert", tls->cert, "key", tls->key);
}

int check_redact(const struct apply *ctx, const struct yaml_node *node, void *at) {
    (void)ctx;
    struct record_config *record = at;
    /* `redact: false` is all of it, what websocket.record adds as well. */
    if (node->kind == YAML_SCALAR && !yaml_is_null(node) && !record->redact_defaults)
        record->redact_headers_count = record->redact_query_count = record->redact_json_count = 0;
    return 0;
}

int check_route(const struct apply *ctx, const struct yaml_node *node, void *at) {
    struct route_config *route = at;
    route->line = node->line;
    route->column = node->column;
    const struct yaml_node *type = yaml_get(node, "type"), *upstream = yaml_get(node, "upstream");
    if (!type && yaml_get(node, "input"))
        route->type = HANDLER_REPLAY;
    else if (!type && upstream)
        route->type = HANDLER_PROXY;
    else if (!type)
        route->type = check_mock_type(node, route);
    if (route->type == HANDLER_PROXY && !upstream)
        return apply_fail(ctx, type, "type",
                          "a proxy needs \"upstream\", such as upstream: \"wss://api.example.com/ws\"");
    if (route->type != HANDLER_PROXY && route->type != HANDLER_REPLAY && upstream)
        return apply_fail(ctx, upstream, "upstream", "only handlers of type proxy and replay have an upstream");
    int rc = check_replay_route(ctx, node, route);
    return rc ? rc : check_mock_route(ctx, node, route);
}

int check_websocket(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct websocket_config *ws = at;
    const struct yaml_node *handlers = yaml_get(node, "handlers");
    const struct yaml_node *item = handlers ? handlers->first : NULL;
    for (size_t i = 0; item && i < ws->routes_count; i++, item = item->next)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(ws->routes[i].path, ws->routes[j].path))
                return apply_fail(ctx, yaml_get(item, "path"), "handlers",
                                  "%s is the path of the handler in line %d already", log_quote(ws->routes[i].path),
                                  ws->routes[j].line);
    return 0;
}

static bool is_loopback(const char *host) {
    struct in6_addr address;
    if (inet_pton(AF_INET6, host, &address) == 1)
        return IN6_IS_ADDR_LOOPBACK(&address);
    return !strncmp(host, "127.", 4) || !strcasecmp(host, "localhost");
}

int check_admin(const struct apply *ctx, const struct yaml_node *node, void *at) {
    const struct admin_config *admin = at;
    if (!admin->enabled || admin->token || is_loopback(admin->host))
        return 0;
    const struct yaml_node *host = yaml_get(node, "host");
    return apply_fail(ctx, host ? host : node, "host",
                      "%s can be reached from other machines: set \"token\", or MOCKFORGE_ADMIN_TOKEN",
                      log_quote(admin->host));
}
