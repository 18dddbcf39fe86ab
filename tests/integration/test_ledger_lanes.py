"""Lanes: of the accounts that share one, one run at a time, each account in its turn, whoever dispatches or claims."""

from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread

import pytest

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy, RunKind, RunReady, RunState
from shared.ledger.accounts import AccountFacts, list_accounts, sync_accounts
from shared.ledger.checking import check
from shared.ledger.claims import claim, claim_next_due, fail_attempt, hand_back
from shared.ledger.dispatch import dispatch_due
from shared.ledger.meta import ledger_id
from shared.ledger.new_runs import NewRun, insert_runs
from shared.ledger.queries import get_run
from shared.ledger.store import store
from tests.support.ledger import FakeSender, requested

pytestmark = pytest.mark.integration

FIRST = date(2020, 1, 1)
DAY = DayRange(FIRST, FIRST)


def in_lanes(db, **lanes):
    sync_accounts(db, [AccountFacts(name, "azure", paused=False, lane=lane) for name, lane in lanes.items()])


def backlog(db, account, count, kind=RunKind.CATCHUP):
    key = next(found.id for found in list_accounts(db) if found.name == account)
    days = [FIRST + timedelta(days=offset) for offset in range(count)]
    with db.write() as connection:
        return [
            run.id for run in insert_runs(connection, [NewRun(key, kind, f"{day}", DayRange(day, day)) for day in days])
        ]


def dispatched(db, window=1000, only=None):
    sender = FakeSender()
    return list(dispatch_due(db, sender, window=window, only=only).sent), sender.sent


def hint_of(db, run_id, attempt=1):
    return RunReady(ledger_id(db), run_id, attempt)


def test_the_accounts_file_s_lanes_are_taken_over_and_changed(database):
    in_lanes(database, corp="t1", lab=None)
    assert {one.name: one.lane for one in list_accounts(database)} == {"corp": "t1", "lab": None}
    in_lanes(database, corp=None, lab="t2")
    assert {one.name: one.lane for one in list_accounts(database)} == {"corp": None, "lab": "t2"}


def test_one_run_of_a_lane_is_queued_at_a_time_and_none_while_one_runs(database):
    in_lanes(database, corp="t", lab="t", shop=None, other="u")
    corp, lab = backlog(database, "corp", 3), backlog(database, "lab", 1)
    shop, other = backlog(database, "shop", 2), backlog(database, "other", 1)
    sent, hints = dispatched(database)
    assert sent == [corp[0], shop[0], other[0], shop[1]]
    assert dispatched(database)[0] == []
    held = claim(database, hints[0], holder="w")
    assert held is not None
    # The lane is busy, also for its other account.
    assert dispatched(database)[0] == []
    assert store(database, held, FetchedCosts([])) is not None
    # Whoever has waited longest is next, though the first one's runs are older.
    assert dispatched(database)[0] == lab


def test_accounts_of_a_lane_take_turns(database):
    in_lanes(database, corp="t", lab="t", shop="t")
    owner: dict[int, str] = {}
    for name, count in (("corp", 4), ("lab", 2), ("shop", 1)):
        owner |= dict.fromkeys(backlog(database, name, count), name)
    order = []
    while hints := dispatched(database)[1]:
        (hint,) = hints
        order.append(owner[hint.run_id])
        held = claim(database, hint, holder="w")
        assert held is not None
        assert store(database, held, FetchedCosts([])) is not None
    assert order == ["corp", "lab", "shop", "corp", "lab", "corp", "corp"]


def test_a_more_urgent_run_of_a_lane_does_not_wait_for_the_queued_one(database):
    in_lanes(database, corp="t", lab="t")
    backlog(database, "corp", 2)
    dispatched(database)
    urgent = requested(database, "lab", DAY)
    assert dispatched(database)[0] == [urgent.id]


def test_a_request_is_sent_only_when_the_lane_has_room(database):
    in_lanes(database, corp="t", lab="t")
    runs = [requested(database, name, DAY).id for name in ("corp", "lab")]
    assert dispatched(database, only=runs)[0] == runs[:1]
    assert dispatched(database, only=runs[1:])[0] == []


def test_the_window_counts_lanes_too(database):
    in_lanes(database, corp="t", shop=None)
    shop = backlog(database, "shop", 5)
    corp = backlog(database, "corp", 1)
    assert dispatched(database, window=2)[0] == [shop[0], corp[0]]


def test_a_hint_for_a_busy_lane_goes_back_to_pending_and_is_sent_later(database):
    in_lanes(database, corp="t", lab="t")
    first, urgent = backlog(database, "corp", 1)[0], requested(database, "lab", DAY).id
    assert dispatched(database)[0] == [urgent, first]
    held = claim(database, hint_of(database, first), holder="w")
    assert held is not None
    assert claim(database, hint_of(database, urgent), holder="w") is None
    assert get_run(database, urgent).state is RunState.PENDING
    assert dispatched(database)[0] == []
    assert hand_back(database, held)
    assert dispatched(database)[0] == [urgent, first]


def test_without_redis_a_busy_lane_is_passed_over(database):
    in_lanes(database, corp="t", lab="t", shop=None)
    corp, lab, shop = (backlog(database, name, 1)[0] for name in ("corp", "lab", "shop"))
    held = claim_next_due(database, holder="w")
    assert held is not None
    assert held.run.id == corp
    other = claim_next_due(database, holder="w")
    assert other is not None
    assert other.run.id == shop
    assert claim_next_due(database, holder="w") is None
    assert store(database, held, FetchedCosts([])) is not None
    last = claim_next_due(database, holder="w")
    assert last is not None
    assert last.run.id == lab


def test_two_claims_of_one_lane_in_the_same_moment_are_one(database):
    names = [f"account-{number}" for number in range(6)]
    in_lanes(database, **dict.fromkeys(names, "t"))
    runs = [requested(database, name, DAY).id for name in names]
    ready, found = Barrier(len(names)), []

    def take(run_id):
        ready.wait(20)
        held = claim(database, hint_of(database, run_id), holder="w", direct=True)
        if held is not None:
            found.append(held)

    threads = [Thread(target=take, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 1
    assert sorted(str(get_run(database, run_id).state) for run_id in runs) == ["pending"] * 5 + ["running"]
    (lanes,) = [found for found in check(database, grace_s=0) if found.name == "one_in_lane"]
    assert not lanes.broken


def test_a_provider_that_has_had_enough_postpones_the_whole_lane_and_nobody_else(database):
    in_lanes(database, corp="t", lab="t", shop=None, other="u")
    corp, lab, shop, other = (requested(database, name, DAY).id for name in ("corp", "lab", "shop", "other"))
    sent, hints = dispatched(database)
    assert sent == [corp, shop, other]
    queued = backlog(database, "lab", 1)
    assert dispatched(database)[0] == queued
    held = claim(database, hints[0], holder="w")
    assert held is not None
    error = ProviderError(code="C", summary="s", hint="h", retry_after_s=600, throttled=True)
    before = datetime.now(UTC)
    failed = fail_attempt(database, held, error, RetryPolicy())
    assert failed is not None
    assert failed.failures == 0
    for run_id in (corp, lab, *queued):
        run = get_run(database, run_id)
        assert run.state is RunState.PENDING
        assert run.not_before is not None
        assert run.not_before > before + timedelta(seconds=590)
    assert get_run(database, shop).state is get_run(database, other).state is RunState.QUEUED
    assert dispatched(database)[0] == []


def test_a_failure_of_one_account_s_own_leaves_its_lane_alone(database):
    in_lanes(database, corp="t", lab="t")
    corp, lab = (requested(database, name, DAY).id for name in ("corp", "lab"))
    held = claim(database, dispatched(database)[1][0], holder="w")
    assert held is not None
    assert held.run.id == corp
    fail_attempt(database, held, ProviderError(code="C", summary="s", hint="h", retry_after_s=600), RetryPolicy())
    assert dispatched(database)[0] == [lab]


def test_a_lane_that_changes_under_a_running_run_keeps_the_account_busy(database):
    in_lanes(database, corp="t", lab="t")
    corp, lab = (requested(database, name, DAY).id for name in ("corp", "lab"))
    held = claim(database, dispatched(database)[1][0], holder="w")
    assert held is not None
    assert held.run.id == corp
    in_lanes(database, corp="u", lab="u")
    # What runs was claimed in the lane of then; the new one is free.
    assert dispatched(database)[0] == [lab]
    assert claim(database, hint_of(database, lab), holder="w") is not None
