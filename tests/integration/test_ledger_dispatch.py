"""Dispatch: committed first, sent then; sending twice is harmless, losing a hint is not the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy, RunKind, RunState
from shared.ledger.claims import claim, fail_attempt, hand_back
from shared.ledger.clock import now
from shared.ledger.dispatch import dispatch_due, hints_gone, resend_queued
from shared.ledger.meta import ledger_id
from shared.ledger.queries import find_runs, get_run, run_counts
from shared.ledger.tables import runs
from tests.support.ledger import JANUARY, WINDOW, FakeSender, claimed, requested, with_accounts

pytestmark = pytest.mark.integration

BROKEN = ProviderError(code="BUSY", summary="try later", hint="wait")


def single_days(count):
    return [DayRange(day, day) for day in list(JANUARY)[:count]]


def age_sends(db, by):
    """As if every hint had been sent this much earlier."""
    with db.write() as connection:
        for run_id, at in connection.execute(select(runs.c.id, runs.c.next_send_at)).all():
            if at is not None:
                connection.execute(update(runs).where(runs.c.id == run_id).values(next_send_at=at - by))


def test_a_hint_names_ledger_run_and_attempt(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    sender = FakeSender()
    dispatch_due(database, sender, window=WINDOW)
    assert [(hint.ledger_id, hint.run_id, hint.attempt) for hint in sender.sent] == [(ledger_id(database), run.id, 1)]


def test_what_is_sent_has_been_committed_before(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    sender = FakeSender()
    seen = []
    sender.on_send = lambda: seen.append(get_run(database, run.id).state)
    dispatch_due(database, sender, window=WINDOW)
    assert seen == [RunState.QUEUED]


def test_more_urgent_runs_go_first_then_older_ones(database):
    with_accounts(database, "corp")
    first, second, third, fourth = single_days(4)
    backfill = requested(database, "corp", first, RunKind.BACKFILL)
    catchup = requested(database, "corp", second, RunKind.CATCHUP)
    early = requested(database, "corp", third)
    late = requested(database, "corp", fourth)
    sender = FakeSender()
    dispatch_due(database, sender, window=WINDOW)
    assert [hint.run_id for hint in sender.sent] == [early.id, late.id, catchup.id, backfill.id]


def test_no_more_are_queued_than_the_window_holds(database):
    with_accounts(database, "corp")
    for days in single_days(5):
        requested(database, "corp", days)
    sender = FakeSender()
    assert len(dispatch_due(database, sender, window=3).sent) == 3
    assert dispatch_due(database, sender, window=3).sent == ()
    assert claim(database, sender.sent[0], holder="w") is not None
    # The account is busy now, so that none of its runs is sent, although there is room.
    assert dispatch_due(database, sender, window=3).sent == ()
    assert run_counts(database)[RunState.QUEUED] == 2


def test_only_the_runs_asked_for_are_dispatched(database):
    with_accounts(database, "corp")
    _, wanted, _ = [requested(database, "corp", days) for days in single_days(3)]
    sender = FakeSender()
    assert dispatch_due(database, sender, window=WINDOW, only=[wanted.id]).sent == (wanted.id,)
    assert dispatch_due(database, sender, window=WINDOW, only=[]).sent == ()


def test_a_run_waits_for_its_time(database):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", JANUARY)
    fail_attempt(database, claim, BROKEN, RetryPolicy(delays_s=(3600.0,)))
    sender = FakeSender()
    assert dispatch_due(database, sender, window=WINDOW).sent == ()
    with database.write() as connection:
        connection.execute(update(runs).values(not_before=now(connection) - timedelta(milliseconds=1)))
    assert dispatch_due(database, sender, window=WINDOW).sent == (claim.run.id,)
    assert [hint.attempt for hint in sender.sent] == [2]


@pytest.mark.parametrize("change", ["paused", "removed"])
def test_runs_of_a_paused_or_removed_account_wait(database, change):
    with_accounts(database, "corp", "lab")
    run = requested(database, "corp", JANUARY)
    with_accounts(database, "lab", *(["corp"] if change == "paused" else []), paused=["corp"])
    assert dispatch_due(database, FakeSender(), window=WINDOW).sent == ()
    with_accounts(database, "corp", "lab")
    assert dispatch_due(database, FakeSender(), window=WINDOW).sent == (run.id,)


def test_a_refused_send_puts_back_what_was_not_sent(database):
    with_accounts(database, "corp")
    planned = [requested(database, "corp", days).id for days in single_days(4)]
    sender = FakeSender()
    sender.refuse_after = 1
    outcome = dispatch_due(database, sender, window=WINDOW)
    assert (outcome.sent, outcome.put_back, outcome.uncertain) == (tuple(planned[:1]), tuple(planned[1:]), ())
    assert outcome.problem == "Redis is away"
    assert run_counts(database)[RunState.PENDING] == 3
    sender.refuse_after = None
    assert dispatch_due(database, sender, window=WINDOW).sent == tuple(planned[1:])


@pytest.mark.parametrize("in_doubt", [1, 2])
def test_a_send_that_timed_out_leaves_its_runs_queued_and_puts_back_the_rest(database, in_doubt):
    with_accounts(database, "corp")
    planned = tuple(requested(database, "corp", days).id for days in single_days(4))
    sender = FakeSender()
    sender.stall_after, sender.in_doubt = 1, in_doubt
    outcome = dispatch_due(database, sender, window=WINDOW)
    left = 1 + in_doubt
    assert (outcome.sent, outcome.uncertain, outcome.put_back) == (planned[:1], planned[1:left], planned[left:])
    states = [get_run(database, run_id).state for run_id in planned]
    assert states == [RunState.QUEUED] * left + [RunState.PENDING] * (4 - left)


def test_a_queued_run_is_sent_again_after_60_then_120_then_240_seconds(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    sender = FakeSender()
    dispatch_due(database, sender, window=WINDOW)
    for delay_s in (60, 120, 240):
        age_sends(database, timedelta(seconds=delay_s - 2))
        assert resend_queued(database, sender, everything=False) == 0
        age_sends(database, timedelta(seconds=2))
        assert resend_queued(database, sender, everything=False) == 1
    assert [(hint.run_id, hint.attempt) for hint in sender.sent] == [(run.id, 1)] * 4


def test_a_redis_that_lost_its_memory_gets_every_queued_run_again(database):
    with_accounts(database, "corp", "lab")
    planned = [requested(database, name, JANUARY).id for name in ("corp", "lab")]
    sender = FakeSender()
    dispatch_due(database, sender, window=WINDOW)
    sender.sent.clear()
    assert resend_queued(database, sender, everything=True) == 2
    assert [hint.run_id for hint in sender.sent] == planned
    sender.refuse_after = 0
    assert resend_queued(database, sender, everything=True) == 0
    assert run_counts(database)[RunState.QUEUED] == 2


def test_when_hints_are_gone_with_a_worker_every_queued_run_is_sent_again_with_the_next_look(database):
    with_accounts(database, "corp", "lab")
    planned = [requested(database, name, JANUARY).id for name in ("corp", "lab")]
    sender = FakeSender()
    dispatch_due(database, sender, window=WINDOW)
    sender.sent.clear()
    assert resend_queued(database, sender, everything=False) == 0
    hints_gone(database)
    assert resend_queued(database, sender, everything=False) == 2
    assert [hint.run_id for hint in sender.sent] == planned
    # Once; from then on in their time.
    assert resend_queued(database, sender, everything=False) == 0


def test_running_and_ended_runs_are_not_sent_again(database):
    with_accounts(database, "corp")
    claimed(database, "corp", JANUARY)
    assert resend_queued(database, FakeSender(), everything=True) == 0


def test_a_run_handed_back_is_sent_again_at_once(database):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", JANUARY)
    assert hand_back(database, claim)
    sender = FakeSender()
    assert dispatch_due(database, sender, window=WINDOW).sent == (claim.run.id,)
    assert sender.sent[0].attempt == 2


def test_dispatchers_side_by_side_send_each_run_once_and_keep_the_window(database):
    with_accounts(database, *(f"account-{n}" for n in range(30)))
    for n in range(30):
        requested(database, f"account-{n}", JANUARY)
    sender = FakeSender()
    with ThreadPoolExecutor(5) as pool:
        rounds = [pool.submit(dispatch_due, database, sender, window=20) for _ in range(10)]
        sent = [run_id for future in rounds for run_id in future.result().sent]
    assert len(sent) == len(set(sent)) == 20
    assert len(find_runs(database, state=RunState.QUEUED, limit=100).runs) == 20


def test_with_nothing_to_send_the_sender_is_not_troubled(database):
    sender = FakeSender()
    sender.on_send = lambda: pytest.fail("there was nothing to send")
    assert dispatch_due(database, sender, window=WINDOW).sent == ()
    assert resend_queued(database, sender, everything=True) == 0


def test_days_far_apart_are_dates(database):
    with_accounts(database, "corp")
    old = requested(database, "corp", DayRange(date(1999, 12, 31), date(2000, 1, 1)))
    assert get_run(database, old.id).days.start == date(1999, 12, 31)
