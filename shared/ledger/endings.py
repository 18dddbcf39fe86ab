"""How an attempt ends without success: given back, failed or cancelled."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from shared.core.errors import ProviderError, RunFinishedError, UnknownRunError
from shared.core.runs import OPEN_STATES, RetryPolicy, Run, RunState
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.database import Database
from shared.ledger.lease import Claim, RunBeat
from shared.ledger.rows import LARGEST_ID, UNQUEUED, attempt_is, run_by_id, state_is
from shared.ledger.tables import accounts, attempts, runs
from shared.ledger.texts import storable
from shared.observability.failpoints import Write
from shared.observability.redactor import without_secrets


class Outcome(StrEnum):
    """How an attempt ended, as the attempts table keeps it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    POSTPONED = "postponed"
    TAKEN_BACK = "taken_back"
    HANDED_BACK = "handed_back"
    CANCELLED = "cancelled"


def take_back(db: Database, seen: RunBeat) -> bool:
    """Return a run to pending unless it was renewed or has ended since `seen`. Not counted as a failure."""
    unchanged = and_(attempt_is(seen.run_id, seen.attempt), runs.c.beat == seen.beat)
    with db.write(Write.TAKE_BACK) as connection:
        return _give_back(connection, unchanged, seen.attempt, Outcome.TAKEN_BACK)


def hand_back(db: Database, claim: Claim) -> bool:
    """Return a run to pending, its work undone; False when it is no longer the claim's. Not counted as a failure."""
    with db.write(Write.HAND_BACK) as connection:
        held = attempt_is(claim.run.id, claim.run.attempt)
        return _give_back(connection, held, claim.run.attempt, Outcome.HANDED_BACK)


def fail_attempt(db: Database, claim: Claim, error: ProviderError, policy: RetryPolicy) -> Run | None:
    """End a failed attempt; None when the run is no longer the claim's.

    The run is pending again, to be tried after the policy's delay or what the provider asked for; it is failed when
    the error is permanent or the policy's failures are spent. One that was throttled is postponed: that is no failure.
    All that waits in its lane is postponed with it, since the provider would only turn it away as well.
    """
    postponed = error.throttled and not error.permanent
    failures = claim.run.failures + (0 if postponed else 1)
    given_up = error.permanent or (not postponed and policy.spent(failures))
    words = {
        "error_code": storable(error.code),
        "error_summary": storable(without_secrets(error.summary)),
        "error_hint": storable(without_secrets(error.hint)),
    }
    with db.write(Write.FAIL) as connection:
        if given_up:
            values: dict[str, Any] = {"state": RunState.FAILED.value, "finished_at": DatabaseNow(), "holder": None}
        else:
            delay_s = policy.delay_s(max(failures, 1)) if error.retry_after_s is None else max(error.retry_after_s, 0)
            not_before = now(connection) + timedelta(seconds=delay_s)
            values = {**UNQUEUED, "attempt": runs.c.attempt + 1, "not_before": not_before}
        held = and_(attempt_is(claim.run.id, claim.run.attempt), state_is(RunState.RUNNING))
        changed = connection.execute(update(runs).where(held).values(failures=failures, **values, **words))
        if changed.rowcount == 0:
            return None
        if postponed:
            _postpone_lane(connection, claim.run.id, values["not_before"])
        end_attempt(
            connection,
            claim.run.id,
            claim.run.attempt,
            outcome=Outcome.POSTPONED if postponed else Outcome.FAILED,
            **words,
        )
        return run_by_id(connection, claim.run.id)


def cancel_run(db: Database, run_id: int) -> Run:
    """End an open run as cancelled; whoever holds it will find out at the next renewal or store.

    Its days wait for the next fire of the schedule, or a request. Raises UnknownRunError, RunFinishedError.
    """
    if not 0 < run_id <= LARGEST_ID:
        raise UnknownRunError(run_id=str(run_id))
    with db.write(Write.CANCEL) as connection:
        query = select(runs.c.state, runs.c.attempt).where(runs.c.id == run_id).with_for_update()
        found = connection.execute(query).one_or_none()
        if found is None:
            raise UnknownRunError(run_id=str(run_id))
        if found.state not in OPEN_STATES:
            raise RunFinishedError(run_id=run_id, state=found.state)
        connection.execute(
            update(runs)
            .where(runs.c.id == run_id)
            .values(state=RunState.CANCELLED.value, finished_at=DatabaseNow(), next_send_at=None, holder=None)
        )
        if found.state == RunState.RUNNING:
            end_attempt(connection, run_id, found.attempt, outcome=Outcome.CANCELLED)
        run = run_by_id(connection, run_id)
        assert run is not None  # it was just updated
        return run


def end_attempt(connection: Connection, run_id: int, attempt: int, *, outcome: Outcome, **words: str) -> None:
    """Keep how the attempt ended, and when."""
    ended = update(attempts).where(attempts.c.run_id == run_id, attempts.c.attempt == attempt)
    connection.execute(ended.values(ended_at=DatabaseNow(), outcome=outcome.value, **words))


def _postpone_lane(connection: Connection, run_id: int, until: datetime) -> None:
    """Have nothing of the run's lane tried before `until`. What is queued is pending again, its hint is stale."""
    lane = select(runs.c.lane).where(runs.c.id == run_id).scalar_subquery()
    waits = and_(
        state_is(RunState.PENDING, RunState.QUEUED),
        runs.c.account_id.in_(select(accounts.c.id).where(accounts.c.lane == lane)),
        or_(runs.c.not_before.is_(None), runs.c.not_before <= until),
    )
    connection.execute(update(runs).where(waits).values({**UNQUEUED, "not_before": until}))


def _give_back(connection: Connection, held: ColumnElement[bool], attempt: int, outcome: Outcome) -> bool:
    returned = connection.execute(
        update(runs)
        .where(held, state_is(RunState.RUNNING))
        # The raised number makes everything that the former holder may still do stale.
        .values({**UNQUEUED, "attempt": runs.c.attempt + 1, "not_before": None})
        .returning(runs.c.id)
    ).scalar_one_or_none()
    if returned is None:
        return False
    end_attempt(connection, returned, attempt, outcome=outcome)
    return True
