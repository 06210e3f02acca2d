/* A `match:` and a message, parted by the first empty line: what compiles gives the same answer twice, agrees with its
 * explanation, and an explanation is clean text; what does not compile says where it is wrong. */
#include <stdlib.h>
#include <string.h>

#include "match/match.h"
#include "protocol/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of exactly that size and a NUL. */
static char *copy_of(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    MUST(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void match(const struct matcher *m, const struct match_input *in) {
    struct match_miss miss, again;
    bool yes = matcher_matches(m, in);
    MUST(matcher_matches(m, in) == yes);
    memset(&miss, 0xff, sizeof miss);
    matcher_explain(m, in, &miss);
    matcher_explain(m, in, &again);
    MUST(memchr(miss.text, '\0', sizeof miss.text) && utf8_valid(miss.text, strlen(miss.text)));
    MUST(!strcmp(miss.text, again.text) && miss.held == again.held);
    MUST(yes == !miss.text[0]);
}

static void match_message(const struct matcher *m, const uint8_t *data, size_t size) {
    char *text = copy_of(data, size);
    struct json_tape tape = {.max = 100000};
    size_t at;
    bool json = json_tape_parse(&tape, text, size, &at) == MF_OK;
    struct match_input in = {.data = text, .len = size, .tape = json ? &tape : NULL};
    match(m, &in);
    in.binary = true;
    match(m, &in);
    json_tape_fini(&tape);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *border = size ? memmem(data, size, "\n\n", 2) : NULL;
    size_t yaml_len = border ? (size_t)(border - data) : size;
    size_t message_at = border ? yaml_len + 2 : size;
    char *yaml = copy_of(data, yaml_len);
    const struct config_value *value;
    struct matcher *m;
    struct err err;
    if (config_value_parse(yaml, &value, &err) == MF_OK) {
        if (matcher_compile(value, &m, &err) == MF_OK)
            match_message(m, data + message_at, size - message_at);
        else
            MUST(!m && err.code == MF_EINVAL && err.text[0] && err.line > 0 && err.column > 0);
        matcher_free(m);
        config_value_free(value);
    }
    free(yaml);
    return 0;
}
