/* Every command, one line each; the table that says which of them exist is in main.c. */
#ifndef MF_CLI_COMMANDS_H
#define MF_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command cli_serve;        /* serve.c */
extern const struct cli_command cli_ws_record;    /* ws_record.c */
extern const struct cli_command cli_ws_replay;    /* ws_replay.c */
extern const struct cli_command cli_ws_show;      /* ws_show.c */
extern const struct cli_command cli_ws_ls;        /* ws_ls.c */
extern const struct cli_command cli_ws_stats;     /* ws_stats.c */
extern const struct cli_command cli_ws_tail;      /* ws_tail.c */
extern const struct cli_command cli_ws_convert;   /* ws_convert.c */
extern const struct cli_command cli_ws_diff;      /* ws_diff.c */
extern const struct cli_command cli_ws_redact;    /* ws_redact.c */
extern const struct cli_command cli_ws_merge;     /* ws_merge.c */
extern const struct cli_command cli_ws_cut;       /* ws_cut.c */
extern const struct cli_command cli_health;        /* health.c */
extern const struct cli_command cli_config_check; /* config.c */
extern const struct cli_command cli_config_schema;
extern const struct cli_command cli_config_print;
extern const struct cli_command cli_completion; /* completion.c */
extern const struct cli_command cli_help;       /* run.c */
extern const struct cli_command cli_man;

#endif
