"""What a provider is, and which one serves an account."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from shared.core.costs import DayTotal, FetchedCosts, Price
from shared.core.days import DayRange
from shared.costs.accounts import AccountConfig, AwsAccount, AzureAccount, FocusAccount
from shared.costs.azure import AzureProvider


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


def _focus(account: AccountConfig) -> CostProvider:
    if not isinstance(account, FocusAccount):
        raise TypeError(f"account '{account.name}' is no focus account")
    # DuckDB takes a quarter of a second, which processes that read no files should not pay.
    from shared.costs.focus.provider import FocusProvider  # noqa: PLC0415 - as above

    return FocusProvider(account.path)


def _aws(account: AccountConfig) -> CostProvider:
    if not isinstance(account, AwsAccount):
        raise TypeError(f"account '{account.name}' is no aws account")
    # boto3 takes half a second and 30 MB, which processes without AWS accounts should not pay.
    from shared.costs.aws import AwsProvider  # noqa: PLC0415 - as above
    from shared.costs.aws.access import Access  # noqa: PLC0415 - as above

    return AwsProvider(Access(account.account_id, account.role_arn, account.external_id_env, account.endpoint))


def _azure(account: AccountConfig) -> CostProvider:
    if not isinstance(account, AzureAccount):
        raise TypeError(f"account '{account.name}' is no azure account")
    return AzureProvider(account.scope, endpoint=account.endpoint, token_env=account.token_env)


PROVIDERS: Final[Mapping[str, Callable[[AccountConfig], CostProvider]]] = MappingProxyType(
    {"aws": _aws, "azure": _azure, "focus": _focus}
)


def provider_for(account: AccountConfig) -> CostProvider:
    """The provider that fetches `account`. Does no I/O; what is wrong shows at the fetch, as ProviderError."""
    return PROVIDERS[account.provider](account)
