/* Recordings loaded for replay (replay/source.h): every form, pieces, fragments, parts, damage. */
#include "failing_malloc.h"
#include "protocol/frame.h"
#include "recording/convert.h"
#include "replay/source.h"
#include "session_sample.h"

#define OPEN(name, ms)                                                                                                 \
    "{\"type\":\"open\",\"connection\":\"" name "\",\"timestamp_ms\":" #ms ",\"path\":\"/" name "\"}\n"
#define FRAME(name, ms, direction, type, rest)                                                                         \
    "{\"connection\":\"" name "\",\"timestamp_ms\":" #ms ",\"direction\":\"" direction "\",\"type\":\"" type           \
    "\"," rest "}\n"
#define IN(name, ms, rest) FRAME(name, ms, "incoming", "text", rest)
#define OUT(name, ms, rest) FRAME(name, ms, "outgoing", "text", rest)
#define END(name, ms, by) "{\"connection\":\"" name "\",\"timestamp_ms\":" #ms ",\"type\":\"end\",\"by\":\"" by "\"}\n"
#define RECORDING "{\"type\":\"recording\",\"version\":1,\"recorded_at\":\"2024-01-15T10:30:00.000Z\"}\n"

static int load(const char *text, const struct replay_source_options *options, struct replay_source **s,
                struct err *err) {
    const char *path = sample_path("a.jsonl");
    sample_write(path, text, strlen(text));
    return replay_source_load(path, options, s, err);
}

/* What was loaded, as text: a line each connection, message and frame. */
static void dump(struct buf *out, const struct replay_source *s) {
    static const char *const ends[] = {"open", "client", "server"};
    for (size_t i = 0; i < s->count; i++) {
        const struct replay_connection *c = &s->connections[i];
        buf_printf(out, "%s %s begin=%lu end=%s%s@%lu gaps=%lu\n", c->name, c->path ? c->path : "-",
                   (unsigned long)c->begin_us, ends[c->end], c->vanished ? "!" : "", (unsigned long)c->end_us,
                   (unsigned long)c->gaps);
        for (size_t m = 0; m < c->message_count; m++) {
            const struct replay_message *msg = &c->messages[m];
            ck_assert_uint_eq(msg->data[msg->len], 0);
            ck_assert_uint_le(msg->first_frame, msg->last_frame);
            ck_assert_uint_eq(c->frames[msg->first_frame].message, m);
            ck_assert_uint_eq(c->frames[msg->last_frame].message, m);
            ck_assert_uint_eq(c->frames[msg->last_frame].time_us, msg->time_us);
            ck_assert(c->frames[msg->last_frame].fin);
            buf_printf(out, " %c%c %.*s @%lu\n", msg->direction == EVENT_INCOMING ? '>' : '<', msg->binary ? 'b' : 't',
                       (int)msg->len, (const char *)msg->data, (unsigned long)msg->time_us);
        }
        uint64_t last = 0;
        for (size_t f = 0; f < c->frame_count; f++) {
            const struct replay_frame *fr = &c->frames[f];
            ck_assert_uint_ge(fr->time_us, last);
            last = fr->time_us;
            if (fr->message != REPLAY_NONE) {
                const struct replay_message *msg = &c->messages[fr->message];
                ck_assert(fr->data >= msg->data);
                ck_assert(fr->data + fr->len <= msg->data + msg->len);
                ck_assert_uint_eq(fr->direction, msg->direction);
            }
            buf_printf(out, "  %c%x%s:%zu", fr->direction == EVENT_INCOMING ? '>' : '<', fr->opcode, fr->fin ? "" : "+",
                       fr->len);
        }
        buf_puts(out, "\n");
    }
}

static const struct {
    const char *name, *text, *want;
    struct replay_source_options options;
} cases[] = {
    {.name = "a connection, whole",
     .text = RECORDING OPEN("c", 1) IN("c", 2, "\"data\":\"hi\"") FRAME("c", 3, "outgoing", "ping", "\"data\":\"\"")
         FRAME("c", 4, "incoming", "close", "\"code\":1000,\"reason\":\"bye\"") END("c", 5, "client"),
     .want = "c /c begin=1000 end=client@4000 gaps=0\n >t hi @1000\n  >1:2  <9:0  >8:5\n"},
    {.name = "nothing but messages",
     .text = "{\"timestamp_ms\":5,\"direction\":\"incoming\",\"type\":\"text\",\"data\":\"hi\"}\n"
             "{\"timestamp_ms\":4,\"direction\":\"outgoing\",\"type\":\"binary\",\"data\":\"yo\"}\n",
     .want = "conn-1 - begin=5000 end=open@0 gaps=0\n >t hi @0\n <b yo @0\n  >1:2  <2:2\n"},
    {.name = "fragments of both directions, a ping between them",
     .text = OPEN("c", 0) IN("c", 1, "\"fin\":false,\"data\":\"ab\"") OUT("c", 2, "\"fin\":false,\"data\":\"x\"")
         FRAME("c", 3, "incoming", "ping", "\"data\":\"p\"") FRAME("c", 4, "outgoing", "continuation", "\"data\":\"y\"")
             FRAME("c", 5, "incoming", "continuation", "\"data\":\"cd\""),
     .want = "c /c begin=0 end=open@5000 gaps=0\n <t xy @4000\n >t abcd @5000\n  >1+:2  <1+:1  >9:1  <0:1  >0:2\n"},
    {.name = "a message without its end, one without its beginning",
     .text = OPEN("c", 0) IN("c", 1, "\"fin\":false,\"data\":\"ab\"") OUT("c", 2, "\"data\":\"x\"")
         IN("c", 3, "\"data\":\"new\"") FRAME("c", 4, "incoming", "continuation", "\"data\":\"cd\"")
             IN("c", 5, "\"fin\":false,\"data\":\"ab\""),
     .want = "c /c begin=0 end=open@5000 gaps=0\n <t x @2000\n >t new @3000\n  <1:1  >1:3\n"},
    {.name = "pieces",
     .text = OPEN("c", 0) IN("c", 1, "\"frame_offset\":0,\"frame_size\":4,\"data\":\"ab\"")
         OUT("c", 2, "\"data\":\"x\"") IN("c", 3, "\"frame_offset\":2,\"frame_size\":4,\"data\":\"cd\"")
             IN("c", 4, "\"frame_offset\":0,\"frame_size\":4,\"data\":\"ab\"")
                 IN("c", 5, "\"frame_offset\":3,\"frame_size\":4,\"data\":\"d\"") OUT("c", 6, "\"data\":\"y\""),
     .want = "c /c begin=0 end=open@6000 gaps=0\n <t x @2000\n >t abcd @3000\n <t y @6000\n  <1:1  >1:4  <1:1\n"},
    {.name = "a gap breaks a message off",
     .text = OPEN("c", 0)
         IN("c", 1, "\"fin\":false,\"data\":\"ab\"") "{\"connection\":\"c\",\"timestamp_ms\":2,\"type\":\"gap\","
                                                     "\"frames\":3,\"bytes\":9}\n" FRAME(
                                                         "c", 4, "incoming", "continuation", "\"data\":\"cd\"")
                                                         END("c", 5, "upstream"),
     .want = "c /c begin=0 end=server!@5000 gaps=3\n\n"},
    {.name = "a name used anew after a recording line; an open line that is said again",
     .text = RECORDING OPEN("c", 0) IN("c", 1, "\"data\":\"1\"") RECORDING OPEN("c", 5) IN("c", 6, "\"data\":\"2\"")
         RECORDING
     "{\"type\":\"open\",\"connection\":\"c\",\"timestamp_ms\":5,\"path\":\"/c\",\"continued\":true}\n" IN(
         "c", 7, "\"data\":\"3\"") END("c", 8, "client") RECORDING IN("c", 9, "\"data\":\"4\""),
     .want = "c /c begin=0 end=open@1000 gaps=0\n >t 1 @1000\n  >1:1\n"
             "c /c begin=5000 end=client!@3000 gaps=0\n >t 2 @1000\n >t 3 @2000\n  >1:1  >1:1\n"
             "c - begin=9000 end=open@0 gaps=0\n >t 4 @0\n  >1:1\n"},
    {.name = "a rotated part: what came before it is not waited for",
     .text = RECORDING
     "{\"type\":\"open\",\"connection\":\"c\",\"timestamp_ms\":5,\"path\":\"/c\",\"continued\":true}\n" IN(
         "c", 7000, "\"data\":\"3\"")
         IN("c", 7001, "\"data\":\"4\"") "{\"type\":\"open\",\"connection\":\"d\",\"timestamp_ms\":5,\"path\":\"/"
                                         "d\",\"continued\":true}\n" END("d", 7002, "client"),
     .want = "d /d begin=5000 end=client!@6997000 gaps=0\n\nc /c begin=7000000 end=open@1000 gaps=0\n >t 3 @0\n >t 4 "
             "@1000\n  >1:1  >1:1\n"},
    {.name = "both legs: the client's",
     .text = OPEN("c", 0) OUT("c", 1, "\"leg\":\"upstream\",\"rsv\":4,\"data\":\"u\"") OUT("c", 2, "\"data\":\"k\"")
         IN("c", 3, "\"data\":\"k2\"") IN("c", 4, "\"leg\":\"upstream\",\"data\":\"u2\""),
     .want = "c /c begin=0 end=open@3000 gaps=0\n <t k @2000\n >t k2 @3000\n  <1:1  >1:2\n"},
    {.name = "the upstream's leg alone",
     .text = OPEN("c", 0) OUT("c", 1, "\"leg\":\"upstream\",\"data\":\"u\""),
     .want = "c /c begin=0 end=open@1000 gaps=0\n <t u @1000\n  <1:1\n"},
    {.name = "in the order of their begin",
     .text = IN("b", 3, "\"data\":\"1\"") OPEN("a", 1),
     .want = "a /a begin=1000 end=open@0 gaps=0\n\nb - begin=3000 end=open@0 gaps=0\n >t 1 @0\n  >1:1\n"},
    {.name = "a part of the time",
     .text = OPEN("a", 1) OPEN("b", 1) IN("a", 2, "\"fin\":false,\"data\":\"1\"") END("b", 2, "client")
         FRAME("a", 3, "incoming", "continuation", "\"data\":\"2\"") IN("a", 4, "\"data\":\"3\"") OPEN("c", 5)
             IN("a", 6, "\"data\":\"4\"") END("a", 7, "client"),
     .options = {.from_us = 3000, .to_us = 5000},
     .want = "a /a begin=4000 end=open@0 gaps=0\n >t 3 @0\n  >1:1\nc /c begin=5000 end=open@0 gaps=0\n\n"},
    {.name = "one connection of two",
     .text = OPEN("a", 1) OPEN("b", 2),
     .options = {.connections = (const char *const[]){"b"}, .connections_count = 1},
     .want = "b /b begin=2000 end=open@0 gaps=0\n\n"},
    {.name = "who closed, without a word about the end; a close frame without a code",
     .text = OPEN("a", 0) FRAME("a", 1, "outgoing", "close", "\"code\":1005,\"reason\":\"\""),
     .want = "a /a begin=0 end=server@1000 gaps=0\n  <8:0\n"},
};

START_TEST(loads) {
    struct replay_source *s = NULL;
    struct err err;
    struct buf got = BUF_INIT;
    ck_assert_msg(load(cases[_i].text, &cases[_i].options, &s, &err) == MF_OK, "%s: %s", cases[_i].name, err.text);
    dump(&got, s);
    ck_assert_msg(!strcmp(buf_cstr(&got), cases[_i].want), "%s:\n%s\nwanted:\n%s", cases[_i].name, buf_cstr(&got),
                  cases[_i].want);
    buf_fini(&got);
    replay_source_unref(s);
}
END_TEST

/* ---- what is refused, and how it is said ---- */

static const struct {
    const char *text, *want; /* a part of the message */
    int code;
    struct replay_source_options options;
} refused[] = {
    {.text = "", .want = "expected a recording: the file is empty", .code = MF_EINVAL},
    {.text = RECORDING, .want = "expected a recording with at least one connection", .code = MF_EINVAL},
    {.text = RECORDING "{\"type\":\"gap\",\"connection\":\"*\",\"timestamp_ms\":1,\"frames\":0,\"bytes\":1}\n",
     .want = "expected a recording with at least one connection",
     .code = MF_EINVAL},
    {.text = OPEN("a", 1) OPEN("b", 2),
     .want = "expected a connection named \"c\"; there are a, b",
     .code = MF_EINVAL,
     .options = {.connections = (const char *const[]){"a", "c"}, .connections_count = 2}},
    {.text = OPEN("a", 1),
     .want = "expected a connection named \"c\"; there is a",
     .code = MF_EINVAL,
     .options = {.connections = (const char *const[]){"c"}, .connections_count = 1}},
    {.text = OPEN("a", 1) IN("a", 2, "\"data\":\"1\""),
     .want = "expected something of a connection between --from and --to",
     .code = MF_EINVAL,
     .options = {.from_us = 5000}},
    {.text = OPEN("a", 1) IN("a", 2.5, "\"rsv\":4,\"data\":\"1\""),
     .want = "expected frames without RSV bits: a has one with them at 2.500 ms",
     .code = MF_EINVAL},
    {.text = OPEN("a", 1) IN("a", 2, "\"leg\":\"upstream\",\"rsv\":4,\"data\":\"1\""),
     .want = "expected frames without RSV bits",
     .code = MF_EINVAL},
    {.text = OPEN("a", 1) "{\"type\":\"riddle\"}\n",
     .want = "expected a type that this version knows",
     .code = MF_EINVAL},
    {.text = "hello\n", .want = "expected an object", .code = MF_EINVAL},
    {.text = OPEN("a", 1) IN("a", 2, "\"data\":\"1\""),
     .want = "--from",
     .code = MF_ELIMIT,
     .options = {.bytes_max = 1}},
};

START_TEST(refuses) {
    struct replay_source *s = NULL;
    struct err err = {0};
    ck_assert_int_eq(load(refused[_i].text, &refused[_i].options, &s, &err), refused[_i].code);
    ck_assert_msg(strstr(err.text, refused[_i].want), "%s", err.text);
    ck_assert_msg(strstr(err.file, "a.jsonl"), "%s", err.file);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(no_file) {
    struct replay_source *s = NULL;
    struct err err = {0};
    ck_assert_int_lt(replay_source_load(sample_path("none.jsonl"), NULL, &s, &err), 0);
    ck_assert_str_ne(err.text, "");
    replay_source_unref(NULL);
}
END_TEST

START_TEST(long_list_of_names) {
    struct buf text = BUF_INIT;
    struct replay_source *s = NULL;
    struct err err = {0};
    struct replay_source_options options = {.connections = (const char *const[]){"x"}, .connections_count = 1};
    for (int i = 1; i <= 40; i++)
        buf_printf(&text, "{\"type\":\"open\",\"connection\":\"conn-%d\",\"timestamp_ms\":1}\n", i);
    ck_assert_int_eq(load(buf_cstr(&text), &options, &s, &err), MF_EINVAL);
    ck_assert_msg(strstr(err.text, "there are conn-1, conn-2, ") && strstr(err.text, "conn-16 and 24 more"), "%s",
                  err.text);
    buf_fini(&text);
}
END_TEST

/* ---- forms ---- */

/* The sample as lines, as the native form with a seek table, as documents: the same connections. */
START_TEST(every_form) {
    struct buf text = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
    const char *names[] = {"s.jsonl", "s.jsonl.zst", "s.json", "s.json.zst"};
    struct convert_options overwrite = {.overwrite = true};
    struct err err;
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_write(sample_path("s.jsonl"), text.data, text.len);
    for (size_t i = 0; i < 4; i++) {
        struct replay_source *s = NULL;
        const char *path = sample_path(names[i]);
        if (i)
            ck_assert_msg(!session_convert(sample_path("s.jsonl"), path, &overwrite, NULL, &err), "%s", err.text);
        ck_assert_msg(!replay_source_load(path, NULL, &s, &err), "%s", err.text);
        ck_assert_int_eq(s->recorded_at_us, 1705314600125000);
        ck_assert_str_eq(s->file, path);
        ck_assert(!s->truncated);
        ck_assert_uint_eq(s->count, 3);
        const struct replay_connection *c = &s->connections[0];
        ck_assert_str_eq(c->query, "a=b");
        ck_assert_str_eq(c->upstream, "wss://api.example.com/ws");
        ck_assert_ptr_null(c->subprotocol);
        ck_assert_str_eq(s->connections[1].subprotocol, "chat");
        ck_assert_uint_eq(headers_count(&c->request_headers, "x-a"), 2);
        ck_assert_str_eq(headers_get(&c->response_headers, "upgrade"), "websocket");
        buf_reset(&got);
        dump(&got, s);
        if (i == 0)
            buf_append(&want, got.data, got.len);
        ck_assert_str_eq(buf_cstr(&got), buf_cstr(&want));
        struct replay_source *again = replay_source_ref(s);
        replay_source_unref(s);
        replay_source_unref(again);
    }
    ck_assert_msg(strstr(buf_cstr(&want), " <t 1234567 @61880"), "%s", buf_cstr(&want));
    ck_assert_msg(strstr(buf_cstr(&want), " >t first " SAMPLE_EMOJI "\n"), "%s", buf_cstr(&want));
    buf_fini(&text);
    buf_fini(&want);
    buf_fini(&got);
}
END_TEST

/* A close frame's payload is put together again. */
START_TEST(close_payload) {
    struct replay_source *s = NULL;
    struct err err;
    ck_assert_int_eq(load(OPEN("a", 0) FRAME("a", 1, "outgoing", "close", "\"code\":4001,\"reason\":\"bye\"")
                              FRAME("a", 2, "incoming", "close", "\"code\":1005,\"reason\":\"\""),
                          NULL, &s, &err),
                     MF_OK);
    const struct replay_frame *f = s->connections[0].frames;
    ck_assert_uint_eq(f[0].len, 5);
    ck_assert(!memcmp(f[0].data,
                      "\x0f\xa1"
                      "bye",
                      5));
    ck_assert_uint_eq(f[0].message, REPLAY_NONE);
    ck_assert_uint_eq(f[1].len, 0);
    ck_assert_uint_eq(f[1].opcode, WS_CLOSE);
    replay_source_unref(s);
}
END_TEST

/* ---- damage ---- */

static void cut_everywhere(const char *name, const struct buf *file) {
    const char *path = sample_path(name);
    size_t loaded = 0;
    struct buf got = BUF_INIT;
    for (size_t n = 0; n <= file->len; n++) {
        struct replay_source *s = NULL;
        struct err err = {0};
        sample_write(path, file->data, n);
        for (int recover = 0; recover < 2; recover++) {
            struct replay_source_options options = {.recover = recover};
            int rc = replay_source_load(path, &options, &s, &err);
            if (rc < 0) {
                ck_assert_str_ne(err.text, "");
                continue;
            }
            buf_reset(&got);
            dump(&got, s);
            ck_assert_uint_gt(s->count, 0);
            loaded++;
            replay_source_unref(s);
            s = NULL;
        }
    }
    ck_assert_uint_gt(loaded, 2);
    buf_fini(&got);
}

START_TEST(cut_at_every_byte) {
    struct buf text = BUF_INIT, packed = BUF_INIT, document = BUF_INIT;
    struct convert_options overwrite = {.overwrite = true};
    struct err err;
    sample_text(&text, 0, SAMPLE_COUNT);
    cut_everywhere("cut.jsonl", &text);
    buf_reset(&text);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        buf_reset(&text);
        sample_text(&text, i, i + 1);
        sample_frame(&packed, text.data, text.len);
    }
    cut_everywhere("cut.jsonl.zst", &packed);
    sample_write(sample_path("whole.jsonl.zst"), packed.data, packed.len);
    ck_assert_int_eq(session_convert(sample_path("whole.jsonl.zst"), sample_path("whole.json"), &overwrite, NULL, &err),
                     MF_OK);
    sample_slurp(sample_path("whole.json"), &document);
    cut_everywhere("cut.json", &document);
    buf_fini(&text);
    buf_fini(&packed);
    buf_fini(&document);
}
END_TEST

/* Every byte of a native file is changed in turn: a message, or what could be read. */
START_TEST(changed_at_every_byte) {
    struct buf text = BUF_INIT, packed = BUF_INIT, got = BUF_INIT;
    const char *path = sample_path("changed.jsonl.zst");
    sample_text(&text, 0, 9);
    sample_frame(&packed, text.data, text.len);
    buf_reset(&text);
    sample_text(&text, 9, SAMPLE_COUNT);
    sample_frame(&packed, text.data, text.len);
    size_t loaded = 0;
    for (size_t i = 0; i < packed.len; i++) {
        struct replay_source *s = NULL;
        struct err err = {0};
        struct replay_source_options options = {.recover = true, .from_us = i % 2 ? 60000 : 0};
        packed.data[i] ^= 0x55;
        sample_write(path, packed.data, packed.len);
        packed.data[i] ^= 0x55;
        if (replay_source_load(path, &options, &s, &err) < 0) {
            ck_assert_str_ne(err.text, "");
            continue;
        }
        loaded++;
        buf_reset(&got);
        dump(&got, s);
        replay_source_unref(s);
    }
    ck_assert_uint_gt(loaded, packed.len / 4);
    buf_fini(&text);
    buf_fini(&packed);
    buf_fini(&got);
}
END_TEST

/* Damage between the fragments of a message: what comes behind it is not taken for its end. */
START_TEST(damage_breaks_messages) {
    struct replay_source *s = NULL;
    struct err err;
    struct buf got = BUF_INIT;
    struct replay_source_options options = {.recover = true};
    ck_assert_int_eq(load(RECORDING OPEN("a", 0) IN("a", 1, "\"fin\":false,\"data\":\"x\"") "{broken}\n" FRAME(
                              "a", 2, "incoming", "continuation", "\"data\":\"y\"") IN("a", 3, "\"data\":\"z\""),
                          &options, &s, &err),
                     MF_OK);
    dump(&got, s);
    ck_assert_str_eq(buf_cstr(&got), "a /a begin=0 end=open@3000 gaps=0\n >t z @3000\n  >1:1\n");
    buf_fini(&got);
    replay_source_unref(s);
}
END_TEST

/* ---- bounds ---- */

static void see_progress(uint64_t done, uint64_t total, void *arg) {
    unsigned *calls = arg;
    ck_assert_uint_le(done, total);
    ++*calls;
}

/* A small file that becomes large: refused before it is, and without the memory. */
START_TEST(zip_bomb) {
    struct buf text = BUF_INIT, packed = BUF_INIT;
    struct replay_source *s = NULL;
    struct err err = {0};
    const char *path = sample_path("bomb.jsonl.zst");
    unsigned calls = 0;
    struct replay_source_options options = {.bytes_max = 8 << 20, .progress = see_progress, .arg = &calls};
    for (int i = 0; i < 20000; i++)
        buf_puts(&text, IN("a", 1, "\"data\":\"0000000000000000000000000000000000000000\""));
    for (int i = 0; i < 100; i++)
        sample_frame(&packed, text.data, text.len);
    sample_write(path, packed.data, packed.len);
    ck_assert_int_eq(replay_source_load(path, &options, &s, &err), MF_ELIMIT);
    ck_assert_msg(strstr(err.text, "at most 8 MiB") && strstr(err.text, "ws cut"), "%s", err.text);
    ck_assert_uint_lt(calls, 1000); /* of the 4,000 for all of it */
    ck_assert_uint_gt(calls, 0);
    buf_fini(&text);
    buf_fini(&packed);
}
END_TEST

/* A message of many fragments counts while it is not whole. */
START_TEST(endless_message) {
    struct buf text = BUF_INIT;
    struct replay_source *s = NULL;
    struct err err = {0};
    struct replay_source_options options = {.bytes_max = 1 << 20};
    buf_puts(&text, IN("a", 1, "\"fin\":false,\"data\":\"\""));
    for (int i = 0; i < 2000; i++) {
        buf_puts(&text, "{\"connection\":\"a\",\"timestamp_ms\":1,\"direction\":\"incoming\",\"type\":\"continuation\","
                        "\"fin\":false,\"data\":\"");
        for (int k = 0; k < 100; k++)
            buf_puts(&text, "0123456789");
        buf_puts(&text, "\"}\n");
    }
    ck_assert_int_eq(load(buf_cstr(&text), &options, &s, &err), MF_ELIMIT);
    buf_fini(&text);
}
END_TEST

#define PARTS 40
#define PART_LINES 5
#define STEP_MS 7

/* PARTS zstd frames of lines of three connections, fragments among them; and the same lines as they are. */
static void make_parts(struct buf *packed, struct buf *plain) {
    struct buf text = BUF_INIT;
    for (int i = 0; i < PARTS; i++) {
        buf_reset(&text);
        for (int k = 0; k < PART_LINES; k++) {
            int n = i * PART_LINES + k;
            bool begins = n % 12 < 3, ends = n % 12 >= 9; /* four fragments each, those of three connections mixed */
            buf_printf(
                &text,
                "{\"connection\":\"c%d\",\"timestamp_ms\":%d,\"direction\":\"incoming\",\"type\":\"%s\",%s\"data\":"
                "\"%d \"}\n",
                n % 3, n * STEP_MS, begins ? "text" : "continuation", ends ? "" : "\"fin\":false,", n);
        }
        sample_frame(packed, text.data, text.len);
        buf_append(plain, text.data, text.len);
    }
    buf_fini(&text);
}

/* A part of the time, wherever it begins: by the seek table's way the same as by reading everything. */
START_TEST(seeks) {
    struct buf packed = BUF_INIT, plain = BUF_INIT, sought = BUF_INIT, read = BUF_INIT;
    const char *zst = sample_path("seek.jsonl.zst"), *jsonl = sample_path("seek.jsonl");
    make_parts(&packed, &plain);
    sample_write(zst, packed.data, packed.len);
    sample_write(jsonl, plain.data, plain.len);
    int all = PARTS * PART_LINES * STEP_MS;
    for (int ms = 0; ms < all; ms += 3) {
        struct replay_source *a = NULL, *b = NULL;
        struct err err = {0};
        struct replay_source_options options = {.from_us = (uint64_t)ms * 1000};
        if (ms % 2)
            options.to_us = options.from_us + 100000;
        int rc = replay_source_load(zst, &options, &a, &err);
        ck_assert_int_eq(rc, replay_source_load(jsonl, &options, &b, &err));
        if (rc < 0) { /* behind the last message's first fragment */
            ck_assert_int_gt(ms, all - 12 * STEP_MS);
            continue;
        }
        buf_reset(&sought);
        buf_reset(&read);
        dump(&sought, a);
        dump(&read, b);
        ck_assert_str_eq(buf_cstr(&sought), buf_cstr(&read));
        replay_source_unref(a);
        replay_source_unref(b);
    }
    buf_fini(&packed);
    buf_fini(&plain);
    buf_fini(&sought);
    buf_fini(&read);
}
END_TEST

/* A file that is too large to be read through: FRAMES zstd frames of a large message each, which compresses badly. Two
 * connections are open throughout: old-1 since the first line, old-2 since a frame of its own. */
#define LARGE_FRAMES 120
#define LARGE_MESSAGE 60000
#define OLD_2_FRAME 40
#define RUN_FRAME 80 /* where a later run of the program may begin */

static void large_frame(struct buf *out, unsigned i, bool later_run) {
    static uint32_t random = 1;
    struct buf text = BUF_INIT;
    if (i == 0)
        buf_puts(&text, RECORDING OPEN("old-1", 0));
    if (i == OLD_2_FRAME)
        buf_puts(&text, OPEN("old-2", 4000));
    if (later_run && i == RUN_FRAME)
        buf_puts(&text, RECORDING);
    buf_printf(&text,
               "{\"connection\":\"%s\",\"timestamp_ms\":%u,\"direction\":\"outgoing\",\"type\":\"text\",\"data\":\"",
               i > OLD_2_FRAME && i % 2 ? "old-2" : "old-1", i * 100);
    for (unsigned n = 0; n < LARGE_MESSAGE; n++) {
        random = random * 1103515245 + 12345;
        buf_putc(&text, (char)('0' + random / 65536 % 64));
        if (text.data[text.len - 1] == '\\')
            text.data[text.len - 1] = 'x';
    }
    buf_puts(&text, "\"}\n");
    sample_frame(out, text.data, text.len);
    buf_fini(&text);
}

static struct replay_source *load_large(const struct buf *file, struct err *err) {
    const struct replay_source_options options = {.from_us = 10000000};
    const char *path = sample_path("large.jsonl.zst");
    struct replay_source *s = NULL;
    sample_write(path, file->data, file->len);
    int rc = replay_source_load(path, &options, &s, err);
    ck_assert(rc == MF_OK || !s);
    return s;
}

START_TEST(handshakes_in_front_of_the_part) {
    struct buf file = BUF_INIT;
    struct err err = {0};
    for (unsigned i = 0; i < LARGE_FRAMES; i++)
        large_frame(&file, i, false);
    ck_assert_uint_gt(file.len, 4u << 20);
    struct replay_source *s = load_large(&file, &err);
    ck_assert_msg(s, "%s", err.text);
    ck_assert_uint_eq(s->count, 2);
    ck_assert_str_eq(s->connections[0].path, "/old-1");
    ck_assert_str_eq(s->connections[1].path, "/old-2");
    ck_assert_int_ne(s->recorded_at_us, 0);
    replay_source_unref(s);
    /* What is damaged further back than the handshakes does not matter; before them it is told. */
    file.data[file.len / 2] ^= 1;
    ck_assert_ptr_null(load_large(&file, &err));
    ck_assert(strstr(err.text, "zstd frame"));
    buf_fini(&file);
}
END_TEST

/* A `recording` line has ended all before it: the same name behind it is somebody else. */
START_TEST(handshakes_of_an_earlier_run) {
    struct buf file = BUF_INIT;
    struct err err = {0};
    for (unsigned i = 0; i < LARGE_FRAMES; i++)
        large_frame(&file, i, true);
    struct replay_source *s = load_large(&file, &err);
    ck_assert_msg(s, "%s", err.text);
    ck_assert_uint_eq(s->count, 2);
    ck_assert_ptr_null(s->connections[0].path);
    ck_assert_ptr_null(s->connections[1].path);
    replay_source_unref(s);
    buf_fini(&file);
}
END_TEST

/* What comes long after to_us is not even read: it may be damaged. */
START_TEST(stops_early) {
    static const char first[] = OPEN("a", 0) IN("a", 1, "\"data\":\"x\""), later[] = IN("a", 900000, "\"data\":\"y\""),
                      damaged[] = "{damaged\n";
    struct buf packed = BUF_INIT;
    struct replay_source *s = NULL;
    struct err err = {0};
    const char *path = sample_path("early.jsonl.zst");
    sample_frame(&packed, first, sizeof first - 1);
    sample_frame(&packed, later, sizeof later - 1);
    sample_frame(&packed, damaged, sizeof damaged - 1);
    sample_write(path, packed.data, packed.len);
    ck_assert_int_eq(replay_source_load(path, NULL, &s, &err), MF_EINVAL);
    struct replay_source_options options = {.to_us = 2000};
    ck_assert_int_eq(replay_source_load(path, &options, &s, &err), MF_OK);
    ck_assert_uint_eq(s->connections[0].message_count, 1);
    replay_source_unref(s);
    buf_fini(&packed);
}
END_TEST

/* Many connections, two of each name after a recording line, their lines mixed. */
START_TEST(many_connections) {
    struct buf text = BUF_INIT;
    struct replay_source *s = NULL;
    struct err err = {0};
    for (int run = 0; run < 2; run++) {
        buf_puts(&text, RECORDING);
        for (int step = 0; step < 3; step++)
            for (int i = 0; i < 1000; i++) {
                int ms = run * 10000 + step * 1000 + i;
                if (step == 0)
                    buf_printf(&text, "{\"type\":\"open\",\"connection\":\"conn-%d\",\"timestamp_ms\":%d}\n", i, ms);
                else
                    buf_printf(&text,
                               "{\"type\":\"text\",\"connection\":\"conn-%d\",\"timestamp_ms\":%d,\"direction\":"
                               "\"incoming\",\"data\":\"%d %d %d\"}\n",
                               i, ms, run, step, i);
            }
    }
    ck_assert_int_eq(load(buf_cstr(&text), NULL, &s, &err), MF_OK);
    ck_assert_uint_eq(s->count, 2000);
    for (int i = 0; i < 2000; i++) {
        char want[32];
        const struct replay_connection *c = &s->connections[i];
        ck_assert_uint_eq(c->message_count, 2);
        snprintf(want, sizeof want, "%d 2 %d", i / 1000, i % 1000);
        ck_assert_str_eq((const char *)c->messages[1].data, want);
        snprintf(want, sizeof want, "conn-%d", i % 1000);
        ck_assert_str_eq(c->name, want);
        ck_assert_uint_eq(c->messages[1].time_us, 2000000);
    }
    replay_source_unref(s);
    buf_fini(&text);
}
END_TEST

/* Memory runs out at each allocation in turn: loading fails, with a message, and gives everything back. */
START_TEST(no_memory) {
    struct buf text = BUF_INIT, packed = BUF_INIT;
    const char *path = sample_path("memory.jsonl.zst");
    sample_text(&text, 0, SAMPLE_COUNT);
    sample_frame(&packed, text.data, text.len);
    sample_write(path, packed.data, packed.len);
    buf_fini(&text);
    buf_fini(&packed);
    struct replay_source *first;
    ck_assert_int_eq(replay_source_load(path, NULL, &first, NULL), MF_OK); /* what libc keeps, it has now */
    replay_source_unref(first);
    int rc = MF_ENOMEM;
    long n = 0;
    while (rc < 0) {
        struct replay_source *s = NULL;
        struct err err = {0};
        long before = malloc_live;
        malloc_left = CAN_FAIL_MALLOC ? ++n : 0;
        rc = replay_source_load(path, NULL, &s, &err);
        malloc_left = 0;
        ck_assert(rc == MF_OK || (err.text[0] && !s));
        replay_source_unref(s);
        ck_assert_msg(malloc_live == before, "allocation %ld: %ld are left", n, malloc_live - before);
    }
    ck_assert(!CAN_FAIL_MALLOC || n > 50);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("replay_source");
    TCase *tcase = tcase_create("load");
    tcase_add_unchecked_fixture(tcase, sample_setup, sample_teardown);
    tcase_add_loop_test(tcase, loads, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_loop_test(tcase, refuses, 0, (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(tcase, no_file);
    tcase_add_test(tcase, long_list_of_names);
    tcase_add_test(tcase, every_form);
    tcase_add_test(tcase, close_payload);
    tcase_add_test(tcase, cut_at_every_byte);
    tcase_add_test(tcase, changed_at_every_byte);
    tcase_add_test(tcase, damage_breaks_messages);
    tcase_add_test(tcase, zip_bomb);
    tcase_add_test(tcase, endless_message);
    tcase_add_test(tcase, seeks);
    tcase_add_test(tcase, handshakes_in_front_of_the_part);
    tcase_add_test(tcase, handshakes_of_an_earlier_run);
    tcase_add_test(tcase, stops_early);
    tcase_add_test(tcase, many_connections);
    tcase_add_test(tcase, no_memory);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return sample_run(suite);
}
