"""Hints that no run waits for: what Redis may still hold of former times, or of another installation."""

from uuid import UUID

from shared.core.runs import RunReady
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.queries import find_runs

ANOTHER = UUID("00000000-0000-4000-8000-000000000009")
COPIES = 5


def stray_hints(db: Database) -> list[RunReady]:
    """Several times each: the hints of runs there are, of attempts gone and to come, of another ledger, of no run."""
    own = ledger_id(db)
    runs = find_runs(db, limit=100).runs
    hints = [RunReady(own, run.id, attempt) for run in runs for attempt in {1, run.attempt, run.attempt + 1}]
    hints += [RunReady(ANOTHER, run.id, run.attempt) for run in runs]
    hints += [RunReady(own, 10**9, 1)]
    return hints * COPIES
