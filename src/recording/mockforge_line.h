/* Lines of the replay files of SaaSy-Solutions' MockForge (docs/session-file.md, "MockForge JSONL"):
 *
 *     {"ts":20,"dir":"out","text":"{\"type\":\"data\"}","waitFor":"^ACK$"}
 *
 * One conversation of text messages. What `waitFor` awaits becomes a message of the client in front of the line's own,
 * unless the file has the client's messages themselves. Thread: the owner's. */
#ifndef MF_RECORDING_MOCKFORGE_LINE_H
#define MF_RECORDING_MOCKFORGE_LINE_H

#include "recording/parse.h"

struct mockforge_lines {
    uint64_t time_us;  /* of the last line, or of one before it that has a later one */
    uint64_t line_us;  /* what the last line says itself */
    bool client_spoke; /* since the last line that the server sends */
    struct buf awaited;
};
void mockforge_lines_fini(struct mockforge_lines *m);

/* Reads one line, as parse_event(): how many events it is (0 to 2), or negative. */
MF_MUSTCHECK int mockforge_line(struct mockforge_lines *m, struct parse *p, const uint8_t *text, size_t len,
                                struct session_event e[2], struct err *err);

#endif
