"""SIGHUP: new connections get the new configuration, open ones stay, a broken file changes nothing."""
import signal

from harness import eventually
from wire import TEXT


def config(path):
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: {path}
      type: echo
"""


def test_reload(gateway, tmp_path):
    g = gateway(config("/old"))
    old = g.client("/old")
    (tmp_path / "mockforge.yaml").write_text(config("/new"))
    g.send_signal(signal.SIGHUP)
    g.wait_log("reloaded")
    g.client("/old", status=404)
    new = g.client("/new")
    for c in (old, new):
        c.text("x")
        c.expect(TEXT, b"x")
        c.finish()


def test_a_broken_file_changes_nothing(gateway, tmp_path):
    g = gateway(config("/old"))
    for i, broken in enumerate(["websocket:\n  pots: 1\n", "{", config("/x") + "    - path: /y\n      type: proxy\n"], 1):
        (tmp_path / "mockforge.yaml").write_text(broken)
        g.send_signal(signal.SIGHUP)
        eventually(lambda: g.count_log("reload_refused") == i)
    assert "mockforge.yaml:2" in g.wait_log("reload_refused").string
    c = g.client("/old")
    c.finish()


def test_reloads_under_load(gateway, tmp_path):
    g = gateway(config("/echo"))
    c = g.client("/echo")
    for i in range(100):
        if i % 10 == 0:
            g.send_signal(signal.SIGHUP)
        c.text(f"{i}")
        c.expect(TEXT, b"%d" % i)
    c.finish()


def test_a_new_transform_from_the_next_message_on(gateway, raw_upstream, tmp_path):
    up = raw_upstream()

    def proxy(lua):
        return config("/echo") + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n      transform:\n        incoming: {lua}\n"
    g = gateway(proxy("msg.v = 1"))
    client, server = g.pair(up)
    client.text("{}")
    assert server.recv_text() == '{"v":1}'
    (tmp_path / "mockforge.yaml").write_text(proxy("msg.v = 2"))
    g.send_signal(signal.SIGHUP)
    g.wait_log("reloaded")
    client.text("{}")
    assert server.recv_text() == '{"v":2}'
    client, server = g.pair(up)
    client.text("{}")
    assert server.recv_text() == '{"v":2}'
