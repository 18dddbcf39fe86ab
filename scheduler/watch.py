"""Looking for anomalies and at budgets wherever data has changed, and telling of what is new, once."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from loguru import logger

from shared.core.anomalies import Anomaly
from shared.core.budgets import Budget
from shared.ledger.anomalies import Changed, Look
from shared.ledger.budgets import Reached
from shared.ledger.documents import amount, instant
from shared.ledger.notices import Notice
from shared.observability import events
from shared.observability.metrics import ALERTS, ANOMALIES, BUDGETS_REACHED

LOOK_S: Final = 60.0
BATCH: Final = 500


class Ledger(Protocol):
    """What the watch asks of the ledger. Each raises DatabaseUnavailableError."""

    def data_version(self) -> int:
        """Give a number that is higher whenever any account's data has changed."""
        ...

    def changed_accounts(self, *, limit: int) -> list[Changed]:
        """Name some of the accounts to look at."""
        ...

    def look_at(self, account: Changed, *, post: bool) -> Look:
        """Look for anomalies in one, and note that it was done."""
        ...

    def raise_budgets(self, budgets: Sequence[Budget], *, post: bool) -> tuple[Reached, ...]:
        """Note the thresholds that budgets have reached, and tell which are new."""
        ...


class Watch:
    """One thread calls `turn` every few seconds; it looks once a minute, which is one query while nothing changes.

    `raised` is called when there is something new to send, None where nothing is sent. `rest` waits for some seconds:
    as long as each look took, so that a first look at thousands of accounts leaves room for everything else.
    """

    def __init__(
        self,
        ledger: Ledger,
        budgets: Callable[[], tuple[Budget, ...]],
        *,
        clock: Callable[[], float],
        rest: Callable[[float], object],
        raised: Callable[[], object] | None,
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._clock = clock
        self._rest = rest
        self._raised = raised
        self._next_s = clock()
        self._seen: tuple[int, tuple[Budget, ...]] | None = None

    def turn(self, *, going_on: Callable[[], bool] = lambda: True) -> None:
        """Look, if that is due. Raises DatabaseUnavailableError; the next turn goes on."""
        if self._clock() < self._next_s:
            return
        # Read first: what changes while we look is looked at in a minute.
        now = self._ledger.data_version(), self._budgets()
        if now != self._seen:
            self._look_at_all(going_on)
            self._check(now[1])
        if going_on():
            self._seen = now
            self._next_s = self._clock() + LOOK_S

    def _look_at_all(self, going_on: Callable[[], bool]) -> None:
        while going_on() and (changed := self._ledger.changed_accounts(limit=BATCH)):
            # Others may look at this moment: the fewer of them at the same account, the better.
            random.shuffle(changed)
            for account in changed:
                if not going_on():
                    return
                began_s = self._clock()
                self._tell(self._ledger.look_at(account, post=self._raised is not None))
                self._rest(self._clock() - began_s)

    def _tell(self, look: Look) -> None:
        for one in look.new:
            ANOMALIES.labels(kind=one.kind.value).inc()
        for one in look.told:
            _warn(look.account, one)
        older = len(look.new) - len(look.told)
        if older:
            bound = _bound(events.ANOMALIES_STORED, account=look.account, anomalies=older)
            bound.info("Anomalies: Of older days or days in a row, stored and told to nobody")
        if look.cleared:
            bound = _bound(events.ANOMALIES_CLEARED, account=look.account, anomalies=look.cleared)
            bound.info("Anomalies: Cleared, the days were restated and are as expected")
        self._send(len(look.told))

    def _check(self, budgets: Sequence[Budget]) -> None:
        reached = self._ledger.raise_budgets(budgets, post=self._raised is not None) if budgets else ()
        for one in reached:
            BUDGETS_REACHED.labels(threshold=str(one.threshold)).inc()
            status = one.status
            bound = _bound(events.BUDGET_REACHED, account=status.budget.account, month=f"{status.month:%Y-%m}")
            bound = bound.bind(threshold=one.threshold, spent=amount(status.spent), budget=amount(status.budget.amount))
            bound.bind(currency=status.budget.currency).warning(f"Budget: {one.threshold}% is used up")
        self._send(len(reached))

    def _send(self, raised: int) -> None:
        if raised:
            ALERTS.labels(outcome="raised").inc(raised)
            if self._raised:
                self._raised()


def notice_document(notice: Notice) -> dict[str, Any]:
    """What is posted. `text` alone is what chat services show."""
    sent = {"raisedAt": instant(notice.raised_at), "attempt": notice.attempt}
    return {"id": notice.key, **notice.document, **sent}


def _warn(account: str, one: Anomaly) -> None:
    bound = _bound(events.ANOMALY_FOUND, account=account, service=one.service, day=str(one.day), kind=one.kind.value)
    figures = bound.bind(currency=one.currency, expected=amount(one.expected), actual=amount(one.actual))
    figures.warning(f"Anomaly: A day that was not to be expected ({one.kind})")


def _bound(event: str, **facts: Any) -> Any:
    # No outage of Redis holds these back: they are about the data.
    return logger.bind(event=event, scope=events.SCOPE_RUN, **facts)
