"""Short ways to Azure accounts on the fake, and to what the fake itself says they cost."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from shared.core.costs import EXACT, CostRow
from shared.core.days import DayRange
from tests.fakes.azure_query import FakeAzure

TOKEN = "AZURE_TEST_TOKEN"
WIDE = "/providers/Microsoft.Management/managementGroups/everything"

Amounts = tuple[Decimal, Decimal]


def azure_account(name: str, fake: FakeAzure, scope: str, *, token_env: str = TOKEN) -> str:
    """An entry of accounts.toml."""
    return (
        f'[[account]]\nname = "{name}"\nprovider = "azure"\nscope = "{scope}"\n'
        f'token_env = "{token_env}"\nendpoint = "{fake.url}"\n'
    )


def own_totals(fake: FakeAzure, days: DayRange) -> dict[tuple[str, date], Amounts]:
    """By subscription and day, what the fake says was billed and effective."""
    return {
        (subscription, date.fromisoformat(day)): (Decimal(sums["billed"]), Decimal(sums["effective"]))
        for subscription, by_day in fake.estate.totals(days.start, days.end).items()
        for day, sums in by_day.items()
    }


def totals_of(rows: Iterable[CostRow]) -> dict[tuple[str, date], Amounts]:
    """By subscription and day, what rows add up to."""
    sums: dict[tuple[str, date], Amounts] = {}
    for row in rows:
        key = (row.sub_account.removeprefix("/subscriptions/"), row.day)
        billed, effective = sums.get(key, (Decimal(0), Decimal(0)))
        sums[key] = (EXACT.add(billed, row.billed), EXACT.add(effective, row.effective))
    return sums
