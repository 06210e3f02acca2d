/* config_watch: every way in which a file comes to hold something else, and what is none. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/watch.h"

static char before[4096], folder[] = "/tmp/mockforge-watch-XXXXXX";
static struct config_watch *w;

/* Each test runs in a directory of its own, with a file "a.yaml" that is watched. */
static void put(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void set_up(void) {
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    put("a.yaml", "1");
    ck_assert_int_eq(config_watch_new(&w, NULL), 0);
    ck_assert_int_eq(config_watch_add(w, "a.yaml", NULL), 0);
}

static void tear_down(void) {
    config_watch_free(w);
    ck_assert_int_eq(chdir(before), 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static bool readable(void) {
    struct pollfd p = {.fd = config_watch_fd(w), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

START_TEST(test_nothing) {
    ck_assert(!readable());
    ck_assert(!config_watch_changed(w));
}
END_TEST

START_TEST(test_saved_in_place) {
    put("a.yaml", "2");
    ck_assert(readable());
    ck_assert(config_watch_changed(w));
    ck_assert(!readable());
    ck_assert(!config_watch_changed(w));
    put("a.yaml", "2"); /* the same size, maybe within the clock's tick */
    ck_assert(config_watch_changed(w));
}
END_TEST

START_TEST(test_replaced_by_rename) {
    put("a.yaml.tmp", "3");
    ck_assert(!config_watch_changed(w));
    ck_assert_int_eq(rename("a.yaml.tmp", "a.yaml"), 0);
    ck_assert(config_watch_changed(w));
    put("a.yaml", "4"); /* and the new one is watched as well */
    ck_assert(config_watch_changed(w));
}
END_TEST

START_TEST(test_not_before_it_is_closed) {
    int fd = open("a.yaml", O_WRONLY | O_APPEND);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, "half", 4), 4);
    ck_assert(!config_watch_changed(w));
    close(fd);
    ck_assert(config_watch_changed(w));
}
END_TEST

START_TEST(test_deleted_and_back) {
    ck_assert_int_eq(unlink("a.yaml"), 0);
    ck_assert(readable());
    ck_assert(!config_watch_changed(w));
    put("a.yaml", "5");
    ck_assert(config_watch_changed(w));
}
END_TEST

START_TEST(test_other_files) {
    put("b.yaml", "1");
    ck_assert_int_eq(rename("b.yaml", "c.yaml"), 0);
    ck_assert_int_eq(mkdir("a.yaml.d", 0700), 0);
    ck_assert(readable());
    ck_assert(!config_watch_changed(w));
}
END_TEST

/* How a Kubernetes ConfigMap is mounted: a.yaml -> ..data/a.yaml, and ..data -> ..1, switched by renaming a link. */
START_TEST(test_config_map) {
    ck_assert_int_eq(mkdir("map", 0700), 0);
    ck_assert_int_eq(mkdir("map/..1", 0700), 0);
    ck_assert_int_eq(mkdir("map/..2", 0700), 0);
    put("map/..1/a.yaml", "1");
    put("map/..2/a.yaml", "2");
    ck_assert_int_eq(symlink("..1", "map/..data"), 0);
    ck_assert_int_eq(symlink("..data/a.yaml", "map/a.yaml"), 0);
    ck_assert_int_eq(config_watch_add(w, "map/a.yaml", NULL), 0);
    (void)config_watch_changed(w);
    ck_assert_int_eq(symlink("..2", "map/..tmp"), 0);
    ck_assert_int_eq(rename("map/..tmp", "map/..data"), 0);
    ck_assert(config_watch_changed(w));
    /* The directory that the link leads to now is watched, too. */
    put("map/..2/a.yaml", "3");
    ck_assert(config_watch_changed(w));
}
END_TEST

START_TEST(test_several_files) {
    put("x.lua", "1");
    ck_assert(!config_watch_changed(w));
    ck_assert_int_eq(config_watch_add(w, "./x.lua", NULL), 0);
    ck_assert_int_eq(config_watch_add(w, "./x.lua", NULL), 0);
    ck_assert_int_eq(config_watch_add(w, "later.lua", NULL), 0);
    ck_assert(!config_watch_changed(w));
    put("x.lua", "2");
    ck_assert(config_watch_changed(w));
    put("later.lua", "1");
    ck_assert(config_watch_changed(w));
    config_watch_clear(w);
    put("x.lua", "3");
    put("a.yaml", "3");
    ck_assert(!config_watch_changed(w));
}
END_TEST

START_TEST(test_no_directory) {
    struct err err;
    ck_assert_int_eq(config_watch_add(w, "missing/a.yaml", &err), MF_EIO);
    ck_assert_str_eq(err.file, "missing/a.yaml");
    ck_assert_str_eq(err.text, "cannot be watched: No such file or directory");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_watch");
    TCase *tc = tcase_create("watch");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_nothing);
    tcase_add_test(tc, test_saved_in_place);
    tcase_add_test(tc, test_replaced_by_rename);
    tcase_add_test(tc, test_not_before_it_is_closed);
    tcase_add_test(tc, test_deleted_and_back);
    tcase_add_test(tc, test_other_files);
    tcase_add_test(tc, test_config_map);
    tcase_add_test(tc, test_several_files);
    tcase_add_test(tc, test_no_directory);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
