"""Which sums of costs are kept, and which of them answer a question. Pure."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from enum import IntEnum
from itertools import groupby
from types import MappingProxyType
from typing import Final, NamedTuple

from shared.core.days import ONE_DAY, DayRange


class Kind(IntEnum):
    """What sums of a kind tell apart, beside the day and the currency; see DIMENSIONS."""

    DAY = 0
    SERVICE = 1
    ACCOUNT = 2
    SUB_ACCOUNT = 3


class Span(IntEnum):
    """Which days are in a sum: one, a third of a month (from the 1st, the 11th and the 21st on), or a month."""

    DAY = 0
    THIRD = 1
    MONTH = 2


# By columns of `costs`; from the kind with the fewest sums to the one with the most.
DIMENSIONS: Final[Mapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        Kind.DAY: (),
        Kind.SERVICE: ("provider_name", "service", "charge_category"),
        Kind.ACCOUNT: ("account_id",),
        Kind.SUB_ACCOUNT: ("account_id", "sub_account"),
    }
)


class Stretch(NamedTuple):
    """Sums of a span, one after the other: those that begin on each of `firsts`, in order."""

    span: Span
    firsts: tuple[date, ...]


def kind_for(columns: Collection[str]) -> Kind | None:
    """The smallest kind that tells all of `columns` apart (of `costs`, grouped or filtered by); None when none does."""
    told_apart = set(columns) - {"day", "currency"}
    return next((kind for kind, dimensions in DIMENSIONS.items() if told_apart <= set(dimensions)), None)


def stretches(days: DayRange, *, by_day: bool) -> list[Stretch]:
    """The fewest sums that together are `days`: whole months, thirds before and after them, days around those.

    With `by_day` days alone.
    """
    sums = [(Span.DAY, day) for day in days] if by_day else _fewest(days)
    return [
        Stretch(span, tuple(first for _, first in together)) for span, together in groupby(sums, key=lambda one: one[0])
    ]


def _fewest(days: DayRange) -> Iterator[tuple[Span, date]]:
    first = days.start
    while first <= days.end:
        ends = ((span, last_day(span, first)) for span in reversed(Span))
        span, last = next((span, last) for span, last in ends if last is not None and last <= days.end)
        yield span, first
        first = last + ONE_DAY


def last_day(span: Span, first: date) -> date | None:
    """The last day of the span that begins on `first`; None when none begins there."""
    if span is Span.DAY:
        return first
    if span is Span.THIRD and first.day in {1, 11}:
        return first + 9 * ONE_DAY
    if first.day != (21 if span is Span.THIRD else 1):
        return None
    # 32 days after the first of a month lie in the next one.
    return (first.replace(day=1) + 32 * ONE_DAY).replace(day=1) - ONE_DAY
