"""wss:// upstreams: verified by default, and a clear 502 when they are not who they should be."""
import ssl

import pytest
from harness import Background, mockforge
from wire import TEXT, Frame, one_line


def relay(upstream_url, tls="", timeout=8000):
    return f"""
websocket:
  host: 127.0.0.1
  port: 0
  handlers:
    - path: /proxy
      type: proxy
      upstream: "{upstream_url}"
      connect_timeout_ms: {timeout}
{f"      upstream_tls: {{{tls}}}" if tls else ""}
"""


def echoes(g):
    c = g.client("/proxy")
    for text in ("over tls", "x" * 100000):
        c.text(text)
        c.expect(TEXT, text.encode())
    c.finish()


def is_refused(g, *words):
    c = g.ask("/proxy").answered(502)
    assert one_line(c.response.body), c.response
    assert any(w in c.response.body.lower() for w in words), c.response.body
    c.expect_eof()
    g.wait_log("upstream")


def test_with_its_ca(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server())
    g = gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"'))
    echoes(g)


def test_by_address(gateway, ws_upstream, certs):
    """The certificate names 127.0.0.1 as an address: no SNI, and the address is what is verified."""
    up = ws_upstream(tls=certs.server())
    echoes(gateway(relay(up.url(), f'ca: "{certs.crt("ca")}"')))


def test_the_system_store_does_not_know_our_ca(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server())
    is_refused(gateway(relay(up.url(host="localhost"))), b"certificate")


@pytest.mark.parametrize("name,words", [("wrong_host", [b"host", b"name", b"mismatch"]), ("expired", [b"expired"]),
                                        ("unknown", [b"certificate", b"issuer"])])
def test_a_certificate_that_is_not_right(gateway, ws_upstream, certs, name, words):
    up = ws_upstream(tls=certs.server(name))
    is_refused(gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"')), *words)
    assert up.seen == []  # no request, and so no header of ours, went to a stranger


@pytest.mark.parametrize("name", ["wrong_host", "expired", "unknown"])
def test_verification_can_be_switched_off(gateway, ws_upstream, certs, name):
    up = ws_upstream(tls=certs.server(name))
    echoes(gateway(relay(up.url(host="localhost"), "verify: false")))


def test_server_name_is_sni_and_what_is_verified(gateway, raw_upstream, certs):
    context, names = certs.server("wrong_host"), []
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    up = raw_upstream(tls=context)
    g = gateway(relay(up.url(), f'ca: "{certs.crt("ca")}", server_name: elsewhere.example'))
    client, server = g.pair(up)
    client.text("x")
    assert server.recv_frame() == Frame(TEXT, b"x")
    assert names == ["elsewhere.example"]


def test_client_certificate(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server(ask_client=True))
    ca = f'ca: "{certs.crt("ca")}"'
    echoes(gateway(relay(up.url(host="localhost"), f'{ca}, cert: "{certs.crt("client")}", key: "{certs.key("client")}"')))
    without = gateway(relay(up.url(host="localhost"), ca), name="without.yaml")
    without.ask("/proxy").answered(502)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_is_not_spoken(gateway, raw_upstream, certs):
    context = certs.server()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    up = raw_upstream(tls=context)
    g = gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"'))

    def accept():
        with pytest.raises((ssl.SSLError, OSError)):
            up.accept()
    accepting = Background(accept)
    g.ask("/proxy").answered(502)
    accepting.join()


def test_tls_1_2_is_enough(gateway, ws_upstream, certs):
    context = certs.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    up = ws_upstream(tls=context)
    echoes(gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"')))


def test_plain_port_behind_wss(gateway, ws_upstream):
    up = ws_upstream()
    is_refused(gateway(relay(up.url(host="localhost").replace("ws://", "wss://"))), b"tls", b"ssl", b"version")


def test_tls_port_behind_ws(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server())
    g = gateway(relay(up.url(host="localhost").replace("wss://", "ws://")))
    g.ask("/proxy").answered(502)


def test_an_upstream_that_is_silent_in_its_tls_handshake(gateway, raw_upstream):
    up = raw_upstream()  # accepts, and says nothing
    g = gateway(relay(up.url().replace("ws://", "wss://"), timeout=400))
    c = g.ask("/proxy").answered(504)
    assert one_line(c.response.body)


@pytest.mark.parametrize("clean", [True, False], ids=["close_notify", "FIN"])
def test_an_upstream_that_vanishes(gateway, raw_upstream, certs, clean):
    up = raw_upstream(tls=certs.server())
    g = gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"'))
    client, server = g.pair(up)
    server.text("last")
    client.expect(TEXT, b"last")
    if clean:
        ending = Background(lambda: server.sock.unwrap().close())
    else:
        server.close_socket()
    client.expect_failure((1001, 1011, 1014))
    if clean:
        ending.join()


def test_many_connections_over_tls(gateway, ws_upstream, certs):
    up = ws_upstream(tls=certs.server())
    g = gateway(relay(up.url(host="localhost"), f'ca: "{certs.crt("ca")}"'))
    clients = [g.ask("/proxy") for _ in range(50)]
    for i, c in enumerate(clients):
        c.answered().text(f"{i}")
    for i, c in enumerate(clients):
        c.expect(TEXT, b"%d" % i)
        c.finish()


@pytest.mark.parametrize("broken", ['ca: "no-such.crt"', 'cert: "no-such.crt", key: "no-such.key"'])
def test_files_that_are_missing_are_told_at_start(gateway, tmp_path, broken):
    (tmp_path / "c.yaml").write_text(relay("wss://localhost:1/", broken))
    done = mockforge("serve", "--config", "c.yaml", cwd=tmp_path)
    assert done.returncode in (2, 3) and "no-such" in done.stderr, done.stderr
