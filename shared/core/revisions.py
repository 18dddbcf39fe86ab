"""What changed when a day was collected again: sums by service and currency, before and after. Exact, and pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import Final, NamedTuple

from shared.core.costs import EXACT, CostRow, Metric

_BY_SERVICE: Final = itemgetter(*map(CostRow._fields.index, ("day", "service", "currency")))
_BILLED: Final = itemgetter(CostRow._fields.index("billed"))
_EFFECTIVE: Final = itemgetter(CostRow._fields.index("effective"))


class Service(NamedTuple):
    """What is compared: one service's costs of one day in one currency."""

    day: date
    service: str
    currency: str


class Amounts(NamedTuple):
    """Exact sums."""

    billed: Decimal
    effective: Decimal

    def of(self, metric: Metric) -> Decimal:
        """The one of them that `metric` names."""
        return self.billed if metric is Metric.BILLED else self.effective


@dataclass(frozen=True, slots=True)
class Change:
    """One service of a day whose sums are not what they were. None stands for no costs at all, which is not zero."""

    of: Service
    before: Amounts | None
    after: Amounts | None

    def __post_init__(self) -> None:
        if self.before == self.after:
            raise ValueError("a change needs two sides that differ")

    def risen(self, metric: Metric) -> Decimal:
        """By how much the sum has risen."""
        after, before = (side.of(metric) if side else Decimal(0) for side in (self.after, self.before))
        return EXACT.subtract(after, before)


def sums_by_service(rows: Iterable[CostRow]) -> dict[Service, Amounts]:
    """The exact sums of `rows`."""
    groups: defaultdict[tuple[date, str, str], list[CostRow]] = defaultdict(list)
    for row in rows:
        groups[_BY_SERVICE(row)].append(row)
    # Python's own loop over a context's methods takes twice as long, and a run may bring a hundred thousand rows a day.
    with localcontext(EXACT):
        return {
            Service(*group): Amounts(sum(map(_BILLED, found)), sum(map(_EFFECTIVE, found)))
            for group, found in groups.items()
        }


def changes(before: Mapping[Service, Amounts], after: Mapping[Service, Amounts]) -> list[Change]:
    """What differs, by day, service and currency. Amounts are compared as numbers: 1.50 is 1.5."""
    differing = [of for of in before.keys() | after.keys() if before.get(of) != after.get(of)]
    return [Change(of, before.get(of), after.get(of)) for of in sorted(differing)]


@dataclass(frozen=True, slots=True)
class Restatement:
    """Changes in short: the days, how many services, and by how much each currency's invoiced costs have risen."""

    days: tuple[date, ...]
    services: int
    difference: Mapping[str, Decimal]

    @classmethod
    def of(cls, changed: Sequence[Change]) -> "Restatement":
        """The summary of `changed`."""
        difference: dict[str, Decimal] = {}
        for change in changed:
            currency = change.of.currency
            difference[currency] = EXACT.add(difference.get(currency, Decimal(0)), change.risen(Metric.BILLED))
        days = sorted({change.of.day for change in changed})
        return cls(tuple(days), len({change.of.service for change in changed}), dict(sorted(difference.items())))
