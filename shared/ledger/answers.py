"""Checking a provider's answer before it is stored: what cannot be kept exactly as it came is refused, not bent."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from shared.core.costs import CostRow
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.ledger.money import exact_text, surely_kept
from shared.ledger.texts import is_storable

CODE: Final = "ANSWER_NOT_STORABLE"


def check(rows: Iterable[CostRow], days: DayRange) -> None:
    """Raise ProviderError (permanent) for a day outside `days`, a group twice, text or amounts that cannot be kept."""
    groups: set[tuple[object, ...]] = set()
    texts: set[str] = set()
    for row in rows:
        _check_day(row, days)
        group = row[:6]
        if group in groups:
            raise _refused(row, "the same group twice")
        groups.add(group)
        for text in row[1:6]:
            if text not in texts:
                _check_text(row, text)
                texts.add(text)
        _check_amount(row, "billed", row.billed)
        _check_amount(row, "effective", row.effective)


def _check_day(row: CostRow, days: DayRange) -> None:
    if row.day not in days:
        raise _refused(row, f"a day outside the range {days.start} to {days.end} that was asked for")


def _check_text(row: CostRow, text: str) -> None:
    if not is_storable(text):
        raise _refused(row, "text with characters that no database holds (NUL, or half of a surrogate pair)")


def _check_amount(row: CostRow, name: str, amount: Decimal) -> None:
    if surely_kept(amount):
        return
    try:
        exact_text(amount)
    except ValueError as error:
        raise _refused(row, f"{name} cost: {error}") from None


def _refused(row: CostRow, problem: str) -> ProviderError:
    return ProviderError(
        code=CODE,
        summary=f"{row.day}, service {row.service!r}: {problem}",
        hint="Nothing of this answer was stored. Correct the source, then request the days again.",
        permanent=True,
    )
