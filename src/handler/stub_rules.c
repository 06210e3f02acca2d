/* `rules`: the first that matches answers. */
#include "handler/stub.h"

bool stub_rules_take(struct stub *st, struct moment *m) {
    const struct stub_program *p = stub_program(st);
    if (!p->rule_count)
        return false;
    const struct match_input in = moment_match_input(st, m);
    for (size_t i = 0; i < p->rule_count && stub_is_open(st); i++) {
        const struct rule *rule = &p->rules[i];
        if (rule->match && !matcher_matches(rule->match, &in))
            continue;
        if (rule->when != PLAN_NO_SCRIPT && !stub_test(st, rule->when, m))
            continue;
        stub_run_answer(st, &rule->answer, m);
        return true;
    }
    return false;
}
