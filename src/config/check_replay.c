/* What the keys of a replay mean together. */
#include <string.h>

#include "config/check.h"
#include "config/config_value.h"
#include "config/replay_value.h"

const char *check_replay_speed(const char *text) {
    double ignored;
    return replay_speed_parse(text, &ignored) ? NULL : "is not " REPLAY_SPEED_WANTED;
}

const char *check_replay_time(const char *text) {
    uint64_t ignored;
    return replay_time_parse(text, &ignored) ? NULL : "is not " REPLAY_TIME_WANTED;
}

static int fail_correlate(const struct apply *ctx, const struct yaml_node *node) {
    return apply_fail(ctx, yaml_get(node, "correlate"), "correlate",
                      "expected true, false or a list of rules, such as \"incoming /id = outgoing /id\"");
}

/* true, false, or rules, with true or false before them. */
static int read_correlate(const struct apply *ctx, const struct yaml_node *node, struct replay_config *replay) {
    const struct config_value *v = replay->correlate, *rule = v->kind == CONFIG_LIST ? v->first : v;
    if (v->kind == CONFIG_MAP)
        return fail_correlate(ctx, node);
    if (rule && rule->kind == CONFIG_SCALAR && config_scalar_type(rule) == CONFIG_BOOLEAN) {
        replay->correlate_off = !strcmp(rule->text, "false");
        rule = v->kind == CONFIG_LIST ? rule->next : NULL;
    }
    replay->rules = arena_array(ctx->arena, v->count + 1, sizeof *replay->rules);
    if (!replay->rules)
        return apply_no_memory(ctx);
    for (; rule; rule = v->kind == CONFIG_LIST ? rule->next : NULL) {
        if (rule->kind != CONFIG_SCALAR || config_scalar_type(rule) != CONFIG_STRING)
            return fail_correlate(ctx, node);
        replay->rules[replay->rules_count++] = rule->text;
    }
    return 0;
}

int check_replay(const struct apply *ctx, const struct yaml_node *node, void *at) {
    struct replay_config *replay = at;
    bool fine = replay_speed_parse(replay->speed_text, &replay->speed) &&
                (!replay->from_text || replay_time_parse(replay->from_text, &replay->from_us)) &&
                (!replay->to_text || replay_time_parse(replay->to_text, &replay->to_us));
    MUST(fine); /* each of them was checked when it was stored */
    if (replay->to_text && replay->to_us <= replay->from_us)
        return apply_fail(ctx, yaml_get(node, "to"), "to", "nothing is left: it must be later than %s",
                          replay->from_text ? "\"from\"" : "0");
    return replay->correlate ? read_correlate(ctx, node, replay) : 0;
}

int check_replay_route(const struct apply *ctx, const struct yaml_node *node, struct route_config *route) {
    static const char *const keys[] = {"input", "replay", "on_miss"};
    if (route->type != HANDLER_REPLAY) {
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            if (yaml_get(node, keys[i]))
                return apply_fail(ctx, yaml_get(node, keys[i]), keys[i], "only handlers of type replay have it");
        return 0;
    }
    if (!route->input.text)
        return apply_fail(ctx, yaml_get(node, "type"), "type",
                          "a replay needs \"input\", such as input: \"recordings/session.jsonl.zst\"");
    if (route->on_miss && !route->upstream.text)
        return apply_fail(ctx, yaml_get(node, "on_miss"), "on_miss", "only a replay with an \"upstream\" has it");
    if (route->upstream.text && !route->on_miss)
        route->on_miss = REPLAY_MISS_RECORD;
    replay_speed_parse(route->replay.speed_text, &route->replay.speed);
    return 0;
}
