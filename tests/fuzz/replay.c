/* Feeds files to a fuzz target without libFuzzer, so that any compiler can run the corpora: each file whole, and each
 * prefix of the small ones, since a codec that is cut off anywhere must not read past its end.
 *
 *     replay_NAME FILE|FOLDER...
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Above this, prefixes would take quadratic time for little. */
#define PREFIXES_BELOW 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files, inputs;

/* A copy of exactly that size, so that AddressSanitizer sees a read past the end. */
static void feed(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (file == NULL || fstat(fileno(file), &st) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (file != NULL)
            (void)fclose(file);
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (data == NULL)
        abort();
    size = fread(data, 1, size, file);
    (void)fclose(file);
    feed(data, size);
    for (size_t cut = 0; size < PREFIXES_BELOW && cut < size; cut++)
        feed(data, cut);
    free(data);
    files++;
    return 0;
}

static int by_name(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int replay(const char *path) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return replay_file(path);
    struct dirent **list = NULL;
    int count = scandir(path, &list, by_name, alphasort);
    int result = count < 0 ? -1 : 0;
    if (count < 0)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char child[4096];
        int length = snprintf(child, sizeof child, "%s/%s", path, list[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof child || replay_file(child) < 0)
            result = -1;
        free(list[i]);
    }
    free(list);
    return result;
}

int main(int argc, char **argv) {
    int result = 0;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) < 0)
            result = 1;
    }
    const char *name = strrchr(argv[0], '/');
    printf("%s: %zu files, %zu inputs\n", name ? name + 1 : argv[0], files, inputs);
    return files == 0 ? 1 : result;
}
