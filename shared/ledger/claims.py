"""Claiming runs and holding them. Every change is a compare-and-set, so that any number may try."""

from collections.abc import Collection
from functools import cache
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    exc,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from shared.core.runs import RunReady, RunState
from shared.ledger.columns import DatabaseNow
from shared.ledger.courtesy import gives_way
from shared.ledger.database import Database
from shared.ledger.endings import cancel_run, fail_attempt, hand_back, take_back
from shared.ledger.lease import Claim, LeaseWatch, RunBeat
from shared.ledger.rows import (
    UNQUEUED,
    account_is_busy,
    attempt_is,
    by_urgency,
    lane_is_busy,
    ready_now,
    run_by_id,
    state_is,
)
from shared.ledger.tables import accounts, attempts, installation, runs
from shared.observability.failpoints import Write

__all__ = [
    "Claim",
    "LeaseWatch",
    "RunBeat",
    "cancel_run",
    "claim",
    "claim_next_due",
    "fail_attempt",
    "hand_back",
    "renew",
    "running_beats",
    "take_back",
]

# How often a direct worker looks for another run when somebody else was quicker.
DIRECT_TRIES: Final = 5


def claim(db: Database, message: RunReady, *, holder: str, direct: bool = False) -> Claim | None:
    """Begin the attempt that `message` tells of; None when the hint is stale, or of another ledger.

    None, too, when the account or its lane has a running run, or the account was removed or is held by an operator, and
    when a backfill gives way to something more urgent: then the run goes back to pending, to be sent again once it may
    begin. With `direct`, a run that is due but was never queued may be claimed as well.
    """
    ours = exists().where(installation.c.ledger_id == str(message.ledger_id))
    hinted = and_(attempt_is(message.run_id, message.attempt), ours)
    may_begin = state_is(RunState.QUEUED)
    if direct:
        may_begin = or_(may_begin, and_(state_is(RunState.PENDING), ready_now()))
    blocked = _blocked()
    with db.write(Write.CLAIM) as connection:
        if _begin(connection, and_(hinted, may_begin, ~blocked), holder):
            return _claimed(connection, message.run_id, holder=holder, direct=direct)
        connection.execute(update(runs).where(hinted, state_is(RunState.QUEUED), blocked).values(UNQUEUED))
        return None


def claim_next_due(db: Database, *, holder: str, served: Collection[str] = ()) -> Claim | None:
    """Claim the most urgent due run, queued or not, without any hint: how workers go on without Redis.

    Among equally urgent ones those of accounts that are not in `served` (by name) go first, then older ones.
    """
    for _ in range(DIRECT_TRIES):
        with db.read() as connection:
            run_id = _most_urgent(connection, served)
        if run_id is None:
            return None
        with db.write(Write.CLAIM_DIRECT) as connection:
            due = and_(runs.c.id == run_id, state_is(RunState.PENDING, RunState.QUEUED), ready_now())
            if _begin(connection, due, holder):
                return _claimed(connection, run_id, holder=holder, direct=True)
    return None


def renew(db: Database, claims: Collection[Claim]) -> set[int]:
    """Raise the beats of `claims`. Returns the ids of the runs that are still theirs; the others must be dropped."""
    if not claims:
        return set()
    held = tuple_(runs.c.id, runs.c.attempt).in_([(claim.run.id, claim.run.attempt) for claim in claims])
    with db.write(Write.RENEW) as connection:
        ours = update(runs).where(held, state_is(RunState.RUNNING)).values(beat=runs.c.beat + 1).returning(runs.c.id)
        return set(connection.scalars(ours))


def running_beats(db: Database) -> list[RunBeat]:
    """Every running run, for a LeaseWatch."""
    with db.read() as connection:
        query = select(runs.c.id, runs.c.attempt, runs.c.beat).where(state_is(RunState.RUNNING)).order_by(runs.c.id)
        return [RunBeat(*row) for row in connection.execute(query)]


def _most_urgent(connection: Connection, served: Collection[str]) -> int | None:
    first = _first_due(connection)
    if first is None:
        return None
    if not served:
        return first[1]
    had_their_turn = select(accounts.c.id).where(accounts.c.name.in_(served))
    other = _first_due(connection, runs.c.account_id.not_in(had_their_turn))
    return other[1] if other is not None and other[0] == first[0] else first[1]


def _first_due(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[int, int] | None:
    """Priority and id of the most urgent due run that meets `conditions`."""
    queries = [query.where(*conditions) for query in _due()] if conditions else _due()
    found = [row for query in queries for row in connection.execute(query).tuples()]
    return min(found, default=None)


@cache
def _due() -> tuple[Select[tuple[int, int]], Select[tuple[int, int]]]:
    # Built once: workers without Redis ask again and again, and making the statements took half of what that costs.
    urgency = select(runs.c.priority, runs.c.id).where(ready_now()).limit(1)
    # One look for each state: pending runs have an index in this order, queued ones are few.
    queued = urgency.where(state_is(RunState.QUEUED)).order_by(runs.c.priority, runs.c.id)
    return by_urgency(urgency), queued


@cache
def _blocked() -> ColumnElement[bool]:
    """The run cannot begin now, whoever tries."""
    closed = or_(accounts.c.removed, accounts.c.held, lane_is_busy())
    return or_(account_is_busy(), exists().where(accounts.c.id == runs.c.account_id, closed), gives_way())


@cache
def _lane() -> ScalarSelect[str | None]:
    """The lane of the run's account."""
    return select(accounts.c.lane).where(accounts.c.id == runs.c.account_id).scalar_subquery()


def _begin(connection: Connection, condition: ColumnElement[bool], holder: str) -> bool:
    """Make the run running; False when it does not meet `condition`, or another of its account or lane came first."""
    statement = (
        update(runs)
        .where(condition)
        .values(
            state=RunState.RUNNING.value,
            holder=holder,
            started_at=DatabaseNow(),
            next_send_at=None,
            beat=1,
            lane=_lane(),
        )
        .returning(runs.c.id)
    )
    try:
        # Two runs of one account or lane claimed in the same moment see each other only in the unique indexes.
        with connection.begin_nested():
            return connection.execute(statement).first() is not None
    except exc.IntegrityError:
        return False


def _claimed(connection: Connection, run_id: int, *, holder: str, direct: bool) -> Claim:
    run = run_by_id(connection, run_id)
    assert run is not None  # it was just updated
    attempt = insert(attempts).values(
        run_id=run_id, attempt=run.attempt, holder=holder, direct=direct, started_at=DatabaseNow()
    )
    fetch_seq = connection.execute(attempt.returning(attempts.c.id)).scalar_one()
    return Claim(run, holder, fetch_seq)
