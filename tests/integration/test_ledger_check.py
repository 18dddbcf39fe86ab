"""The check of the ledger: a sound one has no findings, however busy; every kind of damage is found and named."""

import threading
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import pytest
from sqlalchemy import text

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy, RunKind
from shared.ledger.checking import LIVING_HOLDER, SAMPLES, Finding, _ask, check
from shared.ledger.claims import cancel_run, claim_next_due, fail_attempt, hand_back, renew, take_back
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.invariants import INVARIANTS
from shared.ledger.lease import RunBeat
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.store import store
from shared.ledger.summing import carry_over
from shared.ledger.tables import metadata
from tests.support.ledger import FakeSender, claimed, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

WEEK = DayRange(date(2026, 1, 1), date(2026, 1, 7))
RESTATED = DayRange(date(2026, 1, 3), date(2026, 1, 3))
BROKEN = ProviderError(code="FOCUS_BAD_ROW", summary="row 7 has no day", hint="Export it again.", permanent=True)

# What to do to a sound ledger so that exactly this invariant's statement finds it. Run 1 of account 1 has succeeded,
# run 2 of account 1 has failed, run 3 of account 2 is running, run 4 of account 3 was requested with a key. Runs 5 and
# 6 have restated a day of account 1.
DAMAGE = {
    "one_coverage_row": ["INSERT INTO coverage SELECT * FROM coverage WHERE day = '2026-01-02'"],
    "costs_are_covered": ["DELETE FROM coverage WHERE day = '2026-01-02'"],
    "rows_as_counted": ["DELETE FROM costs WHERE day = '2026-01-02'"],
    "no_cost_twice": ["INSERT INTO costs SELECT * FROM costs WHERE day = '2026-01-02'"],
    "coverage_by_a_success": ["UPDATE coverage SET run_id = 2 WHERE day = '2026-01-02'"],
    "coverage_by_its_fetch": ["UPDATE coverage SET run_id = 99 WHERE day = '2026-01-02'"],
    "successes_are_covered": ["UPDATE runs SET end_day = '2026-01-08' WHERE id = 1"],
    "versions_count_stores": ["UPDATE accounts SET data_version = 0 WHERE id = 1"],
    "last_revision_is_stored": ["UPDATE costs SET effective = '77' WHERE day = '2026-01-03'"],
    "revisions_are_a_chain": ["UPDATE revisions SET effective_before = NULL WHERE id = 2"],
    "revisions_change_something": [
        "UPDATE revisions SET billed_before = billed_after, effective_before = effective_after WHERE id = 1"
    ],
    "sums_by_day": ["UPDATE cost_sums SET rows = rows + 1 WHERE kind = 0"],
    "sums_by_service": ["UPDATE cost_sums SET effective = '7' WHERE kind = 1 AND day = '2026-01-02'"],
    "sums_by_account": ["UPDATE cost_sums SET account_id = 2 WHERE kind = 2"],
    "sums_by_sub_account": ["DELETE FROM cost_sums WHERE kind = 3"],
    "sums_of_thirds": ["UPDATE cost_sums SET billed = '8' WHERE span = 1 AND day = '2026-01-01'"],
    "sums_of_months": ["DELETE FROM cost_sums WHERE span = 2"],
    "one_running_run": ["INSERT INTO runs SELECT * FROM runs WHERE id = 3"],
    "one_in_lane": ["UPDATE runs SET lane = 'one'", "INSERT INTO runs SELECT * FROM runs WHERE id = 3"],
    "ended_or_open": ["UPDATE runs SET finished_at = NULL WHERE id = 1"],
    "running_is_held": ["UPDATE runs SET holder = NULL WHERE id = 3"],
    "only_running_is_held": ["UPDATE runs SET holder = 'somebody' WHERE id = 1"],
    "queued_is_sent_again": ["UPDATE runs SET state = 'queued' WHERE id = 4"],
    "planned_once": [
        "UPDATE runs SET kind = 'catchup' WHERE id = 4",
        "UPDATE runs SET id = 5, account_id = 3, kind = 'catchup', state = 'pending', finished_at = NULL WHERE id = 2",
    ],
    "requested_once": ["INSERT INTO runs SELECT * FROM runs WHERE id = 4"],
    "keys_answer_their_kind": ["UPDATE request_keys SET kind = 'backfill'"],
    "running_has_its_attempt": ["UPDATE attempts SET ended_at = started_at WHERE run_id = 3"],
    "only_running_goes_on": ["UPDATE attempts SET ended_at = NULL WHERE run_id = 1"],
    "attempts_are_counted": ["UPDATE attempts SET attempt = 7 WHERE run_id = 1"],
    "ends_agree": ["UPDATE attempts SET outcome = 'handed_back' WHERE run_id = 1"],
    "succeeded_once": ["UPDATE attempts SET outcome = 'succeeded' WHERE run_id = 2"],
    "ends_have_outcomes": ["UPDATE attempts SET outcome = NULL WHERE run_id = 1"],
    "failures_have_reasons": ["UPDATE runs SET error_code = NULL WHERE id = 2"],
    "one_ledger": ["DELETE FROM installation"],
    "nothing_is_orphaned": ["DELETE FROM accounts WHERE id = 3"],
    "nothing_is_open": [],
}


def findings(db: Database, *, grace_s: float = 0, at_rest: bool = False) -> dict[str, Finding]:
    return {found.name: found for found in check(db, grace_s=grace_s, at_rest=at_rest)}


def broken(db: Database) -> list[str]:
    return [name for name, found in findings(db, grace_s=30).items() if found.broken]


@pytest.fixture
def ledger(database: Database) -> Database:
    """A sound ledger with a run of each kind (succeeded, failed, running, requested with a key), one day restated."""
    with_accounts(database, "a", "b", "c")
    collected(database, "a", WEEK, [cost_row(day) for day in WEEK])
    assert carry_over(database) == len(WEEK)
    assert fail_attempt(database, claimed(database, "a", WEEK), BROKEN, RetryPolicy())
    claimed(database, "b", WEEK)
    request_runs(database, accounts=["c"], days=WEEK, key="once")
    for amount in ("2", "3"):
        collected(database, "a", RESTATED, [cost_row(RESTATED.start, billed=amount)])
    return database


def strip_constraints(db: Database) -> None:
    """Replace every table by a copy without keys and checks, as a restore gone wrong may."""
    cascade = " CASCADE" if db.dialect == "postgresql" else ""
    with db.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(text(f"CREATE TABLE copied AS SELECT * FROM {table.name}"))
            connection.execute(text(f"DROP TABLE {table.name}{cascade}"))
            connection.execute(text(f"ALTER TABLE copied RENAME TO {table.name}"))


def apply(db: Database, statements: Sequence[str]) -> None:
    with db.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_every_invariant_has_a_damage_that_breaks_it():
    assert set(DAMAGE) == {invariant.name for invariant in INVARIANTS}


def test_a_sound_ledger_has_no_findings_but_the_run_that_nobody_renews(ledger):
    found = findings(ledger)
    assert {name for name, finding in found.items() if finding.broken} == {LIVING_HOLDER}
    assert found[LIVING_HOLDER].broken == ({"run_id": "3", "attempt": "1"},)


def test_every_damage_is_found_and_named(ledger):
    strip_constraints(ledger)
    with ledger.read() as connection:
        tables = {table.name: connection.execute(table.select()).all() for table in metadata.sorted_tables}
    invariants = {invariant.name: invariant for invariant in INVARIANTS}
    for name, statements in DAMAGE.items():
        apply(ledger, statements)
        assert _ask(ledger, invariants[name]).broken, name
        with ledger.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
                if tables[table.name]:
                    connection.execute(table.insert(), [dict(row._mapping) for row in tables[table.name]])
        assert invariants[name].at_rest or not _ask(ledger, invariants[name]).broken, name
    assert {name for name, found in findings(ledger).items() if found.broken} == {LIVING_HOLDER}


def test_much_damage_is_shown_by_some_of_it(ledger):
    collected(ledger, "c", DayRange(date(2026, 2, 1), date(2026, 2, 28)), [])
    apply(ledger, ["UPDATE coverage SET rows = rows + 1"])
    found = findings(ledger)["rows_as_counted"]
    assert (len(found.broken), found.more) == (SAMPLES, True)
    assert set(found.broken[0]) == {"account_id", "day", "expected", "found", "run_id"}


def test_a_holder_that_renews_is_not_called_dead(ledger):
    claim = claimed(ledger, "c", WEEK)
    paused = []

    def renewing(seconds: float) -> None:
        paused.append(seconds)
        renew(ledger, [claim])

    found = {finding.name: finding for finding in check(ledger, grace_s=2, pause=renewing)}
    assert found[LIVING_HOLDER].broken == ({"run_id": "3", "attempt": "1"},)
    assert sum(paused) == 2


def test_a_run_that_is_taken_back_meanwhile_ends_the_waiting(ledger):
    paused = []

    def taking_back(seconds: float) -> None:
        paused.append(seconds)
        take_back(ledger, RunBeat(3, 1, 1))

    found = {finding.name: finding for finding in check(ledger, grace_s=3600, pause=taking_back)}
    assert found[LIVING_HOLDER].broken == ()
    assert len(paused) == 1


def work(db: Database, number: int, rounds: int) -> None:
    """Everything that changes a ledger, in turn, for one of several threads."""
    sender = FakeSender()
    for turn in range(rounds):
        requested(db, f"w{number}", WEEK, RunKind.BACKFILL)
        plan_scheduled(db, slot=f"2026-01-08T0{turn % 10}:00", days=WEEK)
        plan_catchup(db, days=WEEK)
        dispatch_due(db, sender, window=50)
        for end in range(3):
            claim = claim_next_due(db, holder=f"w{number}")
            if claim is None:
                continue
            endings: list[Callable[[], object]] = [
                partial(store, db, claim, FetchedCosts([cost_row(day) for day in claim.run.days])),
                partial(hand_back, db, claim),
                partial(fail_attempt, db, claim, BROKEN, RetryPolicy()),
                partial(cancel_run, db, claim.run.id),
            ]
            endings[(turn + end) % len(endings)]()


def test_a_busy_ledger_is_sound_at_every_moment(database):
    with_accounts(database, "w0", "w1", "w2")
    threads = [threading.Thread(target=work, args=(database, number, 8)) for number in range(3)]
    for thread in threads:
        thread.start()
    looked = 0
    while any(thread.is_alive() for thread in threads):
        assert broken(database) == []
        looked += 1
    for thread in threads:
        thread.join()
    assert looked > 0
    assert broken(database) == []
