from datetime import UTC, date, datetime

from rich.text import Text

from holdfast_cli.coverage import date_lines, grid
from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.ledger.queries import AccountCoverage, CoveredDay

COLLECTED = datetime(2026, 3, 3, 2, 0, 1, 500_000, tzinfo=UTC)
WEEK = DayRange(date(2026, 2, 26), date(2026, 3, 4))


def covered(day: date, state: CoverageState) -> CoveredDay:
    if state is CoverageState.MISSING:
        return CoveredDay(day=day, state=state, rows=0, collected_at=None)
    return CoveredDay(day=day, state=state, rows=3, collected_at=COLLECTED)


def account(name: str, states: str) -> AccountCoverage:
    """An account with one letter for each day of WEEK: c, e, s, m."""
    by_letter = {state.value[0]: state for state in CoverageState}
    days = [covered(day, by_letter[letter]) for day, letter in zip(WEEK, states, strict=True)]
    return AccountCoverage(account=name, provider="focus", days=days)


def lines(width: int, *, ascii_only: bool = False) -> list[str]:
    accounts = [account("shop", "ccccces"), account("data-lake", "cmmcccc")]
    return [line.plain for line in grid(accounts, days=WEEK, width=width, ascii_only=ascii_only)]


def test_the_grid_has_a_row_for_each_account_and_a_column_for_each_day() -> None:
    assert lines(80)[1:5] == [
        "           2220000",
        "           6781234",
        "shop       ■■■■■◪?",
        "data-lake  ■··■■■■",
    ]


def test_the_legend_counts_each_state() -> None:
    legend = [line.split() for line in lines(80)[6:]]
    assert [words[:3] for words in legend] == [
        ["■", "10", "complete"],
        ["◪", "1", "estimated:"],
        ["?", "1", "suspect:"],
        ["·", "2", "missing"],
    ]


def test_a_terminal_without_unicode_gets_symbols_that_still_differ() -> None:
    assert lines(80, ascii_only=True)[3:5] == ["shop       #####~?", "data-lake  #..####"]
    assert all(line.isascii() for line in lines(80, ascii_only=True))


def test_a_narrow_terminal_gets_blocks_of_days_and_no_line_that_wraps() -> None:
    found = lines(15)
    assert [line for line in found if line.startswith("shop ")] == ["shop       ■■■■", "shop       ■◪?"]


def test_a_month_is_named_where_it_begins_and_has_room() -> None:
    month = list(DayRange(date(2026, 1, 30), date(2026, 2, 12)))
    assert date_lines(month) == ("  2026-02", "33000000000111", "01123456789012")


def test_a_month_is_named_at_the_left_edge_too() -> None:
    assert date_lines(list(DayRange(date(2026, 1, 10), date(2026, 1, 20))))[0] == "2026-01"


def test_lines_carry_colour_beside_their_symbols() -> None:
    line = next(
        line for line in grid([account("a", "ccccccm")], days=WEEK, width=80, ascii_only=False) if "■" in line.plain
    )
    assert isinstance(line, Text)
    assert {str(span.style) for span in line.spans} == {"green", "red"}
