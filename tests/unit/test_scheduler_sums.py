"""When the sums of costs are worked on, for how long, and what is told of it."""

import pytest

from scheduler.sums import WORK_S, Sums
from shared.core.errors import DatabaseUnavailableError
from shared.ledger.summing import Waiting
from shared.observability import events
from tests.support.logs import captured

# Exact in binary: steps add up to a turn.
STEP_S = 0.125


class Ledger:
    """A journal with `entries` steps of work, and `accounts` that it has not seen, each a step's more when it has."""

    def __init__(self, *, entries: int = 0, accounts: int = 0) -> None:
        self.entries = entries
        self.accounts = accounts
        self.now_s = 0.0
        self.calls: list[str] = []
        self.away = False

    def clock(self) -> float:
        return self.now_s

    def waiting(self) -> Waiting:
        return Waiting(entries=self.entries > 0, accounts=self.accounts > 0)

    def carry_over(self) -> int:
        self._work("carry")
        self.entries -= 1
        return max(self.entries + 1, 0)

    def journal_next_account(self) -> str | None:
        self._work("account")
        if not self.accounts:
            return None
        self.accounts, self.entries = self.accounts - 1, self.entries + 1
        return "corp"

    def _work(self, what: str) -> None:
        if self.away:
            raise DatabaseUnavailableError(summary="gone")
        self.calls.append(what)
        self.now_s += STEP_S


def test_with_nothing_to_do_nothing_is_written():
    ledger = Ledger()
    Sums(ledger, clock=ledger.clock).turn()
    assert ledger.calls == []


def test_the_journal_is_carried_over_before_another_account_goes_through_it():
    ledger = Ledger(entries=2, accounts=1)
    Sums(ledger, clock=ledger.clock).turn()
    assert ledger.calls == ["carry", "carry", "carry", "account"]


def test_a_turn_leaves_off_after_half_a_second_and_the_next_goes_on():
    ledger = Ledger(entries=100)
    sums = Sums(ledger, clock=ledger.clock)
    sums.turn()
    assert len(ledger.calls) == round(WORK_S / STEP_S)
    sums.turn()
    assert len(ledger.calls) == 2 * round(WORK_S / STEP_S)


def test_the_end_of_the_accounts_is_told_once_with_their_number():
    ledger = Ledger(accounts=12)
    sums = Sums(ledger, clock=ledger.clock)
    with captured(fmt="json") as lines:
        for _ in range(40):
            sums.turn()
    told = [line for line in lines.json if line["event"] == events.LEDGER_SUMMED]
    assert [line["accounts"] for line in told] == [12]


def test_a_database_that_is_away_is_told_by_raising_and_the_next_turn_goes_on():
    ledger = Ledger(accounts=1)
    sums = Sums(ledger, clock=ledger.clock)
    ledger.away = True
    with pytest.raises(DatabaseUnavailableError):
        sums.turn()
    ledger.away = False
    sums.turn()
    assert ledger.accounts == 0
