"""Computing an answer: the charges in scope, added up to groups, as a page in Azure's shape."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import uuid4

from tests.fakes.azure_query.estate import ZERO, Charge, Estate, exact_sum
from tests.fakes.azure_query.validate import Query, RefusedError

SUBSCRIPTION = re.compile(r"^/subscriptions/([^/]+)(?:/resourceGroups/([^/]+))?$", re.IGNORECASE)
WIDE = re.compile(
    r"^/providers/Microsoft\.(Management/managementGroups|Billing/billingAccounts)/[^/]+(/[^/]+/[^/]+)*$", re.IGNORECASE
)
# Each dimension's value, and what is in lower case in one and not in the other, as in life.
VALUES = {
    "ServiceName": lambda charge: charge.service,
    "ChargeType": lambda charge: charge.charge_type,
    "SubscriptionId": lambda charge: charge.subscription.upper(),
    "ResourceGroup": lambda charge: charge.group.lower(),
    "ResourceGroupName": lambda charge: charge.group,
}

Row = tuple[Decimal, tuple[str, ...], date, str]


@dataclass(frozen=True)
class Scope:
    """Which subscriptions, and which resource group of theirs (None: all)."""

    subscriptions: tuple[str, ...]
    group: str | None = None


def scope_of(estate: Estate, path: str, tenant: str) -> Scope | None:
    """The scope, None when the tenant has none of that name. Raises RefusedError for what is no scope."""
    if WIDE.match(path):
        return Scope(tuple(estate.of_tenant(tenant)))
    found = SUBSCRIPTION.match(path)
    if found is None:
        raise RefusedError("Invalid scope", "InvalidScope")
    if estate.tenant_of(found[1]) != tenant:
        return None
    return Scope((found[1].lower(),), found[2])


def rows_of(estate: Estate, scope: Scope, query: Query) -> list[Row]:
    """The whole answer, in a steady order."""
    sums: dict[tuple[date, tuple[str, ...], str], Decimal] = {}
    for day, charge in _in_scope(estate, scope, query):
        cost = charge.amortized if query.type == "AmortizedCost" else charge.actual
        if cost is not None:
            key = (day, tuple(VALUES[name](charge) for name in query.grouping), charge.currency)
            sums[key] = exact_sum([sums.get(key, ZERO), cost])
    return [(cost, values, day, currency) for (day, values, currency), cost in sorted(sums.items())]


def page_of(rows: list[Row], query: Query, scope: str, next_link: str | None) -> str:
    """A page as JSON text: amounts as the exact numbers they are."""
    columns = [*({"name": name, "type": "Number"} for name in query.aggregation)]
    columns += [{"name": name, "type": "String"} for name in query.grouping]
    columns += [{"name": "UsageDate", "type": "Number"}, {"name": "Currency", "type": "String"}]
    name = str(uuid4())
    answer: dict[str, Any] = {
        "id": f"{scope.lstrip('/')}/providers/Microsoft.CostManagement/Query/{name}",
        "name": name,
        "type": "Microsoft.CostManagement/Query",
        "properties": {"nextLink": next_link, "columns": columns, "rows": "ROWS"},
    }
    texts = ("[" + ", ".join(_values(row, len(query.aggregation))) + "]" for row in rows)
    return json.dumps(answer).replace('"ROWS"', "[" + ", ".join(texts) + "]")


def fingerprint(body: Any) -> str:
    """What a page's link holds of the query it belongs to."""
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _values(row: Row, costs: int) -> Iterator[str]:
    cost, values, day, currency = row
    for _ in range(costs):
        yield str(cost)
    for value in values:
        yield json.dumps(value)
    yield f"{day:%Y%m%d}"
    yield json.dumps(currency)


def _in_scope(estate: Estate, scope: Scope, query: Query) -> Iterator[tuple[date, Charge]]:
    for number in range(query.start.toordinal(), query.end.toordinal() + 1):
        day = date.fromordinal(number)
        for subscription in scope.subscriptions:
            for charge in estate.charges(subscription, day):
                if scope.group is None or charge.group.lower() == scope.group.lower():
                    yield day, charge
