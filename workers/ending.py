"""How a worker process ends: no new work, time for what is at work, the rest back to the ledger, then out."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.observability import events
from workers.holdings import Held, Holdings

# Handing back and closing may take this long together, whatever hangs.
LAST_WORDS_S: Final = 0.6
LOOK_S: Final = 0.1


class Ending:
    """Conducts the end on a thread of its own, since the main thread belongs to Dramatiq.

    `requested`, shared with whoever must know, is set as soon as the end begins. `hand_back` raises
    DatabaseUnavailableError; `closers` are called after it, in order. `leave` ends the process; it must not block.
    """

    def __init__(
        self,
        holdings: Holdings,
        *,
        requested: threading.Event,
        stop_intake: Callable[[], None],
        hand_back: Callable[[Held], None],
        closers: Sequence[Callable[[], None]],
        leave: Callable[[], None],
    ) -> None:
        self.requested = requested
        self._holdings = holdings
        self._stop_intake = stop_intake
        self._hand_back = hand_back
        self._closers = closers
        self._leave = leave
        self._until_s = float("inf")
        self._thread = threading.Thread(target=self._conduct, name="ending", daemon=True)

    def start(self) -> None:
        """Be ready to conduct."""
        self._thread.start()

    def begin(self, grace_s: float) -> None:
        """End within `grace_s` seconds. May be called again, from a signal handler too: the earliest end counts."""
        self._until_s = min(self._until_s, time.monotonic() + grace_s)
        self.requested.set()

    def _conduct(self) -> None:
        self.requested.wait()
        self._stop_intake()
        while time.monotonic() < self._until_s and not self._holdings.wait_empty(LOOK_S):
            pass
        # What hangs here is left behind: a run that could not be handed back is taken back when its lease ends.
        last_words = threading.Thread(target=self._last_words, name="last-words", daemon=True)
        last_words.start()
        last_words.join(LAST_WORDS_S)
        self._leave()

    def _last_words(self) -> None:
        for held in self._holdings.all():
            try:
                self._hand_back(held)
            except DatabaseUnavailableError as error:
                logger.bind(event=events.DATABASE_LOST, run_id=held.claim.run.id, error=error.summary).warning(
                    "A run could not be handed back, the database is away; it is taken back when its lease ends"
                )
        for close in self._closers:
            try:
                close()
            except Exception as error:  # noqa: BLE001 - the others must still be closed
                logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=error).error("Unexpected error at the end")
