"""`holdfast costs`: for each currency a table of its own, with a bar for each row and a total."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rich.text import Text

from holdfast_cli.output import print_json, print_table, stderr, stdout, unicode_safe
from shared.bootstrap.command import Ledger
from shared.core.costs import Metric
from shared.core.days import DayRange
from shared.ledger.documents import costs_document
from shared.ledger.queries import CostQuery, CostReport
from shared.ledger.queries import costs as costs_of

BAR_CELLS: Final = 30
# Eighths of a block, from the left.
PARTS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


Row = tuple[str | Text, ...]


@dataclass(frozen=True, slots=True)
class CostView:
    """What to add up, and by what."""

    group_by: tuple[str, ...]
    metric: Metric
    account: str | None


def show_costs(ledger: Ledger, *, days: DayRange, view: CostView, as_json: bool) -> None:
    """Print the costs of `days`."""
    report = costs_of(ledger.db, CostQuery(days=days, group_by=view.group_by, metric=view.metric, account=view.account))
    if as_json:
        print_json(document(report, days=days, view=view))
        return
    every = report.rows
    if not every:
        stderr().print(f"No costs from {days.start} to {days.end}. `holdfast coverage` shows what has been collected.")
        return
    console = stdout()
    for total in report.totals:
        currency = str(total["currency"])
        rows = [row for row in every if row["currency"] == currency]
        lines = table_rows(rows, Decimal(total["amount"]), view, blocks=unicode_safe(console))
        print_table(console, columns=(*view.group_by, f"{currency}>", ""), rows=lines)
    stderr().print(f"{days.start} to {days.end}, rounded to 0.01 here; --json has every digit.", style="dim")


def document(report: CostReport, *, days: DayRange, view: CostView) -> dict[str, Any]:
    """The costs as the API gives them."""
    return {
        "start": days.start.isoformat(),
        "end": days.end.isoformat(),
        "groupBy": list(view.group_by),
        "metric": view.metric.value,
        **costs_document(report),
    }


def table_rows(rows: Sequence[Mapping[str, Any]], total: Decimal, view: CostView, *, blocks: bool) -> list[Row]:
    """A line for each of `rows`, which are of one currency, and one for their `total`. The bars share one scale."""
    largest = max(abs(row["amount"]) for row in rows)
    lines: list[Row] = [
        (
            *(str(row[group]) or "(none)" for group in view.group_by),
            money(row["amount"]),
            bar(row["amount"], largest, blocks=blocks),
        )
        for row in rows
    ]
    return [*lines, ("total", *("" for _ in view.group_by[1:]), money(total), f"{view.metric}")]


def money(amount: Decimal) -> str:
    """Rounded to 0.01 for the eye, with thousands apart."""
    return f"{amount:,.2f}"


def bar(amount: Decimal, largest: Decimal, *, blocks: bool) -> Text:
    """`amount` in proportion to `largest`. Credits, being negative, are red."""
    if not largest:
        return Text()
    style = "red" if amount < 0 else "cyan"
    eighths = int(abs(amount) / largest * BAR_CELLS * 8)
    if not blocks:
        return Text(("-" if amount < 0 else "#") * (eighths // 8), style=style)
    return Text("█" * (eighths // 8) + PARTS[eighths % 8], style=style)
