/* Plays one side of a recorded connection: the server's to a live client (serving), or the client's to a live server
 * (driving). Pure: it knows no sockets and no clock; its owner asks what to do next, does it, and tells what came.
 *
 *     owner: player_next() -> SEND: sends the frame, asks again
 *                          -> WAIT: until a time, or until player_take() of a message changes things
 *                          -> CLOSE, DROP, DONE
 *            a message came -> player_take() -> MATCHED / UNMATCHED, then player_next()
 *
 * "Theirs" are the messages of the other side, which is live; "ours" what is played.
 *
 * Modes:
 * - timed: the recorded times divided by the speed, whatever comes.
 * - reactive: a frame of ours goes out once all of theirs that precede it in the recording have come, and its recorded
 *   gap, divided by the speed, has passed since what it depends on: the last of those, when it was waited for; else
 *   the frame before it. Times are computed from there, not added up.
 * - auto: the same; and, driving, what a server pushes is not waited for: messages that do not come right after one of
 *   ours, say nothing again that we said nor are said again by us, and have three or more of their shape. Where ours
 *   comes first in the recording it goes out by time in both.
 * - lookup (spy): a live message is looked up in the whole recording, the same one any number of times; what follows is
 *   what it brought about. Ours that precede all of theirs go out by themselves (a greeting; of PLAYER_ALL the first
 *   connection's). The recorded end is not played.
 *
 * What has come: a live message is the best (structure_similarity(); then whether it says again what is known,
 * bindings_agree(); then the earliest) of theirs that have not come, among PLAYER_WINDOW of them from the first that is
 * missing. Those that are the same but for values that are said again elsewhere, and for times, are preferred to all
 * others.
 *
 * Heartbeats: messages of theirs of which there are two or more, the same but for values that are said again and for
 * times, may be missing and may come more often, when
 * - each of them (of three or more, all but the last) brings about the same message of ours, which is then tied to it:
 *   it goes out when one came, only then, and once for each, however many come;
 * - or, serving, each of them answers the same message of ours;
 * - or what follows them has no pattern.
 * They are no heartbeats when they say anything that is said again, unless that is a single value and they come by the
 * clock (pings with ids); when anything else of ours says again what they said; when the same kinds of messages follow
 * each of them up to the next of theirs ("next", an item, "next", an item: requests); driving, when they say again what
 * we said (answers). The first message of theirs, which opens the conversation, is always waited for. A heartbeat holds
 * nothing back: what comes after it keeps its gap to what came before. Only CLOSE and DROP wait, two seconds at most,
 * for those that something is tied to.
 *
 * Once more: a message of theirs all of whose kind have come is answered as the last of them was, beside the rest, if
 * the answer is known (it says again what that one said, or it was a request as above). A message that came ahead of
 * its turn is answered after a quarter of a second (a fortieth, if the answer has an id of its own, or once that was
 * waited for in vain), if the answer says again what it said, and the turn has not come: its sender may be waiting for
 * the answer before it goes on. So is one in its turn, whose answer others hold up that
 * were under way with it in the recording, if what the answer says again was chosen for it alone (an id: other messages
 * say other values at that place). Of several that said a value, the last one before ours is answered. In auto mode
 * what has been missing for two seconds, while later ones came, is given up like after a time-out with go_on. What says
 * again what a message given up would have said is left out, and goes out if that message comes late.
 *
 * Staying alive: what ours says at regular intervals (three times or more, the same but for times) goes on in real time
 * while something of theirs is late, and after DONE (until_us says when to ask again).
 *
 * Frames go out as recorded. A message of several whose text changes (live values) goes out as one frame when its last
 * one is due. The later frames of a message wait for nothing but their times, and nothing else's data comes between
 * them. Recorded pings go out, pongs never do: the live side's own pings are answered as they come. Recorded times that
 * run backwards stand still.
 *
 * The end: CLOSE or DROP where our side ended the recorded connection, DONE where theirs did or nobody. Their close
 * frame is not waited for. With `loop` the recording begins again in place of any of these, at its recorded end, in a
 * new round: all of theirs are awaited anew, so that a reactive round waits for the first message; what is missing at a
 * round's end is not waited for; values that were learnt stay until they are learnt anew.
 *
 * Memory is bounded: bits for the messages in the window, what is being answered, and the bindings; about 1.5 KiB when
 * the plan is shared. A call costs the same however long the recording is. Thread: the owner's. */
#ifndef MF_REPLAY_PLAYER_H
#define MF_REPLAY_PLAYER_H

#include "replay/correlate.h"

#define PLAYER_WINDOW 64u
#define PLAYER_ALL SIZE_MAX /* all connections of the source; for PLAYER_LOOKUP alone */

/* What all who play the same side of the same recording share: which of its messages are alike, which may be missing,
 * which frames answer which message. Immutable, counted, any thread. Costs time and memory linear in the recording, so
 * that a player costs little: build it once, on the main thread. It keeps c (counted). hints (may be NULL): its `any`
 * paths do not count here either. MF_ENOMEM. */
struct player_plan;
MF_MUSTCHECK int player_plan_new(struct correlation *c, size_t connection, enum event_direction plays,
                                 const struct match_hints *hints, struct player_plan **out);
struct player_plan *player_plan_ref(struct player_plan *plan);
void player_plan_unref(struct player_plan *plan); /* NULL is accepted */
/* Of a plan of one connection: is this message of the other side waited for? false: it may be missing, and come more
 * often (a heartbeat). */
bool player_plan_awaits(const struct player_plan *plan, uint32_t message);

/* For serving at PLAYER_SPEED_MAX: messages that follow one another and go out as they were recorded are laid out a
 * second time, as a server's frames, for player_run(); small ones (to 4 KiB), as long as *left bytes have room for
 * them. Before any player has the plan. MF_ENOMEM. */
MF_MUSTCHECK int player_plan_lay_out(struct player_plan *plan, size_t *left);

enum player_mode { PLAYER_AUTO, PLAYER_TIMED, PLAYER_REACTIVE, PLAYER_LOOKUP };
#define PLAYER_SPEED_MAX 0.0 /* no waiting */

struct player_options {
    enum event_direction plays; /* EVENT_OUTGOING: the server's half; EVENT_INCOMING: the client's */
    enum player_mode mode;
    double speed;                    /* > 0, or PLAYER_SPEED_MAX */
    bool loop;                       /* begins again where it ended, in place of ending; at least 1 ms apart */
    uint64_t timeout_us;             /* beyond the recorded gap, for a message that is awaited; 0: for ever */
    bool go_on;                      /* after the time-out: what is missing is passed over; else PLAYER_TIMED_OUT */
    const struct match_hints *hints; /* exact and any; borrowed; may be NULL */
    /* Of the same correlation, connection and side; counted by the player. NULL: it builds one of its own, which costs
     * as much as the recording is long. */
    struct player_plan *plan;
    /* The live client's handshake, as handshake.h has it (a NUL follows); copied. NULL: not known. */
    const char *handshake;
    int64_t wall_offset_us; /* wall clock minus now_us, for times that are refreshed; 0: of this process's clocks */
};

/* The player keeps the correlation and the plan (counted); the hints stay the caller's, and outlive it. */
struct player;
MF_MUSTCHECK int player_new(struct correlation *c, size_t connection, const struct player_options *options,
                            uint64_t now_us, struct player **out);
void player_free(struct player *p);

enum player_step {
    PLAYER_SEND,      /* frame, data, len: one frame, to be sent as it is (opcode, fin) */
    PLAYER_WAIT,      /* until `until_us`, or (0) until a message comes */
    PLAYER_CLOSE,     /* frame: the recorded close frame of this half */
    PLAYER_DROP,      /* this half vanished without a close frame */
    PLAYER_TIMED_OUT, /* `awaited` did not come */
    PLAYER_DONE,      /* everything was played, and the other side ended it in the recording: it is to do so now.
                       * until_us: when to ask again for what keeps it alive; 0: never */
};
struct player_action {
    enum player_step step;
    const struct replay_frame *frame; /* SEND, CLOSE */
    const void *data;                 /* SEND: valid until the next call; the recorded bytes, or with live values */
    size_t len;
    bool made; /* SEND: data has live values; else it is the recording's, and lasts as long as that */
    uint64_t until_us;
    uint32_t awaited; /* WAIT and TIMED_OUT: the first message that is waited for; REPLAY_NONE: none */
};
/* After CLOSE, DROP there is nothing more. TIMED_OUT comes again, unless the message comes after all. */
void player_next(struct player *p, uint64_t now_us, struct player_action *out);

/* Several frames at once, whole messages all of them. */
struct player_run {
    const uint8_t *frames; /* as they stand on the wire, unmasked; the plan's */
    size_t len;            /* 64 KiB at most */
    uint32_t messages;
    size_t payload; /* bytes in them without headers */
};
/* In place of as many calls of player_next(), where what is due now is laid out (player_plan_lay_out()). False: it is
 * not, and nothing has happened. Like player_next() it ends the life of what that gave. */
bool player_run(struct player *p, uint64_t now_us, struct player_run *out);

enum player_taken { PLAYER_MATCHED, PLAYER_UNMATCHED, PLAYER_NO_MEMORY };
/* A whole message of the other side; a NUL follows data. MATCHED: *message is the recorded one: its index; with
 * PLAYER_ALL the connections' messages are numbered through. A message that has been matched before was surplus.
 * UNMATCHED: it is passed over; why gets one line about what is awaited (may be NULL). In timed mode matches serve the
 * bindings alone. */
enum player_taken player_take(struct player *p, uint64_t now_us, bool binary, const void *data, size_t len,
                              uint32_t *message, struct buf *why);
/* Lookup: what is still to be said in answer to what has come, as it would be said now (a NUL follows), in its order;
 * at most PLAYER_PENDING_MAX messages. Like player_next() it ends the life of what that gave. fn calls nothing of p. */
#define PLAYER_PENDING_MAX 64u
typedef void (*player_pending_fn)(void *arg, size_t connection, uint32_t message, const void *data, size_t len);
void player_pending(struct player *p, uint64_t now_us, player_pending_fn fn, void *arg);
/* "message 3 of conn-1 at 1.250 s: {"type":"subscribe","id":"a7"}", cut to what fits a log line. For TIMED_OUT and
 * logs. */
void player_describe(const struct player *p, uint32_t message, struct buf *out);

/* How well a live first message suits each of these recorded connections, for the choice of one by it. scores[i] is 0
 * when it is not like any message that connection begins with; else the more the better, at most
 * 3 * SIMILARITY_EQUAL: what is the same in spite of being free (correlation) counts more than what is free.
 * hints (may be NULL): exact and any. MF_ENOMEM. */
MF_MUSTCHECK int player_first_message(const struct correlation *c, const uint32_t *connections, size_t count,
                                      enum event_direction from, const struct match_hints *hints, bool binary,
                                      const void *data, size_t len, unsigned *scores);
/* The same for a later message: `said` came before it, and it may have overtaken some. Twice as much, and one more
 * where it has not. */
MF_MUSTCHECK int player_later_message(const struct correlation *c, const uint32_t *connections, size_t count,
                                      enum event_direction from, uint32_t said, const struct match_hints *hints,
                                      bool binary, const void *data, size_t len, unsigned *scores);

#endif
