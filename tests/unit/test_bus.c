/* What gateways on one Redis tell each other: the bytes, and what becomes of bytes that are none of theirs. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_private.h"

static struct bus ours, theirs;
static struct store store;
static uint64_t now_us;
static struct buf payload;
/* what on_news was told last */
static unsigned heard;
static struct store_news last;
static char last_name[64], last_data[64];

static void on_news(void *arg, const struct store_news *news) {
    ck_assert_ptr_eq(arg, &store);
    ck_assert_uint_lt(news->name_len, sizeof last_name);
    ck_assert_uint_lt(news->len, sizeof last_data);
    heard++;
    last = *news;
    memcpy(last_name, news->name, news->name_len);
    memcpy(last_data, news->data, news->len);
    last_name[news->name_len] = last_data[news->len] = '\0';
}

static void setup(void) {
    now_us = 1000000;
    clock_set_fake(&now_us);
    bus_init(&ours);
    bus_init(&theirs);
    store = (struct store){.options = {.on_news = on_news, .arg = &store}};
    heard = 0;
}

static void teardown(void) {
    clock_set_fake(NULL);
    buf_fini(&payload);
}

static bool read_payload(void) {
    return bus_read(&ours, &store, (const char *)payload.data, payload.len);
}

static void write_count(const struct bus *from, uint64_t n) {
    buf_reset(&payload);
    bus_write_count(from, n, &payload);
}

START_TEST(instances_differ) {
    ck_assert_mem_ne(ours.instance, theirs.instance, BUS_INSTANCE_LEN);
    for (size_t i = 0; i < BUS_INSTANCE_LEN; i++)
        ck_assert_ptr_nonnull(strchr("0123456789abcdef", ours.instance[i]));
}
END_TEST

START_TEST(byte_by_byte) {
    const struct store_news news = {1, true, "/chat", 5, "\0\xff", 2};
    memcpy(theirs.instance, "00112233445566ff", BUS_INSTANCE_LEN);
    bus_write_news(&theirs, &news, &payload);
    ck_assert_uint_eq(payload.len, 33);
    ck_assert_mem_eq(payload.data, "mf1n00112233445566ff110005/chat\0\xff", 33);
    write_count(&theirs, 42);
    ck_assert_str_eq(buf_cstr(&payload), "mf1c00112233445566ff00000042");
}
END_TEST

START_TEST(news_arrive_as_they_left) {
    static const struct store_news rows[] = {
        {0, false, "lobby", 5, "hello", 5},       {1, true, "/chat", 5, "\xff\0\xfe", 3}, {2, false, NULL, 0, "x", 1},
        {0, false, "", 0, "", 0},                 {0, false, "n\0l", 3, "gr\xc3\xbc\xc3\x9f", 6},
        {7, false, "later version", 13, "x", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&payload);
        bus_write_news(&theirs, &rows[i], &payload);
        ck_assert(read_payload());
        ck_assert_uint_eq(heard, i + 1);
        ck_assert_uint_eq(last.audience, rows[i].audience);
        ck_assert(last.binary == rows[i].binary);
        ck_assert_uint_eq(last.name_len, rows[i].name_len);
        ck_assert_uint_eq(last.len, rows[i].len);
        if (rows[i].name_len)
            ck_assert_mem_eq(last_name, rows[i].name, rows[i].name_len);
        if (rows[i].len)
            ck_assert_mem_eq(last_data, rows[i].data, rows[i].len);
    }
}
END_TEST

START_TEST(a_name_of_64_kib) {
    char *name = malloc(BUS_NAME_MAX);
    ck_assert_ptr_nonnull(name);
    memset(name, 'n', BUS_NAME_MAX);
    const struct store_news news = {0, false, name, BUS_NAME_MAX, "x", 1};
    bus_write_news(&theirs, &news, &payload);
    store.options.on_news = NULL; /* nobody listens: it is ours all the same */
    ck_assert(read_payload());
    ck_assert_mem_eq(payload.data + 22, "ffffn", 5);
    free(name);
}
END_TEST

START_TEST(our_own_is_passed_over) {
    const struct store_news news = {0, false, "lobby", 5, "x", 1};
    bus_write_news(&ours, &news, &payload);
    ck_assert(read_payload());
    write_count(&ours, 5);
    ck_assert(read_payload());
    ck_assert_uint_eq(heard, 0);
    ck_assert_uint_eq(bus_connections(&ours), 0);
}
END_TEST

START_TEST(foreign) {
    static const char *const rows[] = {
        "",
        "hello",
        "mf1",
        "mf2n00112233445566ff000000x",
        "mf1n00112233445566ff00000",      /* one byte short of a head */
        "mf1n00112233445566ff000001",     /* the name is missing */
        "mf1n00112233445566ff0000ffname", /* and is cut off */
        "mf1n00112233445566ff00000Gx",    /* no hexadecimal digit */
        "mf1n00112233445566ff00 000x",
        "mf1n00112233445566ff0000-1x",
        "mf1n00112233445566ff800000x", /* no such audience, no such kind of data */
        "mf1n00112233445566ff020000x",
        "mf1n00112233445566ff/00000x",
        "mf1x00112233445566ff000000x", /* no such kind */
        "mf1n00112233445566ff000000\xff\xfe",
        "mf1n00112233445566ff000000\xed\xa0\x80",
        "mf1c00112233445566ff000000", /* counts that are none */
        "mf1c00112233445566ff000000-1",
        "mf1c00112233445566ff000000 1",
        "mf1c00112233445566ff0000001x",
        "mf1c00112233445566ff0000004294967296",
        "mf1c00112233445566ff00000018446744073709551615",
        "mf1c00112233445566ff000000000000000000000000000001",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *exact = malloc(strlen(rows[i]) + 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, rows[i], strlen(rows[i]) + 1);
        ck_assert_msg(!bus_read(&ours, &store, exact, strlen(rows[i])), "%s", rows[i]);
        free(exact);
    }
    ck_assert(!bus_read(&ours, &store, "mf1n00112233445566ff00\0\0\0\0x", 27));
    ck_assert_uint_eq(heard, 0);
    ck_assert_uint_eq(bus_connections(&ours), 0);
}
END_TEST

/* ---- counts ---- */

START_TEST(counts_are_added_and_replaced) {
    struct bus third;
    bus_init(&third);
    write_count(&theirs, 10);
    ck_assert(read_payload());
    write_count(&third, BUS_CONNECTIONS_MAX);
    ck_assert(read_payload());
    ck_assert_uint_eq(bus_connections(&ours), 10 + (uint64_t)BUS_CONNECTIONS_MAX);
    write_count(&theirs, 3);
    ck_assert(read_payload());
    write_count(&third, 0);
    ck_assert(read_payload());
    ck_assert_uint_eq(bus_connections(&ours), 3);
}
END_TEST

START_TEST(who_is_silent_is_gone) {
    struct bus third;
    bus_init(&third);
    write_count(&theirs, 10);
    ck_assert(read_payload());
    now_us += 3000000;
    write_count(&third, 1);
    ck_assert(read_payload());
    now_us += 2000000;
    ck_assert_uint_eq(bus_connections(&ours), 11);
    now_us += 1;
    ck_assert_uint_eq(bus_connections(&ours), 1);
    now_us += 3000000;
    ck_assert_uint_eq(bus_connections(&ours), 0);
    ck_assert_uint_eq(ours.peer_count, 0);
}
END_TEST

START_TEST(no_more_peers_than_there_is_room_for) {
    char text[64];
    for (unsigned i = 0; i < BUS_PEERS_MAX + 50; i++) {
        snprintf(text, sizeof text, "mf1c%016x0000001", i);
        ck_assert(bus_read(&ours, &store, text, strlen(text)));
    }
    ck_assert_uint_eq(bus_connections(&ours), BUS_PEERS_MAX);
    now_us += 5000001;
    ck_assert(bus_read(&ours, &store, text, strlen(text)));
    ck_assert_uint_eq(bus_connections(&ours), 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bus");
    TCase *c = tcase_create("payloads");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, instances_differ);
    tcase_add_test(c, byte_by_byte);
    tcase_add_test(c, news_arrive_as_they_left);
    tcase_add_test(c, a_name_of_64_kib);
    tcase_add_test(c, our_own_is_passed_over);
    tcase_add_test(c, foreign);
    suite_add_tcase(suite, c);
    c = tcase_create("counts");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, counts_are_added_and_replaced);
    tcase_add_test(c, who_is_silent_is_gone);
    tcase_add_test(c, no_more_peers_than_there_is_room_for);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
