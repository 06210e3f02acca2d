/* Messages that nobody answers: counted, told to the log with the rule that came nearest, and kept for the admin side.
 */
#include <stdio.h>

#include "base/log.h"
#include "handler/stub.h"
#include "relay/unmatched.h"

static void nearest_rule(struct stub *st, struct moment *m, char *out, size_t size) {
    const struct stub_program *p = stub_program(st);
    const struct match_input in = moment_match_input(st, m);
    struct match_miss best = {0};
    size_t nearest = 0;
    bool any = false;
    for (size_t i = 0; i < p->rule_count; i++) {
        struct match_miss miss;
        if (!p->rules[i].match || matcher_matches(p->rules[i].match, &in)) {
            snprintf(out, size, "rule %zu: its \"when\" is false", i + 1);
            return;
        }
        matcher_explain(p->rules[i].match, &in, &miss);
        if (any && miss.held <= best.held)
            continue;
        any = true;
        best = miss;
        nearest = i + 1;
    }
    if (any)
        snprintf(out, size, "rule %zu: %s", nearest, best.text);
    else if (stub_scenario_explain(st, &in, &nearest, &best))
        snprintf(out, size, "step %zu: %s", nearest, best.text);
    else
        snprintf(out, size, "the route has nothing that answers a message");
}

void stub_unmatched(struct stub *st, struct moment *m) {
    struct session *s = stub_session(st);
    const struct stub_program *p = stub_program(st);
    char why[UNMATCHED_WHY_MAX];
    if (!p->rule_count && !p->scenario_count && !p->method_count)
        return; /* a route that only pushes, or whose Lua hears only opens and closes: nothing was expected */
    metrics_inc(&s->worker->metrics, METRIC_UNMATCHED);
    nearest_rule(st, m, why, sizeof why);
    LOG_LIMITED(LOG_INFO, "unmatched", "connection=%s route=%s bytes=%zu why=%s", s->connection.id,
                log_quote(s->route->config->path), m->len, log_quote(why));
    unmatched_add(s->worker->shared->unmatched, s, m->binary, m->text, m->len, why);
}
