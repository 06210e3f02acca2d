/* Sends back what comes, frame by frame.
 *
 * A frame that comes in pieces is put together first, within max_message_size: were its first piece sent back at once,
 * no close frame could follow when the rest turns out not to be UTF-8. */
#include <string.h>

#include "handler/handlers.h"
#include "handler/mock.h"
#include "protocol/mask.h"

struct echo {
    struct endpoint endpoint;
    struct buf frame; /* unmasked; under way */
};

static void send_whole(struct echo *echo, const struct fragment *f) {
    struct fragment answer = *f;
    answer.raw = NULL; /* masked by the client: a server's frames are not (RFC 6455 section 5.1) */
    answer.first = true;
    if (!f->first) {
        answer.masked = false;
        answer.offset = 0;
        answer.payload = echo->frame.data;
        answer.len = echo->frame.len;
    }
    session_from_endpoint(echo->endpoint.session, &answer);
}

static void on_fragment(struct endpoint *e, struct fragment *f) {
    struct echo *echo = container_of(e, struct echo, endpoint);
    if (session_answer_control(e->session, f))
        return;
    if (f->first && f->last) {
        send_whole(echo, f);
        return;
    }
    if (buf_reserve(&echo->frame, f->len) < 0) {
        session_end(e->session, END_NO_MEMORY, END_BY_GATEWAY, "no memory for a frame");
        return;
    }
    mask_copy(echo->frame.data + echo->frame.len, f->payload, f->len, f->key, f->offset);
    echo->frame.len += f->len;
    if (f->last) {
        send_whole(echo, f);
        buf_fini(&echo->frame);
    }
}

static void drop(struct endpoint *e) {
    buf_fini(&container_of(e, struct echo, endpoint)->frame);
}

const struct endpoint_type echo_endpoint = {
    .name = "echo",
    .size = sizeof(struct echo),
    .open = mock_open,
    .on_fragment = on_fragment,
    .on_client_blocked = mock_on_client_blocked,
    .drop = drop,
};
