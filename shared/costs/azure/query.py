"""What is asked of Azure: the body of a query, the days of one call, and what a scope can be grouped by."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from shared.core.costs import Price
from shared.core.days import DayRange

API_VERSION: Final = "2025-03-01"
MOST_DAYS: Final = 31
PAGE_ROWS: Final = 1000

COST: Final = "Cost"
SERVICE: Final = "ServiceName"
CHARGE_TYPE: Final = "ChargeType"
SUBSCRIPTION: Final = "SubscriptionId"

_SUBSCRIPTION_SCOPE: Final = re.compile(r"^/subscriptions/([^/]+)(/|$)", re.IGNORECASE)


class CostType(StrEnum):
    """The two answers that Azure gives about the same days: as invoiced, and with commitments spread over their use."""

    ACTUAL = "ActualCost"
    AMORTIZED = "AmortizedCost"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an account asks about. Azure groups by two dimensions at most, so the scope decides which.

    Within one subscription that is service and kind of charge. A wider scope (a management group, a billing account)
    needs one of the two for the subscription, and is answered without the kind of charge.
    """

    path: str

    @property
    def subscription(self) -> str | None:
        """The one subscription that the scope is, or lies in."""
        found = _SUBSCRIPTION_SCOPE.match(self.path)
        return found[1] if found else None

    @property
    def grouping(self) -> tuple[str, ...]:
        """The dimensions to group by."""
        return (SERVICE, CHARGE_TYPE) if self.subscription else (SUBSCRIPTION, SERVICE)


def query_path(scope: str) -> str:
    """Path and query of the address to post to."""
    return f"{scope.rstrip('/')}/providers/Microsoft.CostManagement/query?api-version={API_VERSION}"


def body(cost_type: CostType, days: DayRange, grouping: Sequence[str]) -> Mapping[str, Any]:
    """The query for at most 31 days; both of its ends are inclusive."""
    dataset: dict[str, Any] = {
        "granularity": "Daily",
        "aggregation": {"totalCost": {"name": COST, "function": "Sum"}},
    }
    if grouping:
        dataset["grouping"] = [{"type": "Dimension", "name": name} for name in grouping]
    return {
        "type": cost_type.value,
        "timeframe": "Custom",
        "timePeriod": {"from": f"{days.start}T00:00:00+00:00", "to": f"{days.end}T23:59:59+00:00"},
        "dataset": dataset,
    }


def calls(days: DayRange) -> Iterator[DayRange]:
    """`days` in pieces of at most 31, in their order."""
    start = days.start
    while start <= days.end:
        end = min(start + timedelta(days=MOST_DAYS - 1), days.end)
        yield DayRange(start, end)
        start = end + timedelta(days=1)


def price(days: DayRange, *, rows_a_day: int) -> Price:
    """Requests for `days`: two types, at least one page a call, at most the pages that such days fill. No money."""
    pieces = [len(piece) for piece in calls(days)]
    pages = [max(-(-piece * rows_a_day // PAGE_ROWS), 1) for piece in pieces]
    return Price(requests=(2 * len(pieces), 2 * sum(pages)))
