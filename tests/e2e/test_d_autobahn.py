"""The table of cases.py against our own echo, and through a relay to an echo of another make: the same behaviour."""
import pytest
from cases import CASES, check


@pytest.fixture(scope="module")
def g(shared_gateway, shared_ws_upstream):
    return shared_gateway(f"""
websocket:
  host: 127.0.0.1
  port: 0
  max_message_size: 16777216
  handlers:
    - path: /echo
      type: echo
    - path: /proxy
      type: proxy
      upstream: "{shared_ws_upstream().url()}"
""")


@pytest.mark.parametrize("path", ["/echo", "/proxy"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(g, path, case):
    check(g.client(path), case)
