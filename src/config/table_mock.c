/* The option table's rows for mocks: what a handler may say when it has no upstream. */
#include "config/check.h"
#include "config/table.h"

#define DAY_MS 86400000
#define INTERVAL_MIN_MS 10 /* less is a load test: `ws replay` and tests/bench have tools for that */

/* ---- steps of an answer ---------------------------------------------------------------------------------------- */

static const struct option close_rows[] = {
    {"code", OPTION_UINT, ROW(close_config, code), "1000", RANGE(1000, 4999),
     .help = "1000 to 1003, 1007 to 1014, or 3000 to 4999: what RFC 6455 lets an endpoint send."},
    {"reason", OPTION_TEXT, ROW(close_config, reason), .wrong = check_close_reason,
     .help = "A template; at most 123 bytes."},
};
static const struct option_table close_table = {
    .name = "close",
    ROWS(close_rows),
    .shorthand = "code",
    .finish = check_close,
    .help = "A close frame. `close: 4000` is short for `close: {code: 4000}`.",
};

static const struct option_table step_table;

/* The same keys in three places: a step by itself, `default`, and beside a rule's `match`. AT: the step in struct S. */
/* clang-format off */
#define STEP_ROWS(S, AT)                                                                                               \
    {"response", OPTION_VALUE, ROW(S, AT response),                                                                    \
     .help = "What to send; a list: several messages."},                                                               \
    {"handler", OPTION_TEXT, ROW(S, AT handler), .wrong = check_not_empty,                                             \
     .help = "Lua in place of `response`, inline or the name of a `.lua` file. What it returns is sent."},             \
    {"delay_ms", OPTION_UINT, ROW(S, AT delay_ms), "0", RANGE(0, DAY_MS),                                              \
     .help = "Milliseconds to wait first. Other messages do not wait."},                                               \
    {"close", OPTION_SECTION, ROW(S, AT close), GIVEN(S, AT close.given), .table = &close_table,                       \
     .help = "Close the connection, after the response."},                                                             \
    {"respond_to", OPTION_TEXT, ROW(S, AT respond_to), "sender", .wrong = check_respond_to, .tagged = true,            \
     .help = "Who hears the response: the `sender`, each `room` that the sender is in, the `route`, `all` "            \
             "connections, `{room: NAME}` (a template), or `{route: /PATH}`."},                                        \
    {"then", OPTION_LIST, ROW(S, AT then), COUNT(S, AT then_count), .item_size = sizeof(struct step_config),           \
     RANGE(0, 1000), .table = &step_table, .single = true,                                                             \
     .help = "The steps that follow, one after the other."}
/* clang-format on */

static const struct option step_rows[] = {STEP_ROWS(step_config, )};
static const struct option_table step_table = {
    .name = "step",
    ROWS(step_rows),
    .finish = check_step,
    .help = "One step of an answer. It has `response`, `handler` or `close`, and not both of the first two.",
};
static const char *const step_essentials[] = {"response", "handler", "close", NULL};
const struct option_table table_default = {
    .name = "default",
    ROWS(step_rows),
    .shorthand = "response",
    .own = step_essentials,
    .finish = check_step,
    .help = "A mapping is a step when all its keys are in this table and `response`, `handler` or `close` is one of "
            "them. Anything else is the response itself: `default: {type: error}` is short for `default: {response: "
            "{type: error}}`.",
};

/* ---- rules ------------------------------------------------------------------------------------------------------ */

static const struct option rule_rows[] = {
    {"match", OPTION_VALUE, ROW(rule_config, match),
     .help = "What the message must be like. A mapping is a part of the message as JSON, at every depth; texts are "
             "globs; `$regex`, `$exists`, `$in`, `$gt`, `$gte`, `$lt`, `$lte` and `$not` are operators. A text matches "
             "the whole message as a glob, `{$hex: \"00ff*\"}` its bytes. Without it every message matches."},
    {"when", OPTION_TEXT, ROW(rule_config, when), .wrong = check_not_empty,
     .help = "A Lua expression that must be true as well."},
    STEP_ROWS(rule_config, step.),
};
const struct option_table table_rule = {
    .name = "rule",
    ROWS(rule_rows),
    .finish = check_rule,
    .help = "What a message must be like, and the answer: a step, whose keys stand beside `match`.",
};

/* ---- JSON-RPC --------------------------------------------------------------------------------------------------- */

static const struct option method_rows[] = {
    {"name", OPTION_STRING, ROW(method_config, name), .wrong = check_not_empty,
     .help = "The method's name; `*`: all that no other item has."},
    {"response", OPTION_VALUE, ROW(method_config, response),
     .help = "`{result: …}` or `{error: …}`; anything else is the result itself."},
    {"error", OPTION_VALUE, ROW(method_config, error),
     .help = "`{code: -32000, message: …, data: …}` in place of `response`."},
    {"handler", OPTION_TEXT, ROW(method_config, handler), .wrong = check_not_empty,
     .help = "Lua in place of `response`, inline or the name of a `.lua` file. What it returns is the result."},
    {"delay_ms", OPTION_UINT, ROW(method_config, delay_ms), "0", RANGE(0, DAY_MS),
     .help = "Milliseconds to wait first. Other calls do not wait."},
};
const struct option_table table_method = {
    .name = "method",
    ROWS(method_rows),
    .required = "name",
    .finish = check_method,
    .help = "One method: `response`, `error` or `handler`.",
};

/* ---- what is sent without being asked for ----------------------------------------------------------------------- */

static const struct option static_rows[] = {
    {"on_connect", OPTION_VALUE, ROW(static_config, on_connect), .help = "Sent when a client connects."},
    {"on_message", OPTION_VALUE, ROW(static_config, on_message), .help = "Sent for each message of the client."},
    {"on_close", OPTION_VALUE, ROW(static_config, on_close),
     .help = "Sent after the client's close frame and before ours."},
};
const struct option_table table_static = {
    .name = "static_message",
    ROWS(static_rows),
    .finish = check_static,
    .help = "At least one of these. Items add up, in order.",
};

static const struct option schedule_rows[] = {
    {"interval_ms", OPTION_UINT, ROW(schedule_config, interval_ms), RANGE(INTERVAL_MIN_MS, DAY_MS),
     .help = "Milliseconds from one to the next."},
    {"delay_ms", OPTION_UINT, ROW(schedule_config, delay_ms), RANGE(0, DAY_MS),
     .help = "Milliseconds before the first; as `interval_ms` when it is not given."},
    {"count", OPTION_UINT, ROW(schedule_config, count), "0", RANGE(0, 1000000000), .help = "How many; 0: no end."},
    {"message", OPTION_VALUE, ROW(schedule_config, message), .help = "What to send; a list: several messages."},
    {"handler", OPTION_TEXT, ROW(schedule_config, handler), .wrong = check_not_empty,
     .help = "Lua in place of `message`, inline or the name of a `.lua` file. What it returns is sent."},
};
const struct option_table table_schedule = {
    .name = "scheduled_message",
    ROWS(schedule_rows),
    .required = "interval_ms",
    .finish = check_schedule,
    .help = "A message at intervals: `message` or `handler`.",
};

static const struct option broadcast_rows[] = {
    {"interval_ms", OPTION_UINT, ROW(schedule_config, interval_ms), RANGE(INTERVAL_MIN_MS, DAY_MS),
     .help = "Milliseconds from one to the next."},
    {"message", OPTION_VALUE, ROW(schedule_config, message),
     .help = "What to send; templates are expanded once for all connections."},
};
const struct option_table table_broadcast = {
    .name = "broadcast",
    ROWS(broadcast_rows),
    .required = "interval_ms",
    .finish = check_broadcast,
    .help = "A message at intervals, one for all connections of the route.",
};

static const struct option state_rows[] = {
    {"initial", OPTION_VALUE, ROW(route_config, state_initial), .help = "What it begins with: a mapping."},
};
const struct option_table table_state = {
    .name = "state",
    ROWS(state_rows),
    .required = "initial",
    .finish = check_state,
    .help = "The state of each connection: `state` in Lua, `{{state.x}}` in templates.",
};

/* ---- scenarios -------------------------------------------------------------------------------------------------- */

static const struct option scenario_rows[] = {
    {"label", OPTION_STRING, ROW(scenario_step_config, label), .wrong = check_label,
     .help = "A name for this step, to go to."},
    {"send", OPTION_VALUE, ROW(scenario_step_config, send), .help = "Send this; a list: several messages."},
    {"expect", OPTION_VALUE, ROW(scenario_step_config, expect),
     .help = "Wait for a message that is like this; written as `match` in rules."},
    {"timeout_ms", OPTION_UINT, ROW(scenario_step_config, timeout_ms), RANGE(1, DAY_MS),
     .help = "How long `expect` waits, in milliseconds; as long as the connection lives when it is not given."},
    {"on_timeout", OPTION_STRING, ROW(scenario_step_config, on_timeout), "close", .wrong = check_not_empty,
     .help = "Then: `close` the connection, `continue` with the next step, or `goto LABEL`."},
    {"goto", OPTION_STRING, ROW(scenario_step_config, go_to), .wrong = check_not_empty,
     .help = "Go on at the step with this label."},
    {"close", OPTION_SECTION, ROW(scenario_step_config, close), GIVEN(scenario_step_config, close.given),
     .table = &close_table, .help = "Close the connection."},
    {"delay_ms", OPTION_UINT, ROW(scenario_step_config, delay_ms), "0", RANGE(0, DAY_MS),
     .help = "Milliseconds to wait before this step."},
};
const struct option_table table_scenario = {
    .name = "scenario_step",
    ROWS(scenario_rows),
    .finish = check_scenario_step,
    .help = "One step of a conversation: one of `send`, `expect`, `goto` and `close`, or only a `label` or a "
            "`delay_ms`.",
};
