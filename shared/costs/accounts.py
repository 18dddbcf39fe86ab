"""The accounts whose costs are collected, as accounts.toml describes them: one checked, frozen value each."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from shared.core.budgets import Budget
from shared.costs.focus.files import SUFFIXES

NAME_CHARS: Final = 100


def _name(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("must be printable and neither begin nor end with a space")
    return value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("must be a URL such as https://management.azure.com")
    if parts.username or parts.password:
        raise ValueError("must not hold credentials")
    return value


def _focus_path(value: str) -> str:
    if re.match(r"^[A-Za-z][A-Za-z0-9+.\-]+://", value):
        raise ValueError("must be a file or glob on this machine, not a URL; bring the exports here first")
    if not value.lower().endswith(SUFFIXES) and not re.search(r"[*?\[]", value):
        raise ValueError(f"must be a file ending in {', '.join(SUFFIXES)}, or a glob such as var/exports/*.csv")
    if "\0" in value:
        raise ValueError("must not hold the character NUL")
    return value


def _positive(value: str) -> str:
    if not Decimal(value):
        raise ValueError("must be more than 0; leave it out for an account without a budget")
    return value


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS), AfterValidator(_name)]
# Secrets are given by the name of the variable that holds them, never by value.
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
# As text: TOML's numbers are binary, and 1199.99 would not be what it says.
BudgetAmount = Annotated[str, Field(pattern=r"^[0-9]{1,14}(\.[0-9]{1,24})?$"), AfterValidator(_positive)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class _Account(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    name: Name
    paused: bool = False
    monthly_budget: BudgetAmount | None = None
    budget_currency: Currency | None = None

    @model_validator(mode="after")
    def _budget_is_whole(self) -> Self:
        if (self.monthly_budget is None) != (self.budget_currency is None):
            missing = "budget_currency" if self.budget_currency is None else "monthly_budget"
            raise ValueError(f"field '{missing}': is missing; monthly_budget and budget_currency go together")
        return self

    @property
    def budget(self) -> Budget | None:
        """What the account may cost a month, None without a limit."""
        if self.monthly_budget is None or self.budget_currency is None:
            return None
        return Budget(self.name, Decimal(self.monthly_budget), self.budget_currency)


class FocusAccount(_Account):
    """FOCUS exports on this machine."""

    provider: Literal["focus"]
    path: Annotated[str, Field(min_length=1), AfterValidator(_focus_path)]


class AwsAccount(_Account):
    """An AWS payer or member account, read through Cost Explorer."""

    provider: Literal["aws"]
    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    role_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$")] | None = None
    external_id_env: VariableName | None = None
    endpoint: Endpoint | None = None

    @field_validator("role_arn")
    @classmethod
    def _role_of_the_account(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Who assumes a role sees the costs of the role's account, whatever account_id says.
        if value and info.data.get("account_id") not in {None, value.split(":")[4]}:
            raise ValueError("must be a role of the account that account_id names")
        return value


class AzureAccount(_Account):
    """An Azure scope: a subscription, resource group, management group or billing account."""

    provider: Literal["azure"]
    scope: Annotated[str, Field(pattern=r"^/.+[^/]$")]
    token_env: VariableName | None = None
    # Whose quota its requests count towards.
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$")] | None = None
    endpoint: Endpoint = "https://management.azure.com"


AccountConfig = FocusAccount | AwsAccount | AzureAccount


def budgets_of(accounts: Iterable[AccountConfig]) -> tuple[Budget, ...]:
    """The budgets of those accounts that have one, in their order."""
    return tuple(account.budget for account in accounts if account.budget is not None)


ACCOUNT_TYPES: Final[dict[str, type[FocusAccount | AwsAccount | AzureAccount]]] = {
    "focus": FocusAccount,
    "aws": AwsAccount,
    "azure": AzureAccount,
}
