/* The option table's rows for a replay: how a recording is played. */
#include "config/check.h"
#include "config/table.h"

#define DAY_MS 86400000

static const struct option_choice mode_choices[] = {
    {"auto", REPLAY_MODE_AUTO, false},
    {"timed", REPLAY_MODE_TIMED, false},
    {"reactive", REPLAY_MODE_REACTIVE, false},
    {0},
};
static const struct option_choice pick_choices[] = {
    {"auto", REPLAY_PICK_AUTO, false},
    {"turn", REPLAY_PICK_TURN, false},
    {"path", REPLAY_PICK_PATH, false},
    {"subprotocol", REPLAY_PICK_SUBPROTOCOL, false},
    {"first_message", REPLAY_PICK_FIRST_MESSAGE, false},
    {0},
};
static const struct option_choice on_timeout_choices[] = {
    {"close", REPLAY_TIMEOUT_CLOSE, false},
    {"continue", REPLAY_TIMEOUT_CONTINUE, false},
    {0},
};

static const struct option rows[] = {
    {"mode", OPTION_ENUM, ROW(replay_config, mode), "auto", .choices = mode_choices,
     .help =
         "`timed` plays by the recorded times, whatever the client says; `reactive` sends what the server said once "
         "the client has sent what came before it; `auto` does that too, but goes on without what stays missing while "
         "the rest comes."},
    {"speed", OPTION_STRING, ROW(replay_config, speed_text), "1", .wrong = check_replay_speed, .numeric = true,
     .help = "2 is twice as fast, 0.5 half as fast, `max` waits for nothing."},
    {"loop", OPTION_BOOL, ROW(replay_config, loop), "false", .help = "Begin again at the end of the recording."},
    {"connection", OPTION_STRINGS, ROW(replay_config, connections), COUNT(replay_config, connections_count),
     .wrong = check_not_empty, .help = "Only these recorded connections, such as `conn-1`; none given: all of them."},
    {"pick", OPTION_ENUM, ROW(replay_config, pick), "auto", .choices = pick_choices,
     .help =
         "How a client is given one of several recorded connections. `auto`: one with the request's path, where "
         "there is any, then one whose subprotocol the client offers, then one that begins as the client does, then "
         "in turn; `turn`: in turn; `path`: one "
         "with the request's path, else 404; `subprotocol`: one whose subprotocol the client offers, else 400; "
         "`first_message`: the one whose first message is most like the client's."},
    {"from", OPTION_STRING, ROW(replay_config, from_text), .wrong = check_replay_time, .numeric = true,
     .help = "Leave out what was recorded before this time: seconds, or a time with a unit, such as `1.5`, `250ms` or "
             "`10m`."},
    {"to", OPTION_STRING, ROW(replay_config, to_text), .wrong = check_replay_time, .numeric = true,
     .help = "Leave out what was recorded after this time."},
    {"timeout_ms", OPTION_UINT, ROW(replay_config, timeout_ms), "30000", RANGE(0, DAY_MS),
     .help = "How long a message that the recording expects of the client may be late, in milliseconds; 0: for ever."},
    {"on_timeout", OPTION_ENUM, ROW(replay_config, on_timeout), "close", .choices = on_timeout_choices,
     .help = "Then: `close` the connection with 1008, or `continue` without it."},
    {"correlate", OPTION_VALUE, ROW(replay_config, correlate),
     .help = "`true` (the default): values that the client chose and the server said again are found in the recording "
             "and carried over. `false`: none are. A list of rules, such as `incoming /id = outgoing /id`: these as "
             "well; with `false` before them, these alone."},
    {"no_correlate", OPTION_STRINGS, ROW(replay_config, no_correlate), COUNT(replay_config, no_correlate_count),
     .wrong = check_not_empty, .help = "Paths in messages whose values are never carried over."},
    {"exact", OPTION_STRINGS, ROW(replay_config, exact), COUNT(replay_config, exact_count), .wrong = check_not_empty,
     .help = "Paths whose values in the client's messages must be as recorded, such as `/params/symbol`."},
    {"any", OPTION_STRINGS, ROW(replay_config, any), COUNT(replay_config, any_count), .wrong = check_not_empty,
     .help = "Paths whose values in the client's messages do not matter at all."},
    {"refresh_time", OPTION_BOOL, ROW(replay_config, refresh_time), "false",
     .help = "Move points in time in messages to now, and let counters grow on."},
    {"recover", OPTION_BOOL, ROW(replay_config, recover), "false", .help = "Use what can be read of a damaged file."},
};
const struct option_table table_replay = {
    .name = "replay",
    ROWS(rows),
    .finish = check_replay,
    .help = "How the recording `input` is played.",
};
