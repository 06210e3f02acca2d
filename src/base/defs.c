#include "base/defs.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_failed(const char *expr, const char *file, int line) {
    fprintf(stderr, "mockforge: internal error: %s does not hold at %s:%d\n", expr, file, line);
    abort();
}
