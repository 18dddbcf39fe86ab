"""What the ledger says in the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import func, select

from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunState
from shared.ledger.queries import get_run
from shared.ledger.tables import attempts
from tests.chaos.rig import Rig
from tests.support.ledger_check import broken, stored, unfinished
from tests.support.waiting import ASK_S

T = TypeVar("T")


def patiently(ask: Callable[[], T], timeout_s: float) -> T:
    """The answer to `ask`, asked again while the database is away, for `timeout_s` at most."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except DatabaseUnavailableError:
            if time.monotonic() >= deadline_s:
                raise
            threading.Event().wait(ASK_S)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What the ledger says in the end."""

    lost: int
    doubled: int
    twice: int
    other: tuple[str, ...]

    @classmethod
    def of(cls, rig: Rig, promised: list[int]) -> "Wrong":
        """Days that are missing and promised runs that are not done; days stored more than once; runs done twice."""
        undone = [run for run in set(promised) if get_run(rig.db, run).state is not RunState.SUCCEEDED]
        days = [line for line in unfinished(rig.db, rig.expected) if line.startswith("not covered")]
        sums = stored(rig.db)
        doubled = [key for key, amount in sums.items() if amount > rig.expected.get(key, 0)]
        succeeded = (
            select(attempts.c.run_id)
            .where(attempts.c.outcome == "succeeded")
            .group_by(attempts.c.run_id)
            .having(func.count() > 1)
        )
        with rig.db.read() as connection:
            twice = connection.scalars(succeeded).all()
        return cls(len(undone) + len(days), len(doubled), len(twice), tuple(broken(rig.db, rig.expected)))
