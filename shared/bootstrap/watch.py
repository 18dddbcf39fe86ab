"""A thread that sees to the end of the process: signals, a process manager that has gone, a drain that does not end.

Signals reach it through a socket that the interpreter's own handler writes to. The Python-level handler does nothing:
it would run in the middle of whatever the main thread does, where neither an Event nor the log may be touched.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from loguru import logger

from shared.bootstrap.drain import EXIT_FAILED, Drain, Meaning, meaning_of_signal
from shared.observability import events
from shared.observability.metrics import DRAINING, UNEXPECTED_ERRORS
from shared.observability.parent import parent_watch
from shared.observability.signals import ignore_at_exit

WATCHED: Final = (signal.SIGTERM, signal.SIGINT)
LOOK_S: Final = 1.0
# After the grace, what hands the rest back to the ledger and closes connections gets this long.
OVERTIME_S: Final = 5.0


class Watch:
    """Turns signals and a lost manager into a drain, and ends the process when the drain does not.

    To be made and started in the main thread. `end` (os._exit) is called with the exit code after `at_once` callbacks.
    """

    def __init__(
        self,
        drain: Drain,
        *,
        orphaned: Callable[[], bool] | None = None,
        end: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._drain = drain
        self._orphaned = orphaned or parent_watch()
        self._end = end
        self._clock = clock
        self._at_once: list[Callable[[], object]] = []
        self._first_at_s: float | None = None
        self._end_by_s: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader, self._writer = socket.socketpair()
        self._old_fd: int | None = None

    def before_stopping_at_once(self, callback: Callable[[], object]) -> None:
        """Call `callback` before the process is cut: for children that would outlive it. It must not block."""
        self._at_once.append(callback)

    def start(self) -> None:
        """Take over SIGTERM and SIGINT."""
        if self._thread:
            return
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in WATCHED:
            signal.signal(number, _nothing)
        ignore_at_exit(WATCHED)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def expect_end(self, within_s: float) -> None:
        """The process is about to end by itself: see to it that it does, also when a thread holds it up."""
        self._end_by_s = self._clock() + within_s

    def stop(self) -> None:
        """Give the signals back. For tests: a process keeps its watch to the very end."""
        if self._thread:
            signal.set_wakeup_fd(-1 if self._old_fd is None else self._old_fd)
            self._stop.set()
            self._writer.send(b"\0")
            self._thread.join()
        self._reader.close()
        self._writer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([self._reader], [], [], LOOK_S)
            try:
                for number in self._reader.recv(64) if ready else b"":
                    if number in WATCHED:
                        self._signalled(signal.Signals(number).name)
                self._look()
            except Exception:  # noqa: BLE001 - the only thread that can end the process must not end itself
                UNEXPECTED_ERRORS.labels(where="watch").inc()
                logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=True).error("The watch over signals failed")

    def _signalled(self, name: str) -> None:
        now_s = self._clock()
        meaning = meaning_of_signal(self._first_at_s, now_s)
        if meaning is Meaning.DRAIN:
            self._first_at_s = now_s
            self._begin(name)
        elif meaning is Meaning.AT_ONCE:
            self._cut(f"{name} again")

    def _look(self) -> None:
        if not self._drain.requested.is_set() and self._orphaned():
            logger.bind(event=events.PROCESS_PARENT_GONE).warning("The process manager has gone")
            self._begin("process manager gone")
        if self._end_by_s is not None and self._clock() > self._end_by_s:
            self._cut("the end took too long")

    def _begin(self, reason: str) -> None:
        DRAINING.set(1)
        if self._drain.request(reason):
            bound = logger.bind(event=events.PROCESS_DRAINING, reason=reason, grace_s=self._drain.grace_s)
            bound.info("Stopping: no new work is taken, work in flight is finished")
        self.expect_end(self._drain.left_s() + OVERTIME_S)

    def _cut(self, reason: str) -> None:
        logger.bind(event=events.PROCESS_STOPPED_AT_ONCE, reason=reason).warning("Stopped at once")
        for callback in self._at_once:
            callback()
        self._end(EXIT_FAILED)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Replace the default handler; the signal's number has gone to the watch by then."""
