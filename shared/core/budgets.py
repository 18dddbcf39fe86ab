"""A month's budget of one account, and how far it is used up."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from shared.core.costs import EXACT

# Per cent of a budget at which somebody is told.
THRESHOLDS: Final = (80, 100)
# A forecast needs some days; with as many, the dearest one is left out of what a day costs: a purchase comes once.
LEAST_DAYS: Final = 4
HUNDREDTH: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Budget:
    """What `account` (its configured name) may cost a month, in `currency` alone. Raises ValueError unless positive."""

    account: str
    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("a budget must be more than nothing")


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget and the days of `month` (its first day) that count, each with its billed costs in the currency.

    `estimated` of those may still be restated. `others` are currencies of the account that the budget says nothing of.
    """

    budget: Budget
    month: date
    days: Mapping[date, Decimal]
    estimated: int = 0
    others: tuple[str, ...] = ()

    @property
    def spent(self) -> Decimal:
        """The exact sum of the days that count."""
        total = Decimal(0)
        for amount in self.days.values():
            total = EXACT.add(total, amount)
        return total

    @property
    def through(self) -> date | None:
        """The newest day that counts, None when there is none."""
        return max(self.days, default=None)

    @property
    def percent(self) -> Decimal:
        """How much of the budget is used up, to a tenth of a per cent, rounded down."""
        return Decimal(int(self.spent * 1000 / self.budget.amount)) / 10

    @property
    def reached(self) -> tuple[int, ...]:
        """The thresholds that are reached, in per cent."""
        return tuple(share for share in THRESHOLDS if self.spent * 100 >= self.budget.amount * share)

    @property
    def forecast(self) -> Decimal | None:
        """What the month will have cost if the days left cost what those that count did; None when those are few."""
        if len(self.days) < LEAST_DAYS:
            return None
        _, days = monthrange(self.month.year, self.month.month)
        usual = (self.spent - max(self.days.values())) / (len(self.days) - 1)
        return (self.spent + usual * (days - len(self.days))).quantize(HUNDREDTH)
