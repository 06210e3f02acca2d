"""ping_interval: who answers stays, who does not is dropped."""
import time

import pytest
from harness import Background
from setting import TIMEOUT
from wire import CLOSE, PING, TEXT, Closed

CONFIG = """
websocket:
  host: 127.0.0.1
  port: 0
  ping_interval: 1
  close_timeout_ms: 300
  handlers:
    - path: /echo
      type: echo
"""


def until_the_end(c, answer, limit=TIMEOUT, began=None):
    """Reads until the connection ends or so many seconds have passed: (seconds, pings seen, close code or None, ended)."""
    began, pings, code = began or time.monotonic(), 0, None
    while time.monotonic() - began < limit:
        try:
            f = c.recv_frame()
        except Closed:
            return time.monotonic() - began, pings, code, True
        if f.opcode == PING:
            pings += 1
            if answer:
                c.pong(f.payload)
        elif f.opcode == CLOSE:
            code = f.code
    return time.monotonic() - began, pings, code, False


@pytest.mark.parametrize("path", ["/echo", "/ws"])
def test_a_client_that_never_answers_is_dropped(gateway, path):
    g = gateway(CONFIG)
    began = time.monotonic()
    seconds, pings, code, ended = until_the_end(g.client(path), answer=False, began=began)
    assert ended and pings >= 1
    assert seconds >= 1
    assert code in (None, 1001, 1002, 1008, 1011), code
    g.wait_log("reason=")


def test_a_living_client_stays(gateway):
    c = gateway(CONFIG).client("/echo")
    seconds, pings, code, ended = until_the_end(c, answer=True, limit=4)
    assert not ended and code is None and pings >= 2
    c.text("still here")
    while (f := c.recv_frame()).opcode == PING:
        c.pong(f.payload)
    assert f.opcode == TEXT
    c.close(1000)


def test_a_relayed_client_that_never_answers_is_dropped_and_its_upstream_hears_it(gateway, raw_upstream):
    up = raw_upstream()
    g = gateway(CONFIG + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")
    began = time.monotonic()
    client, server = g.pair(up)

    # The upstream lives: it answers every ping.
    def live():
        try:
            while True:
                f = server.recv_frame()
                if f.opcode == PING:
                    server.pong(f.payload)
                elif f.opcode == CLOSE:
                    return f.code
        except Closed:
            return None
    upstream = Background(live)
    seconds, pings, code, ended = until_the_end(client, answer=False, began=began)
    assert ended and pings >= 1 and seconds >= 1
    assert upstream.join() in (None, 1001, 1006, 1011)


def test_a_silent_upstream_is_noticed(gateway, raw_upstream):
    """A dead upstream that TCP does not tell of: the client is not left waiting."""
    up = raw_upstream()
    g = gateway(CONFIG + f"    - path: /proxy\n      type: proxy\n      upstream: {up.url()}\n")
    client, server = g.pair(up)
    seconds, pings, code, ended = until_the_end(client, answer=True)
    assert ended, "the client still hangs on an upstream that answers nothing"
    assert code in (1001, 1011, 1014), code


def test_no_heartbeat_with_zero(gateway):
    c = gateway(CONFIG.replace("ping_interval: 1", "ping_interval: 0")).client("/echo")
    c.sock.settimeout(1.5)
    with pytest.raises(TimeoutError):
        c.recv_frame()
