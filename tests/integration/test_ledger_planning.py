"""Planning: once, whatever plans; gaps alone; what was given up waits for the next fire."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from shared.core.days import DayRange
from shared.core.errors import IdempotencyConflictError, ProviderError, RequestError, UnknownAccountError
from shared.core.months import MonthAgain
from shared.core.runs import RetryPolicy, RunKind, RunState
from shared.ledger.accounts import list_accounts, sync_accounts
from shared.ledger.claims import cancel_run, claim_next_due, fail_attempt
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.queries import find_runs, get_run
from shared.ledger.tables import accounts
from tests.support.ledger import JANUARY, claimed, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

WEEK = DayRange(date(2026, 1, 25), date(2026, 1, 31))
HALF = DayRange(date(2026, 1, 1), date(2026, 1, 15))
GIVE_UP = RetryPolicy(max_failures=1)
BROKEN = ProviderError(code="DENIED", summary="no permission", hint="ask for it")


def days_of(runs):
    return [(run.account, run.days) for run in runs]


def fail_for_good(db, account, days):
    failed = fail_attempt(db, claimed(db, account, days), BROKEN, GIVE_UP)
    assert failed is not None
    assert failed.state is RunState.FAILED


def test_a_fire_plans_one_run_for_each_account_that_is_neither_paused_nor_removed(database):
    with_accounts(database, "gone", "corp", "lab", "asleep")
    with_accounts(database, "corp", "lab", "asleep", paused=["asleep"])
    runs = plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK)
    assert [(run.account, run.kind, run.slot, run.days) for run in runs] == [
        ("corp", RunKind.SCHEDULED, "2026-02-01T02:00", WEEK),
        ("lab", RunKind.SCHEDULED, "2026-02-01T02:00", WEEK),
    ]


def test_a_slot_is_planned_once_and_accounts_that_come_later_are_added(database):
    with_accounts(database, "corp")
    plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK)
    assert plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK) == []
    with_accounts(database, "corp", "lab")
    assert [run.account for run in plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK)] == ["lab"]
    assert len(plan_scheduled(database, slot="2026-02-02T02:00", days=WEEK)) == 2


def test_a_fire_collects_covered_days_again(database):
    with_accounts(database, "corp")
    collected(database, "corp", JANUARY, [])
    assert days_of(plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK)) == [("corp", WEEK)]


def test_days_stored_or_in_open_runs_are_no_gaps(database):
    with_accounts(database, "corp")
    collected(database, "corp", DayRange(date(2026, 1, 3), date(2026, 1, 4)), [])
    requested(database, "corp", DayRange(date(2026, 1, 10), date(2026, 1, 12)))
    claimed(database, "corp", DayRange(date(2026, 1, 12), date(2026, 1, 20)))
    assert days_of(plan_catchup(database, days=JANUARY)) == [
        ("corp", DayRange(date(2026, 1, 1), date(2026, 1, 2))),
        ("corp", DayRange(date(2026, 1, 5), date(2026, 1, 9))),
        ("corp", DayRange(date(2026, 1, 21), date(2026, 1, 31))),
    ]
    assert plan_catchup(database, days=JANUARY) == []


def test_a_paused_account_is_caught_up_when_it_is_resumed(database):
    with_accounts(database, "corp", paused=["corp"])
    assert plan_catchup(database, days=JANUARY) == []
    with_accounts(database, "corp")
    assert days_of(plan_catchup(database, days=JANUARY)) == [("corp", JANUARY)]


def test_days_that_failed_are_not_planned_before_the_next_fire(database):
    with_accounts(database, "corp")
    collected(database, "corp", DayRange(date(2026, 1, 16), date(2026, 1, 31)), [])
    plan_catchup(database, days=DayRange(date(2026, 1, 31), date(2026, 1, 31)), fire="2026-02-01T02:00")
    fail_for_good(database, "corp", HALF)
    assert plan_catchup(database, days=JANUARY) == []
    assert plan_catchup(database, days=JANUARY, fire="2026-02-01T02:00") == []
    assert days_of(plan_catchup(database, days=JANUARY, fire="2026-02-02T02:00")) == [("corp", HALF)]


def test_days_that_failed_before_any_fire_wait_for_the_first(database):
    with_accounts(database, "corp")
    fail_for_good(database, "corp", JANUARY)
    assert plan_catchup(database, days=JANUARY) == []
    plan_scheduled(database, slot="2026-02-01T02:00", days=WEEK)
    assert days_of(plan_catchup(database, days=JANUARY)) == [("corp", DayRange(JANUARY.start, date(2026, 1, 24)))]


def test_a_cancelled_run_is_not_planned_again_at_once(database):
    with_accounts(database, "corp")
    (run,) = plan_catchup(database, days=JANUARY, fire="2026-02-01T02:00")
    cancel_run(database, run.id)
    assert plan_catchup(database, days=JANUARY, fire="2026-02-01T02:00") == []
    assert days_of(plan_catchup(database, days=JANUARY, fire="2026-02-02T02:00")) == [("corp", JANUARY)]


def test_a_suspect_day_waits_for_the_next_fire(database):
    with_accounts(database, "corp")
    days = DayRange(date(2026, 1, 5), date(2026, 1, 5))
    plan_catchup(database, days=days, fire="2026-02-01T02:00")
    collected(database, "corp", days, [cost_row(days.start)])
    collected(database, "corp", days, [])
    assert plan_catchup(database, days=days, fire="2026-02-01T02:00") == []
    cancel_all_open(database)
    assert days_of(plan_catchup(database, days=days, fire="2026-02-02T02:00")) == [("corp", days)]


def cancel_all_open(db):
    for state in (RunState.PENDING, RunState.QUEUED):
        for run in find_runs(db, state=state).runs:
            cancel_run(db, run.id)


def test_planners_side_by_side_plan_once(database):
    with_accounts(database, *(f"account-{n}" for n in range(20)))
    with ThreadPoolExecutor(6) as pool:
        catchups = [pool.submit(plan_catchup, database, days=JANUARY) for _ in range(3)]
        fires = [pool.submit(plan_scheduled, database, slot="2026-02-01T02:00", days=WEEK) for _ in range(3)]
        planned = [len(future.result()) for future in catchups]
        fired = [len(future.result()) for future in fires]
    assert sorted(fired) == [0, 0, 20]
    # The fire may have come first: its week is then covered, and the gap is shorter, but still one per account.
    assert sorted(planned) == [0, 0, 20]


def test_an_identical_open_run_is_returned_rather_than_made_again(database):
    with_accounts(database, "corp", "lab")
    first = requested(database, "corp", WEEK)
    assert requested(database, "corp", WEEK) == first
    assert requested(database, "corp", HALF).id != first.id
    assert requested(database, "lab", WEEK).id != first.id
    assert requested(database, "corp", WEEK, RunKind.BACKFILL).id != first.id
    cancel_run(database, first.id)
    assert requested(database, "corp", WEEK).id != first.id


def test_a_request_for_all_leaves_out_paused_and_removed_accounts(database):
    with_accounts(database, "gone", "corp", "asleep")
    with_accounts(database, "corp", "asleep", "lab", paused=["asleep"])
    assert [run.account for run in request_runs(database, accounts=None, days=WEEK)] == ["corp", "lab"]
    assert [run.account for run in request_runs(database, accounts=["asleep"], days=WEEK)] == ["asleep"]


@pytest.mark.parametrize("name", ["nobody", "gone", "", "a\x00b", "\ud800"])
def test_a_request_for_an_account_that_is_not_configured_is_refused(database, name):
    with_accounts(database, "gone")
    with_accounts(database, "corp")
    with pytest.raises(UnknownAccountError):
        request_runs(database, accounts=["corp", name], days=WEEK)
    assert find_runs(database).runs == []


def test_a_key_is_answered_with_the_same_run_even_after_it_ended(database):
    with_accounts(database, "corp", "lab")
    first = request_runs(database, accounts=None, days=WEEK, key="k-1")
    for run in first:
        cancel_run(database, run.id)
    again = request_runs(database, accounts=None, days=WEEK, key="k-1")
    assert [(run.id, run.state) for run in again] == [(run.id, RunState.CANCELLED) for run in first]
    other = request_runs(database, accounts=None, days=WEEK, key="k-2")
    assert {run.id for run in other}.isdisjoint(run.id for run in first)


def test_a_key_of_all_accounts_answers_for_one_of_them_too(database):
    with_accounts(database, "corp", "lab")
    corp, _ = request_runs(database, accounts=None, days=WEEK, key="k-1")
    assert request_runs(database, accounts=["corp"], days=WEEK, key="k-1") == [corp]


def test_a_key_that_was_answered_with_an_open_twin_stays_with_it(database):
    with_accounts(database, "corp")
    twin = requested(database, "corp", WEEK)
    assert request_runs(database, accounts=["corp"], days=WEEK, key="k-1") == [twin]
    cancel_run(database, twin.id)
    assert [run.id for run in request_runs(database, accounts=["corp"], days=WEEK, key="k-1")] == [twin.id]


def test_a_key_used_for_another_request_is_a_conflict(database):
    with_accounts(database, "corp")
    request_runs(database, accounts=["corp"], days=WEEK, key="k-1")
    with pytest.raises(IdempotencyConflictError):
        request_runs(database, accounts=["corp"], days=HALF, key="k-1")


def test_what_the_sender_wrote_is_compared_rather_than_days_that_depend_on_the_time(database):
    with_accounts(database, "corp")
    (first,) = request_runs(database, accounts=["corp"], days=WEEK, key="k-1", request="{}")
    (later,) = request_runs(database, accounts=["corp"], days=HALF, key="k-1", request="{}")
    assert later.id == first.id
    with pytest.raises(IdempotencyConflictError):
        request_runs(database, accounts=["corp"], days=WEEK, key="k-1", request='{"account":"corp"}')


def test_a_key_that_cannot_be_stored_is_the_client_s_mistake(database):
    with_accounts(database, "corp")
    with pytest.raises(RequestError):
        request_runs(database, accounts=["corp"], days=WEEK, key="k\x00")


def test_requests_side_by_side_make_one_run(database):
    with_accounts(database, "corp")
    with ThreadPoolExecutor(6) as pool:
        made = [pool.submit(requested, database, "corp", WEEK) for _ in range(6)]
        keyed = [pool.submit(request_runs, database, accounts=["corp"], days=HALF, key="k") for _ in range(6)]
        assert len({future.result().id for future in made}) == 1
        assert len({future.result()[0].id for future in keyed}) == 1


def test_accounts_follow_the_file_and_keep_their_history(database):
    with_accounts(database, "corp", "lab")
    collected(database, "lab", WEEK, [])
    before = {account.name: account.id for account in list_accounts(database)}
    sync_accounts(database, [("corp", "aws", True)])
    corp, lab = list_accounts(database)
    assert (corp.provider, corp.paused, corp.removed) == ("aws", True, False)
    assert (lab.provider, lab.paused, lab.removed, lab.data_version) == ("focus", False, True, 1)
    sync_accounts(database, [("lab", "focus", False)])
    assert {account.name: account.id for account in list_accounts(database)} == before
    assert [account.removed for account in list_accounts(database)] == [True, False]


def test_two_accounts_of_one_name_are_a_mistake(database):
    with pytest.raises(ValueError, match="one name"):
        with_accounts(database, "corp", "corp")
    assert list_accounts(database) == []


def test_a_run_knows_what_it_was_planned_for(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", WEEK)
    assert get_run(database, run.id) == run
    assert (run.attempt, run.failures, run.state, run.provider) == (1, 0, RunState.PENDING, "focus")
    assert (run.not_before, run.started_at, run.finished_at, run.rows, run.error) == (None, None, None, None, None)


OCTOBER = DayRange(date(2026, 10, 1), date(2026, 10, 31))


def month_again(db, due: int, today: int, *, time: str = "02:00", known_by: datetime | None = None) -> list[str]:
    """The accounts that get a run over October by the fire of November `today`."""
    again = MonthAgain(OCTOBER, date(2026, 11, due), date(2026, 11, today), known_by)
    found = plan_scheduled(db, slot=f"2026-11-{today:02}T{time}", days=WEEK, again=again)
    months = [run for run in found if run.days == OCTOBER]
    # The window goes first, and is what it would be without a month.
    assert [run.days for run in found[: len(found) - len(months)]] == [WEEK] * (len(found) - len(months))
    assert all(run.kind is RunKind.SCHEDULED for run in months)
    return [run.account for run in months]


def test_a_month_is_collected_again_by_runs_of_its_own_after_those_of_the_window(database):
    with_accounts(database, "corp", "lab", "old", paused=["old"])
    assert month_again(database, 3, 3) == ["corp", "lab"]
    runs = find_runs(database, account="corp").runs
    assert [(run.slot, run.days) for run in runs] == [("2026-11-03T02:00 2026-10", OCTOBER), ("2026-11-03T02:00", WEEK)]


def test_a_month_is_collected_again_once_for_each_day_that_asks(database):
    with_accounts(database, "corp")
    asked = [(3, 3, "02:00"), (3, 3, "14:00"), (3, 4, "02:00"), (5, 5, "02:00"), (5, 9, "02:00"), (10, 12, "02:00")]
    found = [bool(month_again(database, due, today, time=time)) for due, today, time in asked]
    # Nothing fired on the 10th: the fire of the 12th does it.
    assert found == [True, False, False, True, False, True]


def test_a_day_that_asks_finds_the_run_of_the_day_before_it_no_reason_to_leave_out_its_own(database):
    with_accounts(database, "corp")
    month_again(database, 3, 4)
    assert month_again(database, 5, 5) == ["corp"]


def test_a_month_whose_run_failed_is_planned_again_once_a_day_and_one_that_was_cancelled_is_not(database):
    with_accounts(database, "corp", "lab")
    month_again(database, 10, 10)
    for run in find_runs(database).runs:
        if run.account == "lab" or run.days == WEEK:
            cancel_run(database, run.id)
    failed = claim_next_due(database, holder="w")
    assert failed is not None
    fail_attempt(database, failed, BROKEN, GIVE_UP)
    assert month_again(database, 10, 10, time="14:00") == []
    assert month_again(database, 10, 11) == ["corp"]
    assert month_again(database, 10, 12) == []


def test_an_account_that_came_after_the_fire_that_was_missed_has_nothing_to_make_up_for(database):
    with_accounts(database, "corp", "lab")
    fire = datetime(2026, 11, 10, 2, tzinfo=UTC)
    with database.write() as connection:
        for name, came in (("corp", fire - timedelta(seconds=1)), ("lab", fire + timedelta(seconds=1))):
            connection.execute(update(accounts).where(accounts.c.name == name).values(created_at=came))
    assert month_again(database, 10, 11, known_by=fire) == ["corp"]


def test_a_resumed_account_makes_up_for_the_month(database):
    with_accounts(database, "corp", "lab", paused=["lab"])
    assert month_again(database, 10, 10) == ["corp"]
    with_accounts(database, "corp", "lab")
    later = datetime(2100, 1, 1, tzinfo=UTC)
    assert month_again(database, 10, 14, known_by=later) == ["lab"]


def test_the_window_alone_never_passes_for_the_month(database):
    with_accounts(database, "corp")
    plan_scheduled(database, slot="2026-11-10T02:00", days=OCTOBER)
    again = MonthAgain(OCTOBER, date(2026, 11, 10), date(2026, 11, 10), None)
    assert len(plan_scheduled(database, slot="2026-11-10T02:00", days=OCTOBER, again=again)) == 1


def test_any_number_of_schedulers_plan_a_month_once(database):
    with_accounts(database, "corp", "lab")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: month_again(database, 3, 3), range(4)))
    assert sorted(account for one in found for account in one) == ["corp", "lab"]
