"""A provider that does as a file of the account's name says, in place of `aws` and `azure`.

SIGNING names the folder. In a file: `ok` (also without one), `refused`, `network`, or `hang`, which lasts until the
file changes. Who signs in leaves a line in NAME.calls.
"""

import os
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import shared.costs.provider
from shared.core.costs import CostRow, DayTotal, FetchedCosts, Price, totals_by_day
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.accounts import AccountConfig
from shared.costs.provider import PROVIDERS, CostProvider

LOOK_S = 0.05
REFUSED = ProviderError(
    code="AWS_EXPIRED", summary="The session has expired", hint="Renew the role's session", permanent=True
)
NETWORK = ProviderError(code="AWS_NETWORK", summary="No route to the provider", hint="Look at the proxy")


class SigningProvider:
    """One account's."""

    def __init__(self, account: AccountConfig) -> None:
        self._account = account
        self._file = Path(os.environ["SIGNING"]) / account.name

    def sign_in(self) -> str:
        with self._file.with_suffix(".calls").open("a") as calls:
            calls.write(f"{os.getpid()}\n")
        self._obey()
        return f"arn:aws:iam::{getattr(self._account, 'account_id', '')}:role/reader"

    def fetch(self, days: DayRange) -> FetchedCosts:
        self._obey()
        rows = [CostRow(day, "m", "AWS", "EC2", "Usage", "USD", Decimal("1.25"), Decimal(1)) for day in days]
        return FetchedCosts(rows)

    def day_totals(self, days: DayRange) -> list[DayTotal]:
        return totals_by_day(self.fetch(days).rows)

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:
        return Price((1, 2), (Decimal("0.01"), Decimal("0.02")))

    def _obey(self) -> None:
        never = threading.Event()
        while (told := self._told()) == "hang":
            never.wait(LOOK_S)
        if told == "refused":
            raise REFUSED
        if told == "network":
            raise NETWORK

    def _told(self) -> str:
        return self._file.read_text().strip() if self._file.exists() else "ok"


def replaced() -> dict[str, Callable[[AccountConfig], CostProvider]]:
    """The providers with this one in place of those that sign in."""
    return {**PROVIDERS, "aws": SigningProvider, "azure": SigningProvider}


def replace_providers() -> None:
    """Have this process use them."""
    known: dict[str, Any] = vars(shared.costs.provider)
    known["PROVIDERS"] = replaced()
