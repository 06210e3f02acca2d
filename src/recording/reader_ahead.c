#include "recording/reader_ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* The thread is woken when so few blocks are left, not for each one that is taken: it then makes some in a row. */
#define WAKE_AT 1u

struct block {
    struct buf data;
    int rc;
    struct err err;
    uint64_t frame_begin, position;
};

struct ahead {
    struct input *in;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t made_one, taken_some;
    struct block blocks[AHEAD_BLOCKS]; /* number n is blocks[n % AHEAD_BLOCKS] */

    /* Under the lock */
    unsigned made, taken;
    bool stop;
};

/* --- the thread --- */

/* The next block to make; NULL: no more are wanted. */
static struct block *next_to_make(struct ahead *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->stop && a->made - a->taken == AHEAD_BLOCKS)
        pthread_cond_wait(&a->taken_some, &a->lock);
    struct block *b = a->stop ? NULL : &a->blocks[a->made % AHEAD_BLOCKS];
    pthread_mutex_unlock(&a->lock);
    return b;
}

static void count_made(struct ahead *a) {
    pthread_mutex_lock(&a->lock);
    a->made++;
    pthread_cond_signal(&a->made_one);
    pthread_mutex_unlock(&a->lock);
}

static void *run(void *arg) {
    struct ahead *a = arg;
    struct block *b;
    int rc = 1;
    while (rc > 0 && (b = next_to_make(a))) {
        buf_reset(&b->data);
        rc = b->rc = input_fill(a->in, &b->data, &b->err);
        b->frame_begin = a->in->frame_begin;
        b->position = input_position(a->in);
        count_made(a);
    }
    return NULL;
}

/* --- the reader --- */

/* Signals are the other threads'. */
static bool start_thread(struct ahead *a) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&a->thread, NULL, run, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(a->thread, "mf-reader");
    return started;
}

static void release(struct ahead *a) {
    pthread_cond_destroy(&a->taken_some);
    pthread_cond_destroy(&a->made_one);
    pthread_mutex_destroy(&a->lock);
    for (unsigned i = 0; i < AHEAD_BLOCKS; i++)
        buf_fini(&a->blocks[i].data);
    free(a);
}

struct ahead *ahead_start(struct input *in) {
    struct ahead *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->in = in;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->made_one, NULL);
    pthread_cond_init(&a->taken_some, NULL);
    if (start_thread(a))
        return a;
    release(a);
    return NULL;
}

static struct block *next_to_take(struct ahead *a) {
    pthread_mutex_lock(&a->lock);
    while (a->made == a->taken)
        pthread_cond_wait(&a->made_one, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return &a->blocks[a->taken % AHEAD_BLOCKS]; /* `taken` is written by this thread alone */
}

static void count_taken(struct ahead *a) {
    pthread_mutex_lock(&a->lock);
    a->taken++;
    if (a->made - a->taken == WAKE_AT)
        pthread_cond_signal(&a->taken_some);
    pthread_mutex_unlock(&a->lock);
}

/* Frames end with a line mostly: then nothing is left in out, and the block is handed over as it is. */
static int move(struct buf *out, struct buf *from, struct err *err) {
    if (out->len == 0) {
        struct buf empty = *out;
        *out = *from;
        *from = empty;
        return 1;
    }
    if (buf_reserve(out, from->len + INPUT_PADDING) < 0)
        return err_set(err, MF_ENOMEM, "out of memory");
    buf_append(out, from->data, from->len);
    return 1;
}

int ahead_take(struct ahead *a, struct buf *out, uint64_t *frame_begin, uint64_t *position, struct err *err) {
    struct block *b = next_to_take(a);
    int rc = b->rc > 0 ? move(out, &b->data, err) : b->rc;
    if (b->rc < 0 && err)
        *err = b->err;
    *frame_begin = b->frame_begin;
    *position = b->position;
    count_taken(a);
    return rc;
}

void ahead_stop(struct ahead *a) {
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->taken_some);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    release(a);
}
