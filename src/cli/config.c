/* `mockforge config check|print|schema`: what the configuration says, without starting anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "config/config.h"
#include "config/describe.h"
#include "gateway/gateway.h"
#include "template/template.h"

static const struct cli_option load_options[] = {
    {.name = "config", .letter = 'c', .argument = "FILE", .help = "The same as FILE, as other commands have it"},
    SETTINGS_SET_OPTION,
    {0},
};

static int load(const struct cli_args *args, struct config **out) {
    struct settings settings = {0};
    const char *file = cli_value(args, "config");
    settings_choose_file(&settings, cli_operand_count(args) ? cli_operand(args, 0) : file);
    int rc = settings_add_sets(&settings, args);
    if (rc == EXIT_FINE)
        rc = settings_load(&settings, out);
    settings_fini(&settings);
    return rc;
}

static int put_out(struct buf *text, int rc) {
    struct err err;
    if (rc == 0 && (fwrite(text->data, 1, text->len, stdout) != text->len || fflush(stdout)))
        rc = err_set(&err, MF_EIO, "standard output: %s", strerror(errno));
    else if (rc)
        rc = err_set(&err, MF_ENOMEM, "out of memory");
    buf_fini(text);
    return rc ? cli_fail(EXIT_IO, &err) : EXIT_FINE;
}

static int run_check(const struct cli_args *args) {
    struct config *config = NULL;
    int rc = load(args, &config);
    if (rc != EXIT_FINE)
        return rc;
    /* Templates, URLs, certificates and Lua, too: what would keep `serve` from starting. */
    struct err err;
    if (gateway_check(config, &err) < 0) {
        config_unref(config);
        return cli_fail(EXIT_USAGE, &err);
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s: no errors (%zu handler%s)\n", config->source ? config->source : "defaults",
               config->websocket.routes_count, config->websocket.routes_count == 1 ? "" : "s");
    config_unref(config);
    return put_out(&text, text.failed);
}

static int run_print(const struct cli_args *args) {
    struct config *config = NULL;
    int rc = load(args, &config);
    if (rc != EXIT_FINE)
        return rc;
    struct buf text = BUF_INIT;
    rc = config_print_yaml(config, &text);
    config_unref(config);
    return put_out(&text, rc);
}

static int run_schema(const struct cli_args *args) {
    struct buf text = BUF_INIT;
    int rc;
    if (cli_flag(args, "markdown")) {
        rc = config_print_reference(&text);
        rc = rc < 0 ? rc : template_print_reference(&text);
    } else {
        rc = config_print_schema(&text);
    }
    return put_out(&text, rc);
}

const struct cli_command cli_config_check = {
    .name = "config check",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .summary = "read a configuration and say what is wrong with it",
    .details =
        "Reads FILE (default: mockforge.yaml, when there is one) with the environment and --set over it, just as\n"
        "`mockforge serve` does, and starts nothing. What is wrong is said with file, line and column, and the\n"
        "exit code is 2.\n"
        "\n"
        "    mockforge config check\n"
        "    mockforge config check conf/tls.yaml --set websocket.port=9443\n",
    .options = load_options,
    .run = run_check,
};

const struct cli_command cli_config_print = {
    .name = "config print",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .summary = "print the effective configuration",
    .details =
        "Prints what FILE (default: mockforge.yaml, when there is one), the environment and --set amount to, with\n"
        "all defaults, as YAML. Secrets are left out.\n"
        "\n"
        "    mockforge config print | less\n"
        "    MOCKFORGE_WS_PORT=9000 mockforge config print conf/sidecar.yaml\n",
    .options = load_options,
    .run = run_print,
};

static const struct cli_option schema_options[] = {
    {.name = "markdown", .help = "Print the reference page instead (docs/configuration.md)"},
    {0},
};

const struct cli_command cli_config_schema = {
    .name = "config schema",
    .arguments = "",
    .summary = "print the configuration's JSON Schema",
    .details = "Prints a JSON Schema (draft 2020-12) of mockforge.yaml, for editors and checkers.\n"
               "\n"
               "    mockforge config schema > mockforge.schema.json\n"
               "    mockforge config schema --markdown | less\n",
    .options = schema_options,
    .run = run_schema,
};
