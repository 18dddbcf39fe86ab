"""Keeping the sums of costs: the journal is carried over as it fills, and accounts older than it go through it."""

from collections.abc import Callable
from typing import Final, Protocol

from loguru import logger

from shared.ledger.summing import Waiting
from shared.observability import events

# Of each turn: what is left waits for the next, and writers on SQLite get their turn meanwhile.
WORK_S: Final = 0.5


class SumsLedger(Protocol):
    """Each method raises DatabaseUnavailableError."""

    def waiting(self) -> Waiting:
        """What there is to do."""
        ...

    def carry_over(self) -> int:
        """One step; returns how many entries it carried."""
        ...

    def journal_next_account(self) -> str | None:
        """One account; its name, None when none is left."""
        ...


class Sums:
    """One thread calls `turn` about every second. Any number of schedulers may do so."""

    def __init__(self, ledger: SumsLedger, *, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._journaled = 0

    def turn(self) -> None:
        """Work for half a second at most, if there is anything to do: the journal first."""
        until_s = self._clock() + WORK_S
        waiting = self._ledger.waiting()
        entries, accounts = waiting.entries, waiting.accounts
        while entries and self._clock() < until_s:
            entries = self._ledger.carry_over() > 0
        while accounts and self._clock() < until_s:
            accounts = self._ledger.journal_next_account() is not None
            self._journaled += accounts
            entries = True
        if self._journaled and not (entries or accounts):
            self._tell()

    def _tell(self) -> None:
        bound = logger.bind(event=events.LEDGER_SUMMED, scope=events.SCOPE_RUN, accounts=self._journaled)
        bound.info("Ledger: The costs of an earlier release are in the sums")
        self._journaled = 0
