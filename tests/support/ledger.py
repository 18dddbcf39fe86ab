"""Short ways to a ledger in a wanted state, through the ledger's own functions."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from shared.core.costs import CostRow, FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import SendRefusedError, SendUncertainError
from shared.core.runs import Run, RunKind, RunReady
from shared.ledger.accounts import sync_accounts
from shared.ledger.claims import Claim, claim
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.planning import request_runs
from shared.ledger.store import Stored, store

JANUARY = DayRange(date(2026, 1, 1), date(2026, 1, 31))
WINDOW = 1000


class FakeSender:
    """Remembers what it is given; refuses or stalls after `limit` messages when told to."""

    def __init__(self) -> None:
        self.sent: list[RunReady] = []
        self.refuse_after: int | None = None
        self.stall_after: int | None = None
        self.in_doubt = 1
        self.on_send: Callable[[], object] = lambda: None

    def send(self, messages: Sequence[RunReady]) -> None:
        self.on_send()
        for number, message in enumerate(messages):
            if number == self.refuse_after:
                raise SendRefusedError(summary="Redis is away", sent=number)
            if number == self.stall_after:
                raise SendUncertainError(summary="Redis timed out", sent=number, uncertain=self.in_doubt)
            self.sent.append(message)


def with_accounts(db: Database, *names: str, paused: Sequence[str] = ()) -> None:
    sync_accounts(db, [(name, "focus", name in paused) for name in names])


def cost_row(day: date, *, billed: str = "1", effective: str | None = None, **texts: str) -> CostRow:
    fields: dict[str, Any] = {
        "sub_account": "sub",
        "provider_name": "AWS",
        "service": "compute",
        "charge_category": "Usage",
        "currency": "USD",
        **texts,
    }
    return CostRow(day=day, billed=Decimal(billed), effective=Decimal(effective or billed), **fields)


def requested(db: Database, account: str, days: DayRange, kind: RunKind = RunKind.MANUAL) -> Run:
    """A pending run of its own."""
    (run,) = request_runs(db, accounts=[account], days=days, kind=kind)
    return run


def claimed(db: Database, account: str, days: DayRange, holder: str = "worker-1") -> Claim:
    """A new run of `account`, planned, queued and claimed."""
    run = requested(db, account, days)
    sender = FakeSender()
    dispatch_due(db, sender, window=WINDOW, only=[run.id])
    (message,) = sender.sent
    found = claim(db, message, holder=holder)
    assert found is not None
    return found


def collected(db: Database, account: str, days: DayRange, rows: Sequence[CostRow], **facts: Any) -> Stored:
    """`rows` collected by a run of their own."""
    stored = store(db, claimed(db, account, days), FetchedCosts(rows, **facts))
    assert stored is not None
    return stored
