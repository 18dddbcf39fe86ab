"""Where lines go: by whole lines, unbuffered, and never in the way of whoever logs.

A reader that has gone, a full disk and a reader that does not read (a full pipe) all cost lines, which are counted;
none costs an exception, and none makes a thread wait for more than a moment.
"""

import contextlib
import os
import select
import sys
from typing import Any, BinaryIO, Final

from shared.observability.metrics import LOG_LINES_LOST

# What a pipe that is said to have room takes without waiting (POSIX's PIPE_BUF on Linux).
PIECE_BYTES: Final = 4096
# A reader that is merely slow gets this long for a line; one that has missed a line gets none for the next.
READER_MS: Final = 250


class OutputStalledError(OSError):
    """Whoever reads does not."""


class Output:
    """Standard output, or `stream`. Not thread-safe: the log's sink is called by one thread at a time."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream
        self._stalled = False
        self._torn = False

    def write(self, line: str) -> None:
        """Write `line` and its end at once."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            # What a full disk took of the line before must not run into this one.
            self._put(b"\n" + data if self._torn else data)
        except BrokenPipeError:
            LOG_LINES_LOST.inc()
            self._let_go()
        except (OSError, ValueError):
            LOG_LINES_LOST.inc()

    def _put(self, data: bytes) -> None:
        # Past any buffer: what stays in one after a failure fails again when the interpreter ends, and changes its
        # exit code.
        stream: Any = self._stream or sys.stdout.buffer
        raw = getattr(stream, "raw", stream)
        left = memoryview(data)
        while left:
            self._wait_writable(raw)
            written = raw.write(left[:PIECE_BYTES])
            if not written:
                raise OutputStalledError("standard output takes nothing")
            left = left[written:]
            self._torn = bool(left)
        self._stalled = False

    def _wait_writable(self, raw: Any) -> None:
        try:
            number = raw.fileno()
        except OSError:  # a stream in memory
            return
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        if not poll.poll(0 if self._stalled else READER_MS):
            self._stalled = True
            raise OutputStalledError("nobody reads standard output")

    def _let_go(self) -> None:
        # Nobody will ever read it again: what is written from now on goes nowhere, and costs nothing.
        if self._stream is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            with contextlib.suppress(OSError, ValueError):
                os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
