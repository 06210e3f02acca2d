"""A bad configuration starts nothing, and says where and what."""
import re

import pytest
from harness import mockforge

ROUTE = "websocket:\n  handlers:\n    - path: /x\n"
BAD = {  # text, line, words that the message has
    "unknown key": ("websocket:\n  pots: 8080\n", 2, ["pots", "port"]),
    "unknown key of a handler": (ROUTE + "      upstreem: ws://h/\n", 4, ["upstreem", "upstream"]),
    "unknown top key": ("websockets:\n  port: 1\n", 1, ["websockets", "websocket"]),
    "unknown type": (ROUTE + "      type: eco\n", 4, ["eco", "echo"]),
    "wrong type": ("websocket:\n  port: many\n", 2, ["port", "many"]),
    "out of range": ("websocket:\n  port: 70000\n", 2, ["port", "65535"]),
    "negative": ("websocket:\n  max_connections: -1\n", 2, ["max_connections"]),
    "list for a mapping": ("websocket:\n  - port\n", 2, ["websocket"]),
    "duplicate key": ("websocket:\n  port: 1\n  port: 2\n", 3, ["port"]),
    "bad yaml": ("websocket:\n  port: [1\n", 0, []),
    "tab": ("websocket:\n\tport: 1\n", 2, []),
    "no path": ("websocket:\n  handlers:\n    - type: echo\n", 3, ["path"]),
    "path without a slash": ("websocket:\n  handlers:\n    - path: x\n      type: echo\n", 3, ["path"]),
    "proxy without upstream": (ROUTE + "      type: proxy\n", 4, ["upstream"]),
    "bad upstream": (ROUTE + "      type: proxy\n      upstream: ftp://h/\n", 5, ["ws://"]),
    "upstream with a user": (ROUTE + "      type: proxy\n      upstream: ws://u:p@h/\n", 5, []),
    "upstream with a bad port": (ROUTE + "      upstream: ws://h:99999/\n", 4, ["websocket.handlers[0].upstream", "65535"]),
    "no CA": (ROUTE + "      upstream: wss://h/\n      upstream_tls: {ca: none.pem}\n", 4,
              ["websocket.handlers[0].upstream_tls", "none.pem"]),
    "no certificate": ("websocket:\n  port: 0\n  tls: {cert_path: none.crt, key_path: none.key}\n", 0,
                       ["bad.yaml", "websocket.tls", "none.crt"]),
    "a recording of no known form": ("websocket:\n  record: true\n  record_path: s.txt\n", 3,
                                     ["websocket.record.path", "s.txt", ".jsonl.zst"]),
    "a handler's recording of no known form": (ROUTE + "      type: echo\n      record: {path: s.txt}\n", 5,
                                               ["websocket.handlers[0].record.path"]),
    "JavaScript": (ROUTE + "      upstream: ws://h/\n      transform:\n        outgoing: |\n          delete msg.x;\n", 7,
                   ["websocket.handlers[0].transform.outgoing", "Lua"]),
    "no Lua file": (ROUTE + "      upstream: ws://h/\n      transform:\n        incoming: none.lua\n", 6,
                    ["websocket.handlers[0].transform.incoming", "none.lua"]),
    "a header of the handshake": (ROUTE + "      upstream: ws://h/\n      on_connect: {headers: {sec-websocket-key: x}}\n", 5,
                                  ["sec-websocket-key", "handshake"]),
    "unknown template": (ROUTE + "      type: proxy\n      upstream: ws://h/\n      on_connect:\n        headers:\n          X: \"{{nothing}}\"\n", 8, ["on_connect.headers.X", "nothing"]),
    "template without an end": (ROUTE + "      type: proxy\n      upstream: ws://h/\n      on_connect:\n        headers:\n          X: \"{{uuid\"\n", 8, []),
    "header that is no token": (ROUTE + "      type: proxy\n      upstream: ws://h/\n      on_connect:\n        headers:\n          \"X Y\": a\n", 8, ["X Y"]),
    "unknown template in record_path": ("websocket:\n  record: true\n  record_path: \"{{nothing}}.json\"\n", 3, ["nothing"]),
    "record.on_full": ("websocket:\n  record:\n    on_full: explode\n", 3, ["explode", "pause"]),
    "record.redact.json": (ROUTE + "      record: {redact: {json: [\"a..b\"]}}\n", 3, ["a..b", "JSON path"]),
    "certificate without a key": ("websocket:\n  tls:\n    cert_path: a.crt\n", 0, ["key_path"]),
    "a feature that is yet to come": (ROUTE + "      chaos: {}\n", 4, ["chaos"]),
    "a mock without what it needs": (ROUTE + "      type: static\n", 4, ["static", "messages"]),
    "aliases that explode": ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n", 0, []),
    "not UTF-8": (b"websocket:\n  path: \"/\xff\"\n", 0, []),
}


@pytest.mark.parametrize("text,line,words", BAD.values(), ids=BAD)
@pytest.mark.parametrize("command", [("config", "check"), ("serve", "--config")], ids=["check", "serve"])
def test_refused(tmp_path, text, line, words, command):
    (tmp_path / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = mockforge(*command, "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2, done
    assert " listening " not in done.stderr and not done.stdout
    where = re.search(r"bad\.yaml:(\d+)?(:\d+)?", done.stderr)
    assert where, done.stderr
    if line:
        assert where[1] and int(where[1]) == line, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr


@pytest.mark.parametrize("env,word", [({"MOCKFORGE_WS_PORT": "many"}, "MOCKFORGE_WS_PORT"),
                                      ({"MOCKFORGE_WS_MAX_CONNECTIONS": "-1"}, "MOCKFORGE_WS_MAX_CONNECTIONS")])
def test_a_bad_variable_is_named(tmp_path, env, word):
    done = mockforge("serve", "--websocket", cwd=tmp_path, env=env)
    assert done.returncode == 2 and word in done.stderr, done


def test_a_missing_file(tmp_path):
    done = mockforge("serve", "--config", "missing.yaml", cwd=tmp_path)
    assert done.returncode in (2, 3) and "missing.yaml" in done.stderr, done


def test_a_missing_certificate(tmp_path):
    (tmp_path / "c.yaml").write_text("websocket:\n  port: 0\n  tls:\n    cert_path: no.crt\n    key_path: no.key\n")
    done = mockforge("serve", "--config", "c.yaml", cwd=tmp_path)
    assert done.returncode in (2, 3) and "no.crt" in done.stderr, done


def test_a_key_that_is_of_another_certificate(tmp_path, certs):
    (tmp_path / "c.yaml").write_text(f"websocket:\n  port: 0\n  tls:\n    cert_path: {certs.crt('good')}\n    key_path: {certs.key('expired')}\n")
    done = mockforge("serve", "--config", "c.yaml", cwd=tmp_path)
    assert done.returncode in (2, 3) and "key" in done.stderr, done
