"""How backfills make room: few are queued at a time, and none begins while something more urgent is ready to."""

from typing import Final

from sqlalchemy import ColumnElement, and_, exists, literal, or_

from shared.core.runs import PRIORITY, RunKind, RunState
from shared.ledger.rows import lane_is_busy, state_is
from shared.ledger.tables import accounts, runs

BACKFILL: Final = PRIORITY[RunKind.BACKFILL]
# Of one account: a second could only wait for the first.
QUEUED_AT_ONCE: Final = 1
# One in so many places of the window: what is queued cannot be overtaken by what finds no room.
WINDOW_PART: Final = 10


def room_for_backfills(window: int, queued: int) -> int:
    """How many more backfill runs may be queued, of all accounts together, when `queued` are."""
    return max(max(window // WINDOW_PART, 1) - queued, 0)


def gives_way() -> ColumnElement[bool]:
    """The run is a backfill's, and some more urgent run is queued whose account may begin one.

    Hints are delivered in the order in which they were sent. One of a backfill that comes first is put back.
    """
    urgent, other = runs.alias("urgent"), runs.alias("at_work")
    busy = exists().where(other.c.account_id == urgent.c.account_id, state_is(RunState.RUNNING, of=other))
    lane_busy = and_(accounts.c.lane.is_not(None), lane_is_busy())
    shut = exists().where(accounts.c.id == urgent.c.account_id, or_(accounts.c.removed, accounts.c.held, lane_busy))
    waits = exists().where(state_is(RunState.QUEUED, of=urgent), urgent.c.priority < BACKFILL, ~busy, ~shut)
    return and_(runs.c.kind == literal(RunKind.BACKFILL.value, literal_execute=True), waits)
