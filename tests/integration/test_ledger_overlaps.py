"""Overlapping runs of one account: window, catch-up, manual and backfill at once, by workers some of which die.

What is stored at the end is what one run alone would have stored.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest

from shared.core.costs import CostRow, CoverageState, FetchedCosts
from shared.core.days import DayRange
from shared.core.runs import RunKind, RunReady
from shared.ledger.claims import Claim, claim, claim_next_due, running_beats, take_back
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.queries import CostQuery, costs, coverage, run_counts
from shared.ledger.store import store
from tests.support.ledger import WINDOW, FakeSender, collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

FIRST = date(2026, 1, 1)
DAYS = DayRange(FIRST, FIRST + timedelta(days=9))
ACCOUNTS = ("corp", "lab")
WORKERS = 4


def part(start: int, end: int) -> DayRange:
    return DayRange(FIRST + timedelta(days=start), FIRST + timedelta(days=end))


class Source:
    """What the provider says of every account: it renames services and changes amounts all the time."""

    def __init__(self) -> None:
        self.edition = 1

    def read(self, account: str, days: DayRange) -> list[CostRow]:
        edition = self.edition
        return [
            cost_row(day, billed=f"{edition}.{day.day:02}", service=f"{account} {edition} {n}")
            for day in days
            for n in range(1 + (edition + day.day) % 3)
        ]


@dataclass
class Crowd:
    """Workers on one ledger, each thread by its own chance. `stored` is every answer that the ledger took."""

    db: Database
    source: Source
    hints: list[RunReady] = field(default_factory=list)
    dead: list[tuple[Claim, list[CostRow]]] = field(default_factory=list)
    stored: list[tuple[Claim, list[CostRow]]] = field(default_factory=list)
    refused: list[Claim] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def work(self, number: int) -> None:
        chance = random.Random(number)
        while self.open_runs():
            held = self.next_claim(chance, f"worker-{number}")
            if held is None:
                self.look_after(chance)
                continue
            self.source.edition += 1
            rows = self.source.read(held.run.account, held.run.days)
            if chance.random() < 0.3:
                # Taken for dead, and back when nobody reckons with it any more.
                with self.guard:
                    self.dead.append((held, rows))
                continue
            self.store(held, rows)

    def open_runs(self) -> int:
        return sum(count for state, count in run_counts(self.db).items() if state in {"pending", "queued", "running"})

    def next_claim(self, chance: random.Random, holder: str) -> Claim | None:
        if chance.random() < 0.3:
            return claim_next_due(self.db, holder=holder)
        with self.guard:
            if not self.hints:
                return None
            place = chance.randrange(len(self.hints))
            # One in three is delivered again.
            hint = self.hints[place] if chance.random() < 0.3 else self.hints.pop(place)
        return claim(self.db, hint, holder=holder)

    def look_after(self, chance: random.Random) -> None:
        """A scheduler's round: take back what the dead hold, send what is due; and the dead come back late."""
        with self.guard:
            lost = {(held.run.id, held.run.attempt) for held, _ in self.dead}
        for beat in running_beats(self.db):
            if (beat.run_id, beat.attempt) in lost:
                take_back(self.db, beat)
        sender = FakeSender()
        dispatch_due(self.db, sender, window=WINDOW)
        with self.guard:
            self.hints += sender.sent
            zombie = self.dead.pop() if self.dead and chance.random() < 0.5 else None
        if zombie is not None:
            self.store(*zombie)

    def store(self, held: Claim, rows: list[CostRow]) -> None:
        done = store(self.db, held, FetchedCosts(rows))
        with self.guard:
            if done is None:
                self.refused.append(held)
            else:
                self.stored.append((held, rows))


def asked_for_at_once(db: Database) -> list[Callable[[], object]]:
    """Everything that may ask for days of an account, all of it overlapping."""
    asked: list[Callable[[], object]] = [
        lambda: plan_scheduled(db, slot="2026-01-11T02:00", days=part(3, 9)),
        lambda: plan_scheduled(db, slot="2026-01-11T14:00", days=part(3, 9)),
        lambda: plan_catchup(db, days=DAYS, fire="2026-01-11T14:00"),
    ]
    for start in range(5):
        few, many = part(start, start + 4), part(0, 9 - start)
        asked.append(partial(request_runs, db, accounts=None, days=few))
        asked.append(partial(request_runs, db, accounts=None, days=many, kind=RunKind.BACKFILL))
    return asked


def last_of(stored: list[tuple[Claim, list[CostRow]]], account: str, day: date) -> list[CostRow]:
    """The day's rows as they were fetched last."""
    answers = [(held.fetch_seq, rows) for held, rows in stored if held.run.account == account and day in held.run.days]
    _, rows = max(answers, key=lambda pair: pair[0])
    return [row for row in rows if row.day == day]


def stored_sums(db: Database, account: str) -> dict[Any, Any]:
    report = costs(db, CostQuery(DAYS, ("day",), account=account))
    return {row["day"]: row["amount"] for row in report.rows}


def test_overlapping_runs_of_one_account_store_what_one_would(database: Database) -> None:
    with_accounts(database, *ACCOUNTS)
    crowd = Crowd(database, Source())
    with ThreadPoolExecutor(WORKERS + 1) as pool:
        for planned in [pool.submit(ask) for ask in asked_for_at_once(database)]:
            planned.result(60)
        for worked in [pool.submit(crowd.work, number) for number in range(WORKERS)]:
            worked.result(60)

    assert len({held.run.id for held, _ in crowd.stored}) == len(crowd.stored)
    for account in ACCOUNTS:
        expected = {day: sum(row.billed for row in last_of(crowd.stored, account, day)) for day in DAYS}
        assert stored_sums(database, account) == expected
    for found in coverage(database, days=DAYS):
        assert [day.state for day in found.days] == [CoverageState.COMPLETE] * len(DAYS)
        assert [day.rows for day in found.days] == [len(last_of(crowd.stored, found.account, day)) for day in DAYS]

    for account in ACCOUNTS:
        rows = crowd.source.read(account, DAYS)
        collected(database, account, DAYS, rows)
        assert stored_sums(database, account) == {
            day: sum(row.billed for row in rows if row.day == day) for day in DAYS
        }
