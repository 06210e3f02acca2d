/* The table of commands, in the order of the help text, and main(). */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/run.h"

/* clang-format off */
const struct cli_command *const cli_commands[] = {
    &cli_serve,
    &cli_ws_record,
    &cli_ws_replay,
    &cli_ws_show,
    &cli_ws_tail,
    &cli_ws_ls,
    &cli_ws_stats,
    &cli_ws_convert,
    &cli_ws_diff,
    &cli_ws_redact,
    &cli_ws_merge,
    &cli_ws_cut,
    &cli_health,
    &cli_config_check,
    &cli_config_print,
    &cli_config_schema,
    &cli_completion,
    &cli_help,
    &cli_man,
    NULL,
};
/* clang-format on */

/* Started without stdin, stdout or stderr (`>&-`), the next file or socket would get that number, and what is printed
 * would go into it. Read-only, so that writing to it fails as it should. */
static void fill_standard_streams(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= STDIN_FILENO && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv) {
    fill_standard_streams();
    /* A socket or pipe whose reader has gone is an error of that write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    return cli_run(cli_commands, argc, argv);
}
