"""`holdfast collect`: records runs in the ledger, hands them over, and can stay to see them end."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from holdfast_cli import failures
from holdfast_cli.output import print_json, print_table, stderr, stdout
from holdfast_cli.runs import COLUMNS, days_text, minute, row_of
from shared.bootstrap.command import Ledger
from shared.core.days import DayRange
from shared.core.runs import OPEN_STATES, Run, RunState
from shared.ledger.documents import run_document
from shared.ledger.planning import request_runs
from shared.ledger.queries import get_run

POLL_S: Final = 0.25


def collect(ledger: Ledger, *, accounts: Sequence[str] | None, days: DayRange, wait: bool, as_json: bool) -> None:
    """Ask for `days` of `accounts` (None: each that is not paused). Exits with 1 when a run waited for has failed."""
    ledger.sync_accounts()
    runs = request_runs(ledger.db, accounts=accounts or None, days=days)
    queued = bool(runs) and ledger.dispatch(runs)
    told = stderr()
    if not as_json:
        _tell(ledger, runs, told)
    if wait and runs:
        runs = watch(lambda: [get_run(ledger.db, run.id) for run in runs], told)
    if as_json:
        print_json({"runs": [run_document(run) for run in runs], "dispatch": "queued" if queued else "deferred"})
    elif wait and runs:
        print_table(stdout(), columns=COLUMNS, rows=[row_of(run) for run in runs])
    if wait and any(run.state is not RunState.SUCCEEDED for run in runs):
        _tell_cures(runs, told)
        raise typer.Exit(failures.FAILED)


def watch(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    """Look until no run is open any more, however long it takes. Ctrl-C stops the watching, not the runs."""
    return _with_bar(look, console) if console.is_terminal else _with_lines(look, console)


def _with_lines(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    told: dict[int, str] = {}
    found: list[Run] = []
    for found in until_ended(look):
        for run in found:
            line = progress_line(run)
            if told.get(run.id) != line:
                told[run.id] = line
                console.print(line, markup=False)
    return found


def _with_bar(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeElapsedColumn())
    found: list[Run] = []
    with Progress(*columns, TextColumn("{task.description}"), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        for found in until_ended(look):
            done = sum(len(run.days) for run in found if run.state not in OPEN_STATES)
            total = sum(len(run.days) for run in found)
            progress.update(task, completed=done, total=total, description=under_way(found))
    return found


def until_ended(look: Callable[[], list[Run]]) -> Iterator[list[Run]]:
    """What `look` finds, again and again until no run is open any more."""
    pause = Event()
    while True:
        found = look()
        yield found
        if all(run.state not in OPEN_STATES for run in found):
            return
        pause.wait(POLL_S)


def progress_line(run: Run) -> str:
    """Where a run stands, in one line that changes only when something happens."""
    line = f"Run {run.id}: {run.account}: {run.state}"
    if run.state is RunState.SUCCEEDED:
        return f"{line}, {run.rows} rows"
    if run.error and run.not_before and run.state is RunState.PENDING:
        return f"{line}: {run.error.summary}; tried again after {minute(run.not_before)} UTC"
    return f"{line}: {run.error.summary}" if run.error else line


def under_way(runs: Sequence[Run]) -> str:
    """What the runs that are still open do: "1 queued, 2 running"."""
    states = [run.state.value for run in runs if run.state in OPEN_STATES]
    return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))


def _tell(ledger: Ledger, runs: Sequence[Run], console: Console) -> None:
    if not runs:
        console.print("Nothing to collect: every account is paused, or the accounts file names none.")
        return
    for run in runs:
        console.print(f"Run {run.id}: {run.account}, {days_text(run.days)}", markup=False)
    if not ledger.running("worker"):
        console.print("No worker is running: the runs wait for one. `make run` starts everything.")


def _tell_cures(runs: Sequence[Run], console: Console) -> None:
    for run in runs:
        if run.error:
            console.print(f"Run {run.id}: {run.error.code}: {run.error.summary} {run.error.hint}", markup=False)
