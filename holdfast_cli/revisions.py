"""`holdfast revisions`: for each day a table of what it cost before and since."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.text import Text

from holdfast_cli.costs import money
from holdfast_cli.output import print_json, print_table, stderr, stdout
from holdfast_cli.runs import minute
from shared.bootstrap.command import Ledger
from shared.core.costs import Metric
from shared.core.revisions import Amounts, Change
from shared.ledger.documents import revisions_document
from shared.ledger.revisions import Revision, RevisionFilter, find_revisions

COLUMNS: Final = (
    "account",
    "service",
    "currency",
    "before>",
    "after>",
    "difference>",
    "effective>",
    "changed (UTC)",
    "run>",
)
NONE: Final = "-"


def show_revisions(ledger: Ledger, wanted: RevisionFilter, *, as_json: bool) -> None:
    """Print one page of revisions, the newest day first."""
    page = find_revisions(ledger.db, wanted)
    if as_json:
        print_json(revisions_document(page.revisions, page.next))
        return
    if not page.revisions:
        stderr().print("No day was restated. `holdfast coverage` shows what has been collected.")
        return
    console = stdout()
    for day, lines in by_day(page.revisions):
        console.print(day)
        print_table(console, columns=COLUMNS, rows=[row_of(line) for line in lines])
        console.print()
    words = "Billed costs, and by how much they and the effective ones have risen; rounded to 0.01 here, not in --json."
    stderr().print(words, style="dim")
    if page.next:
        stderr().print(f"More: holdfast revisions --cursor {page.next}", markup=False)


def by_day(revisions: Sequence[Revision]) -> list[tuple[str, list[Revision]]]:
    """Each day with its revisions: the newest day first, and of a day the newest change."""
    ordered = sorted(revisions, key=lambda one: (one.change.of.day, one.id), reverse=True)
    return [(str(day), list(lines)) for day, lines in groupby(ordered, key=lambda one: one.change.of.day)]


def row_of(revision: Revision) -> tuple[str | Text, ...]:
    """A revision as a row of the table."""
    change = revision.change
    return (
        revision.account,
        change.of.service or "(none)",
        change.of.currency,
        _billed(change.before),
        _billed(change.after),
        _risen(change, Metric.BILLED),
        _risen(change, Metric.EFFECTIVE),
        minute(revision.changed_at),
        str(revision.run_id),
    )


def _billed(side: Amounts | None) -> str:
    return NONE if side is None else money(side.billed)


def _risen(change: Change, metric: Metric) -> Text:
    risen = change.risen(metric)
    if not risen:
        return Text("0", style="dim")
    return Text(f"{risen:+,.2f}", style="red" if risen > 0 else "green")
