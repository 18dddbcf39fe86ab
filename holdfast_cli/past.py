"""The commands about a long past: their options."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from holdfast_cli.arguments import ended_days
from holdfast_cli.backfill import Manner
from holdfast_cli.backfill import backfill as fill_back
from holdfast_cli.options import Accounts, Json
from shared.bootstrap.command import open_ledger
from shared.ledger.backfill import BackfillAsked

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
