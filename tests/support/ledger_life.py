"""A life that passes every failpoint of the ledger, in a process of its own that dies where it is told to.

`python -m tests.support.ledger_life DATABASE_URL` reads points from standard input, one a line. For each it forks a
child that lives such a life and is to die at the point, and answers with the child's exit status.
"""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.core.budgets import Budget
from shared.core.costs import CostRow, FetchedCosts
from shared.core.credentials import UNKNOWN, UP, Credential
from shared.core.days import DayRange
from shared.core.errors import ProviderError, SendRefusedError
from shared.core.runs import RetryPolicy, RunReady
from shared.ledger.accounts import list_accounts, outdate_answers, sync_accounts
from shared.ledger.alerts import look_for_overdue, mark_sent, take_alert
from shared.ledger.anomalies import changed_accounts, look_at
from shared.ledger.backfill import BackfillAsked, cancel_backfills, request_backfill
from shared.ledger.budgets import raise_budgets
from shared.ledger.claims import Claim, claim, claim_next_due, renew, running_beats
from shared.ledger.credentials import begin_check, record_finding
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due, hints_gone, resend_queued
from shared.ledger.endings import cancel_run, fail_attempt, hand_back, take_back
from shared.ledger.fleet import ProcessBeat, beat, forget
from shared.ledger.holds import hold_account, release_account
from shared.ledger.lease import RunBeat
from shared.ledger.meta import remember_redis_run_id
from shared.ledger.migrate import upgrade
from shared.ledger.notices import notice_sent, take_notice
from shared.ledger.planning import plan_catchup, plan_scheduled
from shared.ledger.requests import request_runs
from shared.ledger.retention import forget_old
from shared.ledger.store import store
from shared.ledger.summing import carry_over, journal_next_account
from shared.observability import failpoints
from shared.observability.failpoints import FOLDER_VARIABLE, POINTS_VARIABLE
from tests.support.exports import SERVICES, amount_of

WEEK = DayRange(date(2026, 1, 5), date(2026, 1, 11))
BEYOND = DayRange(date(2026, 2, 1), date(2026, 2, 1))
NAMES = ("fails", "gives", "loses", "quits", "stores", "waits")
WINDOW = 1000
HOLDER = "life"
OUTAGE = ProviderError(code="BUSY", summary="busy", hint="wait", retry_after_s=0)


class Queue:
    """In place of Redis: keeps hints, or refuses them."""

    def __init__(self) -> None:
        self.hints: list[RunReady] = []
        self.refuses = False

    def send(self, messages: Sequence[RunReady]) -> None:
        if self.refuses:
            raise SendRefusedError(summary="full", sent=0)
        self.hints += messages

    def take(self) -> list[RunReady]:
        hints, self.hints = self.hints, []
        return hints


def answer(claimed: Claim) -> FetchedCosts:
    """What a provider says: the same in every test."""
    rows = [
        CostRow(day, "a1", "AWS", service, "Usage", "USD", amount_of(day, service), amount_of(day, service))
        for day in claimed.run.days
        for service in SERVICES
    ]
    return FetchedCosts(rows)


def process() -> ProcessBeat:
    """This one."""
    return ProcessBeat(f"life-{os.getpid()}", "life", "here", os.getpid(), "0", datetime.now(UTC), "connected")


def live(db: Database, accounts: Sequence[str], slot: str) -> None:
    """Pass every failpoint of the ledger. `accounts` are new, one for each of NAMES; those of lives before go."""
    upgrade(db)
    sync_accounts(db, [(name, "focus", False) for name in accounts])
    beat(db, process())
    queue = Queue()
    remember_redis_run_id(db, slot)
    plan_catchup(db, days=WEEK, fire=slot)
    plan_scheduled(db, slot=f"{slot} fire", days=WEEK)
    queue.refuses = True
    dispatch_due(db, queue, window=WINDOW)
    queue.refuses = False
    dispatch_due(db, queue, window=WINDOW)
    hints_gone(db)
    resend_queued(db, queue, everything=True)
    for held in [found for hint in queue.take() if (found := claim(db, hint, holder=HOLDER)) is not None]:
        end(db, held)
    direct = claim_next_due(db, holder=HOLDER)
    assert direct is not None
    store(db, direct, answer(direct))
    asked = request_runs(db, accounts=[accounts[-1]], days=BEYOND, key=slot)
    cancel_run(db, asked[0].id)
    request_backfill(db, BackfillAsked(accounts=[accounts[-1]], days=BEYOND))
    cancel_backfills(db, accounts[-1])
    keep_house(db, accounts[-1])
    forget(db, process().id)


def keep_house(db: Database, account: str) -> None:
    """What belongs to no run. `account` lacks a day that nobody is about to collect."""
    hold_account(db, account)
    release_account(db, account)
    outdate_answers(db)
    while carry_over(db):
        pass
    journal_next_account(db)
    forget_old(db, keep_days=400)
    look_for_overdue(db, day=BEYOND.start, post=True)
    alert = take_alert(db)
    assert alert is not None
    mark_sent(db, alert.id)
    sign_in(db, account)
    for changed in changed_accounts(db, limit=WINDOW):
        look_at(db, changed, post=True)
    # Spent by those that were collected in this life, whoever it is about.
    collected = next(held for held in list_accounts(db) if held.data_version and not held.removed)
    raise_budgets(db, [Budget(collected.name, Decimal(1), "USD")], post=True, month=WEEK.start)
    notice = take_notice(db)
    assert notice is not None
    notice_sent(db, notice.id)


def sign_in(db: Database, account: str) -> None:
    """As a worker checks an account's credentials."""
    found = next(each for each in list_accounts(db) if each.name == account)
    credential = Credential(found.id, account, found.provider, UNKNOWN, None, None)
    turn = begin_check(db, credential)
    assert turn is not None
    assert record_finding(db, found.id, turn, UP) is not None


def end(db: Database, held: Claim) -> None:
    """Each account's run has an end of its own."""
    seen = next(seen for seen in running_beats(db) if seen.run_id == held.run.id)
    endings: dict[str, Callable[[], object]] = {
        "fails": lambda: fail_attempt(db, held, OUTAGE, RetryPolicy()),
        "gives": lambda: hand_back(db, held),
        "loses": lambda: take_back(db, RunBeat(seen.run_id, seen.attempt, seen.beat)),
        "quits": lambda: cancel_run(db, held.run.id),
        "stores": lambda: (renew(db, [held]), store(db, held, answer(held))),
        "waits": lambda: renew(db, [held]),
    }
    endings[held.run.account.partition(" ")[0]]()


def recover(db: Database, slot: str) -> None:
    """What the others do after a death: take back, fire, fill gaps, send everything again, collect."""
    upgrade(db)
    if not list_accounts(db):
        return
    for account in list_accounts(db):
        release_account(db, account.name)
    for seen in running_beats(db):
        take_back(db, seen)
    plan_scheduled(db, slot=f"{slot} again", days=WEEK)
    plan_catchup(db, days=WEEK, fire=f"{slot} again")
    request_runs(db, accounts=None, days=BEYOND)
    queue = Queue()
    resend_queued(db, queue, everything=True)
    while dispatch_due(db, queue, window=WINDOW).sent or queue.hints:
        hints = queue.take()
        for hint in [*hints, *hints]:
            held = claim(db, hint, holder="other")
            if held is not None:
                store(db, held, answer(held))


def main(url: str) -> None:
    """Answer on standard output with what became of each child."""
    with TemporaryDirectory(prefix="holdfast-life-") as folder:
        for number, line in enumerate(sys.stdin):
            point = line.strip()
            accounts = [f"{name} {number:03}" for name in NAMES]
            child = os.fork()
            if not child:
                variables = {POINTS_VARIABLE: point, FOLDER_VARIABLE: str(Path(folder))}
                at = failpoints.switched_on(variables, failpoints._die)
                assert at is not None
                failpoints.reached = at
                try:
                    live(Database(url), accounts, f"life {number:03}")
                finally:
                    os._exit(0)
            _, status = os.waitpid(child, 0)
            sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
