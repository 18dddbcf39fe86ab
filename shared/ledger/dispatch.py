"""Dispatch: handing out hints that runs are ready. It commits first and sends then; sending twice is harmless."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, select, true, update

from shared.core.errors import SendRefusedError, SendUncertainError
from shared.core.runs import RunReady, RunState
from shared.ledger.clock import now
from shared.ledger.columns import DatabaseNow
from shared.ledger.courtesy import BACKFILL, QUEUED_AT_ONCE, room_for_backfills
from shared.ledger.database import Database
from shared.ledger.locks import Lock, lock
from shared.ledger.rows import UNQUEUED, ready_now, ready_without_lane, state_is
from shared.ledger.tables import accounts, attempts, installation, runs
from shared.observability.failpoints import Write

RESEND_FIRST_S: Final = 60
RESEND_LONGEST_S: Final = 3600
# Of the window, what one account's runs of one priority may fill: a hundredth, but at least this many. More would only
# wait in line behind the one that runs, in front of everybody else.
LEAST_SHARE: Final = 10
# How far back it is remembered whose turn it was in a lane, in attempts of all accounts. Who has none goes first.
LANE_MEMORY: Final = 1000

# Priority, turn and id of a due run: what goes first is least.
Turn = tuple[int, int, int]


class Sender(Protocol):
    """Whatever carries hints to the workers."""

    def send(self, messages: Sequence[RunReady]) -> None:
        """Send `messages` in their order. Raises SendRefusedError or SendUncertainError with the counts."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Ids of runs: certainly sent; certainly not, and put back; perhaps sent, and left queued. `problem` says why."""

    sent: tuple[int, ...] = ()
    put_back: tuple[int, ...] = ()
    uncertain: tuple[int, ...] = ()
    problem: str | None = None


def dispatch_due(db: Database, sender: Sender, *, window: int, only: Collection[int] | None = None) -> Dispatched:
    """Queue the runs that are due (of `only` these, when given) and send a hint for each.

    Due is a pending run whose time has come, of an account that is neither paused nor removed and has no running run;
    by priority, then in turn by account, then age: however many runs an account has, the next of every other one goes
    before its second. Of the accounts of a lane one run of each priority is queued at a time, and none while one runs,
    since more could only be turned away; the account that has waited longest is next. At most `window` runs are queued
    at a time, in all; of them a tenth may be backfills, of which an account has one. Any number may dispatch at once.
    """
    with db.read() as connection:
        # Most of the time there is nothing to do, and finding that out should block nobody.
        chosen = _in_turn(connection, _among(only), window)
    if not chosen:
        return Dispatched()
    with db.write(Write.QUEUE) as connection:
        lock(connection, Lock.DISPATCH)
        messages = _queue(connection, chosen, _free(connection, window))
    outcome = _send(sender, messages)
    if outcome.put_back:
        _put_back(db, outcome.put_back)
    return outcome


def resend_queued(db: Database, sender: Sender, *, everything: bool) -> int:
    """Send queued runs again: those whose time has come (after 60, 120, 240 … s), or all, when Redis lost its memory.

    Returns how many hints certainly went out. What could not be sent stays queued and waits for its next time.
    """
    due = and_(state_is(RunState.QUEUED), true() if everything else runs.c.next_send_at <= DatabaseNow())
    with db.read() as connection:
        if not _any(connection, select(runs.c.id).where(due)):
            return 0
    with db.write(Write.QUEUE_AGAIN) as connection:
        lock(connection, Lock.DISPATCH)
        messages = _queue_again(connection, due, afresh=everything)
    return len(_send(sender, messages).sent)


def hints_gone(db: Database) -> None:
    """Have every queued run sent again by the next `resend_queued`: a worker died, and had taken hints from Redis.

    Which ones nobody knows. Sending the others twice is harmless.
    """
    with db.write(Write.HINTS_GONE) as connection:
        later = and_(state_is(RunState.QUEUED), runs.c.next_send_at > DatabaseNow())
        connection.execute(update(runs).where(later).values(next_send_at=DatabaseNow()))


def resend_delay_s(sends: int) -> int:
    """Seconds from send number `sends` (1 is the first) to the next."""
    return min(RESEND_FIRST_S << min(sends - 1, 16), RESEND_LONGEST_S)


def _among(only: Collection[int] | None) -> ColumnElement[bool]:
    if only is None:
        return true()
    # Written into the statement: a request for every account may name more runs than a statement has parameters.
    return runs.c.id.in_(bindparam("only", list(only), expanding=True, literal_execute=True))


def _free(connection: Connection, window: int) -> int:
    queued: int = connection.execute(
        select(func.count()).select_from(runs).where(state_is(RunState.QUEUED))
    ).scalar_one()
    return window - queued


def _any(connection: Connection, query: Select[Any]) -> bool:
    return connection.execute(query.limit(1)).first() is not None


def account_share(window: int) -> int:
    """How many runs of one account and priority may be queued at a time, backfills apart."""
    return max(window // 100, LEAST_SHARE)


def _in_turn(connection: Connection, among: ColumnElement[bool], window: int) -> Sequence[int]:
    """Ids of the due runs that go next."""
    free = _free(connection, window)
    if free <= 0:
        return ()
    found = _of_accounts(connection, among, window=window, most=free)
    if _may_have_lanes(connection):
        found = sorted([*found, *_of_lanes(connection, among)])[:free]
    chosen = [run_id for priority, _, run_id in found if priority != BACKFILL]
    if len(chosen) == len(found):
        return chosen
    room = room_for_backfills(window, _queued_backfills(connection))
    return chosen + [run_id for priority, _, run_id in found if priority == BACKFILL][:room]


def _may_have_lanes(connection: Connection) -> bool:
    """Whether it is worth a look: some run waits, and some account has a lane."""
    pending = select(runs.c.id).where(state_is(RunState.PENDING))
    return _any(connection, pending) and _any(connection, select(accounts.c.id).where(accounts.c.lane.is_not(None)))


def _of_accounts(connection: Connection, among: ColumnElement[bool], *, window: int, most: int) -> list[Turn]:
    """Due runs of accounts without a lane. What an account has queued already counts as turns that it has had."""
    ahead = (
        select(runs.c.account_id, runs.c.priority, func.count().label("count"))
        .where(state_is(RunState.QUEUED))
        .group_by(runs.c.account_id, runs.c.priority)
        .subquery("ahead")
    )
    of_account = func.row_number().over(partition_by=(runs.c.account_id, runs.c.priority), order_by=runs.c.id)
    waiting = (
        select(runs.c.id, runs.c.priority, (of_account + func.coalesce(ahead.c["count"], 0)).label("turn"))
        .outerjoin(ahead, and_(ahead.c.account_id == runs.c.account_id, ahead.c.priority == runs.c.priority))
        .where(state_is(RunState.PENDING), ready_without_lane(), among)
        .cte("waiting")
    )
    first = waiting.c.priority, waiting.c.turn, waiting.c.id
    share = case((waiting.c.priority == BACKFILL, QUEUED_AT_ONCE), else_=account_share(window))
    query = select(*first).where(waiting.c.turn <= share).order_by(*first).limit(most)
    return [(priority, turn, run_id) for priority, turn, run_id in connection.execute(query)]


def _of_lanes(connection: Connection, among: ColumnElement[bool]) -> list[Turn]:
    """The next due run of each lane and priority that has none queued."""
    ahead = (
        select(accounts.c.lane, runs.c.priority)
        .join_from(runs, accounts, accounts.c.id == runs.c.account_id)
        .where(state_is(RunState.QUEUED), accounts.c.lane.is_not(None))
        .distinct()
        .subquery("ahead")
    )
    newest = select(func.max(attempts.alias("every").c.id)).scalar_subquery()
    served = (
        select(runs.c.account_id, func.max(attempts.c.id).label("at"))
        .join_from(attempts, runs, runs.c.id == attempts.c.run_id)
        .where(attempts.c.id > newest - LANE_MEMORY)
        .group_by(runs.c.account_id)
        .subquery("served")
    )
    longest_first = func.coalesce(served.c.at, 0), runs.c.id
    place = func.row_number().over(partition_by=(accounts.c.lane, runs.c.priority), order_by=longest_first)
    waiting = (
        select(runs.c.id, runs.c.priority, place.label("place"))
        .join_from(runs, accounts, accounts.c.id == runs.c.account_id)
        .outerjoin(ahead, and_(ahead.c.lane == accounts.c.lane, ahead.c.priority == runs.c.priority))
        .outerjoin(served, served.c.account_id == runs.c.account_id)
        .where(state_is(RunState.PENDING), accounts.c.lane.is_not(None), ahead.c.lane.is_(None), ready_now(), among)
        .cte("waiting")
    )
    query = select(waiting.c.priority, waiting.c.place, waiting.c.id).where(waiting.c.place == 1)
    return [(priority, turn, run_id) for priority, turn, run_id in connection.execute(query)]


def _queued_backfills(connection: Connection) -> int:
    queued: int = connection.execute(
        select(func.count()).select_from(runs).where(state_is(RunState.QUEUED), runs.c.priority == BACKFILL)
    ).scalar_one()
    return queued


def _queue(connection: Connection, chosen: Sequence[int], free: int) -> list[RunReady]:
    """Queue what is still due of `chosen`; the hints in their order."""
    if free <= 0:
        return []
    # A row that is locked is being claimed or cancelled; what is left of it, the next round finds.
    picked = (
        select(runs.c.id)
        .where(_among(chosen[:free]), state_is(RunState.PENDING), ready_now())
        .with_for_update(skip_locked=True, of=runs)
    )
    found = connection.execute(
        update(runs)
        .where(runs.c.id.in_(picked))
        .values(
            state=RunState.QUEUED.value,
            queued_at=DatabaseNow(),
            sends=1,
            next_send_at=now(connection) + timedelta(seconds=resend_delay_s(1)),
        )
        .returning(runs.c.id, runs.c.attempt)
    )
    numbers = dict(found.tuples().all())
    ledger = _ledger(connection)
    return [RunReady(ledger, run_id, numbers[run_id]) for run_id in chosen if run_id in numbers]


def _queue_again(connection: Connection, due: ColumnElement[bool], *, afresh: bool) -> list[RunReady]:
    query = (
        select(runs.c.id, runs.c.attempt, runs.c.sends)
        .where(due)
        .order_by(runs.c.priority, runs.c.id)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(query).all()
    at = now(connection)
    again = []
    for run_id, _, sends in found:
        number = 1 if afresh else sends + 1
        next_at = at + timedelta(seconds=resend_delay_s(number))
        again.append({"run_id": run_id, "number": number, "next_at": next_at})
    if again:
        statement = update(runs).where(runs.c.id == bindparam("run_id"))
        connection.execute(statement.values(sends=bindparam("number"), next_send_at=bindparam("next_at")), again)
    ledger = _ledger(connection)
    return [RunReady(ledger, run_id, attempt) for run_id, attempt, _ in found]


def _ledger(connection: Connection) -> UUID:
    return UUID(connection.execute(select(installation.c.ledger_id)).scalar_one())


def _send(sender: Sender, messages: Sequence[RunReady]) -> Dispatched:
    ids = tuple(message.run_id for message in messages)
    if not ids:
        return Dispatched()
    try:
        sender.send(messages)
    except SendRefusedError as error:
        return Dispatched(sent=ids[: error.sent], put_back=ids[error.sent :], problem=error.summary)
    except SendUncertainError as error:
        tried = error.sent + error.uncertain
        return Dispatched(ids[: error.sent], ids[tried:], ids[error.sent : tried], problem=error.summary)
    return Dispatched(sent=ids)


def _put_back(db: Database, run_ids: Collection[int]) -> None:
    """Undo the queueing of runs whose hints were not sent: nobody else can have touched them but to end them."""
    with db.write(Write.PUT_BACK) as connection:
        connection.execute(update(runs).where(state_is(RunState.QUEUED), _among(run_ids)).values(UNQUEUED))
