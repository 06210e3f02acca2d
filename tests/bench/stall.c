/* A disk that stalls: preloaded into the gateway (LD_PRELOAD), it holds up writes to recordings for a while, again and
 * again. STALL_EVERY_MS (3000) is the time between two stalls, STALL_MS (1000) their length; STALL_LOG names a file
 * that gets a line for each, so that the benchmark knows that there were any. */
/* It stands in for both names of each call; with 64-bit offsets the C library makes one of the two. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_llong last_ms;

static long long now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long long setting(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

static bool is_recording(int fd) {
    char link[64], path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    return strstr(path, ".jsonl") != NULL;
}

static void stall(int fd) {
    long long now = now_ms(), last = atomic_load(&last_ms), length = setting("STALL_MS", 1000);
    if (!is_recording(fd))
        return;
    if (last == 0) {
        atomic_store(&last_ms, now);
        return;
    }
    if (now - last < setting("STALL_EVERY_MS", 3000))
        return;
    atomic_store(&last_ms, now + length);
    struct timespec wait = {.tv_sec = length / 1000, .tv_nsec = length % 1000 * 1000000};
    (void)nanosleep(&wait, NULL);
    const char *log = getenv("STALL_LOG");
    FILE *file = log ? fopen(log, "a") : NULL;
    if (file) {
        (void)fprintf(file, "%lld ms\n", length);
        (void)fclose(file);
    }
}

ssize_t write(int fd, const void *data, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL)
        real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    stall(fd);
    return real(fd, data, length);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL)
        real = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    stall(fd);
    return real(fd, data, length, at);
}

/* The name that programs built for large files call. */
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) {
    return pwrite(fd, data, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (real == NULL)
        real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    stall(fd);
    return real(fd, parts, count);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    stall(fd);
    return real(fd);
}
