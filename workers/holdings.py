"""The runs this process holds, and the one thread that keeps holding them."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from loguru import logger

from shared.core.errors import DatabaseUnavailableError
from shared.ledger.claims import Claim
from shared.observability import events
from shared.observability.pulse import Pulse

# A renewal that the database missed is made up for soon, well inside the lease.
RETRY_S = 1.0


@dataclass(frozen=True)
class Held:
    """A claimed run at work. `lost` is set when the ledger has given it to somebody else, or it was handed back."""

    claim: Claim
    since_s: float
    lost: threading.Event = field(default_factory=threading.Event)


class Holdings:
    """Who adds a claim here has it renewed until it is released. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, claim: Claim) -> Held:
        """Hold a claim just made."""
        held = Held(claim, time.monotonic())
        with self._changed:
            self._held[claim.run.id] = held
        return held

    def release(self, held: Held) -> None:
        """Hold it no more; another claim of the same run is left alone."""
        with self._changed:
            if self._held.get(held.claim.run.id) is held:
                del self._held[held.claim.run.id]
            self._changed.notify_all()

    def all(self) -> list[Held]:
        """Everything held now."""
        with self._changed:
            return list(self._held.values())

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing is held."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, timeout_s)


class Renewals:
    """Raises the beat of every held run each `interval_s`, until `max_s` after its claim: then it may be taken back."""

    def __init__(
        self, holdings: Holdings, renew: Callable[[list[Claim]], Iterable[int]], *, interval_s: float, max_s: float
    ) -> None:
        self._holdings = holdings
        self._renew = renew
        self._interval_s = interval_s
        self._max_s = max_s
        self._stopped = threading.Event()
        self._failing = False
        self.pulse = Pulse()
        self.thread = threading.Thread(target=self._run, name="renewals", daemon=True)

    def start(self) -> None:
        """Begin renewing."""
        self.thread.start()

    def stop(self) -> None:
        """End the thread, without waiting for it. Safe to call twice, and before `start`."""
        self._stopped.set()

    def _run(self) -> None:
        wait_s = min(self._interval_s, RETRY_S)
        due_s = time.monotonic() + self._interval_s
        while not self._stopped.wait(wait_s):
            self.pulse.beat()
            now_s = time.monotonic()
            if now_s >= due_s and self.renew_once(now_s):
                due_s = now_s + self._interval_s

    def renew_once(self, now_s: float) -> bool:
        """Renew what may still be renewed; False when the database did not answer."""
        held = [held for held in self._holdings.all() if now_s - held.since_s < self._max_s and not held.lost.is_set()]
        if not held:
            return True
        try:
            with self.pulse.outside():
                ours = set(self._renew([item.claim for item in held]))
        except DatabaseUnavailableError as error:
            if not self._failing:
                self._failing = True
                logger.bind(event=events.DATABASE_LOST, runs=len(held), error=error.summary).warning(
                    "Runs at work could not be renewed, the database is away"
                )
            return False
        self._failing = False
        for item in held:
            if item.claim.run.id not in ours:
                item.lost.set()
        return True
