"""The `holdfast` command: its options, and how it ends: 0 done, 1 failed, 2 wrong usage or configuration."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import redis
import typer
from loguru import logger
from rich.markup import escape

from holdfast_cli import collect as collecting
from holdfast_cli import failures, holds
from holdfast_cli import ledger as ledger_commands
from holdfast_cli import runs as running
from holdfast_cli.accounts import show_accounts
from holdfast_cli.accounts_check import Options, check_accounts
from holdfast_cli.anomalies import show_anomalies
from holdfast_cli.arguments import days, names, one_of, open_days
from holdfast_cli.backfill import cancel_all
from holdfast_cli.budgets import show_budgets
from holdfast_cli.cancel import cancel as cancel_run
from holdfast_cli.costs import CostView, show_costs
from holdfast_cli.coverage import show_coverage
from holdfast_cli.options import Account, Accounts, End, Held, Json, Start
from holdfast_cli.output import stderr
from holdfast_cli.past import backfill, export, reconcile
from holdfast_cli.revisions import show_revisions
from holdfast_cli.samples import DEFAULT_SEED, DEV_DAYS, DEV_FOLDER, make_samples
from shared.bootstrap.command import open_ledger
from shared.core.anomalies import AnomalyKind
from shared.core.costs import Metric
from shared.core.errors import HoldfastError, RequestError
from shared.core.runs import RunKind, RunState
from shared.core.version import VERSION
from shared.ledger.anomaly_queries import AnomalyQuery
from shared.ledger.cost_queries import GROUPS
from shared.ledger.revisions import RevisionFilter
from shared.observability.environment import hide_environment
from shared.observability.redactor import without_secrets
from shared.settings import load_settings

COST_DAYS: Final = 30
ANOMALY_DAYS: Final = 90
ANOMALY_PAGE: Final = 100

app = typer.Typer(
    name="holdfast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ledger_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger_app, name="ledger", help="Look after the ledger itself.")

accounts_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(accounts_app, name="accounts")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature of a typer callback
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Daily cloud costs: collect them, see what is there and what is missing."""


@app.command()
def collect(
    *,
    account: Accounts = None,
    start: Start = None,
    end: End = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the runs have ended.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for costs to be collected now: of all accounts, for the usual window, unless told otherwise."""
    with open_ledger() as ledger:
        asked = days(start, end, now=datetime.now(UTC), default_days=ledger.settings.cost_window_days)
        collecting.collect(ledger, accounts=account, days=asked, wait=wait, as_json=as_json)


@app.command()
def runs(
    *,
    state: Annotated[str | None, typer.Option(metavar="STATE", help=f"One of {', '.join(RunState)}.")] = None,
    account: Account = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help=f"One of {', '.join(RunKind)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, metavar="COUNT", help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")] = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    wanted = running.Filter(
        state=RunState(one_of(state, option="--state", known=list(RunState))) if state is not None else None,
        kind=RunKind(one_of(kind, option="--kind", known=list(RunKind))) if kind is not None else None,
        account=account,
        limit=limit,
        cursor=cursor,
    )
    with open_ledger() as ledger:
        running.show_runs(ledger, wanted, as_json=as_json)


app.command()(backfill)
app.command()(export)
app.command()(reconcile)


@app.command()
def cancel(
    *,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Its number in `holdfast runs`.")] = None,
    backfills: Annotated[bool, typer.Option("--backfill", help="All open runs of backfills instead.")] = False,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """End a run that has not ended. Its days wait for the next fire of the schedule, or for a request."""
    if (run is None) is not backfills or (account is not None and not backfills):
        raise RequestError(
            field="RUN",
            problem="does not say what to cancel",
            allowed="one RUN, or --backfill, with --account or without",
        )
    with open_ledger() as ledger:
        if run is None:
            cancel_all(ledger, account, as_json=as_json)
        else:
            cancel_run(ledger, run, as_json=as_json)


@app.command()
def pause(*, account: Held, as_json: Json = False) -> None:
    """Collect nothing more for an account until it is resumed, whatever the accounts file says."""
    with open_ledger() as ledger:
        holds.pause(ledger, account, as_json=as_json)


@app.command()
def resume(*, account: Held, as_json: Json = False) -> None:
    """Let a paused account go on: what was missed within the look-back is planned again."""
    with open_ledger() as ledger:
        holds.resume(ledger, account, as_json=as_json)


@app.command()
def coverage(*, start: Start = None, end: End = None, account: Account = None, as_json: Json = False) -> None:
    """Show which days of which accounts are there: of the look-back window, unless told otherwise."""
    with open_ledger() as ledger:
        asked = days(start, end, now=datetime.now(UTC), default_days=ledger.settings.cost_lookback_days)
        show_coverage(ledger, days=asked, account=account, as_json=as_json)


@app.command()
def costs(
    *,
    start: Start = None,
    end: End = None,
    account: Account = None,
    group_by: Annotated[str, typer.Option(metavar="NAMES", help=f"Some of {','.join(GROUPS)}.")] = "day",
    metric: Annotated[str, typer.Option(metavar="METRIC", help=f"One of {', '.join(Metric)}.")] = Metric.BILLED.value,
    as_json: Json = False,
) -> None:
    """Show costs with a bar each, by day unless told otherwise. Currencies are never added together."""
    view = CostView(
        group_by=names(group_by, option="--group-by", known=GROUPS),
        metric=Metric(one_of(metric, option="--metric", known=list(Metric))),
        account=account,
    )
    asked = days(start, end, now=datetime.now(UTC), default_days=COST_DAYS)
    with open_ledger() as ledger:
        show_costs(ledger, days=asked, view=view, as_json=as_json)


@app.command()
def anomalies(
    *,
    start: Start = None,
    end: End = None,
    account: Account = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help=f"One of {', '.join(AnomalyKind)}.")] = None,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")] = None,
    as_json: Json = False,
) -> None:
    """List days that were not to be expected of a service: of the last 90 days, unless told otherwise."""
    wanted = AnomalyQuery(
        days=days(start, end, now=datetime.now(UTC), default_days=ANOMALY_DAYS),
        account=account,
        kind=AnomalyKind(one_of(kind, option="--kind", known=list(AnomalyKind))) if kind is not None else None,
        limit=ANOMALY_PAGE,
        cursor=cursor,
    )
    with open_ledger() as ledger:
        show_anomalies(ledger, wanted, as_json=as_json)


@app.command()
def budgets(*, account: Account = None, as_json: Json = False) -> None:
    """Show how far the budgets of this month are used up."""
    with open_ledger() as ledger:
        show_budgets(ledger, account=account, as_json=as_json)


@app.command()
def revisions(
    *,
    account: Account = None,
    start: Start = None,
    end: End = None,
    limit: Annotated[int, typer.Option(min=1, max=500, metavar="COUNT", help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")] = None,
    as_json: Json = False,
) -> None:
    """Show what restated days cost before and since, the latest changes unless told otherwise."""
    first, last = open_days(start, end, now=datetime.now(UTC))
    wanted = RevisionFilter(account=account, start=first, end=last, limit=limit, cursor=cursor)
    with open_ledger() as ledger:
        show_revisions(ledger, wanted, as_json=as_json)


@app.command()
def samples(
    *,
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the exports go.")] = DEV_FOLDER,
    day_count: Annotated[int, typer.Option("--days", min=1, max=366, metavar="COUNT", help="How many.")] = DEV_DAYS,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="The same seed makes the same costs.")] = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Write invented FOCUS exports to try things with, and an accounts file that reads them if there is none."""
    accounts_file = load_settings().accounts_file
    make_samples(folder, accounts_file=accounts_file, day_count=day_count, seed=seed, as_json=as_json)


@accounts_app.callback()
def accounts(context: typer.Context, *, as_json: Json = False) -> None:
    """List the accounts: who collects, whom the workers can sign in as, how far the costs reach."""
    if context.invoked_subcommand is None:
        with open_ledger() as ledger:
            show_accounts(ledger, as_json=as_json)


@accounts_app.command("check")
def check_the_accounts(
    *,
    account: Account = None,
    trial: Annotated[bool, typer.Option("--trial", help="Fetch one day of each; the price is said first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on with the trial without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check the accounts file, overlaps, and the credentials as seen from here. Exits with 1 if anything is wrong."""
    check_accounts(load_settings(), Options(account, trial=trial, yes=yes, as_json=as_json), now=datetime.now(UTC))


@ledger_app.command()
def adopt(*, as_json: Json = False) -> None:
    """Take over a Redis that carries another ledger's mark, after this ledger's database was restored or replaced."""
    with open_ledger() as ledger:
        ledger_commands.adopt(ledger, as_json=as_json)


@ledger_app.command()
def check(
    *,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="How long a run may show no sign of life; RUN_LEASE_S + 15 unless told."
        ),
    ] = None,
    at_rest: Annotated[bool, typer.Option("--at-rest", help="No run may be open either.")] = False,
    as_json: Json = False,
) -> None:
    """Check everything that must hold in the ledger, also while the system runs. Exits with 1 if something does not."""
    with open_ledger() as ledger:
        ledger_commands.check(ledger, grace_s=grace, at_rest=at_rest, as_json=as_json)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Errors are told on standard error, one line each."""
    hide_environment()
    logger.disable("shared")  # what a command has to say it says itself, in the words of its user
    try:
        outcome = typer.main.get_command(app).main(list(arguments), prog_name="holdfast", standalone_mode=False)
    except typer.TyperException as error:
        _complain(f"{error.format_message()} (holdfast --help tells what there is)")
        return failures.USAGE
    except (HoldfastError, redis.RedisError) as error:
        for line in failures.lines(error):
            _complain(line)
        return failures.exit_code(error)
    finally:
        logger.enable("shared")
    return outcome if isinstance(outcome, int) else 0


def run() -> None:
    """Entry point."""
    sys.exit(execute(sys.argv[1:]))


def _complain(line: str) -> None:
    stderr().print(f"[red]holdfast:[/red] {escape(without_secrets(line))}")
