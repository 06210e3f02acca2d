/* YAML nodes -> the values that a snapshot keeps. Thread: the one that reads the configuration. */
#ifndef MF_CONFIG_CONFIG_VALUE_H
#define MF_CONFIG_CONFIG_VALUE_H

#include "config/arena.h"
#include "config/config.h"
#include "config/yaml.h"

/* A deep copy; NULL when out of memory. */
struct config_value *config_value_copy(struct arena *a, const struct yaml_node *node);
/* From YAML text of its own, without places. MF_EINVAL: err says what is wrong with the text. */
MF_MUSTCHECK int config_value_read(struct arena *a, const char *text, struct config_value **out, struct err *err);
/* How deep lists and mappings are nested: a scalar 0, [] 1. */
int config_value_depth(const struct config_value *v);

#endif
