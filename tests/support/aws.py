"""Ways to an AwsProvider in tests: signed in at a fake, and as nobody of this machine."""

import os
from collections.abc import Mapping

import pytest

from shared.costs.aws import AwsProvider
from shared.costs.aws.access import Access
from shared.costs.aws.sessions import Sessions
from tests.fakes.cost_explorer import FakeCostExplorer


def only_these(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """AWS is to be found by these variables alone, whoever runs the test."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def by_role(fake: FakeCostExplorer, account: str | None = None, *, external_id_env: str | None = None) -> AwsProvider:
    """Of the first payer, or of `account`, through its role; signed in for this provider alone."""
    account = account or fake.payers[0]
    return AwsProvider(Access(account, fake.role_arn(account), external_id_env, fake.url), Sessions())


def as_user(fake: FakeCostExplorer, account: str | None = None) -> AwsProvider:
    """Of the first payer, or of `account`, with whatever credentials the environment gives."""
    return AwsProvider(Access(account or fake.payers[0], endpoint=fake.url), Sessions())
