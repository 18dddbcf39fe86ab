"""Both fake clouds at once: their accounts, what a worker needs to sign in, and what they say that everything cost."""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from shared.core.costs import Metric
from shared.core.days import DayRange
from tests.fakes.azure_query import FakeAzure, azure
from tests.fakes.azure_query.estate import Estate
from tests.fakes.cost_explorer import FakeCostExplorer
from tests.fakes.cost_explorer.__main__ import accounts_toml, environment

TENANTS = 2
EXTERNAL_ID = "a-secret-between-two"
AWS_AMOUNTS: Mapping[Metric, str] = {Metric.BILLED: "unblended", Metric.EFFECTIVE: "amortized"}
# Account, day, currency.
Group = tuple[str, date, str]


class Clouds:
    """`payers` of AWS, named aws-01 and so on, and `subscriptions` of Azure, azure-01 and so on, in two tenants."""

    def __init__(
        self, payers: int = 3, subscriptions: int = 3, *, token_s: float = 3600.0, quota: float = 0.0, **aws: Any
    ) -> None:
        self._payers = payers
        self._subscriptions = subscriptions
        self._token_s = token_s
        self._quota = quota
        self._given = aws
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        given = {"external_id": EXTERNAL_ID, **self._given}
        self.aws = self._stack.enter_context(FakeCostExplorer(payers=self._payers, **given))
        estate = Estate(self._subscriptions, TENANTS)
        self.azure: FakeAzure = self._stack.enter_context(azure(estate, quota_scale=self._quota))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """Every account's, AWS first."""
        return [
            *(f"aws-{number:02d}" for number in range(1, self._payers + 1)),
            *(f"azure-{number:02d}" for number in range(1, self._subscriptions + 1)),
        ]

    def accounts_toml(self) -> str:
        """The accounts file."""
        ids = self.azure.estate.ids
        subscriptions = [
            f'[[account]]\nname = "azure-{number:02d}"\nprovider = "azure"\nscope = "/subscriptions/{found}"\n'
            f'token_env = "{token_variable(self._tenant(found))}"\nendpoint = "{self.azure.url}"\n'
            for number, found in enumerate(ids, start=1)
        ]
        return "\n".join([accounts_toml(self.aws), *subscriptions])

    def environment(self) -> dict[str, str]:
        """What workers need beside it."""
        tokens = {
            token_variable(number): self.azure.token(number, expires_in_s=self._token_s) for number in range(TENANTS)
        }
        return {**environment(self.aws), **tokens}

    def totals(self, days: DayRange, metric: Metric) -> dict[Group, Decimal]:
        """What both say: by account, day and currency, days without any charge left out."""
        found: dict[Group, Decimal] = {}
        for number, payer in enumerate(self.aws.payers, start=1):
            for day, sums in self.aws.book.totals(payer, days.start, days.end).items():
                for currency, amounts in sums.items():
                    found[f"aws-{number:02d}", day, currency] = getattr(amounts, AWS_AMOUNTS[metric])
        by_subscription = self.azure.estate.totals(days.start, days.end)
        for number, subscription in enumerate(self.azure.estate.ids, start=1):
            for text, told in by_subscription[subscription].items():
                found[f"azure-{number:02d}", date.fromisoformat(text), told["currency"]] = Decimal(told[metric.value])
        return found

    def _tenant(self, subscription: str) -> int:
        tenant = self.azure.estate.tenant_of(subscription)
        assert tenant is not None
        return self.azure.estate.tenant_ids.index(tenant)


def token_variable(tenant: int) -> str:
    """The variable that holds the token of a tenant."""
    return f"FAKE_AZURE_TOKEN_{tenant + 1}"
