#include "recording/recorder_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *extension;
    enum session_form form;
} forms[] = {
    {".jsonl.zst", SESSION_NATIVE},
    {".json.zst", SESSION_DOCUMENT_ZST},
    {".jsonl", SESSION_JSONL},
    {".json", SESSION_DOCUMENT},
};

const char *recorder_extension(const char *path, enum session_form *form) {
    size_t len = strlen(path);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n = strlen(forms[i].extension);
        /* A name must be left: ".json" alone, or "dir/.json", is a hidden file without one. */
        if (len > n && path[len - n - 1] != '/' && !strcmp(path + len - n, forms[i].extension)) {
            *form = forms[i].form;
            return path + len - n;
        }
    }
    return NULL;
}

static char *with_middle(const char *path, const char *middle, const char *extension) {
    enum session_form form;
    const char *ext = recorder_extension(path, &form);
    char *s;
    if (asprintf(&s, "%.*s%s%s", (int)(ext - path), path, middle, extension ? extension : ext) < 0)
        return NULL;
    return s;
}

static char *numbered(const char *path, const char *separator, unsigned n) {
    char middle[16] = "";
    if (n > 1)
        snprintf(middle, sizeof middle, "%s%u", separator, n);
    return with_middle(path, middle, NULL);
}

char *recorder_alternative(const char *path, unsigned n) {
    return numbered(path, "-", n);
}

char *recorder_part(const char *path, unsigned n) {
    return numbered(path, ".", n);
}

char *recorder_journal(const char *path) {
    return with_middle(path, ".journal", ".jsonl.zst");
}

int recorder_make_directories(const char *path) {
    char *copy = strdup(path);
    if (!copy) {
        errno = ENOMEM;
        return MF_EIO;
    }
    int rc = MF_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && rc == MF_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST && errno != EISDIR && errno != EROFS)
            rc = MF_EIO;
        /* EROFS: mkdir says it of a directory that exists on a read-only disk as well; open() will tell. */
        *slash = '/';
    }
    free(copy);
    return rc;
}

/* ---- for those who follow a recording from file to file ---- */

char *session_part(const char *path, unsigned part) {
    enum session_form form;
    return recorder_extension(path, &form) ? recorder_part(path, part) : NULL;
}

unsigned session_part_of(const char *path, char **first) {
    enum session_form form;
    const char *extension = recorder_extension(path, &form), *digits = extension;
    unsigned long part = 0;
    *first = NULL;
    if (!extension)
        return 1;
    while (digits > path && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    bool numbered = extension - digits >= 1 && extension - digits <= 6 && *digits != '0' && digits - path >= 2 &&
                    digits[-1] == '.' && digits[-2] != '/';
    if (numbered)
        part = strtoul(digits, NULL, 10);
    if (part < 2)
        *first = strdup(path);
    else if (asprintf(first, "%.*s%s", (int)(digits - 1 - path), path, extension) < 0)
        *first = NULL;
    return part < 2 ? 1 : (unsigned)part;
}
