#include "cli/ws_edit.h"

#include <sys/stat.h>

#include "recording/convert.h"

static void report_progress(uint64_t done, uint64_t total, void *arg) {
    if (total)
        cli_status("%s: %u %%", (const char *)arg, (unsigned)(done * 100 / total));
}

struct edit_options ws_edit_options(const struct cli_args *args, const char *doing) {
    return (struct edit_options){.overwrite = cli_flag(args, "force"),
                                 .recover = cli_flag(args, "recover"),
                                 .progress = report_progress,
                                 .arg = (void *)(uintptr_t)doing};
}

bool ws_edit_target(const struct cli_args *args, const char *to, bool force) {
    enum session_form form;
    struct err err;
    struct stat st;
    if (session_target_of(to, &form, &err) < 0)
        cli_usage_error(args, "%s: %s", to, err.text);
    else if (!force && lstat(to, &st) == 0)
        cli_usage_error(args, "%s exists; --force replaces it", to);
    else
        return true;
    return false;
}
