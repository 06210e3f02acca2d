#include "talk.h"

/* ---- protocols, with clients that choose other values than the recorded ones did ---- */

START_TEST(graphql_transport_ws) {
    struct talk t;
    talk_begin(
        &t,
        TALK("<{\"type\":\"connection_init\",\"payload\":{}}", ">{\"type\":\"connection_ack\"}",
             "<{\"id\":\"1f0a3c5e-7d41-4b0c-9c1f-0a5f0d6b7e11\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ a "
             "}\"}}",
             "<{\"id\":\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ b "
             "}\"}}",
             ">{\"id\":\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\",\"type\":\"next\",\"payload\":{\"data\":{\"b\":1}}}",
             ">{\"id\":\"1f0a3c5e-7d41-4b0c-9c1f-0a5f0d6b7e11\",\"type\":\"next\",\"payload\":{\"data\":{\"a\":1}}}",
             ">{\"id\":\"1f0a3c5e-7d41-4b0c-9c1f-0a5f0d6b7e11\",\"type\":\"error\",\"payload\":[{\"message\":\"no\"}]}",
             "<{\"id\":\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\",\"type\":\"complete\"}",
             ">{\"id\":\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\",\"type\":\"complete\"}"));
    ck_assert_str_eq(talk_slots(&t, 1), "");
    ck_assert_str_eq(talk_slots(&t, 4), "\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\"");
    ck_assert_str_eq(talk_free(&t, 2), "/id");
    ck_assert_str_eq(talk_free(&t, 4), "");
    /* Nothing is known yet: the recorded value. */
    ck_assert_str_eq(talk_render(&t, 8), "{\"id\":\"77c8b9d2-0f65-4a6e-8f3b-5a4c3d2e1f00\",\"type\":\"complete\"}");
    talk_learn(&t, 2, "{\"id\":\"first\",\"type\":\"subscribe\",\"payload\":{\"query\":\"{ a }\"}}");
    talk_learn(&t, 3, "{\"type\":\"subscribe\",\"id\":2,\"payload\":{\"query\":\"{ b }\"}}");
    ck_assert_str_eq(talk_render(&t, 4), "{\"id\":2,\"type\":\"next\",\"payload\":{\"data\":{\"b\":1}}}");
    ck_assert_str_eq(talk_render(&t, 5), "{\"id\":\"first\",\"type\":\"next\",\"payload\":{\"data\":{\"a\":1}}}");
    ck_assert_str_eq(talk_render(&t, 6), "{\"id\":\"first\",\"type\":\"error\",\"payload\":[{\"message\":\"no\"}]}");
    /* The client's own second mention: the variable is known by then, and it is not said again. */
    ck_assert_int_eq(talk_agree(&t, 7, "{\"id\":2,\"type\":\"complete\"}"), 1);
    ck_assert_int_eq(talk_agree(&t, 7, "{\"id\":\"first\",\"type\":\"complete\"}"), -1);
    ck_assert_int_eq(talk_agree(&t, 2, "{\"id\":\"third\",\"type\":\"subscribe\"}"), 0);
    ck_assert_str_eq(talk_render(&t, 8), "{\"id\":2,\"type\":\"complete\"}");
    talk_end(&t);
}
END_TEST

START_TEST(graphql_counters_on_several_connections) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":\"1\",\"type\":\"subscribe\"}", ">{\"id\":\"1\",\"type\":\"next\",\"n\":1}",
                        ">{\"id\":\"1\",\"type\":\"next\",\"n\":2}", "--", "<{\"id\":\"1\",\"type\":\"subscribe\"}",
                        ">{\"id\":\"1\",\"type\":\"next\",\"n\":1}"));
    ck_assert_str_eq(talk_slots(&t, 1), "\"1\"");
    talk_learn(&t, 0, "{\"id\":\"7\",\"type\":\"subscribe\"}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"id\":\"7\",\"type\":\"next\",\"n\":2}");
    talk_connect(&t, 1);
    talk_learn(&t, 0, "{\"id\":\"9\",\"type\":\"subscribe\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":\"9\",\"type\":\"next\",\"n\":1}");
    talk_end(&t);
}
END_TEST

START_TEST(names_that_are_ids) {
    struct talk t;
    talk_begin(&t, TALK("<{\"op\":\"sub\",\"id\":\"q7\"}", ">{\"subs\":{\"q7\":{\"ok\":true}}}",
                        "<{\"op\":\"sub\",\"id\":12}", ">{\"subs\": { \"q7\" : {\"ok\":true},\"12\":[]},\"ok\":true}",
                        ">{\"text\":\"{\\\"q7\\\":1}\",\"list\":[{\"q7\":[[{\"a\":0}]]}]}"));
    ck_assert_str_eq(talk_slots(&t, 1), "q7");
    ck_assert_str_eq(talk_slots(&t, 3), "q7|12");
    talk_learn(&t, 0, "{\"op\":\"sub\",\"id\":\"a \\\"b\\\"\"}");
    talk_learn(&t, 2, "{\"op\":\"sub\",\"id\":7}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"subs\":{\"a \\\"b\\\"\":{\"ok\":true}}}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"subs\": { \"a \\\"b\\\"\" : {\"ok\":true},\"7\":[]},\"ok\":true}");
    talk_end(&t);
}
END_TEST

/* A channel is joined once, and each message of it has the number of the join. */
START_TEST(a_number_for_the_whole_connection) {
    struct talk t;
    talk_begin(&t, TALK("<[\"3\",\"3\",\"room:1\",\"join\",{}]", ">[\"3\",\"3\",\"room:1\",\"reply\",{}]",
                        ">[\"3\",null,\"room:1\",\"state\",{}]", "<[\"3\",\"4\",\"room:1\",\"say\",{\"n\":1}]",
                        ">[\"3\",\"4\",\"room:1\",\"reply\",{}]", ">[\"3\",null,\"room:1\",\"said\",{\"n\":1}]"));
    talk_learn(&t, 0, "[\"10\",\"10\",\"room:1\",\"join\",{}]");
    ck_assert_str_eq(talk_render(&t, 1), "[\"10\",\"10\",\"room:1\",\"reply\",{}]");
    ck_assert_str_eq(talk_render(&t, 2), "[\"10\",null,\"room:1\",\"state\",{}]");
    talk_learn(&t, 3, "[\"10\",\"11\",\"room:1\",\"say\",{\"n\":1}]");
    ck_assert_str_eq(talk_render(&t, 4), "[\"10\",\"11\",\"room:1\",\"reply\",{}]");
    talk_end(&t);
}
END_TEST

/* Of an object with members of many names one meets a value now and then. */
START_TEST(names_that_meet) {
    struct talk t;
    talk_begin(&t, TALK("<{\"get\":\"price\"}", ">{\"price\":1,\"at\":\"x\",\"open\":2}", "<{\"get\":\"volume\"}",
                        ">{\"price\":1,\"at\":\"x\",\"open\":2}", "<{\"get\":\"open\"}",
                        ">{\"price\":1,\"at\":\"x\",\"open\":2}"));
    for (size_t i = 1; i < 6; i += 2)
        ck_assert_str_eq(talk_slots(&t, i), "");
    talk_end(&t);
}
END_TEST

/* Acknowledgements have their number in the head, behind digits that say what it is. */
START_TEST(socket_io) {
    struct talk t;
    talk_begin(&t,
               TALK(">0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}",
                    "<40", ">40{\"sid\":\"Zn9bqPpCGJ1xGHRxAAAD\"}", "<420[\"save\",{\"n\":5}]", "<421[\"load\",5]",
                    ">430[\"ok\"]", ">2", "<3", ">431[{\"n\":5}]", "<42[\"say\",\"hi\"]", ">42[\"said\",\"hi\"]"));
    ck_assert_str_eq(talk_slots(&t, 5), "0");
    ck_assert_str_eq(talk_slots(&t, 8), "1");
    ck_assert_str_eq(talk_slots(&t, 2), "");
    ck_assert_str_eq(talk_slots(&t, 6), "");
    ck_assert_str_eq(talk_free(&t, 3), "@head/0");
    ck_assert_str_eq(talk_free(&t, 9), "/1");
    talk_learn(&t, 3, "4217[\"save\",{\"n\":5}]");
    talk_learn(&t, 4, "428[\"load\",5]");
    ck_assert_str_eq(talk_render(&t, 5), "4317[\"ok\"]");
    ck_assert_str_eq(talk_render(&t, 8), "438[{\"n\":5}]");
    ck_assert_str_eq(talk_render(&t, 10), "42[\"said\",\"hi\"]");
    talk_learn(&t, 9, "42[\"say\",\"good \\\"day\\\"\"]");
    ck_assert_str_eq(talk_render(&t, 10), "42[\"said\",\"good \\\"day\\\"\"]");
    talk_end(&t);
}
END_TEST

START_TEST(socket_io_namespace_and_attachments) {
    struct talk t;
    talk_begin(&t,
               TALK("<42/admin,12[\"get\",1]", ">43/admin,12[\"a\"]", "<42/admin,13[\"get\",2]", ">43/admin,13[\"b\"]",
                    "<451-0[\"up\",{\"_placeholder\":true,\"num\":0}]", ">461-0[{\"_placeholder\":true,\"num\":0}]",
                    "<451-1[\"up\",{\"_placeholder\":true,\"num\":0}]", ">461-1[{\"_placeholder\":true,\"num\":0}]"));
    ck_assert_str_eq(talk_slots(&t, 1), "12");
    ck_assert_str_eq(talk_slots(&t, 5), "0");
    talk_learn(&t, 2, "42/admin,100[\"get\",2]");
    talk_learn(&t, 6, "451-22[\"up\",{\"_placeholder\":true,\"num\":0}]");
    ck_assert_str_eq(talk_render(&t, 3), "43/admin,100[\"b\"]");
    ck_assert_str_eq(talk_render(&t, 7), "461-22[{\"_placeholder\":true,\"num\":0}]");
    talk_end(&t);
}
END_TEST

/* One counter over requests of two sorts: a single request with an attachment has the next number. */
START_TEST(socket_io_one_attachment) {
    struct talk t;
    talk_begin(&t, TALK("<420[\"add\",5,6]", "<421[\"add\",7,8]", ">430[11]", ">431[15]", "<42[\"join\",\"lobby\"]",
                        "<451-2[\"up\",{\"_placeholder\":true,\"num\":0}]", ">432[{\"size\":4}]"));
    ck_assert_str_eq(talk_slots(&t, 2), "0");
    ck_assert_str_eq(talk_slots(&t, 6), "2");
    talk_learn(&t, 0, "427[\"add\",5,6]");
    talk_learn(&t, 5, "451-19[\"up\",{\"_placeholder\":true,\"num\":0}]");
    ck_assert_str_eq(talk_render(&t, 2), "437[11]");
    ck_assert_str_eq(talk_render(&t, 6), "4319[{\"size\":4}]");
    talk_end(&t);
}
END_TEST

/* A request of each sort, numbered through, and answers that have ids of the server's at the same place. */
START_TEST(wamp) {
    struct talk t;
    talk_begin(&t, TALK("<[1,\"realm\",{}]", ">[2,8675422628745007,{}]", "<[48,1,{},\"sys.add\",[2,3]]",
                        ">[50,1,{},[5]]", "<[64,2,{},\"me.double\"]", ">[65,2,3997015711712393]", "<[32,3,{},\"news\"]",
                        ">[33,3,5219370199289999]", ">[36,5219370199289999,7719267183126787,{}]",
                        ">[68,6105458734623013,3997015711712393,{}]", "<[70,6105458734623013,{},[42]]",
                        "<[16,4,{},\"news\"]", ">[17,4,4782560373058229]"));
    ck_assert_str_eq(talk_slots(&t, 3), "1");
    ck_assert_str_eq(talk_slots(&t, 5), "2");
    ck_assert_str_eq(talk_slots(&t, 7), "3");
    ck_assert_str_eq(talk_slots(&t, 12), "4");
    ck_assert_str_eq(talk_slots(&t, 1), "");
    ck_assert_str_eq(talk_slots(&t, 8), "");
    ck_assert_str_eq(talk_slots(&t, 10), "6105458734623013");
    talk_learn(&t, 6, "[32,17,{},\"news\"]");
    ck_assert_str_eq(talk_render(&t, 7), "[33,17,5219370199289999]");
    talk_end(&t);
}
END_TEST

/* What is signed comes again as a whole, or not at all. */
START_TEST(nostr) {
#define NOTE(id, sig, at) "{\"id\":\"" id "\",\"created_at\":" at ",\"kind\":1,\"tags\":[],\"sig\":\"" sig "\",\"n\":2}"
#define ID "4c29e467160da6d9b478e62d"
#define SIG "8fa3b0105e15226502ce6a86"
#define OTHER_ID "50330e36ae74c7d336765797"
#define OTHER_SIG "399b38161d26f3d7fb16673f"
    struct talk t;
    talk_begin(&t, TALK("<[\"REQ\",\"s1\",{\"kinds\":[1]}]", ">[\"EOSE\",\"s1\"]",
                        "<[\"EVENT\"," NOTE(ID, SIG, "1705314600") "]",
                        ">[\"EVENT\",\"s1\"," NOTE(ID, SIG, "1705314600") "]"));
    talk_learn(&t, 2, "[\"EVENT\"," NOTE(OTHER_ID, OTHER_SIG, "1805314677") "]");
    ck_assert_str_eq(talk_render(&t, 3), "[\"EVENT\",\"s1\"," NOTE(OTHER_ID, OTHER_SIG, "1805314677") "]");
    talk_end(&t);
    /* With one such member alone it may be another object. */
    talk_begin(&t, TALK("<{\"id\":\"" ID "\",\"limit\":2}", ">{\"id\":\"" ID "\",\"limit\":2}"));
    ck_assert_str_eq(talk_slots(&t, 1), "\"" ID "\"");
    talk_end(&t);
}
END_TEST

START_TEST(json_rpc_counters) {
    struct talk t;
    talk_begin(&t, TALK("<{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":[1,2]}",
                        "<{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"add\",\"params\":[2,2]}",
                        ">{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":4}", ">{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}",
                        ">{\"jsonrpc\":\"2.0\",\"method\":\"tick\",\"params\":{\"n\":1}}"));
    ck_assert_str_eq(talk_slots(&t, 2), "2");
    ck_assert_str_eq(talk_slots(&t, 3), "1");
    ck_assert_str_eq(talk_slots(&t, 4), "");
    ck_assert_str_eq(talk_free(&t, 0), "/id");
    talk_learn(&t, 0, "{\"jsonrpc\":\"2.0\",\"id\":\"x-9\",\"method\":\"add\",\"params\":[1,2]}");
    talk_learn(&t, 1, "{\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"add\",\"params\":[2,2]}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"jsonrpc\":\"2.0\",\"id\":41,\"result\":4}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"jsonrpc\":\"2.0\",\"id\":\"x-9\",\"result\":3}");
    talk_end(&t);
}
END_TEST

START_TEST(json_rpc_batch) {
    struct talk t;
    talk_begin(&t, TALK("<[{\"id\":\"c0ffee1234567890abcdef1234567890\",\"method\":\"a\"},"
                        "{\"id\":\"d00dad1234567890abcdef1234567891\",\"method\":\"b\"},{\"method\":\"note\"}]",
                        ">[{\"result\":2,\"id\":\"d00dad1234567890abcdef1234567891\"},"
                        "{\"result\":1,\"id\":\"c0ffee1234567890abcdef1234567890\"}]"));
    talk_learn(&t, 0, "[{\"id\":\"p\",\"method\":\"a\"},{\"id\":\"q\",\"method\":\"b\"},{\"method\":\"note\"}]");
    ck_assert_str_eq(talk_render(&t, 1), "[{\"result\":2,\"id\":\"q\"},{\"result\":1,\"id\":\"p\"}]");
    ck_assert_str_eq(talk_free(&t, 0), "/0/id /1/id");
    talk_end(&t);
}
END_TEST

/* The server makes requests of its own, with its own counter: its ids are not the client's. */
START_TEST(json_rpc_both_ways) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":1,\"method\":\"open\",\"params\":{}}", ">{\"id\":1,\"result\":{}}",
                        ">{\"id\":1,\"method\":\"ask\",\"params\":{}}", "<{\"id\":1,\"result\":null}",
                        "<{\"id\":2,\"method\":\"list\",\"params\":{}}", ">{\"id\":2,\"result\":[]}",
                        ">{\"id\":2,\"method\":\"ask\",\"params\":{}}", "<{\"id\":2,\"result\":null}",
                        ">{\"id\":3,\"method\":\"ask\",\"params\":{}}", "<{\"id\":3,\"result\":null}",
                        ">{\"id\":4,\"method\":\"ask\",\"params\":{}}", "<{\"id\":4,\"result\":null}"));
    ck_assert_str_eq(talk_slots(&t, 1), "1");
    ck_assert_str_eq(talk_slots(&t, 5), "2");
    ck_assert_str_eq(talk_slots(&t, 8), "");
    ck_assert_str_eq(talk_slots(&t, 6), "");
    talk_end(&t);
}
END_TEST

/* …and the client's answers to these stand where its own requests have their ids: each said 1 of its own. */
START_TEST(json_rpc_both_ways_with_the_same_ids) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":0,\"method\":\"open\",\"params\":{}}", ">{\"id\":0,\"result\":{}}",
                        ">{\"id\":0,\"method\":\"ask\",\"params\":{}}", "<{\"id\":0,\"result\":null}",
                        ">{\"id\":1,\"method\":\"ask\",\"params\":{}}", "<{\"id\":1,\"result\":null}",
                        "<{\"id\":1,\"method\":\"list\",\"params\":{}}", ">{\"id\":1,\"result\":[]}",
                        "<{\"id\":2,\"method\":\"list\",\"params\":{}}", ">{\"id\":2,\"result\":[]}",
                        "<{\"id\":3,\"method\":\"list\",\"params\":{}}", ">{\"id\":3,\"result\":[]}"));
    ck_assert_str_eq(talk_slots(&t, 7), "1");
    ck_assert_str_eq(talk_slots(&t, 9), "2");
    ck_assert_str_eq(talk_slots(&t, 4), "");
    talk_learn(&t, 6, "{\"id\":41,\"method\":\"list\",\"params\":{}}");
    ck_assert_str_eq(talk_render(&t, 7), "{\"id\":41,\"result\":[]}");
    talk_end(&t);
}
END_TEST

START_TEST(phoenix) {
    struct talk t;
    talk_begin(&t, TALK("<[\"1\",\"1\",\"room:lobby\",\"phx_join\",{}]",
                        ">[\"1\",\"1\",\"room:lobby\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]",
                        "<[\"1\",\"2\",\"room:lobby\",\"new_msg\",{\"body\":\"hi\"}]",
                        ">[null,null,\"room:lobby\",\"new_msg\",{\"body\":\"hi\"}]",
                        ">[\"1\",\"2\",\"room:lobby\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]",
                        "<[null,\"3\",\"phoenix\",\"heartbeat\",{}]",
                        ">[null,\"3\",\"phoenix\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]"));
    ck_assert_str_eq(talk_slots(&t, 1), "\"1\"|\"1\"|\"room:lobby\"");
    talk_learn(&t, 0, "[\"5\",\"6\",\"room:den\",\"phx_join\",{}]");
    talk_learn(&t, 2, "[\"5\",\"8\",\"room:den\",\"new_msg\",{\"body\":\"yo\"}]");
    ck_assert_str_eq(talk_render(&t, 1),
                     "[\"5\",\"6\",\"room:den\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]");
    ck_assert_str_eq(talk_render(&t, 3), "[null,null,\"room:den\",\"new_msg\",{\"body\":\"yo\"}]");
    ck_assert_str_eq(talk_render(&t, 4),
                     "[\"5\",\"8\",\"room:den\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]");
    talk_end(&t);
}
END_TEST

START_TEST(action_cable) {
    struct talk t;
    talk_begin(&t, TALK(">{\"type\":\"welcome\"}",
                        "<{\"command\":\"subscribe\",\"identifier\":\"{\\\"channel\\\":\\\"ChatChannel\\\","
                        "\\\"room\\\":\\\"5\\\"}\"}",
                        ">{\"identifier\":\"{\\\"channel\\\":\\\"ChatChannel\\\",\\\"room\\\":\\\"5\\\"}\",\"type\":"
                        "\"confirm_subscription\"}",
                        ">{\"type\":\"ping\",\"message\":1705314601}",
                        ">{\"identifier\":\"{\\\"channel\\\":\\\"ChatChannel\\\",\\\"room\\\":\\\"5\\\"}\",\"message\":"
                        "{\"t\":\"x\"}}"));
    talk_learn(&t, 1,
               "{\"command\":\"subscribe\",\"identifier\":\"{\\\"channel\\\":\\\"GameChannel\\\",\\\"room\\\":"
               "\\\"a\\\\\\\"b\\\"}\"}");
    ck_assert_str_eq(talk_render(&t, 4), "{\"identifier\":\"{\\\"channel\\\":\\\"GameChannel\\\",\\\"room\\\":"
                                         "\\\"a\\\\\\\"b\\\"}\",\"message\":{\"t\":\"x\"}}");
    ck_assert_str_eq(talk_slots(&t, 3), "");
    talk_end(&t);
}
END_TEST

START_TEST(signalr) {
    struct talk t;
    talk_begin(&t, TALK("<{\"protocol\":\"json\",\"version\":1}\x1e", ">{}\x1e",
                        "<{\"type\":1,\"invocationId\":\"0\",\"target\":\"Add\",\"arguments\":[1]}\x1e",
                        ">{\"type\":6}\x1e{\"type\":3,\"invocationId\":\"0\",\"result\":2}\x1e"));
    talk_learn(&t, 2, "{\"type\":1,\"invocationId\":\"12\",\"target\":\"Add\",\"arguments\":[1]}\x1e");
    ck_assert_str_eq(talk_render(&t, 3), "{\"type\":6}\x1e{\"type\":3,\"invocationId\":\"12\",\"result\":2}\x1e");
    talk_end(&t);
}
END_TEST

START_TEST(stomp) {
    struct talk t;
    talk_begin(&t,
               TALK("<SUBSCRIBE\nid:sub-0\ndestination:/topic/prices\nreceipt:abc\n\n", ">RECEIPT\nreceipt-id:abc\n\n",
                    ">MESSAGE\nsubscription:sub-0\ndestination:/topic/prices\nmessage-id:7\n\nbody",
                    "<UNSUBSCRIBE\nid:sub-0\nreceipt:abd\n\n", ">RECEIPT\nreceipt-id:abd\n\n"));
    ck_assert_str_eq(talk_slots(&t, 1), "abc");
    ck_assert_str_eq(talk_slots(&t, 4), "abd");
    talk_learn(&t, 0, "SUBSCRIBE\nid:sub-0\ndestination:/topic/news\nreceipt:r-1\n\n");
    ck_assert_str_eq(talk_render(&t, 1), "RECEIPT\nreceipt-id:r-1\n\n");
    ck_assert_str_eq(talk_render(&t, 2), "MESSAGE\nsubscription:sub-0\ndestination:/topic/news\nmessage-id:7\n\nbody");
    talk_end(&t);
}
END_TEST

/* The server chooses the socket's id, and the client uses it in what it signs. */
START_TEST(pusher) {
    struct talk t;
    talk_begin(
        &t, TALK(">{\"event\":\"pusher:connection_established\",\"data\":\"{\\\"socket_id\\\":\\\"218312.4498123\\\","
                 "\\\"activity_timeout\\\":120}\"}",
                 "<{\"event\":\"pusher:subscribe\",\"data\":{\"auth\":\"\",\"channel\":\"orders\",\"socket\":"
                 "\"218312.4498123\"}}",
                 ">{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"orders\",\"data\":\"{}\"}",
                 ">{\"event\":\"changed\",\"channel\":\"orders\",\"data\":\"{\\\"n\\\":1}\"}"));
    ck_assert_str_eq(talk_slots(&t, 1), "\"218312.4498123\"");
    ck_assert_str_eq(talk_free(&t, 0), "/data/@json/socket_id");
    ck_assert_str_eq(talk_free(&t, 1), "/data/channel /data/socket");
    talk_learn(&t, 0, "{\"event\":\"pusher:connection_established\",\"data\":\"{\\\"socket_id\\\":\\\"1.2\\\"}\"}");
    ck_assert_str_eq(
        talk_render(&t, 1),
        "{\"event\":\"pusher:subscribe\",\"data\":{\"auth\":\"\",\"channel\":\"orders\",\"socket\":\"1.2\"}}");
    talk_learn(&t, 1,
               "{\"event\":\"pusher:subscribe\",\"data\":{\"auth\":\"\",\"channel\":\"trades\",\"socket\":\"1.2\"}}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"event\":\"changed\",\"channel\":\"trades\",\"data\":\"{\\\"n\\\":1}\"}");
    talk_end(&t);
}
END_TEST

START_TEST(chat_with_counters) {
    struct talk t;
    talk_begin(&t, TALK(">{\"type\":\"hello\"}",
                        "<{\"id\":1,\"type\":\"message\",\"channel\":\"C024BE91L\",\"text\":\"hi\"}",
                        ">{\"ok\":true,\"reply_to\":1,\"ts\":\"1705314600.000200\",\"text\":\"hi\"}",
                        "<{\"id\":2,\"type\":\"ping\"}", ">{\"type\":\"pong\",\"reply_to\":2}",
                        "<{\"id\":3,\"type\":\"ping\"}", ">{\"type\":\"pong\",\"reply_to\":3}"));
    ck_assert_str_eq(talk_slots(&t, 4), "2");
    talk_learn(&t, 1, "{\"id\":100,\"type\":\"message\",\"channel\":\"C024BE91L\",\"text\":\"yo\"}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"ok\":true,\"reply_to\":100,\"ts\":\"1705314600.000200\",\"text\":\"yo\"}");
    talk_end(&t);
}
END_TEST

START_TEST(sequence_sent_back) {
    struct talk t;
    talk_begin(&t, TALK(">{\"op\":10,\"d\":{\"heartbeat_interval\":41250}}", "<{\"op\":1,\"d\":null}",
                        ">{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"f1b2c3d4e5f60718\"}}",
                        "<{\"op\":1,\"d\":1}", ">{\"op\":11}", ">{\"op\":0,\"s\":2,\"t\":\"A\",\"d\":{}}",
                        "<{\"op\":1,\"d\":2}", ">{\"op\":11}", ">{\"op\":0,\"s\":3,\"t\":\"B\",\"d\":{}}",
                        "<{\"op\":1,\"d\":3}", ">{\"op\":11}", ">{\"op\":0,\"s\":4,\"t\":\"C\",\"d\":{}}",
                        "<{\"op\":1,\"d\":4}", "<{\"op\":6,\"d\":{\"session_id\":\"f1b2c3d4e5f60718\",\"seq\":4}}"));
    ck_assert_str_eq(talk_slots(&t, 6), "2");
    ck_assert_str_eq(talk_slots(&t, 13), "\"f1b2c3d4e5f60718\"");
    ck_assert_str_eq(talk_free(&t, 2), "/s /d/session_id");
    talk_learn(&t, 2, "{\"op\":0,\"s\":501,\"t\":\"READY\",\"d\":{\"session_id\":\"live\"}}");
    talk_learn(&t, 5, "{\"op\":0,\"s\":502,\"t\":\"A\",\"d\":{}}");
    ck_assert_str_eq(talk_render(&t, 6), "{\"op\":1,\"d\":502}");
    ck_assert_str_eq(talk_render(&t, 13), "{\"op\":6,\"d\":{\"session_id\":\"live\",\"seq\":4}}");
    talk_end(&t);
}
END_TEST

START_TEST(feeds) {
    struct talk t;
    talk_begin(&t, TALK("<{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@aggTrade\"],\"id\":1}",
                        ">{\"result\":null,\"id\":1}",
                        ">{\"stream\":\"btcusdt@aggTrade\",\"data\":{\"p\":\"43250.10\",\"q\":\"0.10\"}}",
                        ">{\"stream\":\"btcusdt@aggTrade\",\"data\":{\"p\":\"43250.20\",\"q\":\"1\"}}"));
    talk_learn(&t, 0, "{\"method\":\"SUBSCRIBE\",\"params\":[\"ethusdt@aggTrade\"],\"id\":33}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"result\":null,\"id\":33}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"stream\":\"ethusdt@aggTrade\",\"data\":{\"p\":\"43250.20\",\"q\":\"1\"}}");
    talk_end(&t);
    talk_begin(&t, TALK("<{\"op\":\"subscribe\",\"channel\":\"ticker\",\"symbol\":\"BTC-USD\"}",
                        ">{\"event\":\"subscribed\",\"channel\":\"ticker\",\"symbol\":\"BTC-USD\"}",
                        ">{\"channel\":\"ticker\",\"data\":[{\"symbol\":\"BTC-USD\",\"last\":1}]}"));
    talk_learn(&t, 0, "{\"op\":\"subscribe\",\"channel\":\"ticker\",\"symbol\":\"ETH-USD\"}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"channel\":\"ticker\",\"data\":[{\"symbol\":\"ETH-USD\",\"last\":1}]}");
    talk_end(&t);
}
END_TEST

START_TEST(appsync) {
    struct talk t;
    talk_begin(
        &t,
        TALK("<{\"type\":\"connection_init\"}",
             ">{\"type\":\"connection_ack\",\"payload\":{\"connectionTimeoutMs\":300000}}",
             "<{\"id\":\"e1b2c3d4-1111-4222-8333-444455556666\",\"type\":\"start\",\"payload\":{\"data\":"
             "\"{\\\"query\\\":\\\"subscription { x }\\\",\\\"variables\\\":{}}\"}}",
             ">{\"type\":\"ka\"}", ">{\"id\":\"e1b2c3d4-1111-4222-8333-444455556666\",\"type\":\"start_ack\"}",
             ">{\"id\":\"e1b2c3d4-1111-4222-8333-444455556666\",\"type\":\"data\",\"payload\":{\"data\":{\"x\":1}}}"));
    ck_assert_str_eq(talk_slots(&t, 3), "");
    talk_learn(&t, 2, "{\"id\":\"z\",\"type\":\"start\",\"payload\":{\"data\":\"{}\"}}");
    ck_assert_str_eq(talk_render(&t, 5), "{\"id\":\"z\",\"type\":\"data\",\"payload\":{\"data\":{\"x\":1}}}");
    talk_end(&t);
}
END_TEST

/* ---- values within values, and what becomes of them ---- */

START_TEST(words_within_texts) {
    struct talk t;
    talk_begin(&t, TALK("<{\"type\":\"join\",\"name\":\"bob\"}", ">{\"text\":\"hello \\\"bob\\\", you\"}",
                        ">{\"text\":\"bobsled\"}", ">{\"text\":\"who is bob?\"}"));
    ck_assert_str_eq(talk_slots(&t, 1), "bob");
    ck_assert_str_eq(talk_slots(&t, 2), "");
    talk_learn(&t, 0, "{\"type\":\"join\",\"name\":\"An\\\"na\\n\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"text\":\"hello \\\"An\\\"na\\n\\\", you\"}");
    talk_end(&t);
}
END_TEST

/* What stands around it comes with somebody else too: then it is not the name that is said. */
/* Commands in words: where the first word is the same the others have a meaning each. */
START_TEST(words_after_a_command) {
    struct talk t;
    talk_begin(&t, TALK(">WELCOME guest17", "<NICK ada", ">NICK guest17 ada", "<JOIN #tea", ">JOINED #tea ada",
                        "<SAY hello", ">[ada@#tea] hello", "<JOIN #sun", ">JOINED #sun ada"));
    ck_assert_str_eq(talk_slots(&t, 4), "#tea");
    ck_assert_str_eq(talk_slots(&t, 8), "#sun");
    talk_learn(&t, 7, "JOIN #moon");
    ck_assert_str_eq(talk_render(&t, 8), "JOINED #moon ada");
    talk_end(&t);
}
END_TEST

START_TEST(words_that_fail_within_texts) {
    struct talk t;
    talk_begin(&t, TALK("<{\"type\":\"join\",\"name\":\"bob\"}", ">{\"text\":\"bob joined\"}",
                        ">{\"text\":\"eve joined\"}", ">{\"text\":\"zoe joined\"}"));
    talk_has_no_slots(&t);
    talk_end(&t);
    /* Lost in a long text. */
    talk_begin(&t,
               TALK("<{\"item\":\"milk\"}",
                    ">{\"text\":\"The shop sells bread and butter and milk and honey and wine and many other things "
                    "that people may need on a day like this\"}"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

START_TEST(ids_within_texts) {
    struct talk t;
    talk_begin(&t, TALK("<{\"url\":\"/rooms/8f14e45fceea/join\"}",
                        ">{\"room\":\"8f14e45fceea\",\"topic\":\"presence:8f14e45fceea:all\"}",
                        ">{\"j\":\"{\\\"log\\\":\\\"in \\\\\\\"8f14e45fceea\\\\\\\"\\\"}\"}"));
    talk_learn(&t, 0, "{\"url\":\"/rooms/my \\\"den\\\"/join\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"room\":\"my \\\"den\\\"\",\"topic\":\"presence:my \\\"den\\\":all\"}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"j\":\"{\\\"log\\\":\\\"in \\\\\\\"my \\\\\\\"den\\\\\\\"\\\\\\\"\\\"}\"}");
    talk_learn(&t, 0, "{\"url\":\"/elsewhere\"}"); /* other surroundings: nothing is learnt */
    ck_assert_str_eq(talk_render(&t, 1), "{\"room\":\"my \\\"den\\\"\",\"topic\":\"presence:my \\\"den\\\":all\"}");
    talk_end(&t);
}
END_TEST

START_TEST(plain_texts) {
    struct talk t;
    talk_begin(&t, TALK("<REQ17 topic=news", ">RES17 topic=news", "<REQ18 topic=sport", ">RES18 topic=sport",
                        "<echo one two", ">echo: one two", "<echo three four", ">echo: three four"));
    talk_learn(&t, 0, "REQ1 topic=art");
    ck_assert_str_eq(talk_render(&t, 1), "RES1 topic=art");
    talk_learn(&t, 6, "echo five six");
    ck_assert_str_eq(talk_render(&t, 7), "echo: five six");
    talk_end(&t);
}
END_TEST

START_TEST(kinds) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":7,\"ref\":\"99120034\"}", ">{\"id\":7,\"ref\":99120034}",
                        "<{\"id\":8,\"ref\":\"99120035\"}", ">{\"id\":8,\"ref\":99120035,\"text\":\"for 99120035\"}"));
    talk_learn(&t, 0, "{\"id\":\"7\",\"ref\":\"12\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":\"7\",\"ref\":12}");
    talk_learn(&t, 0, "{\"id\":null,\"ref\":\"x\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":null,\"ref\":\"x\"}");
    talk_learn(&t, 0, "{\"id\":{},\"ref\":-5}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":{},\"ref\":-5}");
    talk_learn(&t, 2, "{\"id\":1.50,\"ref\":5}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"id\":1.50,\"ref\":5,\"text\":\"for 5\"}");
    talk_end(&t);
}
END_TEST

/* The same id twice: an answer takes the one before it, whatever came since. */
START_TEST(ids_used_again) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":1,\"get\":\"a\"}", ">{\"id\":1,\"got\":\"A\"}", "<{\"id\":1,\"get\":\"b\"}",
                        ">{\"id\":1,\"got\":\"B\"}", "<{\"id\":1,\"stop\":true}", ">{\"id\":1,\"got\":\"end\"}"));
    talk_learn(&t, 0, "{\"id\":10,\"get\":\"a\"}");
    talk_learn(&t, 2, "{\"id\":20,\"get\":\"b\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":10,\"got\":\"A\"}");
    ck_assert_str_eq(talk_render(&t, 3), "{\"id\":20,\"got\":\"B\"}");
    ck_assert_str_eq(talk_render(&t, 5), "{\"id\":20,\"got\":\"end\"}"); /* its own message did not come */
    talk_end(&t);
}
END_TEST

/* ---- nothing to carry over ---- */

/* Requests have ids that were answered; what comes by itself has numbers of its own, which met them. */
START_TEST(a_feed_counts_by_itself) {
    struct talk t;
    talk_begin(&t, TALK("<{\"id\":1,\"method\":\"a\"}", ">{\"id\":1,\"result\":true}", "<{\"id\":2,\"method\":\"b\"}",
                        ">{\"id\":2,\"result\":true}", "<{\"id\":3,\"method\":\"c\"}", ">{\"id\":3,\"result\":true}",
                        "<{\"id\":4,\"method\":\"d\"}", ">{\"id\":4,\"result\":true}", "<{\"id\":5,\"method\":\"e\"}",
                        ">{\"id\":5,\"result\":true}", ">{\"feed\":{\"seq\":2}}", ">{\"feed\":{\"seq\":3}}",
                        ">{\"feed\":{\"seq\":4}}", ">{\"feed\":{\"seq\":5}}"));
    ck_assert_str_eq(talk_slots(&t, 9), "5");
    for (size_t i = 10; i < 14; i++)
        ck_assert_str_eq(talk_slots(&t, i), "");
    talk_end(&t);
    talk_begin(&t, TALK("<{\"id\":1,\"m\":\"a\"}", ">{\"id\":1}", "<{\"id\":2,\"m\":\"b\"}", ">{\"id\":2}",
                        "<{\"id\":3,\"m\":\"c\"}", ">{\"id\":3}", "<{\"id\":4,\"m\":\"d\"}", ">{\"id\":4}",
                        "<{\"id\":5,\"m\":\"e\"}", ">{\"id\":5,\"data\":{\"id\":1}}", ">{\"id\":5,\"data\":{\"id\":2}}",
                        ">{\"id\":5,\"data\":{\"id\":3}}", ">{\"id\":5,\"data\":{\"id\":4}}"));
    for (size_t i = 9; i < 13; i++)
        ck_assert_str_eq(talk_slots(&t, i), "5");
    talk_end(&t);
    /* Under way at once, and nothing else answers them. */
    talk_begin(&t,
               TALK("<{\"id\":1,\"method\":\"a\"}", "<{\"id\":2,\"method\":\"b\"}", "<{\"id\":3,\"method\":\"c\"}",
                    "<{\"id\":4,\"method\":\"d\"}", ">{\"reply_to\":1,\"ok\":true}", ">{\"reply_to\":2,\"ok\":true}",
                    ">{\"reply_to\":3,\"ok\":true}", ">{\"reply_to\":4,\"ok\":true}"));
    ck_assert_str_eq(talk_slots(&t, 7), "4");
    talk_end(&t);
}
END_TEST

START_TEST(numbers_that_meet) {
    struct talk t;
    talk_begin(&t,
               TALK("<{\"cmd\":\"buy\",\"quantity\":10,\"price\":100}", ">{\"balance\":1000,\"shares\":10,\"fee\":1}",
                    "<{\"cmd\":\"buy\",\"quantity\":1,\"price\":100}", ">{\"balance\":900,\"shares\":11,\"fee\":1}",
                    "<{\"cmd\":\"list\",\"limit\":10}", ">{\"rows\":[1,10,100],\"total\":3}"));
    talk_has_no_slots(&t);
    ck_assert_str_eq(talk_free(&t, 0), "");
    talk_end(&t);
}
END_TEST

START_TEST(tags_states_and_constants) {
    struct talk t;
    talk_begin(&t, TALK("<{\"type\":\"message\",\"status\":\"ready\",\"version\":2,\"v\":\"1.2\"}",
                        ">{\"type\":\"message\",\"status\":\"ready\",\"version\":2,\"v\":\"1.2\"}",
                        "<{\"type\":\"ping\",\"status\":\"ready\",\"version\":2,\"v\":\"1.2\"}",
                        ">{\"type\":\"ping\",\"status\":\"ready\",\"version\":2,\"v\":\"1.2\"}",
                        "<[\"chat\",true,0,null]", ">[\"chat\",true,0,null]",
                        "<{\"flag\":\"true\",\"note\":\"\",\"n\":0}", ">{\"flag\":\"true\",\"note\":\"\",\"n\":0}"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* A few of many texts have a word in common. */
START_TEST(words_that_meet_in_texts) {
    struct talk t;
    talk_begin(&t,
               TALK("<tell me more about tea", ">tea is a drink", "<where is the garden", ">behind the house you see",
                    "<may we go there now", ">surely we may", "<what do you grow", ">mostly you find herbs",
                    "<and in winter then", ">nothing at all", "<thank you very much", ">welcome here my friend"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* In each sort of message it holds now and then. */
START_TEST(numbers_that_meet_in_lists) {
    struct talk t;
    talk_begin(&t,
               TALK("<[10,1]", ">[20,1]", ">[20,7]", "<[11,2]", ">[21,2]", ">[21,9]", "<[12,3]", ">[22,3]", ">[22,8]"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* Both sides count their own messages. */
START_TEST(two_counters) {
    struct talk t;
    talk_begin(&t,
               TALK("<{\"seq\":1,\"a\":1}", ">{\"seq\":1,\"b\":1}", ">{\"seq\":2,\"b\":1}", "<{\"seq\":2,\"a\":1}",
                    ">{\"seq\":3,\"b\":1}", ">{\"seq\":4,\"b\":1}", "<{\"seq\":3,\"a\":1}", ">{\"seq\":5,\"b\":1}"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

START_TEST(prices_and_times) {
    struct talk t;
    talk_begin(&t, TALK("<{\"limit_price\":\"43250.10\",\"sent\":1705314600}",
                        ">{\"last\":\"43250.10\",\"at\":1705314600,\"time\":\"2024-01-15T10:30:00Z\"}",
                        "<{\"limit_price\":\"43250.20\",\"sent\":1705314601,\"time\":\"2024-01-15T10:30:01Z\"}",
                        ">{\"last\":\"43250.20\",\"at\":1705314601,\"when\":\"2024-01-15T10:30:01Z\"}"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* Others speak in this room, too. */
START_TEST(states_of_others) {
    struct talk t;
    talk_begin(&t, TALK("<{\"presence\":\"away\"}", ">{\"presence\":\"here\",\"who\":\"eve\"}",
                        ">{\"presence\":\"away\",\"who\":\"zoe\"}", ">{\"presence\":\"here\",\"who\":\"ann\"}"));
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

/* The server said it first: the client repeats it, and so does the server. */
START_TEST(servers_values) {
    struct talk t;
    talk_begin(&t, TALK(">{\"session\":\"5e3f-77aa-0192\"}", ">{\"again\":\"5e3f-77aa-0192\"}",
                        "<{\"cmd\":\"resume\",\"session\":\"5e3f-77aa-0192\"}", ">{\"resumed\":\"5e3f-77aa-0192\"}"));
    ck_assert_str_eq(talk_slots(&t, 0), "");
    ck_assert_str_eq(talk_slots(&t, 3), "");
    ck_assert_str_eq(talk_slots(&t, 2), "\"5e3f-77aa-0192\"");
    ck_assert_str_eq(talk_free(&t, 0), "/session");
    ck_assert_str_eq(talk_free(&t, 1), "/again");
    ck_assert_str_eq(talk_free(&t, 2), "/session");
    ck_assert_str_eq(talk_free(&t, 3), "/resumed");
    talk_learn(&t, 0, "{\"session\":\"live\"}");
    ck_assert_str_eq(talk_render(&t, 2), "{\"cmd\":\"resume\",\"session\":\"live\"}");
    ck_assert_int_eq(talk_agree(&t, 1, "{\"again\":\"live\"}"), 1);
    ck_assert_int_eq(talk_agree(&t, 1, "{\"again\":\"dead\"}"), -1);
    talk_end(&t);
}
END_TEST

/* ---- what the user says ---- */

static const char *const forms[] = {"<{\"form\":\"a\",\"n\":5}", ">{\"shape\":\"a\",\"m\":5,\"id\":\"k1\"}",
                                    "<{\"form\":\"b\",\"n\":5,\"id\":\"k1\"}", NULL};

START_TEST(rules_asked_for) {
    struct talk t;
    const char *rules[] = {"incoming /form = outgoing /shape", " outgoing  id =incoming  id "};
    struct correlate_options options = {.off = true, .rules = rules, .rules_count = 2};
    talk_begin_with(&t, forms, &options);
    ck_assert_str_eq(talk_slots(&t, 1), "\"a\"");
    ck_assert_str_eq(talk_slots(&t, 2), "\"k1\"");
    talk_learn(&t, 0, "{\"form\":\"z\"}");
    ck_assert_str_eq(talk_render(&t, 1), "{\"shape\":\"z\",\"m\":5,\"id\":\"k1\"}");
    talk_end(&t);
    options = (struct correlate_options){.off = true};
    talk_begin_with(&t, forms, &options);
    talk_has_no_slots(&t);
    talk_end(&t);
}
END_TEST

START_TEST(paths_excepted) {
    struct talk t;
    const char *except[] = {"/id"};
    struct correlate_options options = {.except = except, .except_count = 1};
    talk_begin_with(&t, TALK("<{\"id\":\"a7\",\"room\":\"den\"}", ">{\"id\":\"a7\",\"room\":\"den\"}"), &options);
    ck_assert_str_eq(talk_slots(&t, 1), "\"den\"");
    ck_assert_str_eq(talk_free(&t, 0), "/room");
    talk_end(&t);
}
END_TEST

static void expect_refused(const char *rule, const char *part) {
    struct talk t;
    struct err err;
    struct correlate_options options = {.rules = &rule, .rules_count = 1};
    ck_assert_int_eq(talk_correlate(&t, forms, &options, &err), MF_EINVAL);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(err.text, "expected"));
    talk_end(&t);
}

START_TEST(rules_refused) {
    expect_refused("", "\"\"");
    expect_refused("/id = /id", "\"/id = /id\"");
    expect_refused("incoming /id", "\"incoming /id\"");
    expect_refused("incoming /id = outgoing", "outgoing");
    expect_refused("incoming = outgoing /id", "incoming PATH");
    expect_refused("incoming /id = incoming /id", "both ends are incoming");
    expect_refused("in /id = out /id", "incoming PATH");
    const char *except[] = {" "};
    struct correlate_options options = {.except = except, .except_count = 1};
    struct talk t;
    struct err err;
    ck_assert_int_eq(talk_correlate(&t, forms, &options, &err), MF_EINVAL);
    talk_end(&t);
}
END_TEST

/* ---- times and counters ---- */

static const struct correlate_options refresh = {.refresh_time = true};
#define HOUR_US (INT64_C(3600) * 1000000)

START_TEST(times) {
    struct talk t;
    talk_begin_with(
        &t,
        TALK(">{\"iso\":\"2024-01-15T10:30:00Z\",\"ms\":\"2024-01-15T10:30:00.250Z\",\"zone\":"
             "\"2024-01-15T11:30:00.123456+01:00\",\"none\":\"2024-01-15 10:30:00\"}",
             ">{\"s\":1705314600,\"ms\":1705314600123,\"us\":1705314600123456,\"ns\":1705314600123456789}",
             ">{\"text\":\"1705314600\",\"part\":\"1705314600.000200\",\"d\":1705314600.5,\"j\":\"{\\\"t\\\":"
             "\\\"2024-01-15T23:59:59Z\\\"}\"}",
             ">at 2024-01-15T10:30:00Z",
             ">{\"took\":1705,\"price\":43250.1,\"old\":1605314600,\"born\":\"1999-12-31T23:59:59Z\",\"big\":"
             "17053146001}"),
        &refresh);
    ck_assert_str_eq(talk_render_later(&t, 0, 14 * HOUR_US + 500000, 0),
                     "{\"iso\":\"2024-01-16T00:30:00Z\",\"ms\":\"2024-01-16T00:30:00.750Z\",\"zone\":"
                     "\"2024-01-16T01:30:00.623456+01:00\",\"none\":\"2024-01-16 00:30:00\"}");
    ck_assert_str_eq(talk_render_later(&t, 1, 1500000, 0),
                     "{\"s\":1705314601,\"ms\":1705314601623,\"us\":1705314601623456,\"ns\":1705314601623456789}");
    ck_assert_str_eq(talk_render_later(&t, 2, 2000001, 0),
                     "{\"text\":\"1705314602\",\"part\":\"1705314602.000201\",\"d\":1705314602.5,\"j\":\"{\\\"t\\\":"
                     "\\\"2024-01-16T00:00:01Z\\\"}\"}");
    ck_assert_str_eq(talk_render_later(&t, 3, -HOUR_US, 0), "at 2024-01-15T09:30:00Z");
    ck_assert_str_eq(talk_slots(&t, 4), "");
    ck_assert_str_eq(talk_free(&t, 1), "/ms /s /us /ns");
    ck_assert_str_eq(talk_render_later(&t, 1, 0, 0),
                     "{\"s\":1705314600,\"ms\":1705314600123,\"us\":1705314600123456,\"ns\":1705314600123456789}");
    talk_end(&t);
}
END_TEST

START_TEST(counters) {
    struct talk t;
    talk_begin_with(&t,
                    TALK(">{\"seq\":10,\"n\":\"1\",\"price\":5}", ">{\"seq\":13,\"n\":\"2\",\"price\":7}",
                         ">{\"seq\":14,\"n\":\"3\",\"price\":6}"),
                    &refresh);
    ck_assert_str_eq(talk_slots(&t, 0), "10|\"1\"");
    ck_assert_str_eq(talk_render_later(&t, 0, 0, 0), "{\"seq\":10,\"n\":\"1\",\"price\":5}");
    ck_assert_str_eq(talk_render_later(&t, 0, 0, 1), "{\"seq\":16,\"n\":\"4\",\"price\":5}");
    ck_assert_str_eq(talk_render_later(&t, 2, 0, 2), "{\"seq\":26,\"n\":\"9\",\"price\":6}");
    talk_end(&t);
}
END_TEST

/* A variable goes before a time: what the client sent is what it gets back. */
START_TEST(times_sent_back) {
    struct talk t;
    talk_begin_with(&t,
                    TALK("<{\"type\":\"ping\",\"time\":1705314600123}",
                         ">{\"type\":\"pong\",\"time\":1705314600123,\"now\":"
                         "1705314600124}"),
                    &refresh);
    talk_learn(&t, 0, "{\"type\":\"ping\",\"time\":1805314600123}");
    ck_assert_str_eq(talk_render_later(&t, 1, 1000, 0),
                     "{\"type\":\"pong\",\"time\":1805314600123,\"now\":1705314600125}");
    talk_end(&t);
}
END_TEST

/* ---- explain ---- */

START_TEST(explained) {
    struct talk t;
    struct buf out = BUF_INIT;
    struct json_tape tape = {.max = 100000};
    size_t at;
    talk_begin_with(&t,
                    TALK("<{\"id\":\"a7\",\"n\":5,\"name\":\"bob\"}",
                         ">{\"id\":\"a7\",\"m\":5,\"text\":\"hi bob\",\"seq\":1}", ">{\"seq\":2}", ">{\"seq\":3}",
                         "<{\"x\":\"news\"}", ">{\"y\":\"news\"}"),
                    &refresh);
    correlation_explain(t.correlation, &out, false);
    const char *text = buf_cstr(&out);
    ck_assert_ptr_nonnull(strstr(text, "incoming /id -> outgoing /id\n"));
    ck_assert_ptr_nonnull(strstr(text, "\"a7\" in conn-1: message 1, again in message 2"));
    ck_assert_ptr_nonnull(strstr(text, "incoming /name -> outgoing /text \u2026\n    within \"hi \u2026\""));
    ck_assert_ptr_nonnull(strstr(text, "Counter: outgoing /seq in conn-1, 1 to 3 in 3 messages"));
    const char *not_carried = strstr(text, "Not carried over");
    ck_assert_ptr_nonnull(not_carried);
    ck_assert_ptr_nonnull(strstr(not_carried, "incoming /x -> outgoing /y\n    too few different values"));
    buf_reset(&out);
    correlation_explain(t.correlation, &out, true);
    text = buf_cstr(&out);
    ck_assert_int_eq(json_tape_parse(&tape, text, out.len, &at), MF_OK);
    ck_assert_ptr_nonnull(
        strstr(text, "{\"from\":\"incoming\",\"to\":\"outgoing\",\"source\":\"/id\",\"target\":\"/id\""));
    ck_assert_ptr_nonnull(strstr(text, "\"rejected\":[{"));
    json_tape_fini(&tape);
    buf_fini(&out);
    talk_end(&t);
}
END_TEST

/* ---- recordings that were made to hurt ---- */

static void talk_about(size_t count, const char *client, const char *server) {
    const char **lines = calloc(count + 1, sizeof *lines);
    ck_assert_ptr_nonnull(lines);
    for (size_t i = 0; i < count; i++)
        lines[i] = i & 1 ? server : client;
    struct talk t;
    talk_begin_with(&t, lines, &refresh);
    talk_end(&t);
    free(lines);
}

START_TEST(everything_is_equal) {
    talk_about(20000, "<{\"a\":7,\"b\":7,\"c\":7,\"d\":7,\"e\":\"7\",\"f\":[7,7,7,7],\"g\":\"7 7 7 7 7 7\"}",
               ">{\"p\":7,\"q\":7,\"r\":7,\"s\":\"7\",\"t\":[7,7,7,7],\"u\":\"7 7 7 7 7\"}");
    talk_about(20000, "<{\"a\":\"8f14e45fceea\",\"b\":\"8f14e45fceea\",\"c\":[\"8f14e45fceea\",\"8f14e45fceea\"]}",
               ">{\"p\":\"8f14e45fceea\",\"q\":\"8f14e45fceea\",\"r\":\"x 8f14e45fceea 8f14e45fceea\"}");
}
END_TEST

START_TEST(one_value_is_large) {
    size_t size = (size_t)1 << 20;
    struct buf text = BUF_INIT;
    struct talk t;
    buf_puts(&text, "<{\"id\":\"a7\",\"large\":\"");
    for (size_t i = 0; i < size / 8; i++)
        buf_puts(&text, "abc 123 ");
    buf_puts(&text, "\"}");
    const char *lines[] = {buf_cstr(&text), ">{\"id\":\"a7\",\"large\":\"abc\"}", NULL};
    talk_begin(&t, lines);
    ck_assert_str_eq(talk_slots(&t, 1), "\"a7\"");
    /* Nor is a live value of that size carried over. */
    buf_reset(&text);
    buf_puts(&text, "{\"id\":\"");
    for (size_t i = 0; i < size / 8; i++)
        buf_puts(&text, "01234567");
    buf_puts(&text, "\"}");
    talk_learn(&t, 0, buf_cstr(&text));
    ck_assert_str_eq(talk_render(&t, 1), "{\"id\":\"a7\",\"large\":\"abc\"}");
    talk_end(&t);
    buf_fini(&text);
}
END_TEST

/* One message with many values that are all variables, in another order when it comes. */
START_TEST(many_values_are_carried) {
    enum { COUNT = 30000 };
    struct buf client = BUF_INIT, server = BUF_INIT, live = BUF_INIT;
    buf_puts(&client, "<{");
    buf_puts(&server, ">{");
    buf_puts(&live, "{");
    for (unsigned i = 0; i < COUNT; i++) {
        const char *comma = i ? "," : "";
        buf_printf(&client, "%s\"k%u\":\"v%u-8f14e45f\"", comma, i, i);
        buf_printf(&server, "%s\"k%u\":\"v%u-8f14e45f\"", comma, i, i);
        buf_printf(&live, "%s\"k%u\":%u", comma, COUNT - 1 - i, i);
    }
    buf_puts(&client, "}");
    buf_puts(&server, "}");
    buf_puts(&live, "}");
    const char *lines[] = {buf_cstr(&client), buf_cstr(&server), NULL};
    struct talk t;
    size_t count;
    talk_begin(&t, lines);
    ck_assert_ptr_nonnull(correlation_slots(t.correlation, 0, 1, &count));
    ck_assert_uint_eq(count, COUNT);
    talk_learn(&t, 0, buf_cstr(&live));
    ck_assert_ptr_nonnull(strstr(talk_render(&t, 1), "\"k29999\":0"));
    ck_assert_ptr_nonnull(strstr(talk_render(&t, 1), "\"k0\":29999"));
    talk_end(&t);
    buf_fini(&client);
    buf_fini(&server);
    buf_fini(&live);
}
END_TEST

START_TEST(nothing_at_all) {
    struct talk t;
    struct buf out = BUF_INIT;
    talk_begin_with(&t, TALK("<", ">", "<\xff\xfe"), &refresh);
    talk_has_no_slots(&t);
    correlation_explain(t.correlation, &out, false);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "No value is carried over."));
    buf_fini(&out);
    talk_end(&t);
}
END_TEST

static Suite *make(void) {
    Suite *s = suite_create("correlate");
    TCase *protocols = tcase_create("protocols");
    tcase_add_unchecked_fixture(protocols, sample_setup, sample_teardown);
    tcase_add_test(protocols, graphql_transport_ws);
    tcase_add_test(protocols, graphql_counters_on_several_connections);
    tcase_add_test(protocols, socket_io);
    tcase_add_test(protocols, socket_io_namespace_and_attachments);
    tcase_add_test(protocols, socket_io_one_attachment);
    tcase_add_test(protocols, wamp);
    tcase_add_test(protocols, nostr);
    tcase_add_test(protocols, json_rpc_counters);
    tcase_add_test(protocols, json_rpc_batch);
    tcase_add_test(protocols, json_rpc_both_ways);
    tcase_add_test(protocols, json_rpc_both_ways_with_the_same_ids);
    tcase_add_test(protocols, phoenix);
    tcase_add_test(protocols, action_cable);
    tcase_add_test(protocols, signalr);
    tcase_add_test(protocols, stomp);
    tcase_add_test(protocols, pusher);
    tcase_add_test(protocols, chat_with_counters);
    tcase_add_test(protocols, sequence_sent_back);
    tcase_add_test(protocols, feeds);
    tcase_add_test(protocols, appsync);
    suite_add_tcase(s, protocols);
    TCase *parts = tcase_create("parts");
    tcase_add_unchecked_fixture(parts, sample_setup, sample_teardown);
    tcase_add_test(parts, words_within_texts);
    tcase_add_test(parts, words_after_a_command);
    tcase_add_test(parts, words_that_fail_within_texts);
    tcase_add_test(parts, ids_within_texts);
    tcase_add_test(parts, plain_texts);
    tcase_add_test(parts, kinds);
    tcase_add_test(parts, names_that_are_ids);
    tcase_add_test(parts, a_number_for_the_whole_connection);
    tcase_add_test(parts, names_that_meet);
    tcase_add_test(parts, ids_used_again);
    tcase_add_test(parts, servers_values);
    suite_add_tcase(s, parts);
    TCase *chance = tcase_create("chance");
    tcase_add_unchecked_fixture(chance, sample_setup, sample_teardown);
    tcase_add_test(chance, numbers_that_meet);
    tcase_add_test(chance, tags_states_and_constants);
    tcase_add_test(chance, words_that_meet_in_texts);
    tcase_add_test(chance, numbers_that_meet_in_lists);
    tcase_add_test(chance, two_counters);
    tcase_add_test(chance, a_feed_counts_by_itself);
    tcase_add_test(chance, prices_and_times);
    tcase_add_test(chance, states_of_others);
    suite_add_tcase(s, chance);
    TCase *asked = tcase_create("asked");
    tcase_add_unchecked_fixture(asked, sample_setup, sample_teardown);
    tcase_add_test(asked, rules_asked_for);
    tcase_add_test(asked, paths_excepted);
    tcase_add_test(asked, rules_refused);
    suite_add_tcase(s, asked);
    TCase *refreshed = tcase_create("refreshed");
    tcase_add_unchecked_fixture(refreshed, sample_setup, sample_teardown);
    tcase_add_test(refreshed, times);
    tcase_add_test(refreshed, counters);
    tcase_add_test(refreshed, times_sent_back);
    tcase_add_test(refreshed, explained);
    suite_add_tcase(s, refreshed);
    TCase *hostile = tcase_create("hostile");
    tcase_add_unchecked_fixture(hostile, sample_setup, sample_teardown);
    tcase_set_timeout(hostile, 60);
    tcase_add_test(hostile, everything_is_equal);
    tcase_add_test(hostile, one_value_is_large);
    tcase_add_test(hostile, many_values_are_carried);
    tcase_add_test(hostile, nothing_at_all);
    suite_add_tcase(s, hostile);
    return s;
}

int main(void) {
    return sample_run(make());
}
