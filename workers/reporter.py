"""The thread that tells the launcher how this worker process is: every second, and at once when something changes."""

import threading
from collections.abc import Callable
from typing import Final

from workers.board import BoardClient
from workers.facts import ChildFacts

INTERVAL_S: Final = 1.0


class Reporter:
    """Pushes `facts()` to the board. `stop` may be repeated, also before `start`."""

    def __init__(self, board: BoardClient, facts: Callable[[], ChildFacts]) -> None:
        self._board = board
        self._facts = facts
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
        while not self._stopped.is_set():
            self._changed.clear()
            self._board.send(self._facts())
            self._changed.wait(INTERVAL_S)
