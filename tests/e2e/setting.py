"""Where the program is, and how patient to be with it."""
import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY_PATH = Path(os.environ.get("MOCKFORGE_BIN") or REPOSITORY / "build" / "mockforge").resolve()


def _sanitized():
    data = BINARY_PATH.read_bytes() if BINARY_PATH.exists() else b""
    return any(mark in data for mark in (b"__asan_init", b"__tsan_init", b"__ubsan_handle"))


SANITIZED = _sanitized()  # its memory and speed then say nothing about the program's own
SLOW = float(os.environ.get("MOCKFORGE_TEST_SLOW") or (4 if SANITIZED else 1))
TIMEOUT = 10 * SLOW  # seconds; for what must happen
