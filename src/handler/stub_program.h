/* What the mock keys of a route compile to. Immutable, part of its plan: any worker reads it.
 *
 * `then` chains are flattened: an answer is a list of steps, one after the other, each with its own delay. */
#ifndef MF_HANDLER_STUB_PROGRAM_H
#define MF_HANDLER_STUB_PROGRAM_H

#include "match/match.h"
#include "relay/route.h"
#include "template/json_template.h"

/* One message that is sent. */
enum piece_kind {
    PIECE_TEXT,     /* a text with placeholders */
    PIECE_JSON,     /* a JSON value with placeholders, sent as text */
    PIECE_VERBATIM, /* a text, byte for byte */
    PIECE_BYTES,    /* a binary message, always the same */
};
struct piece {
    enum piece_kind kind;
    union {
        struct template *text;
        struct json_template *json;
        struct buf bytes; /* VERBATIM, BYTES */
    };
};
struct pieces {
    struct piece *items;
    size_t count;
};

/* Who hears it. */
enum step_audience { TO_SENDER, TO_ROOMS_OF_SENDER, TO_ROUTE_OF_SENDER, TO_ALL, TO_NAMED_ROOM, TO_NAMED_ROUTE };

struct step {
    unsigned delay_ms; /* before all of it */
    struct pieces pieces;
    size_t handler; /* a script of the plan, or PLAN_NO_SCRIPT */
    enum step_audience audience;
    struct template *name; /* of the named room or route */
    bool closes;           /* at last */
    unsigned close_code;
    struct template *close_reason; /* NULL: none */
};
struct answer {
    struct step *steps;
    size_t count, cap;
};

struct rule {
    struct matcher *match; /* NULL: any message */
    size_t when;           /* a script, or PLAN_NO_SCRIPT */
    struct answer answer;
    int line;
};

struct rpc_method {
    char *name; /* "*": any other */
    unsigned delay_ms;
    struct json_template *result, *error; /* one of these or the handler */
    size_t handler;
};

struct schedule {
    unsigned interval_ms, delay_ms, count; /* count 0: for ever */
    struct pieces message;
    size_t handler;
};

#define STEP_CLOSES SIZE_MAX /* in place of a step's number */
struct scenario_step {
    unsigned delay_ms, timeout_ms;
    struct pieces send;
    struct matcher *expect;
    size_t on_timeout; /* the step to go on with, or STEP_CLOSES */
    size_t next;       /* the step after this one: a goto is no step of its own */
    bool closes;
    unsigned close_code;
    struct template *close_reason;
    int line;
};

struct stub_program {
    bool echo; /* what nothing else answers comes back */
    struct pieces on_connect, on_message, on_close;
    struct rule *rules;
    size_t rule_count;
    struct rpc_method *methods;
    size_t method_count;
    struct rpc_method rpc_rest; /* `default` in the place of a method; name NULL: there is none */
    bool rpc;                   /* JSON-RPC requests are answered */
    struct scenario_step *scenario;
    size_t scenario_count;
    size_t script; /* or PLAN_NO_SCRIPT */
    bool script_is_module;
    bool has_fallback;
    struct answer fallback;
    struct schedule *schedules;
    size_t schedule_count;
    struct schedule broadcast; /* interval_ms 0: none */
    struct buf state;          /* JSON; empty: none */
};

/* For endpoint_type.compile and release: route->program. */
MF_MUSTCHECK int stub_program_compile(struct plan_build *b, struct route *r);
void stub_program_release(struct route *r);

/* stub_pieces.c: what a `response:`, `message:`, `send:` or `on_…:` makes. key: for errors, the option's
 * below the handler. roots: of enum template_root, and: */
#define PIECES_VERBATIM 0x100u /* texts are no templates (DESIGN: what `static` sends is sent byte for byte) */
MF_MUSTCHECK int pieces_compile(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                                struct pieces *out);
/* More of them behind those that are there. */
MF_MUSTCHECK int pieces_add(struct plan_build *b, const char *key, const struct config_value *v, unsigned roots,
                            struct pieces *out);
void pieces_fini(struct pieces *p);
/* stub_answer.c */
MF_MUSTCHECK int answer_compile(struct plan_build *b, const char *key, const struct step_config *c, unsigned roots,
                                struct answer *out);
void answer_fini(struct answer *a);

#endif
