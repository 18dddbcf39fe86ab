"""The thread that tells the launcher how this worker process is: every second, and soon after something changes."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

from workers.board import BoardClient
from workers.facts import ChildFacts

INTERVAL_S: Final = 1.0
LOOK_S: Final = 0.5


class Reporter:
    """Pushes `facts()` to the board. `stop` may be repeated, also before `start`.

    `gist()` is cheap to ask for, and differs when what a probe answers has changed.
    """

    def __init__(self, board: BoardClient, facts: Callable[[], ChildFacts], gist: Callable[[], Hashable]) -> None:
        self._board = board
        self._facts = facts
        self._gist = gist
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def changed(self, *_: object) -> None:
        """Report now. Never blocks."""
        self._changed.set()

    def stop(self) -> None:
        """Report once more, then no more."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._changed.set()
            self._board.send(self._facts())

    def _run(self) -> None:
        told, told_s = None, float("-inf")
        while not self._stopped.is_set():
            hurried = self._changed.wait(LOOK_S)
            self._changed.clear()
            gist, now_s = self._gist(), time.monotonic()
            if hurried or gist != told or now_s - told_s >= INTERVAL_S:
                told, told_s = gist, now_s
                self._board.send(self._facts())
