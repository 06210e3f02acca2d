"""Fixtures: everything that a test starts is stopped, and the gateway's log is printed when the test fails."""
import signal

import pytest

from certificates import Certificates
from harness import Gateway, Process, WsUpstream
from setting import BINARY_PATH, SLOW
from wire import Listener

TEST_SECONDS = 60 * SLOW  # for any one test; a hang is a failure, not a stuck run


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): this test may take so long instead of the usual time")
    # A shell's background job ignores SIGINT, and every program would inherit that: none could be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    def on_alarm(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] * SLOW if mark else TEST_SECONDS
    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for process in _processes(item):
            report.sections.append((f"log of mockforge {' '.join(process.args)}", process.log))


def _processes(item):
    return [p for name, value in getattr(item, "funcargs", {}).items() if hasattr(value, "started")
            for p in value.started]


def pytest_sessionstart(session):
    if not session.config.option.collectonly and not BINARY_PATH.exists():
        pytest.exit(f"{BINARY_PATH} is not there: run make, or set MOCKFORGE_BIN", 2)


class Starter:
    """Makes processes and ends them; `started` is what makereport() prints."""

    def __init__(self, directory):
        self.directory, self.started = directory, []

    def __call__(self, config=None, args=(), **kw):
        """A running gateway with this configuration; see harness.Gateway."""
        process = Gateway.__new__(Gateway)
        self.started.append(process)
        process.__init__(kw.pop("directory", self.directory), config, args, **kw)
        return process

    def process(self, *args, **kw):
        """A background command that does not listen."""
        process = Process(args, kw.pop("cwd", self.directory), **kw)
        self.started.append(process)
        return process

    def finish(self):
        errors = []
        for process in self.started:
            try:
                process.stop(hurry=True)
            except (AssertionError, AttributeError) as error:
                errors.append(error)
        if errors:
            raise errors[0]


@pytest.fixture
def gateway(tmp_path):
    starter = Starter(tmp_path)
    yield starter
    starter.finish()


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory):
    """For tables of cases that leave nothing behind in the gateway: started once a file."""
    starter = Starter(tmp_path_factory.mktemp("gateway"))
    yield starter
    starter.finish()


def _stopping(make):
    made = []

    def maker(*args, **kw):
        made.append(make(*args, **kw))
        return made[-1]
    return made, maker


@pytest.fixture
def ws_upstream():
    made, maker = _stopping(WsUpstream)
    yield maker
    for upstream in made:
        upstream.stop()


@pytest.fixture(scope="module")
def shared_ws_upstream():
    made, maker = _stopping(WsUpstream)
    yield maker
    for upstream in made:
        upstream.stop()


@pytest.fixture
def raw_upstream():
    made, maker = _stopping(Listener)
    yield maker
    for upstream in made:
        upstream.stop()


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))
