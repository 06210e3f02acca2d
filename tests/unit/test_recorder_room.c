/* The recorder where there is no room: a full ring, a full disk, and kill -9. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/rng.h"
#include "recorder_harness.h"

/* ---- a full ring ---- */

#define FLOOD_BYTES 400 /* fits in the least room that is given in a small ring */

/* Adds frames of FLOOD_BYTES; returns how many. */
static unsigned flood(struct capture *c, unsigned n, bool ask) {
    char text[FLOOD_BYTES];
    memset(text, 'x', sizeof text);
    unsigned i = 0;
    for (; i < n && capture_state(c) == CAPTURE_OK; i++) {
        while (ask && capture_room(c) == 0) {
            struct pollfd p = {.fd = record_port_fd(port), .events = POLLIN};
            ck_assert_int_eq(poll(&p, 1, 5000), 1);
            record_port_clear(port);
        }
        add(c, EVENT_INCOMING, 1, text, sizeof text);
    }
    return i;
}

START_TEST(pause_loses_nothing) {
    start_recorder(64 << 10);
    struct recording *rec = record_to("p.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    flood(c, 20000, true);
    leave(c);
    struct seen s = record_and_read("p.jsonl.zst");
    ck_assert_uint_eq(s.frames, 20000);
    ck_assert_uint_eq(s.gaps, 0);
    ck_assert_uint_gt(metrics_get(&counts, METRIC_RECORD_PAUSES), 0);
    ck_assert_uint_eq(metrics_get(&counts, METRIC_RECORD_DROPPED), 0);
}
END_TEST

START_TEST(a_message_larger_than_the_ring_is_kept) {
    start_recorder(64 << 10);
    struct recording *rec = record_to("m.jsonl.zst");
    struct capture *a = join(rec, 1), *b = join(rec, 2);
    recording_unref(rec);
    /* As a transform hands it over: at once, whatever room there is. */
    size_t len = 3 << 20;
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)('a' + i % 26);
    add(a, EVENT_INCOMING, 1, data, len);
    add_text(b, "after it");
    /* There is no room now, unless the writer has kept up: it may run while this thread does not. */
    struct pollfd p = {.fd = record_port_fd(port), .events = POLLIN};
    while (!capture_room(a)) {
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        record_port_clear(port);
    }
    /* And at the end, when nobody waits any more. */
    add(b, EVENT_OUTGOING, 1, data, len);
    leave(a);
    leave(b);
    free(data);
    struct seen s = record_and_read("m.jsonl.zst");
    ck_assert_uint_eq(s.frames, 3);
    ck_assert_uint_eq(s.payload, 2 * len + 8);
    ck_assert_uint_eq(s.gaps, 0);
    ck_assert_uint_eq(s.ends, 2);
    ck_assert_uint_eq(metrics_get(&counts, METRIC_RECORD_DROPPED), 0);
}
END_TEST

START_TEST(drop_counts_and_leaves_gaps) {
    config.on_full = RECORD_FULL_DROP;
    start_recorder(64 << 10);
    struct recording *rec = record_to("d.jsonl.zst");
    struct capture *c = join(rec, 1);
    ck_assert_uint_gt(capture_room(c), 1 << 20);
    flood(c, 20000, false);
    uint64_t dropped = metrics_get(&counts, METRIC_RECORD_DROPPED);
    struct recording_stats stats;
    recording_get_stats(rec, &stats);
    ck_assert_uint_eq(stats.dropped, dropped);
    recording_unref(rec);
    leave(c);
    struct seen s = record_and_read("d.jsonl.zst");
    ck_assert_uint_gt(dropped, 100);
    ck_assert_uint_eq(s.gap_frames, dropped);
    ck_assert_uint_eq(s.gap_bytes, FLOOD_BYTES * dropped);
    ck_assert_uint_eq(s.frames + dropped, 20000);
    ck_assert_uint_eq(s.ends, 1);
}
END_TEST

START_TEST(close_says_so) {
    config.on_full = RECORD_FULL_CLOSE;
    start_recorder(64 << 10);
    struct recording *rec = record_to("c.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    unsigned sent = flood(c, 100000, false);
    ck_assert_uint_lt(sent, 100000);
    ck_assert_int_eq(capture_state(c), CAPTURE_MUST_CLOSE);
    leave(c);
    struct seen s = record_and_read("c.jsonl.zst");
    ck_assert_uint_eq(s.gap_frames, 1);
    ck_assert_uint_eq(s.frames, sent - 1);
}
END_TEST

START_TEST(ends_are_never_lost) {
    config.on_full = RECORD_FULL_DROP;
    start_recorder(64 << 10);
    struct recording *rec = record_to("e.jsonl.zst");
    struct capture *c[3000];
    /* More connections than the ring has room for records of. */
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        c[i] = join(rec, i + 1);
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        add_text(c[i], "x");
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        leave(c[i]);
    recording_unref(rec);
    struct seen s = record_and_read("e.jsonl.zst");
    ck_assert_uint_eq(s.opens, ARRAY_LEN(c));
    ck_assert_uint_eq(s.ends, ARRAY_LEN(c));
    ck_assert_uint_eq(s.frames + s.gap_frames, ARRAY_LEN(c));
}
END_TEST

START_TEST(room_is_a_promise) {
    start_recorder(0);
    struct recording *rec = record_to("w.jsonl.zst");
    struct capture *c = join(rec, 1);
    recording_unref(rec);
    size_t room = capture_room(c);
    ck_assert_uint_ge(room, 256 << 10);
    /* The worst wire there is: empty frames from a server, 2 bytes each. */
    unsigned sent = 0;
    for (unsigned turn = 0; turn < 20; turn++) {
        while (!(room = capture_room(c)))
            usleep(200);
        for (size_t wire = 0; wire + 2 <= room; wire += 2, sent++)
            add(c, EVENT_OUTGOING, 2, "", 0);
    }
    leave(c);
    struct seen s = record_and_read("w.jsonl.zst");
    ck_assert_uint_eq(s.frames, sent);
    ck_assert_uint_eq(s.gaps, 0);
}
END_TEST

/* ---- the disk ---- */

static void limit_file_size(rlim_t bytes) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void noise(struct rng *rng, char *text, size_t size) {
    for (size_t i = 0; i + 1 < size; i++)
        text[i] = (char)rng_range(rng, 'A', 'z');
    text[size - 1] = '\0';
}

static const char *const full_disks[] = {"n.jsonl.zst", "n.jsonl"};

START_TEST(a_full_disk_that_gets_room_again) {
    signal(SIGXFSZ, SIG_IGN);
    start_recorder(0);
    struct recording *rec = record_to(full_disks[_i]);
    struct capture *c = join(rec, 1);
    struct rng rng;
    rng_init(&rng, 5);
    char text[2000];
    unsigned sent = 0;
    limit_file_size(100000);
    for (; sent < 100; sent++) {
        noise(&rng, text, sizeof text);
        add_text(c, text);
    }
    WAIT_FOR(counts_of(rec).failed);
    ck_assert_uint_eq(metrics_get(recorder_metrics(recorder), METRIC_ERRORS_RECORDING), 1);
    /* While it is full the file is whole. */
    struct seen during = read_back(path_of(full_disks[_i]));
    ck_assert_uint_lt(during.frames, sent);
    ck_assert_int_eq(capture_state(c), CAPTURE_OK);
    limit_file_size(RLIM_INFINITY);
    WAIT_FOR(!counts_of(rec).failed);
    add_text(c, "after it");
    leave(c);
    recording_unref(rec);
    struct seen s = record_and_read(full_disks[_i]);
    ck_assert_uint_eq(s.frames, sent + 1);
    ck_assert_str_eq(s.last_text, "after it");
    ck_assert_uint_eq(s.gaps, 0);
    ck_assert_int_eq(s.end, READER_END_WHOLE);
}
END_TEST

/* The part has its size, and what it has in memory does not fit: it is ended when that is written. */
START_TEST(a_full_disk_at_a_rotation) {
    signal(SIGXFSZ, SIG_IGN);
    config.flush_ms = 2000;
    config.rotate_size = 40000;
    start_recorder(0);
    struct recording *rec = record_to("n.jsonl");
    struct capture *c = join(rec, 1);
    struct rng rng;
    rng_init(&rng, 5);
    char text[2000];
    limit_file_size(135000);
    for (unsigned i = 0; i < 72; i++) { /* a frame of 128 KiB, which makes a rotation due, and some lines behind it */
        noise(&rng, text, sizeof text);
        add_text(c, text);
    }
    WAIT_FOR(counts_of(rec).failed || exists(path_of("n.2.jsonl")));
    limit_file_size(RLIM_INFINITY);
    WAIT_FOR(exists(path_of("n.2.jsonl")));
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_OK);
    struct seen one = read_back(path_of("n.jsonl")), two = read_back(path_of("n.2.jsonl"));
    ck_assert_uint_eq(one.frames + two.frames, 72);
    ck_assert_uint_eq(one.gaps + two.gaps, 0);
}
END_TEST

START_TEST(a_disk_that_stays_full) {
    signal(SIGXFSZ, SIG_IGN);
    start_recorder(0);
    struct recording *rec = record_to("n.jsonl.zst");
    struct capture *c = join(rec, 1);
    struct rng rng;
    rng_init(&rng, 5);
    static char text[60000];
    unsigned sent = 0;
    limit_file_size(1 << 20);
    for (; sent < 300; sent++) {
        noise(&rng, text, sizeof text);
        while (!capture_room(c))
            usleep(200);
        add_text(c, text);
    }
    /* More than is kept in memory: the rest is dropped and counted, and nobody waits. */
    WAIT_FOR(counts_of(rec).dropped > 10 && counts_of(rec).dropped + counts_of(rec).frames == sent);
    uint64_t dropped = counts_of(rec).dropped;
    /* Room again: a gap, and on it goes. */
    limit_file_size(RLIM_INFINITY);
    WAIT_FOR(!counts_of(rec).failed);
    add_text(c, "after it");
    leave(c);
    recording_unref(rec);
    struct seen s = record_and_read("n.jsonl.zst");
    ck_assert_uint_eq(s.gap_frames, dropped);
    ck_assert_uint_eq(s.frames + dropped, sent + 1);
    ck_assert_str_eq(s.last_text, "after it");
}
END_TEST

START_TEST(an_end_on_a_full_disk_is_told) {
    signal(SIGXFSZ, SIG_IGN);
    config.on_error = RECORD_ERROR_CLOSE;
    start_recorder(0);
    struct recording *rec = record_to("n.jsonl.zst");
    struct capture *c = join(rec, 1);
    add_text(c, "first");
    WAIT_FOR(exists(path_of("n.jsonl.zst")) && counts_of(rec).file_bytes > 0);
    limit_file_size((rlim_t)counts_of(rec).file_bytes + 10);
    add_text(c, "second");
    struct pollfd p = {.fd = record_port_fd(port), .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    ck_assert_int_eq(capture_state(c), CAPTURE_MUST_CLOSE);
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_EIO);
    struct seen s = read_back(path_of("n.jsonl.zst"));
    ck_assert_uint_le(s.frames, 1);
    ck_assert_uint_eq(s.opens, 1);
}
END_TEST

START_TEST(a_tmpfs_that_is_full) {
    char *mount_point = path_of("tmpfs");
    ck_assert_int_eq(mkdir(mount_point, 0700), 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=256k") < 0) {
        fprintf(stderr, "SKIPPED a_tmpfs_that_is_full: cannot mount: %s\n", strerror(errno));
        return;
    }
    start_recorder(0);
    struct recording *rec = record_to("tmpfs/t.jsonl.zst");
    struct capture *c = join(rec, 1);
    struct rng rng;
    rng_init(&rng, 5);
    char text[2000];
    for (unsigned i = 0; i < 300; i++) {
        noise(&rng, text, sizeof text);
        add_text(c, text);
    }
    WAIT_FOR(counts_of(rec).failed);
    struct seen during = read_back(path_of("tmpfs/t.jsonl.zst"));
    ck_assert_uint_gt(during.frames, 1);
    leave(c);
    recording_unref(rec);
    ck_assert_int_eq(stop_recorder(), MF_EIO);
    struct seen s = read_back(path_of("tmpfs/t.jsonl.zst"));
    ck_assert_uint_ge(s.frames, during.frames);
    ck_assert_int_eq(umount2(mount_point, MNT_DETACH), 0);
}
END_TEST

START_TEST(a_path_that_cannot_be_had) {
    fclose(fopen(path_of("plain"), "w"));
    start_recorder(0);
    struct recording *rec = record_to("plain/a.jsonl.zst");
    struct capture *c = join(rec, 1);
    add_text(c, "lost");
    WAIT_FOR(counts_of(rec).failed && counts_of(rec).dropped == 1);
    /* It comes to be possible. */
    ck_assert_int_eq(unlink(path_of("plain")), 0);
    WAIT_FOR(!counts_of(rec).failed);
    add_text(c, "kept");
    leave(c);
    recording_unref(rec);
    struct seen s = record_and_read("plain/a.jsonl.zst");
    ck_assert_uint_eq(s.opens, 1);
    ck_assert_uint_eq(s.gap_frames, 1);
    ck_assert_str_eq(s.first_text, "kept");
}
END_TEST

/* How many frames the file holds now, while it is written. */
static unsigned frames_so_far(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0 ? read_back(path).frames : 0;
}

/* What was added is on disk soon, although the connection goes on, and is there after a kill. How soon is not looked
 * at: that depends on who else wants the processor. */
START_TEST(kill_9_loses_only_the_last_flush) {
    char *path = path_of("k.jsonl.zst");
    int told[2];
    ck_assert_int_eq(pipe(told), 0);
    ck_assert_int_gt(fcntl(told[1], F_SETPIPE_SZ, 1 << 20), 0);
    pid_t child = fork();
    if (child == 0) {
        start_recorder(0);
        struct recording *rec = record_to("k.jsonl.zst");
        struct capture *c = join(rec, 1);
        for (unsigned i = 0;; i++) {
            char text[32];
            snprintf(text, sizeof text, "%u", i);
            add_text(c, text);
            if (write(told[1], &i, sizeof i) != sizeof i)
                _exit(1);
            usleep(300);
        }
    }
    close(told[1]);
    unsigned last = 0, on_disk = 0;
    while (last < 1000) /* each is added once it is told */
        ck_assert_int_eq(read(told[0], &last, sizeof last), sizeof last);
    WAIT_FOR((on_disk = frames_so_far(path)) > last);
    ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0); /* it goes on: nothing but the flush wrote that */
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    waitpid(child, NULL, 0);
    while (read(told[0], &last, sizeof last) == sizeof last) {
    }
    close(told[0]);
    struct seen s = read_back(path);
    ck_assert_msg(s.frames >= on_disk && s.frames <= last + 2, "%u of %u, %u before", s.frames, last + 1, on_disk);
    /* The next run goes on in the same file. */
    one_session("k.jsonl.zst", "next run");
    struct seen after = read_back(path);
    ck_assert_uint_eq(after.frames, s.frames + 1);
    ck_assert_uint_eq(after.recordings, 2);
    ck_assert_str_eq(after.last_text, "next run");
}
END_TEST

int main(void) {
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR + 1);
    Suite *s = suite_create("recorder without room");
    TCase *t = tcase_create("no room");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, pause_loses_nothing);
    tcase_add_test(t, a_message_larger_than_the_ring_is_kept);
    tcase_add_test(t, drop_counts_and_leaves_gaps);
    tcase_add_test(t, close_says_so);
    tcase_add_test(t, ends_are_never_lost);
    tcase_add_test(t, room_is_a_promise);
    tcase_add_loop_test(t, a_full_disk_that_gets_room_again, 0, ARRAY_LEN(full_disks));
    tcase_add_test(t, a_full_disk_at_a_rotation);
    tcase_add_test(t, a_disk_that_stays_full);
    tcase_add_test(t, an_end_on_a_full_disk_is_told);
    tcase_add_test(t, a_tmpfs_that_is_full);
    tcase_add_test(t, a_path_that_cannot_be_had);
    tcase_add_test(t, kill_9_loses_only_the_last_flush);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
