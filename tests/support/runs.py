"""Runs, claims and hints for tests that need no database."""

from datetime import UTC, date, datetime
from uuid import UUID

from shared.core.days import DayRange
from shared.core.runs import Run, RunKind, RunReady, RunState
from shared.ledger.claims import Claim

LEDGER_ID = UUID("00000000-0000-4000-8000-000000000001")
DAYS = DayRange(date(2026, 1, 1), date(2026, 1, 7))


def run(run_id: int = 1, **changes: object) -> Run:
    """A run at work, with `changes`."""
    facts: dict[str, object] = {
        "id": run_id,
        "account": "exports",
        "provider": "focus",
        "kind": RunKind.CATCHUP,
        "slot": "2026-01-01..2026-01-07",
        "days": DAYS,
        "state": RunState.RUNNING,
        "attempt": 1,
        "failures": 0,
        "not_before": None,
        "created_at": datetime(2026, 1, 8, tzinfo=UTC),
        "started_at": datetime(2026, 1, 8, tzinfo=UTC),
        "finished_at": None,
        "rows": None,
        "error": None,
    }
    return Run(**{**facts, **changes})  # type: ignore[arg-type] # each of its own type


def claim(run_id: int = 1, **changes: object) -> Claim:
    """A claim of such a run."""
    return Claim(run=run(run_id, **changes), holder="test", fetch_seq=1)


def hint(run_id: int = 1, attempt: int = 1, ledger_id: UUID = LEDGER_ID) -> RunReady:
    """The hint that leads to it."""
    return RunReady(ledger_id=ledger_id, run_id=run_id, attempt=attempt)
