"""What one AWS account of accounts.toml says of how to reach it. Names of variables, never what they hold."""

from dataclasses import dataclass
from typing import Final

RUNS_WITH: Final = "the AWS credentials that Holdfast runs with"


@dataclass(frozen=True, slots=True)
class Access:
    """`account_id` is the account whose Cost Explorer is asked: a payer sees its members, a member sees itself.

    With `role_arn` that role is assumed, with the external id that the variable `external_id_env` holds.
    """

    account_id: str
    role_arn: str | None = None
    external_id_env: str | None = None
    endpoint: str | None = None

    @property
    def who(self) -> str:
        """Who asks, in words."""
        return f"role {self.role_arn}" if self.role_arn else RUNS_WITH

    @property
    def external_id(self) -> str:
        """What the role is asked for with, in words."""
        if self.external_id_env is None:
            return "without an external id (external_id_env is not set)"
        return f"with the external id in the variable {self.external_id_env}"

    @property
    def role_account(self) -> str | None:
        """The account that the role belongs to."""
        return self.role_arn.split(":")[4] if self.role_arn else None
