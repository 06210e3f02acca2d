/* A route's recording, loaded and compared with itself once, for all of its clients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "handler/replay.h"
#include "recording/convert.h"

static void program_free(struct replay_program *p) {
    if (!p)
        return;
    for (size_t i = 0; p->plans && i < p->plan_count; i++)
        player_plan_unref(p->plans[i]);
    free(p->plans);
    correlation_unref(p->correlation);
    replay_source_unref(p->source);
    redactor_unref(p->redactor);
    free(p->given);
    free(p);
}

static int no_memory(struct plan_build *b) {
    return err_set(b->err, MF_ENOMEM, "out of memory");
}

static int fail_input(struct plan_build *b, const struct route_config *c, enum mf_err code) {
    size_t len = strlen(b->err->text);
    b->err->code = code;
    if (b->err->damaged)
        snprintf(b->err->text + len, sizeof b->err->text - len,
                 " (recover: true, --recover: reads what else is in it)");
    b->err->damaged = false;
    return plan_fail(b, "input", c->input.line, c->input.column);
}

static bool says_anything(const struct replay_source *s) {
    for (size_t i = 0; i < s->count; i++)
        if (s->connections[i].message_count)
            return true;
    return false;
}

static int load(struct plan_build *b, const struct route_config *c, struct replay_program *p) {
    const struct replay_config *r = &c->replay;
    const struct replay_source_options source = {
        .from_us = r->from_us,
        .to_us = r->to_us,
        .connections = r->connections_count ? (const char *const *)r->connections : NULL,
        .connections_count = r->connections_count,
        .recover = r->recover,
    };
    const struct correlate_options correlate = {
        .off = r->correlate_off,
        .rules = r->rules,
        .rules_count = r->rules_count,
        .except = (const char *const *)r->no_correlate,
        .except_count = r->no_correlate_count,
        .refresh_time = r->refresh_time,
    };
    int rc = replay_source_load(c->input.text, &source, &p->source, b->err);
    if (rc < 0)
        return fail_input(b, c, rc == MF_ENOMEM ? MF_ENOMEM : MF_EIO);
    if (p->source->truncated)
        log_warn("replay_ends_early", "file=%s detail=%s", log_quote(p->source->file),
                 log_quote("it is being written, or was recovered"));
    if (!says_anything(p->source))
        log_warn("replay_says_nothing", "file=%s detail=%s", log_quote(p->source->file),
                 log_quote("no connection has a message; a HAR file that was saved without content has none"));
    rc = correlation_new(p->source, &correlate, &p->correlation, b->err);
    if (rc == MF_EINVAL) {
        const struct config_value *at = r->correlate;
        return plan_fail(b, "replay.correlate", at ? at->line : 0, at ? at->column : 0);
    }
    return rc < 0 ? fail_input(b, c, MF_ENOMEM) : MF_OK;
}

/* A second copy of small messages, for speed: so many bytes of a recording's. What is beyond goes out one by one. */
#define LAID_OUT_MAX ((size_t)256 << 20)

static int make_plans(struct plan_build *b, struct replay_program *p) {
    p->plan_count = p->spies ? 1 : p->source->count;
    p->plans = calloc(p->plan_count + 1, sizeof(struct player_plan *));
    p->given = calloc(p->source->count + 1, sizeof *p->given);
    if (!p->plans || !p->given)
        return no_memory(b);
    size_t left = LAID_OUT_MAX;
    for (size_t i = 0; i < p->plan_count; i++) {
        if (player_plan_new(p->correlation, p->spies ? PLAYER_ALL : i, EVENT_OUTGOING, &p->hints, &p->plans[i]) < 0)
            return no_memory(b);
        if (p->options.speed <= 0 && !p->spies && player_plan_lay_out(p->plans[i], &left) < 0)
            return no_memory(b);
    }
    return MF_OK;
}

/* What was missed is appended to the input: as it is redacted, but neither rotated nor cleared away. */
static int prepare_recording(struct plan_build *b, const struct route_config *c, struct replay_program *p) {
    enum session_form form;
    if (session_form_of(c->input.text, &form, b->err) < 0)
        return fail_input(b, c, MF_EINVAL);
    if (form == SESSION_DOCUMENT || form == SESSION_DOCUMENT_ZST) {
        err_set(
            b->err, MF_EINVAL,
            "on_miss: record appends to the recording, which a document cannot be: convert it (mockforge ws convert "
            "\"%s\" session.jsonl.zst), or choose on_miss: close or ignore",
            c->input.text);
        return fail_input(b, c, MF_EINVAL);
    }
    const struct record_config *from = &c->record;
    const struct redact_rules rules = {.defaults = from->redact_defaults,
                                       .headers = from->redact_headers,
                                       .headers_count = from->redact_headers_count,
                                       .query = from->redact_query,
                                       .query_count = from->redact_query_count,
                                       .json = from->redact_json,
                                       .json_count = from->redact_json_count};
    p->record = *from;
    p->record.enabled = true;
    p->record.path = c->input;
    p->record.leg = RECORD_LEG_CLIENT;
    p->record.rotate_size = 0;
    p->record.rotate_seconds = p->record.keep_files = p->record.keep_seconds = 0;
    p->record.keep_bytes = 0;
    return redactor_new(&rules, &p->redactor, b->err);
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Each client would add the conversation to the recording that it was played from, for the next ones to get. A document
 * is not appended to, and a name with placeholders is known with the first request. */
static void warn_of_itself(const struct route_config *c) {
    enum session_form form;
    const char *to = c->record.path.text;
    if (c->record.enabled && to && session_form_of(to, &form, NULL) == MF_OK &&
        (form == SESSION_NATIVE || form == SESSION_JSONL) && same_file(to, c->input.text))
        log_warn("replay_records_itself", "path=%s file=%s detail=%s", log_quote(c->path), log_quote(c->input.text),
                 log_quote("what is replayed is added to the recording that it is replayed from: name another file "
                           "in record_path"));
}

static enum player_mode mode_of(const struct replay_config *r) {
    switch (r->mode) {
    case REPLAY_MODE_TIMED:
        return PLAYER_TIMED;
    case REPLAY_MODE_REACTIVE:
        return PLAYER_REACTIVE;
    default:
        return PLAYER_AUTO;
    }
}

static int compile(struct plan_build *b, const struct route_config *c, struct replay_program *p) {
    const struct replay_config *r = &c->replay;
    p->pick = r->pick;
    p->spies = c->upstream.text != NULL;
    p->on_miss = c->on_miss;
    p->asks = p->on_miss == REPLAY_MISS_RECORD;
    p->hints = (struct match_hints){.exact = (const char *const *)r->exact,
                                    .exact_count = r->exact_count,
                                    .any = (const char *const *)r->any,
                                    .any_count = r->any_count};
    p->options = (struct player_options){
        .plays = EVENT_OUTGOING,
        .mode = p->spies ? PLAYER_LOOKUP : mode_of(r),
        .speed = r->speed,
        .loop = r->loop && !p->spies,
        .timeout_us = (uint64_t)r->timeout_ms * 1000,
        .go_on = r->on_timeout == REPLAY_TIMEOUT_CONTINUE,
        .hints = &p->hints,
    };
    int rc = p->asks ? prepare_recording(b, c, p) : MF_OK;
    if (rc == MF_OK)
        rc = load(b, c, p);
    if (rc == MF_OK)
        warn_of_itself(c);
    return rc == MF_OK ? make_plans(b, p) : rc;
}

/* Clients may say what the recorded ones said, with longer ids in it. */
static uint64_t size_to_take(const struct replay_source *s, uint64_t least) {
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct replay_connection *c = &s->connections[i];
        for (size_t k = 0; k < c->message_count; k++)
            if (c->messages[k].direction == EVENT_INCOMING)
                longest = MAX(longest, c->messages[k].len);
    }
    return MAX(least, 2 * (uint64_t)longest);
}

int replay_program_compile(struct plan_build *b, struct route *r) {
    struct replay_program *p = calloc(1, sizeof *p);
    if (!p)
        return no_memory(b);
    int rc = compile(b, r->config, p);
    if (rc < 0) {
        program_free(p);
        return rc;
    }
    r->program = p;
    if (!r->config->max_message_size)
        r->max_message_size = r->assemble_limit = size_to_take(p->source, r->max_message_size);
    return MF_OK;
}

void replay_program_release(struct route *r) {
    program_free(r->program);
}
