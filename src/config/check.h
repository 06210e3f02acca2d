/* What the rows of the option table cannot say: the shape of strings, and what keys mean together. Thread: any. */
#ifndef MF_CONFIG_CHECK_H
#define MF_CONFIG_CHECK_H

#include "config/apply.h"

/* What is wrong with the text, for a sentence that begins with it in quotes; NULL: nothing. */
const char *check_not_empty(const char *text);
const char *check_host(const char *text);
const char *check_endpoint_path(const char *text);
const char *check_route_path(const char *text);
const char *check_path_filter(const char *text);
const char *check_upstream(const char *text);
const char *check_token(const char *text);
const char *check_upstream_header(const char *text);
const char *check_bearer(const char *text);
const char *check_redis_url(const char *text);
const char *check_prefix(const char *text);
/* Mocks: check_mock.c. */
const char *check_close_reason(const char *text);
const char *check_respond_to(const char *text);
const char *check_label(const char *text);

/* Replay: check_replay.c. */
const char *check_replay_speed(const char *text);
const char *check_replay_time(const char *text);

/* For the list of handlers: a route's `record` begins as `websocket.record`. */
void check_route_begin(const void *websocket, void *route);

/* option_finish_fn for the tables. */
int check_websocket(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_route(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_server_tls(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_upstream_tls(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_redact(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_admin(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_close(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_step(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_rule(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_method(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_static(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_schedule(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_broadcast(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_state(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_replay(const struct apply *ctx, const struct yaml_node *node, void *at);
int check_scenario_step(const struct apply *ctx, const struct yaml_node *node, void *at);

/* For check_route(): what a route without `type` and `upstream` is, and what its keys for mocks mean together. */
enum handler_type check_mock_type(const struct yaml_node *node, const struct route_config *route);
/* Of a route of type replay, and of any other that has keys of one. */
int check_replay_route(const struct apply *ctx, const struct yaml_node *node, struct route_config *route);
int check_mock_route(const struct apply *ctx, const struct yaml_node *node, struct route_config *route);

#endif
