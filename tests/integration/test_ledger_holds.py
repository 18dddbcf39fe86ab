"""Accounts that an operator holds: nothing of them begins, and nothing is lost when they are released."""

import pytest

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import UnknownAccountError
from shared.core.runs import RunKind, RunState
from shared.ledger.accounts import list_accounts
from shared.ledger.claims import claim, claim_next_due
from shared.ledger.dispatch import dispatch_due
from shared.ledger.holds import hold_account, release_account
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.queries import coverage, get_run
from shared.ledger.store import store
from tests.support.ledger import (
    JANUARY,
    WINDOW,
    FakeSender,
    claimed,
    cost_row,
    requested,
    with_accounts,
)

pytestmark = pytest.mark.integration

WEEK = DayRange(JANUARY.start, JANUARY.start.replace(day=7))


def sent(db):
    sender = FakeSender()
    dispatch_due(db, sender, window=WINDOW)
    return sender.sent


def test_a_held_account_is_planned_neither_by_a_fire_nor_by_catch_up_nor_by_a_request_for_all(database):
    with_accounts(database, "corp", "lab")
    hold_account(database, "corp")
    planned = [
        *plan_scheduled(database, slot="2026-01-08T02:00", days=WEEK),
        *plan_catchup(database, days=JANUARY),
        *request_runs(database, accounts=None, days=WEEK),
    ]
    assert {run.account for run in planned} == {"lab"}


def test_a_released_account_gets_all_that_was_missed_and_nothing_twice(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", WEEK)
    store(database, held, FetchedCosts([cost_row(day) for day in WEEK]))
    hold_account(database, "corp")
    assert plan_catchup(database, days=JANUARY) == []
    release_account(database, "corp")
    (gap,) = plan_catchup(database, days=JANUARY)
    assert gap.days == DayRange(JANUARY.start.replace(day=8), JANUARY.end)
    assert plan_catchup(database, days=JANUARY) == []


def test_a_hold_outlives_every_reading_of_the_accounts_file(database):
    with_accounts(database, "corp")
    hold_account(database, "corp")
    with_accounts(database, "lab")
    with_accounts(database, "corp", "lab")
    assert [(account.name, account.held, account.paused) for account in list_accounts(database)] == [
        ("corp", True, False),
        ("lab", False, False),
    ]


def test_releasing_leaves_an_account_paused_that_the_file_pauses(database):
    with_accounts(database, "corp", paused=["corp"])
    hold_account(database, "corp")
    released = release_account(database, "corp")
    assert (released.held, released.paused) == (False, True)
    assert plan_catchup(database, days=JANUARY) == []


def test_a_pending_run_of_a_held_account_is_not_sent_until_it_is_released(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", WEEK)
    hold_account(database, "corp")
    assert sent(database) == []
    assert claim_next_due(database, holder="w") is None
    release_account(database, "corp")
    assert [message.run_id for message in sent(database)] == [run.id]


def test_a_queued_run_of_a_held_account_leaves_the_queue_and_its_hint_is_stale(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", WEEK)
    (hint,) = sent(database)
    hold_account(database, "corp")
    assert get_run(database, run.id).state is RunState.PENDING
    assert claim(database, hint, holder="w") is None
    assert claim(database, hint, holder="w", direct=True) is None
    release_account(database, "corp")
    (again,) = sent(database)
    assert claim(database, again, holder="w") is not None


def test_a_run_queued_in_the_moment_of_the_hold_is_not_begun_but_put_back(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", WEEK)
    sender = FakeSender()
    # The dispatcher has committed the run as queued; the hold comes before the hint arrives.
    sender.on_send = lambda: hold_account(database, "corp")
    dispatch_due(database, sender, window=WINDOW)
    assert claim(database, sender.sent[0], holder="w") is None
    assert get_run(database, run.id).state is RunState.PENDING


def test_a_running_run_of_a_held_account_ends_as_it_would(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", WEEK)
    hold_account(database, "corp")
    assert store(database, held, FetchedCosts([cost_row(day) for day in WEEK])) is not None
    assert get_run(database, held.run.id).state is RunState.SUCCEEDED


def test_a_run_asked_for_by_name_waits_for_the_release(database):
    with_accounts(database, "corp")
    hold_account(database, "corp")
    run = requested(database, "corp", WEEK, RunKind.BACKFILL)
    assert sent(database) == []
    release_account(database, "corp")
    assert [message.run_id for message in sent(database)] == [run.id]


def test_holding_or_releasing_twice_changes_nothing(database):
    with_accounts(database, "corp")
    assert hold_account(database, "corp") == hold_account(database, "corp")
    assert release_account(database, "corp") == release_account(database, "corp")


@pytest.mark.parametrize("name", ["nobody", "\x00", "\ud800"])
def test_an_unknown_account_is_told(database, name):
    with pytest.raises(UnknownAccountError):
        hold_account(database, name)
    with pytest.raises(UnknownAccountError):
        release_account(database, name)


def test_coverage_says_which_accounts_are_paused_whoever_did_it(database):
    with_accounts(database, "asleep", "corp", "lab", paused=["asleep"])
    hold_account(database, "corp")
    found = {account.account: account.paused for account in coverage(database, days=WEEK)}
    assert found == {"asleep": True, "corp": True, "lab": False}
