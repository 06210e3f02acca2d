/* The configuration of one run: the file, and what the command line says over it. */
#ifndef MF_CLI_SETTINGS_H
#define MF_CLI_SETTINGS_H

#include "cli/command.h"
#include "config/config.h"

#define SETTINGS_DEFAULT_FILE "mockforge.yaml"
#define SETTINGS_SET_OPTION                                                                                            \
    {.name = "set", .argument = "KEY=VALUE", .help = "Set a key over file and environment", .repeated = true}

struct settings {
    struct config_input input; /* valid while the settings are */
    struct config_override *overrides;
    char **texts;
    size_t count, cap;
};

/* Zeroed memory is valid for it. */
void settings_fini(struct settings *s);
/* Copies both. MF_ENOMEM. */
MF_MUSTCHECK int settings_add(struct settings *s, const char *key, const char *value);
/* Takes every --set of the command line. An exit code; usage errors are printed. */
MF_MUSTCHECK int settings_add_sets(struct settings *s, const struct cli_args *args);
/* One --listen: "127.0.0.1:9000", "[::1]:9000", ":9000", "9000". An exit code; usage errors are printed. */
MF_MUSTCHECK int settings_add_listen(struct settings *s, const struct cli_args *args, const char *listen);
/* Chooses the file: the one that was named, else ./mockforge.yaml when it is there, else none. */
void settings_choose_file(struct settings *s, const char *named);
/* Loads; an exit code, errors are printed. */
MF_MUSTCHECK int settings_load(struct settings *s, struct config **out);

#endif
