"""The command backfill: says what a long past will take, records its runs, and can stay to see them end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast_cli import failures
from holdfast_cli.collect import progress_line, under_way, until_ended
from holdfast_cli.confirm import confirm, price_text
from holdfast_cli.output import print_json, print_table, stderr, stdout
from shared.bootstrap.accounts import accounts_file
from shared.bootstrap.backfill import PricedBackfill, backfill_document, priced
from shared.bootstrap.command import Ledger
from shared.core.runs import OPEN_STATES, Run, RunState
from shared.ledger.backfill import BackfillAsked, cancel_backfills, plan_backfill, request_backfill, runs_by_id
from shared.ledger.documents import run_document

INTERRUPTED: Final = 130
COLUMNS: Final = ("account", "days>", "runs>", "there already>", "open runs>", "requests>", "USD>")
GOES_ON: Final = (
    "The work goes on. Look: the same command again with --wait, or `holdfast runs --kind backfill`. "
    "End it: `holdfast cancel --backfill`."
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a backfill is done: `dry_run` only tells, `wait` stays, `yes` was said to its price."""

    dry_run: bool
    wait: bool
    yes: bool
    as_json: bool


def backfill(ledger: Ledger, asked: BackfillAsked, manner: Manner) -> None:
    """Tell, ask, record and perhaps stay. Exits with 1 when a run waited for has not succeeded."""
    ledger.sync_accounts()
    accounts = accounts_file(ledger.settings).load()
    planned = priced(plan_backfill(ledger.db, asked), accounts)
    if not manner.as_json:
        _tell_plan(planned)
    if manner.dry_run:
        if manner.as_json:
            print_json(backfill_document(planned))
        return
    confirm(planned.price, yes=manner.yes)
    made = priced(request_backfill(ledger.db, asked), accounts)
    runs = made.backfill.runs
    queued = bool(runs) and ledger.dispatch(runs)
    if not manner.as_json:
        _tell_made(ledger, runs)
    if manner.wait and runs:
        runs = _watched(ledger, runs)
    if manner.as_json:
        document = backfill_document(made) | {"runs": [run_document(run) for run in runs]}
        print_json({**document, "dispatch": "queued" if queued else "deferred"})
    if manner.wait and any(run.state is not RunState.SUCCEEDED for run in runs):
        raise typer.Exit(failures.FAILED)


def cancel_all(ledger: Ledger, account: str | None, *, as_json: bool) -> None:
    """End every backfill run that has not ended, of `account` or of all."""
    cancelled = cancel_backfills(ledger.db, account)
    if as_json:
        print_json({"runs": [run_document(run) for run in cancelled]})
        return
    days = sum(len(run.days) for run in cancelled)
    stdout().print(f"{len(cancelled)} runs of backfills cancelled, over {days} days.", markup=False)


def _tell_plan(planned: PricedBackfill) -> None:
    rows = []
    for each in planned.backfill.accounts:
        price = planned.prices.get(each.account)
        requests, _, usd = price_text(price).partition(" requests, ") if price else ("", "", "")
        counts = (each.days, len(each.ranges), each.complete_days, len(each.waiting))
        rows.append((each.account, *map(str, counts), requests, usd.removesuffix(" USD")))
    print_table(stderr(), columns=COLUMNS, rows=rows)
    days = sum(each.days for each in planned.backfill.accounts)
    stderr().print(f"In all {days} days to collect: {price_text(planned.price)}.", markup=False)


def _tell_made(ledger: Ledger, runs: Sequence[Run]) -> None:
    told = stderr()
    if not runs:
        told.print("Nothing to collect: every day is there. --again collects them all the same.")
        return
    told.print(f"{len(runs)} runs, newest days first; `holdfast cancel --backfill` ends them.")
    if not ledger.running("worker"):
        told.print("No worker is running: the runs wait for one. `make run` starts everything.")
    elif not ledger.running("scheduler"):
        told.print("No scheduler is running: it sends each run after an account's first.")


def _watched(ledger: Ledger, runs: Sequence[Run]) -> list[Run]:
    ids = [run.id for run in runs]
    told = stderr()
    try:
        found = _watch(lambda: runs_by_id(ledger.db, ids), told)
    except KeyboardInterrupt:
        told.print(GOES_ON)
        raise typer.Exit(INTERRUPTED) from None
    for run in found:
        if run.error and run.state is not RunState.SUCCEEDED:
            told.print(f"{progress_line(run)}. {run.error.code}: {run.error.hint}", markup=False)
    return found


def _watch(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    return _with_bar(look, console) if console.is_terminal else _with_lines(look, console)


def _with_lines(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    told, found = "", []
    for found in until_ended(look):
        line = _progress(found)
        if line != told:
            console.print(line, markup=False)
            told = line
    return found


def _with_bar(look: Callable[[], list[Run]], console: Console) -> list[Run]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeRemainingColumn(elapsed_when_finished=True))
    found: list[Run] = []
    with Progress(*columns, TextColumn("{task.description}"), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        for found in until_ended(look):
            done, total = days_done(found)
            text = f"{accounts_done(found)} accounts done; {under_way(found)}"
            progress.update(task, completed=done, total=total, description=text)
    return found


def _progress(runs: Sequence[Run]) -> str:
    done, total = days_done(runs)
    return f"{done} of {total} days, {accounts_done(runs)} accounts done"


def days_done(runs: Sequence[Run]) -> tuple[int, int]:
    """Days of runs that have ended, and of all."""
    ended = sum(len(run.days) for run in runs if run.state not in OPEN_STATES)
    return ended, sum(len(run.days) for run in runs)


def accounts_done(runs: Sequence[Run]) -> str:
    """How many of the accounts have no open run: "2 of 3"."""
    every = {run.account for run in runs}
    left = {run.account for run in runs if run.state in OPEN_STATES}
    return f"{len(every - left)} of {len(every)}"
