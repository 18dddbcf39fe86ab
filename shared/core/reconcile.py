"""Comparing what is stored of a month with what the provider says of each day, and with an invoice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from shared.core.costs import EXACT, CoverageState, DayTotal, Metric
from shared.core.days import DayRange, contiguous

# Groups are rounded by the provider one by one, their sum once: so far apart two figures of a day mean the same.
TOLERANCE: Final = Decimal("0.01")

ByDay = Mapping[tuple[date, str], Decimal]


@dataclass(frozen=True, slots=True)
class Figures:
    """One amount as stored and as somebody else has it, None when nobody has said."""

    stored: Decimal
    theirs: Decimal | None

    @property
    def difference(self) -> Decimal:
        """How much more is stored."""
        return Decimal(0) if self.theirs is None else EXACT.subtract(self.stored, self.theirs)

    def agree(self, tolerance: Decimal) -> bool:
        """Whether they are no further apart than `tolerance`."""
        return abs(self.difference) <= tolerance


@dataclass(frozen=True, slots=True)
class DayFinding:
    """What was found of a day: what is known of it, and its figures in `currency` ("" when it has none)."""

    day: date
    state: CoverageState
    currency: str
    figures: Figures
    differs: bool

    @property
    def worth_telling(self) -> bool:
        """Whether a person wants to know."""
        return self.differs or self.state is not CoverageState.COMPLETE

    @property
    def wrong(self) -> bool:
        """Whether it has to be collected again; a day that is estimated and agrees may still change, but need not."""
        return self.differs or self.state in {CoverageState.MISSING, CoverageState.SUSPECT}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The findings by day, each currency's figures in all, and the invoice's beside what is stored (None: not asked).

    `equal` when nothing has to be collected again and the invoice agrees.
    """

    findings: Sequence[DayFinding]
    totals: Mapping[str, Figures]
    invoice: Figures | None
    equal: bool

    @property
    def to_collect(self) -> list[DayRange]:
        """What to collect again, as few ranges."""
        return contiguous(found.day for found in self.findings if found.wrong)


def provider_sums(totals: Iterable[DayTotal], metric: Metric) -> ByDay:
    """A provider's answer by day and currency."""
    return {(found.day, found.currency): _of(found, metric) for found in totals}


def reconcile(
    states: Mapping[date, CoverageState],
    stored: ByDay,
    provided: ByDay,
    *,
    invoice: tuple[str, Decimal] | None = None,
    tolerance: Decimal = TOLERANCE,
) -> Reconciliation:
    """Compare each day of `states`. `invoice` is a currency and its total; what it agrees with is what is stored."""
    findings = [
        found
        for day in sorted(states)
        for currency, figures in _figures(day, stored, provided)
        if (found := DayFinding(day, states[day], currency, figures, not figures.agree(tolerance))).worth_telling
    ]
    currencies = sorted({currency for _, currency in (*stored, *provided)} | ({invoice[0]} if invoice else set()))
    totals = {currency: Figures(_sum(stored, currency), _sum(provided, currency)) for currency in currencies}
    billed = Figures(totals[invoice[0]].stored, invoice[1]) if invoice else None
    equal = not any(found.wrong for found in findings) and (billed is None or billed.agree(tolerance))
    return Reconciliation(findings, totals, billed, equal)


def _figures(day: date, stored: ByDay, provided: ByDay) -> Iterable[tuple[str, Figures]]:
    """A day's figures by currency; one of nothing in no currency when there are none."""
    currencies = sorted({currency for found, currency in (*stored, *provided) if found == day}) or [""]
    for currency in currencies:
        key = (day, currency)
        yield currency, Figures(stored.get(key, Decimal(0)), provided.get(key, Decimal(0)))


def _sum(sums: ByDay, currency: str) -> Decimal:
    total = Decimal(0)
    for (_, found), amount in sums.items():
        if found == currency:
            total = EXACT.add(total, amount)
    return total


def _of(found: DayTotal, metric: Metric) -> Decimal:
    return found.billed if metric is Metric.BILLED else found.effective
