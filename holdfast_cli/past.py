"""The commands about a long past: their options."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast_cli.arguments import LONGEST_DAYS, days, ended_days, one_of
from holdfast_cli.backfill import Manner
from holdfast_cli.backfill import backfill as fill_back
from holdfast_cli.export import export as export_rows
from holdfast_cli.export import format_of
from holdfast_cli.options import Account, Accounts, End, Json, Start
from holdfast_cli.reconcile import Wanted, month_of, reconcile_month, total_of
from shared.bootstrap.command import open_ledger
from shared.core.costs import Metric
from shared.core.exports import ExportFormat
from shared.ledger.backfill import BackfillAsked
from shared.ledger.exporting import ExportQuery

EXPORT_DAYS: Final = 30

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, whatever the provider charges.")]


def backfill(  # noqa: PLR0913 - each is an option of the command
    *,
    start: Annotated[str, typer.Option("--start", metavar="DAY", help="First day, YYYY-MM-DD (UTC).")],
    end: Annotated[str | None, typer.Option("--end", metavar="DAY", help="Last day; the newest ended one.")] = None,
    account: Accounts = None,
    again: Annotated[bool, typer.Option("--again", help="Collect days that are complete, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes and charges, and do nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the runs have ended.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Collect a long past, as far as it is not there yet. The same command again goes on where it was."""
    asked = BackfillAsked(accounts=account, days=ended_days(start, end, now=datetime.now(UTC)), again=again)
    with open_ledger() as ledger:
        fill_back(ledger, asked, Manner(dry_run=dry_run, wait=wait, yes=yes, as_json=as_json))


def export(
    *,
    start: Start = None,
    end: End = None,
    account: Account = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(ExportFormat)}.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to; standard output unless told.")
    ] = None,
) -> None:
    """Write what is stored as a FOCUS file, CSV or Parquet, of any size."""
    written_as = format_of(form, output)
    asked = days(start, end, now=datetime.now(UTC), default_days=EXPORT_DAYS, max_days=LONGEST_DAYS)
    with open_ledger() as ledger:
        export_rows(ledger, ExportQuery(asked, account), form=written_as, output=output)


def reconcile(  # noqa: PLR0913 - each is an option of the command
    *,
    month: Annotated[str, typer.Option("--month", metavar="MONTH", help="YYYY-MM.")],
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Which account.")],
    invoice_total: Annotated[
        str | None, typer.Option("--invoice-total", metavar="AMOUNT", help="What the invoice says in all.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", metavar="CODE", help="The invoice's, where an account has several.")
    ] = None,
    metric: Annotated[str, typer.Option(metavar="METRIC", help=f"One of {', '.join(Metric)}.")] = Metric.BILLED.value,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Hold a month against what the provider says day by day, and against its invoice. Exits with 3 if they differ."""
    wanted = Wanted(
        account=account,
        days=month_of(month, now=datetime.now(UTC)),
        metric=Metric(one_of(metric, option="--metric", known=list(Metric))),
        invoice=None if invoice_total is None else total_of(invoice_total),
        currency=currency,
    )
    with open_ledger() as ledger:
        reconcile_month(ledger, wanted, yes=yes, as_json=as_json)
