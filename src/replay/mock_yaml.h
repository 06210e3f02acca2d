/* Texts of a recording as YAML, for mock_export.c. Thread: any. */
#ifndef MF_REPLAY_MOCK_YAML_H
#define MF_REPLAY_MOCK_YAML_H

#include "replay/source.h"
#include "replay/structure.h"

/* A YAML text in double quotes. `text` is UTF-8 without a NUL. */
void yaml_quote(struct buf *out, const char *text, size_t len);
/* Can a configuration hold this as a text? */
bool yaml_can_hold(const void *data, size_t len);

/* Appends text so that a template says just it; before_placeholder: a placeholder follows. */
void template_escape(struct buf *out, const char *text, size_t len, bool before_placeholder);
/* "/payload/odd name/0" as message.payload."odd name".0; false: it cannot be named. */
MF_MUSTCHECK bool template_path(struct buf *out, const char *pointer);

/* The `match` of a message: the values at `paths` must be what they are here; of a JSON object with none of them that
 * it has these members. */
void mock_match(struct buf *out, const struct replay_message *m, const struct structure *s,
                const struct path_table *paths, const uint32_t *chosen, size_t chosen_count);

#endif
