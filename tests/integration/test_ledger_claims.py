"""Claims: one holder per attempt, one running run per account, and every way an attempt can end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import exc, select, update

from shared.core.days import DayRange
from shared.core.errors import ProviderError, RunFinishedError, UnknownRunError
from shared.core.runs import RetryPolicy, RunKind, RunReady, RunState
from shared.ledger.claims import (
    RunBeat,
    cancel_run,
    claim,
    claim_next_due,
    fail_attempt,
    hand_back,
    renew,
    running_beats,
    take_back,
)
from shared.ledger.dispatch import dispatch_due
from shared.ledger.meta import ledger_id
from shared.ledger.queries import find_runs, get_run
from shared.ledger.tables import attempts, runs
from tests.support.ledger import JANUARY, WINDOW, FakeSender, claimed, requested, with_accounts

pytestmark = pytest.mark.integration

POLICY = RetryPolicy(delays_s=(60.0, 300.0), max_failures=3)


def broken(**facts):
    return ProviderError(code="THROTTLED", summary="too many requests", hint="wait", **facts)


def hints(db):
    sender = FakeSender()
    dispatch_due(db, sender, window=WINDOW)
    return sender.sent


def single_days(count):
    return [DayRange(day, day) for day in list(JANUARY)[:count]]


def outcomes(db):
    with db.read() as connection:
        query = select(attempts.c.attempt, attempts.c.outcome).order_by(attempts.c.id)
        return [tuple(row) for row in connection.execute(query)]


def test_a_hint_is_claimed_once(database):
    with_accounts(database, "corp")
    requested(database, "corp", JANUARY)
    (hint,) = hints(database)
    held = claim(database, hint, holder="worker-1")
    assert held is not None
    assert (held.holder, held.run.state, held.run.attempt) == ("worker-1", RunState.RUNNING, 1)
    assert claim(database, hint, holder="worker-2") is None
    assert get_run(database, held.run.id).state is RunState.RUNNING


def test_many_who_claim_the_same_run_at_once_find_one_holder(database):
    with_accounts(database, "corp")
    requested(database, "corp", JANUARY)
    (hint,) = hints(database)
    with ThreadPoolExecutor(8) as pool:
        claims = [pool.submit(claim, database, hint, holder=f"worker-{n}") for n in range(8)]
        held = [found for future in claims if (found := future.result()) is not None]
    assert len(held) == 1


def test_of_many_runs_of_one_account_claimed_at_once_one_runs_and_the_others_wait(database):
    with_accounts(database, "corp")
    for days in single_days(8):
        requested(database, "corp", days)
    sent = hints(database)
    assert len(sent) == 8
    with ThreadPoolExecutor(8) as pool:
        held = [found for found in pool.map(lambda hint: claim(database, hint, holder="w"), sent) if found is not None]
    assert len(held) == 1
    states = [run.state for run in find_runs(database).runs]
    assert states.count(RunState.RUNNING) == 1
    assert states.count(RunState.PENDING) == 7
    assert hints(database) == []
    assert hand_back(database, held[0])
    assert len(hints(database)) == 8


def test_the_database_itself_refuses_a_second_running_run_of_an_account(database):
    with_accounts(database, "corp")
    first, second = [requested(database, "corp", days) for days in single_days(2)]
    with database.write() as connection:
        connection.execute(update(runs).where(runs.c.id == first.id).values(state=RunState.RUNNING.value))
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(update(runs).where(runs.c.id == second.id).values(state=RunState.RUNNING.value))


@pytest.mark.parametrize("stale", ["attempt", "ledger", "run"])
def test_a_hint_of_another_attempt_ledger_or_run_is_stale(database, stale):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    hints(database)
    ledger = ledger_id(database)
    hint = {
        "attempt": RunReady(ledger, run.id, 2),
        "ledger": RunReady(uuid4(), run.id, 1),
        "run": RunReady(ledger, run.id + 1, 1),
    }[stale]
    assert claim(database, hint, holder="w") is None
    assert get_run(database, run.id).state is RunState.QUEUED


def test_a_pending_run_is_claimed_only_in_direct_mode(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    hint = RunReady(ledger_id(database), run.id, 1)
    assert claim(database, hint, holder="w") is None
    assert claim(database, hint, holder="w", direct=True) is not None


def test_direct_mode_takes_the_most_urgent_due_run_queued_or_not(database):
    with_accounts(database, "corp", "lab", "asleep")
    backfill = requested(database, "lab", JANUARY, RunKind.BACKFILL)
    hints(database)
    manual = requested(database, "corp", JANUARY)
    requested(database, "asleep", JANUARY)
    with_accounts(database, "corp", "lab", "asleep", paused=["asleep"])
    taken = [claim_next_due(database, holder="w") for _ in range(3)]
    assert [None if held is None else held.run.id for held in taken] == [manual.id, backfill.id, None]


def test_direct_workers_side_by_side_never_share_a_run_or_an_account(database):
    with_accounts(database, *(f"account-{n}" for n in range(6)))
    for n in range(6):
        for days in single_days(2):
            requested(database, f"account-{n}", days)
    with ThreadPoolExecutor(8) as pool:
        rounds = [pool.submit(claim_next_due, database, holder=f"w{n}") for n in range(40)]
        held = [found for future in rounds if (found := future.result()) is not None]
    assert len({found.run.id for found in held}) == len(held) == 6
    assert len({found.run.account for found in held}) == 6


def test_a_removed_account_s_run_is_not_begun_and_waits_for_its_return(database):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    (hint,) = hints(database)
    with_accounts(database, "lab")
    assert claim(database, hint, holder="w") is None
    assert get_run(database, run.id).state is RunState.PENDING


def test_later_claims_have_higher_fetch_numbers(database):
    with_accounts(database, "corp", "lab")
    first = claimed(database, "corp", JANUARY)
    second = claimed(database, "lab", JANUARY)
    hand_back(database, first)
    (hint,) = hints(database)
    third = claim(database, hint, holder="w")
    assert third is not None
    assert first.fetch_seq < second.fetch_seq < third.fetch_seq


def test_renewing_raises_the_beat_of_what_is_still_held(database):
    with_accounts(database, "corp", "lab", "dev")
    held = [claimed(database, name, JANUARY) for name in ("corp", "lab", "dev")]
    before = {beat.run_id: beat.beat for beat in running_beats(database)}
    hand_back(database, held[1])
    cancel_run(database, held[2].run.id)
    assert renew(database, held) == {held[0].run.id}
    (beat,) = running_beats(database)
    assert (beat.run_id, beat.attempt, beat.beat) == (held[0].run.id, 1, before[held[0].run.id] + 1)
    assert renew(database, []) == set()


def test_a_run_is_taken_back_unless_its_beat_has_moved(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", JANUARY)
    (seen,) = running_beats(database)
    renew(database, [held])
    assert not take_back(database, seen)
    (seen,) = running_beats(database)
    assert take_back(database, seen)
    assert not take_back(database, seen)
    run = get_run(database, held.run.id)
    assert (run.state, run.attempt, run.failures, run.not_before) == (RunState.PENDING, 2, 0, None)
    assert renew(database, [held]) == set()
    assert not hand_back(database, held)
    assert fail_attempt(database, held, broken(), POLICY) is None


def test_the_former_holder_of_a_run_claimed_anew_finds_itself_stale(database):
    with_accounts(database, "corp")
    former = claimed(database, "corp", JANUARY)
    (seen,) = running_beats(database)
    take_back(database, seen)
    (hint,) = hints(database)
    new = claim(database, hint, holder="worker-2")
    assert new is not None
    assert renew(database, [former, new]) == {new.run.id}
    assert not hand_back(database, former)
    assert not take_back(database, seen)
    assert get_run(database, new.run.id).state is RunState.RUNNING
    assert outcomes(database) == [(1, "taken_back"), (2, None)]


def test_a_failed_attempt_waits_as_the_policy_says_and_the_last_one_ends_the_run(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", JANUARY)
    for number, delay_s in [(1, 60), (2, 300)]:
        run = fail_attempt(database, held, broken(), POLICY)
        assert run is not None
        assert (run.state, run.failures, run.attempt) == (RunState.PENDING, number, number + 1)
        assert run.error is not None
        assert (run.error.code, run.error.summary, run.error.hint) == ("THROTTLED", "too many requests", "wait")
        assert run.not_before is not None
        assert abs((run.not_before - datetime.now(UTC)).total_seconds() - delay_s) < 10
        with database.write() as connection:
            connection.execute(update(runs).values(not_before=run.not_before - timedelta(seconds=delay_s + 10)))
        found = claim_next_due(database, holder="w")
        assert found is not None
        held = found
    run = fail_attempt(database, held, broken(), POLICY)
    assert run is not None
    assert (run.state, run.failures, run.attempt) == (RunState.FAILED, 3, 3)
    assert run.finished_at is not None
    assert outcomes(database) == [(1, "failed"), (2, "failed"), (3, "failed")]


def test_a_provider_s_own_waiting_time_is_respected(database):
    with_accounts(database, "corp")
    run = fail_attempt(database, claimed(database, "corp", JANUARY), broken(retry_after_s=7200.0), POLICY)
    assert run is not None
    assert run.not_before is not None
    assert abs((run.not_before - datetime.now(UTC)).total_seconds() - 7200) < 10


def test_throttling_is_no_failure_however_often_it_comes(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", JANUARY)
    for number in range(1, 8):
        run = fail_attempt(database, held, broken(retry_after_s=0.0, throttled=True), POLICY)
        assert run is not None
        assert (run.state, run.failures, run.attempt) == (RunState.PENDING, 0, number + 1)
        assert run.error is not None
        found = claim_next_due(database, holder="w")
        assert found is not None
        held = found
    assert outcomes(database)[:2] == [(1, "postponed"), (2, "postponed")]


def test_a_throttled_run_waits_as_the_policy_says_when_the_provider_says_nothing(database):
    with_accounts(database, "corp")
    run = fail_attempt(database, claimed(database, "corp", JANUARY), broken(throttled=True), POLICY)
    assert run is not None
    assert run.not_before is not None
    assert abs((run.not_before - datetime.now(UTC)).total_seconds() - 60) < 10


def test_an_error_that_cannot_pass_by_itself_ends_the_run_at_once(database):
    with_accounts(database, "corp")
    run = fail_attempt(database, claimed(database, "corp", JANUARY), broken(permanent=True), POLICY)
    assert run is not None
    assert (run.state, run.failures, run.attempt) == (RunState.FAILED, 1, 1)


def test_runs_taken_or_handed_back_do_not_count_as_failures(database):
    with_accounts(database, "corp")
    held = claimed(database, "corp", JANUARY)
    for _ in range(6):
        assert hand_back(database, held)
        found = claim_next_due(database, holder="w")
        assert found is not None
        held = found
    run = fail_attempt(database, held, broken(), POLICY)
    assert run is not None
    assert (run.state, run.failures, run.attempt) == (RunState.PENDING, 1, 8)


def test_no_credential_of_an_error_reaches_the_database(database):
    with_accounts(database, "corp")
    error = ProviderError(
        code="DENIED", summary="GET https://user:hunter22@cloud.example/ refused\x00", hint="Bearer abcdefghijklmnop"
    )
    run = fail_attempt(database, claimed(database, "corp", JANUARY), error, POLICY)
    assert run is not None
    assert run.error is not None
    assert "hunter22" not in run.error.summary
    assert "abcdefghijklmnop" not in run.error.hint


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.QUEUED, RunState.RUNNING])
def test_an_open_run_is_cancelled_in_any_state_and_once(database, state):
    with_accounts(database, "corp")
    run = requested(database, "corp", JANUARY)
    if state is not RunState.PENDING:
        (hint,) = hints(database)
        if state is RunState.RUNNING:
            claim(database, hint, holder="w")
    assert get_run(database, run.id).state is state
    cancelled = cancel_run(database, run.id)
    assert (cancelled.state, cancelled.finished_at is not None) == (RunState.CANCELLED, True)
    with pytest.raises(RunFinishedError) as caught:
        cancel_run(database, run.id)
    assert caught.value.state == "cancelled"
    # The account is free for its next run.
    assert claimed(database, "corp", JANUARY).run.id != run.id


@pytest.mark.parametrize("run_id", [1, 0, -1, 2**63, 10**30])
def test_a_run_that_does_not_exist_cannot_be_cancelled_or_read(database, run_id):
    with pytest.raises(UnknownRunError):
        cancel_run(database, run_id)
    with pytest.raises(UnknownRunError):
        get_run(database, run_id)


def test_nobody_can_take_back_what_never_ran(database):
    assert not take_back(database, RunBeat(1, 1, 1))
