"""ws diff on session files that this writes itself: what counts and what does not, reports, exit codes."""
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from harness import mockforge

TO, FROM = "outgoing", "incoming"  # to the client, from the client
SAME, DIFFERENT, USAGE, UNREADABLE = 0, 1, 2, 3


def say(direction, data, **more):
    """One message; what is not a text is written as JSON."""
    return {"direction": direction, "type": "text", "data": data if isinstance(data, str) else json.dumps(data), **more}


def close(code, direction=TO):
    return {"direction": direction, "type": "close", "code": code, "reason": ""}


def conversation(*messages, name="conn-1", path="/ws", subprotocol=None, begin=0):
    opening = {"type": "open", "connection": name, "timestamp_ms": begin, "path": path, "upstream": None,
               "request_headers": {}, "response_headers": {}, "subprotocol": subprotocol}
    return [opening, *({"connection": name, "timestamp_ms": begin + 1 + i, **m} for i, m in enumerate(messages))]


def write(path, *conversations, recorded_at="2024-01-15T10:30:00.000Z"):
    lines = [{"type": "recording", "version": 1, "recorded_at": recorded_at, "generator": "test"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *sum(conversations, [])]))
    return path


class Diff:
    """Writes the two recordings and compares them."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, a, b, *options, code):
        """a and b: lists of messages of one connection, or lists of conversations."""
        def conversations(what):
            return what if what and isinstance(what[0], list) else [conversation(*what)]
        write(self.folder / "a.jsonl", *conversations(a))
        write(self.folder / "b.jsonl", *conversations(b), recorded_at="2025-02-02T02:02:02.000Z")
        return self.run(*options, code=code)

    def run(self, *options, code, a="a.jsonl", b="b.jsonl"):
        done = mockforge("ws", "diff", *options, a, b, cwd=self.folder, env={"NO_COLOR": "1"})
        assert done.returncode == code, done
        return done


@pytest.fixture
def diff(tmp_path):
    return Diff(tmp_path)


def told(done):
    """(kind, message, path, expected, got) of each difference in the JSON report."""
    return [(d["kind"], d.get("message"), d["path"], d["expected"], d["got"])
            for case in json.loads(done.stdout)["cases"] for d in case["differences"]]


ORDERS = [say(FROM, {"type": "subscribe", "channel": "orders"}),
          say(TO, {"type": "subscribed", "channel": "orders"}),
          *[say(TO, {"type": "order", "n": n, "price": n * 1.5, "items": ["x", "y"], "at": 1000 + n}) for n in range(8)],
          close(1000)]


def with_message(index, **members):
    """ORDERS with members of one message changed."""
    messages = list(ORDERS)
    messages[index] = say(messages[index]["direction"], {**json.loads(messages[index]["data"]), **members})
    return messages


# what does not count

def test_the_same(diff):
    done = diff(ORDERS, ORDERS, code=SAME)
    assert done.stdout == ("same conn-1: 10 messages compared\n"
                           "1 conversation: 1 same, 0 different; 10 messages compared, 0 differences\n")
    assert done.stderr == ""


def test_how_it_is_written_does_not_count(diff):
    diff([say(TO, '{"a":1,"b":"\\u0041"}'), say(TO, "[1.0, 2e2]")],
         [say(TO, '{ "b": "A", "a": 1.00 }'), say(TO, "[1,200]")], code=SAME)


def test_when_it_was_said_does_not_count(diff):
    diff([conversation(*ORDERS)], [conversation(*ORDERS, begin=5000)], code=SAME)


def test_fragments_do_not_count(diff):
    first, second = {"fin": False}, {"type": "continuation"}
    diff([say(TO, "hello world")], [say(TO, "hello ", **first), say(TO, "world", **second)], code=SAME)


# what counts

@pytest.mark.parametrize("b, options, expected", [
    (with_message(3, price=99), [], [("value", 4, "/price", "1.5", "99")]),
    (with_message(3, price="1.5"), [], [("type", 4, "/price", "1.5", '"1.5"')]),
    (with_message(3, extra=1), [], [("extra_value", 4, "/extra", None, "1")]),
    (with_message(3, extra=1), ["--allow-extra"], []),
    (with_message(3, price=99), ["--ignore", "/price"], []),
    (with_message(3, price=99), ["--ignore", "price"], []),
    (with_message(3, price=99), ["--ignore", "/at", "--ignore", "/**/n"], [("value", 4, "/price", "1.5", "99")]),
    (with_message(3, price=99), ["--types-only"], []),
    (with_message(3, price=1.6), ["--tolerance", "0.1"], []),
    (with_message(3, price=1.6), ["--tolerance", "10%"], []),
    (with_message(3, price=1.6), ["--tolerance", "1%"], [("value", 4, "/price", "1.5", "1.6")]),
    (with_message(3, price=99), ["--direction", "incoming"], []),
    (with_message(3, items=["y", "x"]), ["--unordered", "/items"], []),
    (with_message(3, items=["y", "x"]), [], [("value", 4, "/items/0", '"x"', '"y"'), ("value", 4, "/items/1", '"y"', '"x"')]),
    (ORDERS[:5] + ORDERS[6:], [], [("missing_message", 6, "", ORDERS[5]["data"].replace(": ", ":").replace(", ", ","), None)]),
    (ORDERS[:5] + ORDERS[6:], ["--allow-extra"],
     [("missing_message", 6, "", ORDERS[5]["data"].replace(": ", ":").replace(", ", ","), None)]),
    (ORDERS[:5] + [say(TO, "hi")] + ORDERS[5:], [], [("extra_message", 6, "", None, "hi")]),
    (ORDERS[:5] + [say(TO, "hi")] + ORDERS[5:], ["--allow-extra"], []),
    (ORDERS[:2] + ORDERS[6:10] + ORDERS[2:6] + ORDERS[10:], ["--unordered", "/"], []),
    (ORDERS[:-1] + [close(1011)], [], [("close", None, "close", "1000", "1011")]),
    (ORDERS[:-1], [], [("close", None, "close", "1000", "no close frame")]),
])
def test_what_counts(diff, b, options, expected):
    """Messages one less or one more are one difference, wherever they are."""
    done = diff(ORDERS, b, "--json", *options, code=DIFFERENT if expected else SAME)
    found = told(done)
    # A whole message is shown as it was sent.
    assert [(k, m, p, e and re.sub(r'([:,]) ', r"\1", e), g) for k, m, p, e, g in found] == expected


def test_handshakes(diff):
    a = [conversation(say(TO, "x"), path="/a", subprotocol="one")]
    b = [conversation(say(TO, "x"), path="/b", subprotocol=None)]
    assert told(diff(a, b, "--json", code=DIFFERENT)) == [("handshake", None, "path", "/a", "/b"),
                                                          ("handshake", None, "subprotocol", "one", None)]


def test_text_and_binary(diff):
    a = [say(TO, "AAECAw==", type="binary", encoding="base64"), say(TO, "status ok 3")]
    b = [say(TO, "AAED", type="binary", encoding="base64"), say(TO, "status bad 3")]
    assert told(diff(a, b, "--json", code=DIFFERENT)) == [("value", 1, "", "4 bytes: 00 01 02 03", "3 bytes: 00 01 03"),
                                                          ("value", 2, "@word/1", "ok", "bad")]


def test_an_opcode_counts(diff):
    a, b = [say(TO, {"a": 1})], [say(TO, "eyJhIjogMX0=", type="binary", encoding="base64")]
    assert told(diff(a, b, "--json", code=DIFFERENT)) == [("form", 1, "", "a text message", "a binary message")]


# what was made up

def rpc(*ids, answer=lambda i: i):
    messages = []
    for n, i in enumerate(ids):
        messages += [say(FROM, {"id": i, "method": "get", "params": [n]}), say(TO, {"id": answer(i), "result": n * 10})]
    return messages


IDS_A = ["a1b2c3d4e5f6", "b7c8d9e0f1a2", "c3d4e5f6a7b8", "d9e0f1a2b3c4"]
IDS_B = ["0f1e2d3c4b5a", "69788796a5b4", "c3d2e1f00f1e", "2d3c4b5a6978"]


@pytest.mark.parametrize("a, b", [(IDS_A, IDS_B), ([1, 2, 3, 4], [7, 8, 9, 10])])
def test_made_up_ids_do_not_count(diff, a, b):
    diff(rpc(*a), rpc(*b), code=SAME)
    found = told(diff(rpc(*a), rpc(*b), "--no-correlate", "--json", code=DIFFERENT))
    assert len(found) == 8 and {path for _, _, path, _, _ in found} == {"/id"}


def socket_io(first_ack, session):
    """Numbers that answers repeat within a word: 420[…] is answered by 430[…]."""
    messages = [say(TO, f'0{{"sid":"{session}","pingInterval":25000}}'), say(FROM, "40"), say(TO, '40{"sid":"x"}')]
    for n in range(6):
        messages += [say(FROM, f'42{first_ack + n}["get",{{"n":{n}}}]'), say(TO, f'43{first_ack + n}["ok",{n * 2}]'),
                     say(TO, "2"), say(FROM, "3")]
    return messages


def test_made_up_parts_of_words(diff):
    found = told(diff(socket_io(0, "AbCdEf0123456789"), socket_io(3, "Zz9876543210QqWw"), "--json", code=DIFFERENT))
    assert found == [("value", 1, "/sid", '"AbCdEf0123456789"', '"Zz9876543210QqWw"')]  # nobody says it again


def subscriptions(*ids):
    messages = [say(FROM, {"type": "connection_init"}), say(TO, {"type": "connection_ack"})]
    for n, i in enumerate(ids):
        messages += [say(FROM, {"id": i, "type": "subscribe", "payload": {"query": f"subscription {{ a{n} }}"}}),
                     *[say(TO, {"id": i, "type": "next", "payload": {"data": {"v": k}}}) for k in range(3)],
                     say(TO, {"id": i, "type": "complete"})]
    return messages


def test_made_up_subscriptions(diff):
    a = ["1a2b3c4d-aaaa-4bbb-8ccc-000000000001", "9f8e7d6c-aaaa-4bbb-8ccc-000000000002"]
    b = ["5a5b5c5d-1111-4222-8333-000000000003", "0f0e0d0c-1111-4222-8333-000000000004"]
    diff(subscriptions(*a), subscriptions(*b), code=SAME)
    changed = subscriptions(*b)
    changed[4] = say(TO, {"id": b[0], "type": "next", "payload": {"data": {"v": 77}}})
    assert told(diff(subscriptions(*a), changed, "--json", code=DIFFERENT)) == [("value", 5, "/payload/data/v", "1", "77")]


def test_an_id_that_stands_for_two_counts(diff):
    """Each answer has the id of its request but the last, which has the first one's."""
    wrong = rpc(*IDS_B)
    wrong[-1] = say(TO, {"id": IDS_B[0], "result": 30})
    found = told(diff(rpc(*IDS_A), wrong, "--json", code=DIFFERENT))
    assert found == [("value", 8, "/id", f'"{IDS_A[3]}"', f'"{IDS_B[0]}"')]


# connections

def two(first="conn-1", second="conn-2", change=0):
    return [conversation(say(TO, {"a": 1}), name=first),
            conversation(say(TO, {"a": 2 + change}), name=second, begin=10)]


def test_connections_by_name(diff):
    """The same names in another order."""
    done = diff(two(), list(reversed(two())), code=SAME)
    assert "in their order" not in done.stderr
    assert diff(two(), two(), "--connection", "conn-1", code=SAME).stdout.startswith("same conn-1:")
    diff(two(), two(change=1), "--connection", "conn-1", code=SAME)
    diff(two(), two(change=1), "--connection", "conn-2", code=DIFFERENT)


def test_connections_in_order(diff):
    done = diff(two(), two("conn-8", "conn-9"), code=SAME)
    assert "paired in their order" in done.stderr
    assert "same conn-2 and conn-9: 1 message compared" in done.stdout


def test_connections_without_a_partner(diff):
    assert told(diff(two(), two()[:1], "--json", code=DIFFERENT)) == [("handshake", None, "connection", "1 message", None)]
    done = diff(two()[:1], two(), code=DIFFERENT)
    assert "1 connection of the second recording without a partner" in done.stderr
    assert "DIFF conn-2: 1 difference" in done.stdout
    diff(two()[:1], two(), "--allow-extra", code=SAME)


# reports

def prices(count, add=0):
    return [say(TO, {"type": "price", "n": n, "quotes": [{"bid": n + add}]}) for n in range(count)]


def test_what_many_messages_share_is_folded(diff):
    done = diff(prices(60), prices(60, add=0.5), code=DIFFERENT)
    assert done.stdout == ("DIFF conn-1: 60 differences; 60 messages compared\n"
                           "  /quotes/0/bid: 60 messages (1-60); the first: message 1 at 0.001 s from the server\n"
                           "    - 0\n    + 0.5\n"
                           "1 conversation: 0 same, 1 different; 60 messages compared, 60 differences\n")


def test_a_report_cannot_drive_a_terminal(diff):
    hostile = "\x1b]0;owned\x07 \x9b31m\u202e\x7f"
    b = [conversation(say(TO, {hostile: hostile}), name=hostile, path="/" + hostile, subprotocol=hostile)]
    out = diff([conversation(say(TO, {"a": 1}), name=hostile)], b, code=DIFFERENT).stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert "\\x1b" in out or "\\u001b" in out


def test_junit(diff):
    a = [conversation(*prices(10)), conversation(say(TO, "same"), name="conn-2", begin=50)]
    b = [conversation(*prices(10, add=1), say(TO, '<]]>&"\ufffe'), say(TO, {"\x01\ufffe": "\x1b"})),
         conversation(say(TO, "same"), name="conn-2", begin=50)]
    done = diff(a, b, "--junit", "result.xml", code=DIFFERENT)
    suites = ElementTree.parse(diff.folder / "result.xml").getroot()
    suite, = suites
    assert (suites.tag, suite.tag) == ("testsuites", "testsuite")
    assert suite.get("name") == "mockforge ws diff a.jsonl b.jsonl"
    for element in (suites, suite):
        assert [element.get(n) for n in ("tests", "failures", "errors")] == ["2", "1", "0"]
    # Jenkins' junit-10.xsd knows these attributes, and times of three decimals
    assert set(suites.keys()) <= {"name", "time", "tests", "failures", "errors"}
    assert all(re.fullmatch(r"[0-9]+\.[0-9]{3}", each.get("time")) for each in (suites, suite, *suite))
    first, second = suite
    assert [(c.tag, c.get("name"), c.get("classname")) for c in suite] == [
        ("testcase", "conn-1", suite.get("name")), ("testcase", "conn-2", suite.get("name"))]
    failure, = first
    assert failure.tag == "failure" and failure.get("message") == "12 differences; 10 messages compared"
    assert "/quotes/0/bid: 10 messages (1-10)" in failure.text and "    + 1\n" in failure.text
    assert '<]]>&"' in failure.text
    assert list(second) == []
    assert "DIFF conn-1: 12 differences" in done.stdout  # the text is there as well


def test_json(diff):
    report = json.loads(diff(prices(2), prices(2, add=1), "--json", code=DIFFERENT).stdout)
    assert report["totals"] == {"cases": 1, "same": 0, "different": 1, "errors": 0, "compared": 2, "missing": 0,
                                "extra": 0, "differences": 2}
    case, = report["cases"]
    assert (case["name"], case["outcome"], case["difference_count"]) == ("conn-1", "different", 2)
    assert case["differences"][0] == {"kind": "value", "message": 1, "time_ms": 1, "direction": "outgoing",
                                      "path": "/quotes/0/bid", "expected": "0", "got": "1"}


# refusals

@pytest.mark.parametrize("options", [["--tolerance", "x"], ["--tolerance", "-1"], ["--tolerance", "1%%"],
                                     ["--tolerance", "nan"], ["--tolerance", ""], ["--direction", "up"],
                                     ["--ignore", ""], ["--ignore", "/"], ["--no-such-option"]])
def test_usage(diff, options):
    done = diff(ORDERS, ORDERS, *options, code=USAGE)
    assert options[0] in done.stderr and done.stdout == ""


def test_one_file_is_not_enough(tmp_path):
    assert mockforge("ws", "diff", "a.jsonl", cwd=tmp_path).returncode == USAGE


def test_unreadable(diff):
    diff(ORDERS, ORDERS, code=SAME)
    assert "none.jsonl" in diff.run(code=UNREADABLE, b="none.jsonl").stderr
    done = diff.run("--connection", "conn-7", code=UNREADABLE)
    assert "conn-7" in done.stderr and "conn-1" in done.stderr
    assert "no-such-folder" in diff.run("--junit", "no-such-folder/x.xml", code=UNREADABLE).stderr


def test_a_damaged_file(diff):
    diff(ORDERS, ORDERS, code=SAME)
    damaged = diff.folder / "b.jsonl"
    lines = damaged.read_text().splitlines(keepends=True)
    damaged.write_text("".join([*lines[:6], "this is no line\n", *lines[6:]]))
    done = diff.run(code=UNREADABLE)
    assert "b.jsonl:7" in done.stderr and done.stdout == ""
    diff.run("--recover", code=SAME)


def test_a_file_that_ends_early(diff):
    """What is there is compared; what is not there is missing."""
    diff(ORDERS, ORDERS, code=SAME)
    cut = diff.folder / "b.jsonl"
    cut.write_bytes(cut.read_bytes()[:-300])
    assert "b.jsonl:12: byte" in diff.run(code=UNREADABLE).stderr
    done = diff.run("--recover", code=DIFFERENT)
    assert "ends early" in done.stderr and "is missing" in done.stdout


# a larger one

def test_many_messages_some_gone_some_new(diff):
    """3,000 messages, every hundredth of which is missing on one side or the other."""
    a = [say(TO, {"type": "tick", "n": n, "v": n * n % 97}) for n in range(3000)]
    b = [m for n, m in enumerate(a) if n % 100 != 50]
    a = [m for n, m in enumerate(a) if n % 100 != 10]
    report = json.loads(diff(a, b, "--json", code=DIFFERENT).stdout)
    case, = report["cases"]
    assert (case["compared"], case["missing"], case["extra"], case["difference_count"]) == (2940, 30, 30, 60)
