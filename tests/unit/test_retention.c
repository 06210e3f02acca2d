/* Which old recordings go, and which files are none of ours. */
#include <check.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "recorder_harness.h"
#include "recording/retention.h"

static const struct {
    const char *template_text, *name;
    bool matches;
} names[] = {
    {"recordings/ws-{{date}}.jsonl.zst", "ws-2024-01-15.jsonl.zst", true},
    {"recordings/ws-{{date}}.jsonl.zst", "ws-2024-01-15.2.jsonl.zst", true},
    {"recordings/ws-{{date}}.jsonl.zst", "ws-2024-01-15-2.jsonl.zst", true},
    {"recordings/ws-{{date}}.jsonl.zst", "ws-2024-01-15.jsonl", false},
    {"recordings/ws-{{date}}.jsonl.zst", "ws-2024-01-15.journal.jsonl.zst", false},
    {"recordings/ws-{{date}}.jsonl.zst", "other.jsonl.zst", false},
    {"ws-{{date}}.json", "ws-2024-01-15.json", true},
    {"ws-{{date}}.json", "ws-2024-01-15.json.zst", false},
    {"{{now | default a/b}}/fixed.json", "fixed.json", true},
    {"fixed.json", "fixed.3.json", true},
    {"fixed.json", "fixed-3.json", true},
    {"fixed.json", "fixed.x.json", false},
    {"fixed.json", "fixed.03.json", false},
    {"fixed.json", "fixed-old.json", false},
    {"fixed.json", "package.json", false},
    {"a*[b]-{{uuid}}.jsonl", "a*[b]-1.jsonl", true},
    {"a*[b]-{{uuid}}.jsonl", "aab-1.jsonl", false},
    {"{{date}}.jsonl", ".hidden.jsonl", false},
};

START_TEST(only_names_of_the_template) {
    ck_assert_msg(retention_matches(names[_i].template_text, names[_i].name) == names[_i].matches, "%s and %s",
                  names[_i].template_text, names[_i].name);
}
END_TEST

/* A file of so many bytes and so old. */
static void make_file(const char *name, size_t bytes, unsigned seconds_old) {
    int fd = open(path_of(name), O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    struct timespec when = {time(NULL) - (time_t)seconds_old, 0}, times[2] = {when, when};
    ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
}

static void make_five(void) {
    make_file("ws-1.jsonl", 100, 500);
    make_file("ws-2.jsonl", 100, 400);
    make_file("ws-3.jsonl", 100, 300);
    make_file("ws-4.jsonl", 100, 200);
    make_file("ws-5.jsonl", 100, 0);
    make_file("notes.txt", 100, 9000);
    make_file("other-1.jsonl", 100, 9000);
}

static const struct {
    struct retention_limits limits;
    const char *left; /* of 1..5 */
} cases[] = {
    {{.files = 3}, "345"},
    {{.files = 1}, "5"},
    {{.bytes = 250}, "45"},
    {{.seconds = 350}, "345"},
    {{.files = 4, .seconds = 250}, "45"},
    {{.files = 9, .bytes = 900, .seconds = 9000}, "12345"},
};

START_TEST(limits_hold) {
    make_five();
    retention_apply(path_of("ws-5.jsonl"), "x/ws-{{date}}.jsonl", &cases[_i].limits);
    for (char n = '1'; n <= '5'; n++) {
        char name[] = "ws-?.jsonl";
        name[3] = n;
        ck_assert_msg(exists(path_of(name)) == (strchr(cases[_i].left, n) != NULL), "%s", name);
    }
    ck_assert(exists(path_of("notes.txt")));
    ck_assert(exists(path_of("other-1.jsonl")));
}
END_TEST

START_TEST(what_is_written_stays) {
    make_five();
    int fd = open(path_of("ws-1.jsonl"), O_RDWR);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_uint_eq(
        retention_apply(path_of("ws-5.jsonl"), "ws-{{date}}.jsonl", &(struct retention_limits){.files = 1}), 3);
    ck_assert(exists(path_of("ws-1.jsonl")));
    ck_assert(exists(path_of("ws-5.jsonl")));
    close(fd);
}
END_TEST

START_TEST(a_document_with_a_journal_and_a_link_stay) {
    make_file("d-1.json", 10, 100);
    make_file("d-1.journal.jsonl.zst", 10, 100);
    make_file("d-2.json", 10, 100);
    ck_assert_int_eq(symlink("d-2.json", path_of("d-3.json")), 0);
    ck_assert_uint_eq(retention_apply(path_of("d-9.json"), "d-{{date}}.json", &(struct retention_limits){.seconds = 5}),
                      1);
    ck_assert(exists(path_of("d-1.json")));
    ck_assert(!exists(path_of("d-2.json")));
    struct stat st;
    ck_assert_int_eq(lstat(path_of("d-3.json"), &st), 0);
}
END_TEST

int main(void) {
    log_set_level(LOG_ERROR);
    Suite *s = suite_create("retention");
    TCase *t = tcase_create("retention");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, only_names_of_the_template, 0, ARRAY_LEN(names));
    tcase_add_loop_test(t, limits_hold, 0, ARRAY_LEN(cases));
    tcase_add_test(t, what_is_written_stays);
    tcase_add_test(t, a_document_with_a_journal_and_a_link_stay);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
