"""Lanes: what accounts share of which one may be collected at a time."""

from shared.costs.accounts import AccountConfig, AzureAccount
from shared.costs.azure.lane import tenant_lane


def lane_of(account: AccountConfig) -> str | None:
    """The account's lane, None when it is collected beside any other."""
    return tenant_lane(account.tenant, account.token_env) if isinstance(account, AzureAccount) else None
