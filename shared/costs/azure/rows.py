"""From Azure's two answers to rows: the groups of both, each with what is billed and what is effective."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from shared.core.costs import EXACT, CostRow, DayTotal
from shared.costs.azure.answer import Group, Sums
from shared.costs.azure.query import CHARGE_TYPE, SERVICE, SUBSCRIPTION, Scope

PROVIDER_NAME: Final = "Microsoft"
ZERO: Final = Decimal(0)

# FOCUS's names for Azure's kinds of charge, as Microsoft's own FOCUS exports have them.
CHARGE_CATEGORIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "usage": "Usage",
        "unusedreservation": "Usage",
        "unusedsavingsplan": "Usage",
        "purchase": "Purchase",
        "refund": "Purchase",
        "tax": "Tax",
        "credit": "Credit",
        "adjustment": "Adjustment",
        "roundingadjustment": "Adjustment",
    }
)

Amounts = tuple[Decimal, Decimal]
Key = tuple[str, str, str]


def merged(actual: Sums, amortized: Sums) -> dict[Group, Amounts]:
    """The groups of both: one that is in only one of the two has 0 in the other."""
    groups = dict.fromkeys([*actual, *amortized])
    return {group: (actual.get(group, ZERO), amortized.get(group, ZERO)) for group in groups}


def rows_of(amounts: Mapping[Group, Amounts], scope: Scope) -> list[CostRow]:
    """One row for each group, sorted. Kinds of charge that are one to FOCUS are added up."""
    key_of = _keys(scope)
    sums: dict[CostRow, Amounts] = {}
    for group, (billed, effective) in amounts.items():
        sub_account, service, category = key_of(group.values)
        row = CostRow(group.day, sub_account, PROVIDER_NAME, service, category, group.currency, ZERO, ZERO)
        was = sums.get(row, (ZERO, ZERO))
        sums[row] = (EXACT.add(was[0], billed), EXACT.add(was[1], effective))
    return [row._replace(billed=billed, effective=effective) for row, (billed, effective) in sorted(sums.items())]


def day_totals_of(amounts: Mapping[Group, Amounts]) -> list[DayTotal]:
    """The totals of an ungrouped query, in their order."""
    return sorted(DayTotal(group.day, group.currency, *both) for group, both in amounts.items())


def _keys(scope: Scope) -> Callable[[tuple[str, ...]], Key]:
    """How sub account, service and charge category follow from the values of the scope's grouping."""
    places = {name: place for place, name in enumerate(scope.grouping)}
    fixed = sub_account_id(scope.subscription or "")

    def key_of(values: tuple[str, ...]) -> Key:
        own = sub_account_id(values[places[SUBSCRIPTION]]) if SUBSCRIPTION in places else fixed
        return (
            own,
            values[places[SERVICE]],
            charge_category(values[places[CHARGE_TYPE]] if CHARGE_TYPE in places else ""),
        )

    return key_of


def sub_account_id(subscription: str) -> str:
    """FOCUS's SubAccountId of a subscription, as exports have it; Azure writes ids in any case. "" for none."""
    bare = subscription.strip().lower().removeprefix("/subscriptions/")
    return f"/subscriptions/{bare}" if bare else ""


def charge_category(charge_type: str) -> str:
    """FOCUS's ChargeCategory of a ChargeType; what nobody knows yet stays as it is."""
    return CHARGE_CATEGORIES.get(charge_type.lower(), charge_type)
