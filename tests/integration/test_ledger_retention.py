"""Retention: what ended long ago goes, in small steps; what planning, coverage or a reader needs stays."""

from datetime import date, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import ProviderError, UnknownRunError
from shared.core.runs import RetryPolicy, RunReady
from shared.ledger.checking import check
from shared.ledger.claims import cancel_run, claim, claim_next_due, fail_attempt
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.queries import CostQuery, costs, coverage, find_runs, get_run
from shared.ledger.retention import Forgotten, forget_old
from shared.ledger.store import store
from shared.ledger.tables import accounts, alerts, attempts, fires, notices, processes, request_keys, runs
from tests.support.ledger import claimed, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

KEPT = 400
WEEK = DayRange(date(2024, 1, 1), date(2024, 1, 7))
BROKEN = ProviderError(code="FOCUS_BAD_ROW", summary="row 7 has no day", hint="Export it again.", permanent=True)


@pytest.fixture
def db(database: Database) -> Database:
    with_accounts(database, "a", "b")
    return database


def age(db: Database, *, days: int) -> None:
    """Let everything that the ledger holds have happened so many days earlier."""
    with db.write() as connection:
        at = now(connection)
        for table, columns in (
            (runs, ("created_at", "finished_at", "started_at")),
            (attempts, ("started_at", "ended_at")),
            (fires, ("fired_at",)),
            (alerts, ("created_at",)),
            (request_keys, ("created_at",)),
        ):
            for name in columns:
                for found in connection.execute(select(table.c[name]).distinct()).scalars():
                    if found is not None and found > at - timedelta(days=1):
                        older = found - timedelta(days=days)
                        connection.execute(update(table).where(table.c[name] == found).values({name: older}))


def forget_all(db: Database, *, step: int = 500) -> Forgotten:
    found = forget_old(db, keep_days=KEPT, step=step)
    while found.after is not None:
        found = found.plus(forget_old(db, keep_days=KEPT, after=found.after, step=step))
    return found


def count(db: Database, table) -> int:
    with db.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def fire(db: Database, slot: str) -> None:
    with db.write() as connection:
        connection.execute(insert(fires).values(slot=slot, fired_at=DatabaseNow()))


def test_a_run_that_ended_long_ago_goes_with_its_attempts_and_keys_and_its_costs_stay(db):
    request_runs(db, accounts=["a"], days=WEEK, key="once")
    held = claim_next_due(db, holder="worker")
    assert held
    store(db, held, FetchedCosts([cost_row(day) for day in WEEK]))
    before = coverage(db, days=WEEK), costs(db, CostQuery(days=WEEK))
    age(db, days=KEPT + 1)

    found = forget_all(db)

    assert (found.runs, found.attempts) == (1, 1)
    assert [count(db, table) for table in (runs, attempts, request_keys)] == [0, 0, 0]
    assert (coverage(db, days=WEEK), costs(db, CostQuery(days=WEEK))) == before
    assert [each.account for each in plan_catchup(db, days=WEEK)] == ["b"]
    assert not any(finding.broken for finding in check(db, grace_s=0))


def test_what_ended_within_the_time_stays(db):
    collected(db, "a", WEEK, [])
    age(db, days=KEPT - 1)
    assert forget_all(db) == Forgotten()
    assert count(db, runs) == 1


def test_open_runs_stay_however_old_they_are(db):
    pending, running = requested(db, "a", WEEK), claimed(db, "b", WEEK).run
    age(db, days=5 * KEPT)
    assert forget_all(db).runs == 0
    assert {run.id for run in find_runs(db).runs} == {pending.id, running.id}


def test_days_that_were_given_up_wait_for_the_next_fire_although_their_run_is_old(db):
    fire(db, "2024-01-08T02:00")
    assert fail_attempt(db, claimed(db, "a", WEEK), BROKEN, RetryPolicy())
    cancel_run(db, requested(db, "b", WEEK).id)
    age(db, days=KEPT + 1)

    assert forget_all(db) == Forgotten()
    assert plan_catchup(db, days=WEEK, fire="2024-01-08T02:00") == []

    fire(db, "2025-01-08T02:00")
    found = forget_all(db)
    assert (found.runs, found.fires) == (2, 1)
    assert len(plan_catchup(db, days=WEEK)) == 2


def test_the_newest_fire_stays_and_older_ones_go(db):
    fire(db, "2024-01-07T02:00")
    age(db, days=2 * KEPT)
    fire(db, "2024-01-08T02:00")
    age(db, days=KEPT + 1)
    assert forget_all(db).fires == 1
    with db.read() as connection:
        assert connection.execute(select(fires.c.slot)).scalars().all() == ["2024-01-08T02:00"]


def test_old_alerts_and_processes_that_are_gone_go_too(db):
    with db.write() as connection:
        at = now(connection)
        account = connection.execute(select(accounts.c.id).where(accounts.c.name == "a")).scalar_one()
        day = at.date() - timedelta(days=1)
        for alerted, created in ((WEEK.start, at - timedelta(days=KEPT + 1)), (day, at)):
            connection.execute(
                insert(alerts).values(account_id=account, day=alerted, kind="deadline", created_at=created)
            )
        for name, seen in (("gone", at - timedelta(hours=1)), ("there", at)):
            facts = {"id": name, "name": "worker", "host": "h", "pid": 1, "version": "1", "redis": "connected"}
            connection.execute(insert(processes).values(**facts, started_at=at, seen_at=seen))
    found = forget_all(db)
    assert (found.alerts, found.processes) == (1, 1)
    with db.read() as connection:
        assert connection.execute(select(alerts.c.day)).scalars().all() == [day]
        assert connection.execute(select(processes.c.id)).scalars().all() == ["there"]


def test_notices_stay_two_months_longer_and_how_far_anomalies_were_looked_for_stays_for_good(db):
    with db.write() as connection:
        at = now(connection)
        account = connection.execute(select(accounts.c.id).where(accounts.c.name == "a")).scalar_one()
        for kind, days in (("budget", KEPT + 61), ("budget", KEPT + 63), ("looked", 5 * KEPT)):
            created = at - timedelta(days=days)
            facts = {"account_id": account, "day": created.date(), "kind": kind, "subject": "80", "document": "{}"}
            connection.execute(insert(notices).values(**facts, created_at=created))
    assert forget_all(db).notices == 1
    with db.read() as connection:
        assert sorted(connection.scalars(select(notices.c.kind))) == ["budget", "looked"]


def test_it_goes_in_steps_and_reads_no_further_than_what_is_old(db):
    for _ in range(5):
        collected(db, "a", WEEK, [])
    open_run = requested(db, "b", WEEK)
    for _ in range(2):
        collected(db, "a", WEEK, [])
    age(db, days=KEPT + 1)
    young = [claimed(db, "a", WEEK).run.id]

    steps = []
    after: int | None = 0
    while after is not None:
        steps.append(forget_old(db, keep_days=KEPT, after=after, step=3))
        after = steps[-1].after

    assert [step.runs for step in steps] == [3, 2, 2]
    assert {run.id for run in find_runs(db).runs} == {open_run.id, *young}


def test_who_forgets_at_the_same_time_takes_other_runs_or_none(postgres_database):
    db = postgres_database
    with_accounts(db, "a")
    for _ in range(4):
        collected(db, "a", WEEK, [])
    age(db, days=KEPT + 1)
    with db.write() as connection:
        connection.execute(select(runs.c.id).where(runs.c.id <= 2).with_for_update()).all()
        assert forget_old(db, keep_days=KEPT).runs == 2
    assert forget_all(db).runs == 2


def test_ids_are_never_given_again_so_an_ancient_hint_fits_nothing(db):
    old = claimed(db, "a", WEEK)
    cancel_run(db, old.run.id)
    age(db, days=KEPT + 1)
    forget_all(db)

    new = requested(db, "a", WEEK)

    assert new.id > old.run.id
    assert claim(db, RunReady(ledger_id(db), old.run.id, 1), holder="ancient", direct=True) is None
    assert store(db, old, FetchedCosts([cost_row(WEEK.start)])) is None
    with pytest.raises(UnknownRunError):
        get_run(db, old.run.id)


def test_a_forgotten_slot_does_not_come_back_by_catching_up(db):
    plan_scheduled(db, slot="2024-01-08T02:00", days=WEEK)
    while (held := claim_next_due(db, holder="worker")) is not None:
        store(db, held, FetchedCosts([cost_row(day) for day in WEEK]))
    age(db, days=KEPT + 1)
    fire(db, "2025-02-20T02:00")
    assert forget_all(db).runs == 2
    assert plan_catchup(db, days=WEEK, fire="2025-02-20T02:00") == []
