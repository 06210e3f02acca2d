/* Plays the client's half of a recording against a live server, with any number of clients on one loop, and compares
 * what comes back when it is asked to.
 *
 * Client n plays recorded connection n modulo their number, on a connection of its own, again and again when it loops.
 * Connections are dialled at a bounded rate; each recorded message goes out when its player says so (replay/player.h).
 * After the last one the client waits for what the recording has the server say yet, as long as it took there and
 * timeout_us more, and closes as the recorded client did. Thread: the one that calls, which it keeps until the end;
 * SIGINT and SIGTERM end it in an orderly way, a second one at once. */
#ifndef MF_DRIVE_DRIVER_H
#define MF_DRIVE_DRIVER_H

#include <openssl/ssl.h>

#include "config/config.h"
#include "protocol/url.h"
#include "replay/compare.h"
#include "replay/player.h"

#define DRIVE_CLIENTS_MAX 1000000u
#define DRIVE_DIALS_MAX 256u /* connections that are not open yet, at a time */

struct drive_latency {
    uint64_t count;                          /* messages that were answered */
    uint64_t p50_us, p90_us, p99_us, max_us; /* within 4 % */
};
struct drive_numbers {
    uint64_t elapsed_us;
    uint64_t started, opened, open;      /* connections: dialled so far, of these open once, open now */
    uint64_t finished;                   /* played to the end */
    uint64_t unreachable;                /* not opened: name, TCP, TLS or handshake */
    uint64_t broken;                     /* the server broke the protocol or vanished */
    uint64_t closed_early;               /* the server closed before everything was played */
    uint64_t sent, received;             /* messages */
    uint64_t sent_bytes, received_bytes; /* of their payloads */
    uint64_t matched, unmatched;         /* received messages that the recording has, or has not */
    uint64_t missing;                    /* recorded server messages that did not come, of what was played */
};

struct drive_options {
    const struct url *target;
    SSL_CTX *tls;                                 /* NULL: plain */
    const struct upstream_tls_config *tls_config; /* with tls */
    const struct headers *headers;                /* instead of recorded ones, or beside them; may be NULL */
    unsigned connect_timeout_ms;                  /* until a connection is open: name, TCP, TLS, handshake */

    size_t clients;       /* 0: one for each recorded connection, begun when it began there (divided by the speed) */
    bool loop;            /* each client begins again when it is done */
    uint64_t duration_us; /* everything ends after it; 0: when it is done */

    enum player_mode mode; /* not PLAYER_LOOKUP */
    double speed;
    uint64_t timeout_us;             /* for a message that is awaited, beyond the recorded gap; 0: for ever */
    const struct match_hints *hints; /* may be NULL */

    const char *script; /* Lua that changes messages in both directions; NULL: none */
    size_t script_len;
    const char *script_name;

    const struct compare_options *verify; /* NULL: nothing is compared */

    void (*on_status)(const struct drive_numbers *numbers, void *arg); /* a few times a second; may be NULL */
    void *arg;
};

/* One client's comparison, over all its rounds. */
struct drive_case {
    char *name; /* "session.jsonl.zst conn-1, client 2" */
    struct comparison comparison;
    char *error; /* what kept it from being compared as a whole; NULL */
    uint64_t time_us;
};
struct drive_result {
    struct drive_numbers numbers;
    struct drive_latency latency; /* from a client's message to the server's that follows it in the recording */
    struct drive_case *cases;     /* with verify, one for each client */
    size_t cases_count;
    char *unreachable;  /* why the first of those connections was not opened; NULL: none */
    char *broken;       /* what the first of those servers did; NULL */
    char *closed_early; /* how the first of those was closed; NULL */
    bool interrupted;   /* by a signal */
};

/* MF_EINVAL: the script, or more clients than the process may have descriptors; MF_ENOMEM; MF_EIO. out is filled in any
 * case, and freed with drive_result_fini(). A server that cannot be reached is no error here: out says so. */
MF_MUSTCHECK int drive(struct replay_source *source, struct correlation *correlation,
                       const struct drive_options *options, struct drive_result *out, struct err *err);
void drive_result_fini(struct drive_result *r);

/* May drive_options.headers hold this field? Not what the handshake itself is made of. */
bool drive_header_allowed(const char *name);

/* "--ignore /a --ignore /b/\*": what would make the cases agree, when `most` patterns are enough for it; otherwise
 * nothing is appended. */
void drive_hint(struct buf *out, const struct drive_case *cases, size_t count, size_t most);

#endif
