/* What there is to say about the configuration, printed from the option table. Thread: any; nothing is kept. */
#ifndef MF_CONFIG_DESCRIBE_H
#define MF_CONFIG_DESCRIBE_H

#include "base/buf.h"
#include "config/config.h"

/* The effective configuration as YAML that config_load() reads again. Secrets (admin.token, headers and query
 * parameters with such names, a URL's password) come out as "REDACTED". MF_ENOMEM. */
MF_MUSTCHECK int config_print_yaml(const struct config *c, struct buf *out);
/* JSON Schema, draft 2020-12, of a configuration file. MF_ENOMEM. */
MF_MUSTCHECK int config_print_schema(struct buf *out);
/* The reference page, in Markdown. MF_ENOMEM. */
MF_MUSTCHECK int config_print_reference(struct buf *out);

#endif
