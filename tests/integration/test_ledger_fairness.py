"""Fairness: an account with a thousand runs that wait takes its turn like one with a single run."""

from datetime import date, timedelta

import pytest

from shared.core.costs import FetchedCosts
from shared.core.days import DayRange
from shared.core.runs import RunKind, RunState
from shared.ledger.accounts import list_accounts
from shared.ledger.claims import claim, claim_next_due
from shared.ledger.dispatch import LEAST_SHARE, account_share, dispatch_due
from shared.ledger.new_runs import NewRun, insert_runs
from shared.ledger.queries import get_run, run_counts
from shared.ledger.store import store
from tests.support.ledger import JANUARY, WINDOW, FakeSender, requested, with_accounts
from workers.ledger import DatabaseLedger

pytestmark = pytest.mark.integration

FIRST = date(2020, 1, 1)


def backlog(db, account, count, kind=RunKind.CATCHUP):
    """That many runs of a day each, pending; their ids."""
    key = next(found.id for found in list_accounts(db) if found.name == account)
    days = [FIRST + timedelta(days=offset) for offset in range(count)]
    with db.write() as connection:
        planned = insert_runs(connection, [NewRun(key, kind, f"{day}", DayRange(day, day)) for day in days])
    return [run.id for run in planned]


def dispatched(db, window=WINDOW):
    sender = FakeSender()
    return list(dispatch_due(db, sender, window=window).sent), sender.sent


def test_accounts_take_turns(database):
    with_accounts(database, "corp", "lab", "shop")
    corp, lab, shop = backlog(database, "corp", 4), backlog(database, "lab", 2), backlog(database, "shop", 1)
    sent, hints = dispatched(database)
    assert sent == [corp[0], lab[0], shop[0], corp[1], lab[1], corp[2], corp[3]]
    assert [hint.run_id for hint in hints] == sent


def test_a_small_window_goes_round_as_well(database):
    with_accounts(database, "corp", "lab", "shop")
    corp, lab, shop = (backlog(database, name, 50) for name in ("corp", "lab", "shop"))
    assert dispatched(database, window=4)[0] == [corp[0], lab[0], shop[0], corp[1]]
    # What is queued counts as turns that were had.
    assert dispatched(database, window=6)[0] == [lab[1], shop[1]]


def test_urgency_goes_before_turns(database):
    with_accounts(database, "corp", "lab")
    backlog(database, "lab", 3)
    urgent = backlog(database, "corp", 3, RunKind.MANUAL)
    assert dispatched(database, window=3)[0] == urgent


def test_a_thousand_waiting_runs_of_one_account_leave_room_for_whoever_comes_later(database):
    with_accounts(database, "corp", "lab")
    backlog(database, "corp", WINDOW)
    assert len(dispatched(database)[0]) == account_share(WINDOW) == LEAST_SHARE
    assert dispatched(database)[0] == []
    late = requested(database, "lab", JANUARY, RunKind.CATCHUP)
    assert dispatched(database)[0] == [late.id]


def test_a_backlog_of_one_kind_leaves_room_for_the_account_s_own_urgent_runs(database):
    with_accounts(database, "corp")
    backlog(database, "corp", 100)
    dispatched(database)
    urgent = requested(database, "corp", JANUARY)
    assert dispatched(database)[0] == [urgent.id]


def test_a_run_that_ends_makes_room_for_the_next_until_all_are_done(database):
    with_accounts(database, "corp")
    backlog(database, "corp", 3 * LEAST_SHARE)
    done = 0
    while hints := dispatched(database)[1]:
        for hint in hints:
            held = claim(database, hint, holder="w")
            assert held is not None
            assert store(database, held, FetchedCosts([])) is not None
            done += 1
    assert done == run_counts(database)[RunState.SUCCEEDED] == 3 * LEAST_SHARE


def test_what_was_cancelled_or_claimed_since_it_was_chosen_is_not_sent(database, monkeypatch):
    from shared.ledger import dispatch as dispatch_module
    from shared.ledger.claims import cancel_run

    with_accounts(database, "corp", "lab", "shop")
    corp, lab, shop = (backlog(database, name, 1)[0] for name in ("corp", "lab", "shop"))
    queue = dispatch_module._queue
    monkeypatch.setattr(dispatch_module, "lock", lambda *_: None)  # SQLite's writer would wait for itself

    def late(connection, chosen, free):
        assert list(chosen) == [corp, lab, shop]
        return queue(connection, chosen, free)

    def in_between(*_, **__):
        cancel_run(database, corp)
        taken = claim_next_due(database, holder="direct")
        assert taken is not None
        assert taken.run.id == lab
        monkeypatch.setattr(dispatch_module, "_in_turn", choose)
        return [corp, lab, shop]

    choose = dispatch_module._in_turn
    monkeypatch.setattr(dispatch_module, "_queue", late)
    monkeypatch.setattr(dispatch_module, "_in_turn", in_between)
    assert dispatched(database)[0] == [shop]


def served_in_order(db, count):
    """The accounts whose runs one worker takes from the ledger itself, each stored before the next."""
    ledger = DatabaseLedger(db, "w")
    order = []
    for _ in range(count):
        held = ledger.claim_next()
        assert held is not None
        order.append(held.run.account)
        ledger.store(held, FetchedCosts([]))
    return order


def test_without_redis_accounts_take_turns_too(database):
    with_accounts(database, "corp", "lab", "shop")
    backlog(database, "corp", 20)
    backlog(database, "lab", 2)
    backlog(database, "shop", 1)
    order = served_in_order(database, 6)
    assert order == ["corp", "lab", "shop", "corp", "lab", "corp"]


def test_without_redis_urgency_goes_before_turns(database):
    with_accounts(database, "corp", "lab")
    backlog(database, "corp", 3, RunKind.MANUAL)
    backlog(database, "lab", 3)
    assert served_in_order(database, 4) == ["corp", "corp", "corp", "lab"]


def test_an_account_that_had_its_turn_gets_another_when_nobody_else_waits(database):
    with_accounts(database, "corp")
    first, *_ = backlog(database, "corp", 2)
    found = claim_next_due(database, holder="w", served=["corp", "nobody"])
    assert found is not None
    assert found.run.id == first
    assert get_run(database, first).state is RunState.RUNNING
    assert DatabaseLedger(database, "w").claim_next() is None
