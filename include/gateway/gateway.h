/* The gateway: workers, recorder, resolver, signals, from a configuration to the exit code. Main thread. */
#ifndef MF_GATEWAY_GATEWAY_H
#define MF_GATEWAY_GATEWAY_H

#include "base/metrics.h"
#include "config/config.h"

struct gateway;

struct gateway_status {
    uint64_t metrics[METRIC_COUNT]; /* summed over all threads */
    uint64_t up_ms;
};

struct gateway_options {
    const struct config_input *input; /* read again for a reload; borrowed */
    void (*on_status)(const struct gateway_status *status, void *arg); /* twice a second; may be NULL */
    void *arg;
};

/* Would gateway_new() take this configuration? Templates, URLs, Lua, certificates. Starts nothing, writes nothing. */
MF_MUSTCHECK int gateway_check(struct config *config, struct err *err);
/* Binds the address, compiles the routes, opens certificates, starts the threads. On failure nothing is left behind. */
MF_MUSTCHECK int gateway_new(struct config *config, const struct gateway_options *options, struct gateway **out,
                             struct err *err);
/* "127.0.0.1:8080": where clients connect. Borrowed. */
const char *gateway_address(const struct gateway *g);
/* Runs until SIGTERM or SIGINT: clients get 1001, recordings are finished; a second signal hurries. SIGHUP reloads.
 * Returns MF_OK, or MF_EIO when a recording could not be finished. Frees g. */
int gateway_run(MF_TAKES struct gateway *g);

#endif
