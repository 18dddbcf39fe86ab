"""Checking the ledger against its invariants, while the system runs or after it has come to rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from sqlalchemy import text

from shared.ledger.claims import running_beats
from shared.ledger.database import Database
from shared.ledger.invariants import INVARIANTS, Invariant
from shared.ledger.lease import RunBeat
from shared.ledger.postgresql import within

# Each statement may read every cost row there is.
LIMIT_S: Final = 600.0
# More of one kind tell nothing new.
SAMPLES: Final = 20
POLL_S: Final = 0.5

# Asked of the running system over a time, where the others are asked of one state of the database.
LIVING_HOLDER: Final = "living_holder"
LIVING_HOLDER_HOLDS: Final = "Every running run is renewed by its holder, or taken back."


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant and what breaks it: nothing when it holds; the first twenty, and whether there are `more`."""

    name: str
    holds: str
    broken: tuple[Mapping[str, str], ...] = ()
    more: bool = False


def check(
    db: Database, *, grace_s: float, at_rest: bool = False, pause: Callable[[float], object] | None = None
) -> list[Finding]:
    """Every invariant in turn; those that hold have nothing in `broken`. Writes nothing, and locks nothing.

    A running run counts as abandoned when its beat stood still for `grace_s` of this process's clock: longer than a
    lease and the time in which it is taken back, or living holders are called dead. The check takes so long only when
    there is such a run. `at_rest` adds what only holds once all work is done. Raises DatabaseUnavailableError.
    """
    suspects = set(running_beats(db))
    found = [_ask(db, invariant) for invariant in INVARIANTS if at_rest or not invariant.at_rest]
    silent = _silent(db, suspects, grace_s, pause or Event().wait)
    return [*found, _abandoned(silent)]


def _ask(db: Database, invariant: Invariant) -> Finding:
    # A transaction for each: none holds back the tidying of the database for as long as all of them take.
    with within(LIMIT_S), db.read() as connection:
        if db.dialect == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{LIMIT_S:.0f}s'"))
        rows = connection.execute(text(invariant.statement(db.dialect))).mappings().fetchmany(SAMPLES + 1)
    broken = tuple({name: str(value) for name, value in row.items()} for row in rows)
    return Finding(invariant.name, invariant.holds, broken[:SAMPLES], more=len(broken) > SAMPLES)


def _silent(
    db: Database, suspects: set[RunBeat], grace_s: float, pause: Callable[[float], object]
) -> Sequence[RunBeat]:
    waited_s = 0.0
    suspects &= set(running_beats(db))
    while suspects and waited_s < grace_s:
        pause(POLL_S)
        waited_s += POLL_S
        suspects &= set(running_beats(db))
    return sorted(suspects, key=lambda beat: beat.run_id)


def _abandoned(silent: Sequence[RunBeat]) -> Finding:
    broken = tuple({"run_id": str(seen.run_id), "attempt": str(seen.attempt)} for seen in silent)
    return Finding(LIVING_HOLDER, LIVING_HOLDER_HOLDS, broken[:SAMPLES], more=len(broken) > SAMPLES)
