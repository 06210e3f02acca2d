"""What the documentation prints is there: commands, options, links; and conf/replay.yaml does what it says."""
import json
import re
import shlex
import shutil

import pytest
from harness import mockforge, read_session
from setting import REPOSITORY
from wire import BINARY

PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")])
COMMAND = re.compile(r"^(?: {4}|.*`)(?:\$ )?(?:build/)?mockforge ((?:[a-z]+ )?[a-z]+)\b([^`\n]*)", re.M)


def commands(page):
    """(line, command, its options) of each command line that the page prints, in a block or between backticks."""
    for found in COMMAND.finditer(re.sub(r"\$\([^)]*\)", "", page.read_text())):
        words = found[1].split()
        name = found[1] if words[0] in ("ws", "config") else words[0]
        try:
            rest = shlex.split(found[2], comments=True)
        except ValueError:  # the rest of the line is prose with an apostrophe in it
            rest = found[2].split()
        for end in ("|", ">", "<", "&&"):
            rest = rest[:rest.index(end)] if end in rest else rest
        yield found[0].strip(), name, [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]


@pytest.fixture(scope="module")
def help_of(tmp_path_factory):
    known = {}

    def get(name):
        if name not in known:
            done = mockforge(*name.split(), "--help", cwd=tmp_path_factory.mktemp("help"))
            assert done.returncode == 0, f"{name}: {done.stderr}"
            known[name] = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout.split("Options:")[-1]))
        return known[name]
    return get


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_printed_commands_and_options_exist(page, help_of):
    for line, name, options in commands(page):
        assert not set(options) - help_of(name), line


def test_commands_are_found():
    """The test above would be glad of a page in which it finds none."""
    assert sum(len(list(commands(page))) for page in PAGES) > 60
    assert ("ws replay", ["--port", "--input"]) in [c[1:] for c in commands(REPOSITORY / "README.md")]


def anchors(page):
    """As GitHub makes them of headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    heads = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", text, re.M)]
    return {head + (f"-{n}" if n else "") for i, head in enumerate(heads) for n in [heads[:i].count(head)]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for to, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        target = (page.parent / to).resolve() if to else page
        assert target.exists(), to
        assert not anchor or anchor in anchors(target), f"{to}#{anchor}"


# ---- conf/replay.yaml ----

@pytest.fixture
def example(gateway, tmp_path, ws_upstream):
    """The example on a copy of its recording; what it says about a spy of one's own is done."""
    (tmp_path / "recordings").mkdir()
    for name in ("sample", "known"):
        shutil.copy(REPOSITORY / "recordings/sample.jsonl.zst", tmp_path / f"recordings/{name}.jsonl.zst")
    text = (REPOSITORY / "conf/replay.yaml").read_text()

    def start(*settings):
        settings = ["websocket.port=0", f"websocket.handlers[/spy].upstream={ws_upstream().url('/')}", *settings]
        return gateway(text, [word for each in settings for word in ("--set", each)])
    return start


def ask(c, message):
    c.text(json.dumps(message))
    return json.loads(c.recv_text())


def test_the_example_is_right():
    done = mockforge("config", "check", "conf/replay.yaml", cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


def test_the_example_replays(example):
    g = example()
    c = g.client("/ws/orders")
    assert ask(c, {"type": "subscribe", "id": "mine", "channel": "orders"}) == \
        {"type": "subscribed", "id": "mine", "channel": "orders"}
    assert c.recv_frame().opcode == BINARY
    refused = g.client("/ws/orders")
    assert ask(refused, {"type": "subscribe", "id": "mine", "channel": "payroll"}) == \
        {"type": "error", "id": "mine", "message": "no such channel"}
    refused.expect_close(1008, "subscribe to something first")
    ticker = g.client("/ticker")
    heard = [f for f in (ticker.recv_frame() for _ in range(20)) if b'"order": {' in f.payload]
    ids = [json.loads(f.payload)["order"]["id"] for f in heard]
    assert len(ids) > 5 and ids == list(range(1003, 1003 + len(ids)))  # a counter goes on in the next round


def test_the_example_spies(example, tmp_path):
    known = tmp_path / "recordings/known.jsonl.zst"
    g = example("websocket.handlers[/spy].input=recordings/known.jsonl.zst", "websocket.handlers[/spy].on_miss=record")
    c = g.client("/spy")
    assert ask(c, {"type": "cancel", "id": "c-17", "order": 1004}) == {"type": "cancelled", "id": "c-17", "order": 1004}
    c.close()
    c = g.client("/spy")
    assert ask(c, {"type": "nobody", "ever": "said"}) == {"type": "nobody", "ever": "said"}  # the upstream is an echo
    c.close()
    g.stop()
    said = '{"type": "nobody", "ever": "said"}'
    assert read_session(known).directions("text")[-2:] == [("incoming", said), ("outgoing", said)]
    sample = tmp_path / "recordings/sample.jsonl.zst"
    assert sample.read_bytes() == (REPOSITORY / "recordings/sample.jsonl.zst").read_bytes()


def test_the_example_closes_at_a_miss(example):
    c = example().client("/spy")
    c.text('{"type":"nobody","ever":"said"}')
    assert c.recv_frame().payload[:2] == (1008).to_bytes(2, "big")
