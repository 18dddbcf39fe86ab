"""Two that store, cancel or take back at the same moment: one of them wins, whole."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select, text, update

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import RunFinishedError
from shared.core.runs import RunKind, RunState
from shared.ledger import dispatch as dispatch_module
from shared.ledger import store as store_module
from shared.ledger.claims import cancel_run, claim, running_beats, take_back
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.queries import CostQuery, costs, get_run
from shared.ledger.store import store
from shared.ledger.tables import costs as cost_table
from shared.ledger.tables import runs
from tests.support.ledger import WINDOW, FakeSender, claimed, cost_row, requested, with_accounts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

DAY = date(2026, 1, 5)
ONE_DAY = DayRange(DAY, DAY)
BEFORE = [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="old name")]
AFTER = [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="new name")]


def total_of(db):
    return [row["amount"] for row in costs(db, CostQuery(ONE_DAY, ())).rows]


def reclaimed(db, holder):
    """The account's run taken back and claimed by another, as when its holder was thought dead."""
    (seen,) = running_beats(db)
    take_back(db, seen)
    sender = FakeSender()
    dispatch_due(db, sender, window=WINDOW)
    found = claim(db, sender.sent[0], holder=holder)
    assert found is not None
    return found


def test_overlapping_stores_of_one_account_leave_each_cost_once(database, database_url, monkeypatch):
    """Both transactions are open at once: the second begins while the first has inserted and not yet committed."""
    with_accounts(database, "corp")
    # Only one run of an account may run; two past every check of that are the worst that can happen.
    first = claimed(database, "corp", ONE_DAY)
    second = requested(database, "corp", ONE_DAY, RunKind.BACKFILL)
    inserted, go_on = threading.Event(), threading.Event()
    finish = store_module._finish

    def finish_late(connection, account, claim, rows):
        if claim.holder == first.holder:
            inserted.set()
            go_on.wait(20)
        finish(connection, account, claim, rows)

    monkeypatch.setattr(store_module, "_finish", finish_late)
    monkeypatch.setattr(store_module, "_lock", without_run_check(store_module._lock))
    other = Database(database_url)
    with ThreadPoolExecutor(2) as pool:
        storing = pool.submit(store, database, first, FetchedCosts(BEFORE))
        assert inserted.wait(20)
        later = type(first)(second, "worker-2", first.fetch_seq + 1)
        overlapping = pool.submit(store, other, later, FetchedCosts(AFTER))
        wait_for(lambda: waits_for_a_lock(database), 20, "the second store waits for the first")
        assert not overlapping.done()
        go_on.set()
        assert storing.result(30) is not None
        assert overlapping.result(30) is not None
    other.dispose()
    assert total_of(database) == [Decimal(15)]
    with database.read() as connection:
        services = connection.scalars(select(cost_table.c.service).order_by(cost_table.c.service)).all()
    assert services == ["compute", "new name"]


def waits_for_a_lock(db):
    """Whether somebody does. SQLite does not tell, but lets nobody past the first statement of a second writer."""
    if db.dialect == "sqlite":
        return True
    with db.read() as connection:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return connection.execute(waiting).scalar_one() > 0


def without_run_check(lock):
    """The lock as it is, but for a claim that any check of the run would have stopped."""

    def locked(connection, claim):
        lock(connection, claim)
        return 1

    return locked


def test_the_holder_and_its_successor_storing_at_once_store_once(database):
    with_accounts(database, "corp")
    zombie = claimed(database, "corp", ONE_DAY)
    holder = reclaimed(database, "worker-2")
    barrier = threading.Barrier(2)

    def store_at_once(claim, rows):
        barrier.wait(10)
        return store(database, claim, FetchedCosts(rows))

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(store_at_once, zombie, BEFORE)
        right = pool.submit(store_at_once, holder, AFTER)
        assert late.result(30) is None
        assert right.result(30) is not None
    assert total_of(database) == [Decimal(15)]


def test_a_run_cancelled_or_taken_back_while_it_is_stored_is_either_whole_or_nothing(database):
    with_accounts(database, "corp")
    for round_number in range(6):
        held = claimed(database, "corp", ONE_DAY)
        (seen,) = running_beats(database)
        barrier = threading.Barrier(2)

        def interrupt(run_id=held.run.id, seen=seen, barrier=barrier, by_cancelling=round_number % 2 == 0):
            barrier.wait(10)
            if not by_cancelling:
                return take_back(database, seen)
            try:
                return cancel_run(database, run_id).state is RunState.CANCELLED
            except RunFinishedError:
                return False

        with ThreadPoolExecutor(2) as pool:
            interrupting = pool.submit(interrupt)
            barrier.wait(10)
            stored = store(database, held, FetchedCosts(AFTER))
            assert interrupting.result(30) is (stored is None)
        if stored is None and get_run(database, held.run.id).state is RunState.PENDING:
            cancel_run(database, held.run.id)
        assert total_of(database) in ([], [Decimal(15)])


def test_dispatchers_that_look_at_the_same_moment_keep_the_window(database, monkeypatch):
    with_accounts(database, *(f"account-{n}" for n in range(6)))
    for n in range(6):
        requested(database, f"account-{n}", ONE_DAY)
    together = threading.Barrier(2)
    queue = dispatch_module._queue

    def queue_together(connection, due, free):
        # With the lock in place the other never comes this far; without it both would fill the same room.
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        return queue(connection, due, free)

    monkeypatch.setattr(dispatch_module, "_queue", queue_together)
    with ThreadPoolExecutor(2) as pool:
        rounds = [pool.submit(dispatch_due, database, FakeSender(), window=3) for _ in range(2)]
        assert sorted(len(found.result(30).sent) for found in rounds) == [0, 3]


def test_a_claim_that_meets_another_of_its_account_only_in_the_index_waits_its_turn(postgres_database):
    """Neither transaction sees the other's run as running; the index does."""
    with_accounts(postgres_database, "corp")
    first = requested(postgres_database, "corp", ONE_DAY)
    second = requested(postgres_database, "corp", ONE_DAY, RunKind.BACKFILL)
    sender = FakeSender()
    dispatch_due(postgres_database, sender, window=WINDOW, only=[second.id])
    with ThreadPoolExecutor(1) as pool:
        with postgres_database.write() as connection:
            connection.execute(update(runs).where(runs.c.id == first.id).values(state=RunState.RUNNING.value))
            claiming = pool.submit(claim, postgres_database, sender.sent[0], holder="worker-2")
            wait_for(lambda: waits_for_a_lock(postgres_database), 20, "the claim waits for the index")
        assert claiming.result(30) is None
    assert get_run(postgres_database, second.id).state is RunState.PENDING
