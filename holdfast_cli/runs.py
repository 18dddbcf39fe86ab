"""`holdfast runs`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from holdfast_cli.output import print_json, print_table, stderr, stdout
from shared.bootstrap.command import Ledger
from shared.core.days import DayRange
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.documents import runs_document
from shared.ledger.queries import find_runs

STYLE_OF: Final = {
    RunState.PENDING: "yellow",
    RunState.QUEUED: "yellow",
    RunState.RUNNING: "cyan",
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "dim",
}
COLUMNS: Final = ("run>", "account", "kind", "days", "state", "attempt>", "rows>", "created (UTC)", "error")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs; None takes all."""

    state: RunState | None
    kind: RunKind | None
    account: str | None
    limit: int
    cursor: str | None


def show_runs(ledger: Ledger, wanted: Filter, *, as_json: bool) -> None:
    """Print one page of runs, newest first."""
    page = find_runs(
        ledger.db,
        state=wanted.state,
        account=wanted.account,
        kind=wanted.kind,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    if as_json:
        print_json(runs_document(page.runs, page.next))
        return
    if not page.runs:
        stderr().print("No runs. `holdfast collect` asks for some.")
        return
    print_table(stdout(), columns=COLUMNS, rows=[row_of(run) for run in page.runs])
    if page.next:
        stderr().print(f"More: holdfast runs --cursor {page.next}", markup=False)


def row_of(run: Run) -> tuple[str | Text, ...]:
    """A run as a row of the table."""
    return (
        str(run.id),
        run.account,
        run.kind.value,
        days_text(run.days),
        Text(run.state.value, style=STYLE_OF[run.state]),
        str(run.attempt),
        "" if run.rows is None else str(run.rows),
        minute(run.created_at),
        f"{run.error.code}: {run.error.summary}" if run.error else "",
    )


def days_text(days: DayRange) -> str:
    """A range as a person writes it."""
    return str(days.start) if len(days) == 1 else f"{days.start} to {days.end}"


def minute(at: datetime) -> str:
    """An instant to the minute, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
