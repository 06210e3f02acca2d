/* Notices that the configuration, or a script or certificate that it names, has changed on disk.
 *
 * It watches directories rather than files (inotify), so that saving in place, replacing by rename, and a Kubernetes
 * ConfigMap, whose files are links that are switched all at once, are seen alike. A file that is still being written is
 * not reported before it is closed, unless something else happens in its directory meanwhile: then once more at the
 * end. A file that vanishes is reported when it is back.
 *
 * Thread: one at a time; the descriptor may be polled by any loop. */
#ifndef MF_CONFIG_WATCH_H
#define MF_CONFIG_WATCH_H

#include "base/err.h"

struct config_watch;

/* Watches nothing yet. MF_EIO: the system has no inotify instance left. */
MF_MUSTCHECK int config_watch_new(struct config_watch **out, struct err *err);
/* The file need not exist, but its directory must (MF_EIO). The same file twice is watched once. */
MF_MUSTCHECK int config_watch_add(struct config_watch *w, const char *file, struct err *err);
/* Forgets all files: before those of a new configuration are added. */
void config_watch_clear(struct config_watch *w);
/* Non-blocking; readable: call config_watch_changed(). */
int config_watch_fd(const struct config_watch *w);
/* Takes what has happened since the last call. Has any of the files changed? */
bool config_watch_changed(struct config_watch *w);
void config_watch_free(struct config_watch *w);

#endif
