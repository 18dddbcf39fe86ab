"""Backfill in the ledger: only what is missing, once, in any number of tries; and out of everybody's way."""

import threading
from datetime import date, timedelta

import pytest

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import IdempotencyConflictError, ProviderError, UnknownAccountError
from shared.core.runs import RetryPolicy, Run, RunKind, RunState
from shared.ledger.accounts import sync_accounts
from shared.ledger.backfill import (
    BackfillAsked,
    cancel_backfills,
    plan_backfill,
    request_backfill,
    runs_by_id,
)
from shared.ledger.checking import check
from shared.ledger.claims import cancel_run, claim, claim_next_due, fail_attempt
from shared.ledger.dispatch import dispatch_due
from shared.ledger.holds import hold_account
from shared.ledger.planning import plan_catchup, plan_scheduled
from shared.ledger.queries import coverage, get_run
from shared.ledger.store import store
from tests.support.ledger import WINDOW, FakeSender, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

YEAR = DayRange(date(2025, 1, 1), date(2025, 12, 31))
MARCH = DayRange(date(2025, 3, 1), date(2025, 3, 31))


def ask(days=YEAR, accounts=("corp",), **more):
    return BackfillAsked(accounts=None if accounts is None else list(accounts), days=days, **more)


def work(db, count=1000):
    """Do so many runs, as a worker without Redis would; returns them in their order."""
    done: list[Run] = []
    while len(done) < count and (held := claim_next_due(db, holder="w")) is not None:
        assert store(db, held, FetchedCosts([cost_row(day) for day in held.run.days])) is not None
        done.append(held.run)
    return done


def missing(db, days, account="corp"):
    (found,) = coverage(db, days=days, account=account)
    return [day.day for day in found.days if day.state != "complete"]


def test_a_year_is_twelve_runs_and_the_newest_month_is_done_first(database):
    with_accounts(database, "corp")
    made = request_backfill(database, ask())
    assert {run.kind for run in made.runs} == {RunKind.BACKFILL}
    months = [run.days.start.month for run in made.runs]
    assert months == list(range(12, 0, -1))
    assert [run.days.start.month for run in work(database)] == months
    assert missing(database, YEAR) == []


def test_asked_again_it_returns_what_is_open_and_makes_nothing(database):
    with_accounts(database, "corp", "lab")
    first = request_backfill(database, ask(accounts=None))
    assert len(first.runs) == 24
    again = request_backfill(database, ask(accounts=None))
    assert {run.id for run in again.runs} == {run.id for run in first.runs}
    assert [each.ranges for each in again.accounts] == [(), ()]


def test_it_goes_on_where_it_was_whatever_became_of_its_runs(database):
    """Some done, one failed for good, one cancelled, one under way: only the failed and the cancelled are made anew."""
    with_accounts(database, "corp")
    made = request_backfill(database, ask())
    done = work(database, 4)
    failed = claim_next_due(database, holder="w")
    assert failed is not None
    no = ProviderError(code="C", summary="s", hint="h", permanent=True)
    assert fail_attempt(database, failed, no, RetryPolicy()) is not None
    cancelled = cancel_run(database, made.runs[-1].id)
    under_way = claim_next_due(database, holder="w")
    assert under_way is not None
    again = request_backfill(database, ask())
    (plan,) = again.accounts
    assert set(plan.ranges) == {failed.run.days, cancelled.days}
    assert plan.complete_days == sum(len(run.days) for run in done)
    assert under_way.run.id in {run.id for run in again.runs}
    assert store(database, under_way, FetchedCosts([])) is not None
    work(database)
    assert missing(database, YEAR) == []
    assert request_backfill(database, ask()).runs == []


def test_days_that_are_complete_are_left_out_unless_asked_for_again(database):
    with_accounts(database, "corp")
    there = DayRange(date(2025, 3, 10), date(2025, 3, 12))
    collected(database, "corp", there, [cost_row(day) for day in there])
    (plan,) = plan_backfill(database, ask(MARCH)).accounts
    assert plan.ranges == (DayRange(date(2025, 3, 13), MARCH.end), DayRange(MARCH.start, date(2025, 3, 9)))
    assert (plan.days, plan.complete_days, plan.rows_a_day) == (28, 3, 1)
    (plan,) = plan_backfill(database, ask(MARCH, again=True)).accounts
    assert plan.ranges == (MARCH,)


def test_estimated_and_suspect_days_are_not_complete(database):
    with_accounts(database, "corp")
    rows = [cost_row(day) for day in MARCH]
    collected(database, "corp", MARCH, rows, estimated_days=frozenset({MARCH.end}))
    suspect = DayRange(MARCH.start, MARCH.start)
    collected(database, "corp", suspect, [])
    (plan,) = plan_backfill(database, ask(MARCH)).accounts
    assert plan.ranges == (DayRange(MARCH.end, MARCH.end), suspect)


def test_days_that_another_open_run_holds_are_not_collected_twice(database):
    with_accounts(database, "corp")
    manual = requested(database, "corp", DayRange(date(2025, 3, 1), date(2025, 3, 20)))
    (plan,) = plan_backfill(database, ask(MARCH, again=True)).accounts
    assert plan.ranges == (DayRange(date(2025, 3, 21), MARCH.end),)
    assert plan.waiting == ()
    assert get_run(database, manual.id).state is RunState.PENDING


def test_a_plan_changes_nothing(database):
    with_accounts(database, "corp")
    assert plan_backfill(database, ask()).runs == []
    assert claim_next_due(database, holder="w") is None


def test_paused_and_removed_accounts_are_left_out_unless_named(database):
    sync_accounts(database, [("corp", "focus", False), ("lab", "focus", True), ("shop", "focus", False)])
    hold_account(database, "shop")
    assert [each.account for each in plan_backfill(database, ask(accounts=None)).accounts] == ["corp"]
    assert [each.account for each in plan_backfill(database, ask(accounts=["lab"])).accounts] == ["lab"]
    with pytest.raises(UnknownAccountError):
        plan_backfill(database, ask(accounts=["nobody"]))


def test_a_key_answers_with_its_runs_also_when_they_are_done(database):
    with_accounts(database, "corp", "lab")
    asked = ask(MARCH, accounts=None, again=True, key="k", request="march")
    first = request_backfill(database, asked)
    work(database)
    assert [run.id for run in request_backfill(database, asked).runs] == [run.id for run in first.runs]
    assert len(request_backfill(database, ask(MARCH, accounts=None, again=True)).runs) == 2
    with pytest.raises(IdempotencyConflictError):
        request_backfill(database, ask(YEAR, key="k", request="year"))
    # One key does not answer for another that begins like it.
    assert request_backfill(database, ask(MARCH, again=True, key="k2", request="x")).runs != first.runs
    assert [finding for finding in check(database, grace_s=0) if finding.broken] == []


def test_a_whole_backfill_is_cancelled_and_other_runs_are_not(database):
    with_accounts(database, "corp", "lab")
    request_backfill(database, ask(accounts=None))
    manual = requested(database, "corp", MARCH)
    held = claim_next_due(database, holder="w")
    assert held is not None
    assert held.run.id == manual.id
    done = work(database, 2)
    assert {run.account for run in done} == {"lab"}
    assert {run.account for run in cancel_backfills(database, "lab")} == {"lab"}
    cancelled = cancel_backfills(database)
    assert {run.account for run in cancelled} == {"corp"}
    assert len(cancelled) == 12
    assert get_run(database, manual.id).state is RunState.RUNNING
    assert cancel_backfills(database) == []
    assert {run.state for run in runs_by_id(database, [run.id for run in done])} == {RunState.SUCCEEDED}


def test_many_who_ask_at_once_make_it_once(database):
    with_accounts(database, "corp")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(request_backfill(database, ask()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 4
    assert len({run.id for answer in answers for run in answer.runs}) == 12


# Politeness.


def dispatched(db, window=WINDOW):
    sender = FakeSender()
    dispatch_due(db, sender, window=window)
    return sender.sent


def begun(db, hint):
    return claim(db, hint, holder="w")


def test_one_backfill_run_of_an_account_is_queued_at_a_time(database):
    with_accounts(database, "corp", "lab")
    made = request_backfill(database, ask(accounts=None))
    newest = {run.id for run in made.runs if run.days.start.month == 12}
    assert {hint.run_id for hint in dispatched(database)} == newest
    assert dispatched(database) == []


def test_backfills_take_a_tenth_of_the_window_and_leave_the_rest_to_what_comes(database):
    names = [f"a{number}" for number in range(30)]
    with_accounts(database, *names)
    request_backfill(database, ask(MARCH, accounts=None))
    assert len(dispatched(database, window=100)) == 10
    for name in names:
        requested(database, name, MARCH)
    urgent = dispatched(database, window=100)
    assert {get_run(database, hint.run_id).kind for hint in urgent} == {RunKind.MANUAL}
    assert len(urgent) == 30


def test_a_backfill_whose_hint_comes_first_gives_way_to_what_is_more_urgent(database):
    with_accounts(database, "corp", "lab")
    request_backfill(database, ask(MARCH, accounts=["corp"]))
    (backfill_hint,) = dispatched(database)
    manual = requested(database, "lab", MARCH)
    (manual_hint,) = dispatched(database)
    assert begun(database, backfill_hint) is None
    assert get_run(database, backfill_hint.run_id).state is RunState.PENDING
    held = begun(database, manual_hint)
    assert held is not None
    assert held.run.id == manual.id
    (backfill_hint,) = dispatched(database)
    assert begun(database, backfill_hint) is not None


def test_a_backfill_does_not_wait_for_urgent_runs_that_could_not_begin(database):
    """Of an account that is at work, or held: whoever waits for those would do nothing meanwhile."""
    with_accounts(database, "corp", "lab")
    busy = requested(database, "lab", MARCH)
    (hint,) = dispatched(database)
    second = requested(database, "lab", YEAR)
    (second_hint,) = dispatched(database)
    assert begun(database, hint) is not None
    assert get_run(database, second.id).state is RunState.QUEUED
    request_backfill(database, ask(MARCH, accounts=["corp"]))
    (backfill_hint,) = dispatched(database)
    assert begun(database, backfill_hint) is not None
    assert begun(database, second_hint) is None
    assert get_run(database, busy.id).state is RunState.RUNNING


def test_an_account_s_scheduled_and_manual_runs_wait_for_the_run_in_hand_and_no_other(database):
    with_accounts(database, "corp")
    request_backfill(database, ask())
    (hint,) = dispatched(database)
    in_hand = begun(database, hint)
    assert in_hand is not None
    manual = requested(database, "corp", MARCH)
    plan_scheduled(database, slot="2026-01-01T02:00", days=DayRange(date(2025, 12, 25), date(2025, 12, 31)))
    assert dispatched(database) == []
    assert store(database, in_hand, FetchedCosts([])) is not None
    order = []
    while hints := dispatched(database):
        for hint in hints:
            held = begun(database, hint)
            if held is not None:
                order.append(held.run.kind)
                store(database, held, FetchedCosts([cost_row(day) for day in held.run.days]))
    assert order[:2] == [RunKind.MANUAL, RunKind.SCHEDULED]
    assert set(order[2:]) == {RunKind.BACKFILL}
    assert get_run(database, manual.id).state is RunState.SUCCEEDED


def test_without_redis_the_order_is_the_same(database):
    with_accounts(database, "corp", "lab")
    request_backfill(database, ask(accounts=["corp"]))
    assert [run.kind for run in work(database, 1)] == [RunKind.BACKFILL]
    requested(database, "lab", MARCH)
    plan_catchup(database, days=DayRange(date(2026, 1, 1), date(2026, 1, 2)))
    kinds = [run.kind for run in work(database, 4)]
    assert kinds == [RunKind.MANUAL, RunKind.CATCHUP, RunKind.CATCHUP, RunKind.BACKFILL]


def test_two_hundred_accounts_over_two_years_are_planned_in_one_go(sqlite_database):
    names = [f"a{number:04}" for number in range(200)]
    with_accounts(sqlite_database, *names)
    days = DayRange(YEAR.start - timedelta(days=365), YEAR.end)
    made = request_backfill(sqlite_database, ask(days, accounts=None))
    assert len(made.runs) == 200 * 24
    assert request_backfill(sqlite_database, ask(days, accounts=None)).accounts[0].days == 0
