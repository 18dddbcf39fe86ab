"""What a provider is, and which one serves an account."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn, Protocol

from shared.core.costs import DayTotal, FetchedCosts, Price
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.accounts import AccountConfig, AzureAccount, FocusAccount
from shared.costs.azure import AzureProvider
from shared.costs.focus import FocusProvider


class CostProvider(Protocol):
    """Fetches one account's costs. May be called for any range, again and again; keeps nothing in between."""

    def fetch(self, days: DayRange) -> FetchedCosts:
        """All costs of `days`, one row for each group. Raises ProviderError."""
        ...

    def sign_in(self) -> str:
        """Check the credentials alone, for nothing and within seconds: who we are, "" where nobody asks.

        Raises ProviderError. That it succeeds does not prove that costs may be read.
        """
        ...

    def day_totals(self, days: DayRange) -> Sequence[DayTotal]:
        """What each of `days` cost in all, asked for without any grouping. Raises ProviderError."""
        ...

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:
        """What fetching `days` takes when a day has about `rows_a_day` rows. Asks nobody."""
        ...


class NotInThisRelease:
    """Stands in for a provider that accounts may already name: every fetch says what to do instead."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def fetch(self, days: DayRange) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """Raise a permanent ProviderError."""
        self.sign_in()

    def day_totals(self, days: DayRange) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """Raise a permanent ProviderError."""
        self.sign_in()

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:  # noqa: ARG002 - the protocol's signature
        """Nothing: it is never asked."""
        return Price()

    def sign_in(self) -> NoReturn:
        """Raise a permanent ProviderError."""
        raise ProviderError(
            code="PROVIDER_NOT_AVAILABLE",
            summary=f"This release does not collect from provider '{self._provider}' itself",
            hint='Export its costs as FOCUS files and use provider "focus", or set paused = true for the account',
            permanent=True,
        )


def _focus(account: AccountConfig) -> CostProvider:
    if not isinstance(account, FocusAccount):
        raise TypeError(f"account '{account.name}' is no focus account")
    return FocusProvider(account.path)


def _azure(account: AccountConfig) -> CostProvider:
    if not isinstance(account, AzureAccount):
        raise TypeError(f"account '{account.name}' is no azure account")
    return AzureProvider(account.scope, endpoint=account.endpoint, token_env=account.token_env)


PROVIDERS: Final[Mapping[str, Callable[[AccountConfig], CostProvider]]] = MappingProxyType(
    {
        "azure": _azure,
        "focus": _focus,
    }
)


def provider_for(account: AccountConfig) -> CostProvider:
    """The provider that fetches `account`. Does no I/O; what is wrong shows at the fetch, as ProviderError."""
    make = PROVIDERS.get(account.provider)
    return make(account) if make else NotInThisRelease(account.provider)
