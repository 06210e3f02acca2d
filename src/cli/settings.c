#include "cli/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void settings_fini(struct settings *s) {
    for (size_t i = 0; i < s->count; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s->overrides);
    *s = (struct settings){0};
}

static int make_room(struct settings *s) {
    if (s->count < s->cap)
        return MF_OK;
    size_t cap = s->cap ? s->cap * 2 : 16;
    struct config_override *overrides = realloc(s->overrides, cap * sizeof *overrides);
    if (!overrides)
        return MF_ENOMEM;
    s->overrides = overrides;
    char **texts = realloc(s->texts, cap * sizeof *texts);
    if (!texts)
        return MF_ENOMEM;
    s->texts = texts;
    s->cap = cap;
    return MF_OK;
}

int settings_add(struct settings *s, const char *key, const char *value) {
    size_t key_len = strlen(key), value_len = strlen(value);
    char *text = make_room(s) == MF_OK ? malloc(key_len + value_len + 2) : NULL;
    if (!text)
        return MF_ENOMEM;
    memcpy(text, key, key_len + 1);
    memcpy(text + key_len + 1, value, value_len + 1);
    s->texts[s->count] = text;
    s->overrides[s->count++] = (struct config_override){.key = text, .value = text + key_len + 1};
    return MF_OK;
}

/* The "=" that ends the key: not one inside a bracketed path ([/a=b].upstream=…), nor one of the value. */
static const char *find_equals(const char *text) {
    bool bracket = false;
    for (; *text; text++) {
        if (*text == '[')
            bracket = true;
        else if (*text == ']')
            bracket = false;
        else if (*text == '=' && !bracket)
            return text;
    }
    return NULL;
}

int settings_add_sets(struct settings *s, const struct cli_args *args) {
    const char *given;
    for (size_t i = 0; (given = cli_value_at(args, "set", i)); i++) {
        const char *equals = find_equals(given);
        if (!equals || equals == given)
            return cli_usage_error(args, "--set takes KEY=VALUE, such as websocket.port=9000");
        char *key = strndup(given, (size_t)(equals - given));
        int rc = key ? settings_add(s, key, equals + 1) : MF_ENOMEM;
        free(key);
        if (rc < 0)
            return EXIT_IO;
    }
    return EXIT_FINE;
}

int settings_add_listen(struct settings *s, const struct cli_args *args, const char *listen) {
    const char *colon = strrchr(listen, ':');
    const char *port = colon ? colon + 1 : listen;
    uint64_t number;
    if (!cli_number(args, "the port of --listen", port, 0, UINT16_MAX, &number))
        return EXIT_USAGE;
    size_t host_len = colon ? (size_t)(colon - listen) : 0;
    bool bracketed = host_len > 2 && listen[0] == '[' && listen[host_len - 1] == ']';
    char *host = bracketed ? strndup(listen + 1, host_len - 2) : strndup(listen, host_len);
    bool ok = host && settings_add(s, "websocket.port", port) == MF_OK &&
              settings_add(s, "websocket.host", *host ? host : "127.0.0.1") == MF_OK;
    free(host);
    return ok ? EXIT_FINE : EXIT_IO;
}

void settings_choose_file(struct settings *s, const char *named) {
    s->input.file = named ? named : access(SETTINGS_DEFAULT_FILE, F_OK) == 0 ? SETTINGS_DEFAULT_FILE : NULL;
}

int settings_load(struct settings *s, struct config **out) {
    s->input.overrides = s->overrides;
    s->input.overrides_count = s->count;
    struct err err;
    int rc = config_load(&s->input, out, &err);
    return rc == MF_OK ? EXIT_FINE : cli_fail(rc == MF_EINVAL ? EXIT_USAGE : EXIT_IO, &err);
}
