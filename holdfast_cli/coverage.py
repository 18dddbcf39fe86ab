"""`holdfast coverage`: a grid with one row for each account and one column for each day."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from rich.console import Console
from rich.text import Text

from holdfast_cli.output import print_json, stderr, stdout, unicode_safe
from shared.bootstrap.command import Ledger
from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.ledger.documents import coverage_document
from shared.ledger.queries import AccountCoverage
from shared.ledger.queries import coverage as coverage_of


@dataclass(frozen=True, slots=True)
class Mark:
    """How one state looks. Symbols differ, so that the grid is readable without colour."""

    symbol: str
    ascii_symbol: str
    style: str
    meaning: str


MARKS: Final[Mapping[CoverageState, Mark]] = {
    CoverageState.COMPLETE: Mark("■", "#", "green", "complete"),
    CoverageState.ESTIMATED: Mark("◪", "~", "yellow", "estimated: may still be restated"),
    CoverageState.SUSPECT: Mark("?", "?", "magenta", "suspect: costs vanished, asked again at the next fire"),
    CoverageState.MISSING: Mark("·", ".", "red", "missing"),
}
GAP: Final = "  "


def show_coverage(ledger: Ledger, *, days: DayRange, account: str | None, as_json: bool) -> None:
    """Print the grid with its legend."""
    found = coverage_of(ledger.db, days=days, account=account)
    if as_json:
        print_json({"accounts": [coverage_document(each) for each in found]})
        return
    if not found:
        stderr().print("No accounts yet: the processes and `holdfast collect` take them from the accounts file.")
        return
    console = stdout()
    for line in grid(found, days=days, width=console.width, ascii_only=not unicode_safe(console)):
        _print_line(console, line)
    paused = [each.account for each in found if each.paused]
    if paused:
        stderr().print(f"Paused, nothing new is collected: {', '.join(paused)}", markup=False)


def grid(accounts: Sequence[AccountCoverage], *, days: DayRange, width: int, ascii_only: bool) -> Iterator[Text]:
    """The lines to print, none wider than `width`: blocks of days, each below its dates, and the legend."""
    margin = max(len(account.account) for account in accounts)
    per_block = max(1, width - margin - len(GAP))
    shown = list(days)
    for first in range(0, len(shown), per_block):
        block = shown[first : first + per_block]
        yield from (Text(" " * margin + GAP + line) for line in date_lines(block))
        for account in accounts:
            states = {covered.day: covered.state for covered in account.days}
            line = Text(account.account.ljust(margin) + GAP)
            for day in block:
                mark = MARKS[states.get(day, CoverageState.MISSING)]
                line.append(mark.ascii_symbol if ascii_only else mark.symbol, style=mark.style)
            yield line
        yield Text()
    counts = Counter(covered.state for account in accounts for covered in account.days)
    yield from legend(counts, ascii_only=ascii_only)


def legend(counts: Mapping[CoverageState, int], *, ascii_only: bool) -> Iterator[Text]:
    """One line for each state: its symbol, how many account-days have it, what it means."""
    for state, mark in MARKS.items():
        symbol = mark.ascii_symbol if ascii_only else mark.symbol
        yield Text.assemble((symbol, mark.style), f" {counts.get(state, 0):>6}  {mark.meaning}")


def date_lines(block: Sequence[date]) -> tuple[str, str, str]:
    """Three lines above the columns: the month where it begins (and has room), then the day of the month downwards."""
    months = [" "] * len(block)
    for index, day in enumerate(block):
        label = day.strftime("%Y-%m")
        begins = index == 0 or day.day == 1
        if begins and index + len(label) <= len(block) and not _next_month_within(block, index, len(label)):
            months[index : index + len(label)] = label
    return (
        "".join(months).rstrip(),
        "".join(f"{day.day:02d}"[0] for day in block),
        "".join(f"{day.day:02d}"[1] for day in block),
    )


def _next_month_within(block: Sequence[date], index: int, room: int) -> bool:
    return any(day.day == 1 for day in block[index + 1 : index + room + 1])


def _print_line(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)
