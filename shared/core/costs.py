"""Costs as every provider delivers them and the ledger stores them: exact money, by day and group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from typing import Final, NamedTuple

# What is kept of an amount, 38 digits in all: the widest decimal of DuckDB. Places enough for a double of up to 17
# digits down to 1e-8, which is what real exports hold; whole digits enough for 99 trillion a group and day.
DIGITS_BEFORE_POINT: Final = 14
DIGITS_AFTER_POINT: Final = 24
# Wide enough for the sum of any number of such amounts; should it ever not be, it raises rather than rounds.
EXACT: Final = Context(prec=200, traps=[Inexact])


class Metric(StrEnum):
    """FOCUS BilledCost (invoiced) or EffectiveCost (amortised)."""

    BILLED = "billed"
    EFFECTIVE = "effective"


class CoverageState(StrEnum):
    """What is known of one account-day: `estimated` may still be restated, `suspect` was answered with nothing."""

    COMPLETE = "complete"
    ESTIMATED = "estimated"
    SUSPECT = "suspect"
    MISSING = "missing"


class CostRow(NamedTuple):
    """One group of one day. Text is "" where the provider gives none; amounts are exact, in `currency` (ISO 4217).

    A NamedTuple, since a run may hold a hundred thousand of them.
    """

    day: date
    sub_account: str
    provider_name: str
    service: str
    charge_category: str
    currency: str
    billed: Decimal
    effective: Decimal


@dataclass(frozen=True, slots=True)
class FetchedCosts:
    """A provider's answer for a range: rows of unique groups, and the days it marks as not final."""

    rows: Sequence[CostRow]
    estimated_days: frozenset[date] = field(default_factory=frozenset)


class DayTotal(NamedTuple):
    """What the provider says one day cost in all, in one currency."""

    day: date
    currency: str
    billed: Decimal
    effective: Decimal


def totals_by_day(rows: Iterable[CostRow]) -> list[DayTotal]:
    """The exact sums of `rows` by day and currency, in their order."""
    sums: dict[tuple[date, str], tuple[Decimal, Decimal]] = {}
    for row in rows:
        billed, effective = sums.get((row.day, row.currency), (Decimal(0), Decimal(0)))
        sums[row.day, row.currency] = (EXACT.add(billed, row.billed), EXACT.add(effective, row.effective))
    return [DayTotal(*group, *sums[group]) for group in sorted(sums)]


@dataclass(frozen=True, slots=True)
class Price:
    """What fetching a range takes: requests to the provider, and USD that it charges for them, at least and at most.

    The most follows from how many rows a day had so far, and is a guess for days of which nothing is known.
    """

    requests: tuple[int, int] = (0, 0)
    usd: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
