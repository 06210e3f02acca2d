/* Configuration: any bytes are a configuration or an error with a place, never more; and what is printed of one can be
 * read again. With a NUL in the input, what stands before it is an override, KEY=VALUE. */
#include <stdlib.h>
#include <string.h>

#include "config/describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printed(const struct config *c, bool from_file_only) {
    struct buf once = BUF_INIT, twice = BUF_INIT;
    if (config_print_yaml(c, &once))
        abort();
    if (once.len > (size_t)1 << 20) { /* many aliases: larger than a file may be */
        buf_fini(&once);
        return;
    }
    struct config_input in = {.file = "printed", .text = buf_cstr(&once), .ignore_environment = true};
    struct config *again;
    struct err err;
    if (config_load(&in, &again, &err) || config_print_yaml(again, &twice))
        abort();
    /* Bytes that are not UTF-8 can come by an override only; they are read again as U+0080..U+00FF. */
    if (from_file_only && strcmp(buf_cstr(&once), buf_cstr(&twice)))
        abort();
    config_unref(again);
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    copy[size] = '\0';
    struct config_input in = {.file = "fuzz", .text = copy, .ignore_environment = true};
    struct config_override override;
    char *equals = strlen(copy) < size ? strchr(copy, '=') : NULL;
    if (equals) {
        in.text = copy + strlen(copy) + 1;
        *equals = '\0';
        override = (struct config_override){.key = copy, .value = equals + 1};
        in.overrides = &override;
        in.overrides_count = 1;
    }
    struct config *c;
    struct err err = {0};
    if (config_load(&in, &c, &err) == 0) {
        check_printed(c, !equals);
        config_unref(c);
    } else if (c || !*err.text) {
        abort();
    }
    free(copy);
    return 0;
}
