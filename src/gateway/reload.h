/* Reading the configuration again: on SIGHUP, and with websocket.hot_reload whenever it, or a Lua file that it names,
 * changes on disk. A broken file changes nothing and the log says why. Main thread. */
#ifndef MF_GATEWAY_RELOAD_H
#define MF_GATEWAY_RELOAD_H

#include <event2/event.h>

#include "relay/route.h"

struct reloader;

/* `apply` gets each new plan, counted for it. input is borrowed. first: the plan that runs now. */
MF_MUSTCHECK int reloader_new(struct event_base *base, const struct config_input *input, const struct plan *first,
                              void (*apply)(MF_TAKES struct plan *plan, void *arg), void *arg, struct reloader **out,
                              struct err *err);
void reloader_reload(struct reloader *r);
void reloader_free(struct reloader *r);

#endif
