/* What serving, driving and --explain have in common: the recording, loaded as the options say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/ws_replay.h"
#include "config/replay_value.h"

enum list { LIST_CONNECTION, LIST_CORRELATE, LIST_EXCEPT, LIST_EXACT, LIST_ANY };
static const char *const list_options[] = {
    [LIST_CONNECTION] = "connection",
    [LIST_CORRELATE] = "correlate",
    [LIST_EXCEPT] = "correlate-except",
    [LIST_EXACT] = "exact",
    [LIST_ANY] = "any",
};

bool ws_replay_speed(const struct cli_args *args, double *out) {
    const char *text = cli_value(args, "speed");
    *out = 1.0;
    if (!text || replay_speed_parse(text, out))
        return true;
    cli_usage_error(args, "--speed takes " REPLAY_SPEED_WANTED "; found %s", log_quote_n(text, strnlen(text, 60)));
    return false;
}

bool ws_replay_time(const struct cli_args *args, const char *option, uint64_t fallback_us, uint64_t *us) {
    const char *text = cli_value(args, option);
    *us = fallback_us;
    if (!text || replay_time_parse(text, us))
        return true;
    cli_usage_error(args, "--%s takes " REPLAY_TIME_WANTED "; found %s", option, log_quote_n(text, strnlen(text, 60)));
    return false;
}

static void on_progress(uint64_t done, uint64_t total, void *arg) {
    if (total)
        cli_status("%s %u%%", (const char *)arg, (unsigned)(done * 100 / total));
}

static int load(const struct cli_args *args, struct ws_replay_input *in, const size_t counts[]) {
    struct err err;
    struct replay_source_options source = {
        .connections = counts[LIST_CONNECTION] ? in->lists[LIST_CONNECTION] : NULL,
        .connections_count = counts[LIST_CONNECTION],
        .recover = cli_flag(args, "recover"),
        .progress = on_progress,
        .arg = (void *)"reading",
    };
    const struct correlate_options correlate = {
        .off = cli_flag(args, "no-correlate"),
        .rules = in->lists[LIST_CORRELATE],
        .rules_count = counts[LIST_CORRELATE],
        .except = in->lists[LIST_EXCEPT],
        .except_count = counts[LIST_EXCEPT],
        .refresh_time = cli_flag(args, "refresh-time"),
        .progress = on_progress,
        .arg = (void *)"comparing the recording with itself",
    };
    if (!ws_replay_time(args, "from", 0, &source.from_us) || !ws_replay_time(args, "to", 0, &source.to_us))
        return EXIT_USAGE;
    if (replay_source_load(cli_value(args, "input"), &source, &in->source, &err) < 0)
        return cli_fail(EXIT_IO, &err);
    if (in->source->truncated) {
        cli_status(NULL);
        fprintf(stderr, "mockforge ws replay: %s ends early: it is being written, or was recovered\n",
                in->source->file);
    }
    int rc = correlation_new(in->source, &correlate, &in->correlation, &err);
    cli_status(NULL);
    return rc < 0 ? cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err) : EXIT_FINE;
}

int ws_replay_input_load(const struct cli_args *args, struct ws_replay_input *out) {
    size_t counts[ARRAY_LEN(list_options)];
    bool ok = true;
    *out = (struct ws_replay_input){0};
    for (size_t i = 0; i < ARRAY_LEN(list_options); i++) {
        out->lists[i] = cli_values(args, list_options[i], &counts[i]);
        ok = ok && out->lists[i];
    }
    out->hints = (struct match_hints){.exact = out->lists[LIST_EXACT],
                                      .exact_count = counts[LIST_EXACT],
                                      .any = out->lists[LIST_ANY],
                                      .any_count = counts[LIST_ANY]};
    int rc = ok ? load(args, out, counts) : EXIT_IO;
    if (rc != EXIT_FINE)
        ws_replay_input_fini(out);
    return rc;
}

void ws_replay_input_fini(struct ws_replay_input *in) {
    correlation_unref(in->correlation);
    replay_source_unref(in->source);
    for (size_t i = 0; i < ARRAY_LEN(in->lists); i++)
        free(in->lists[i]);
    *in = (struct ws_replay_input){0};
}
