"""What an account may look like, which provider serves it."""

import subprocess
import sys
from datetime import date

import pytest
from pydantic import ValidationError

from shared.core.days import DayRange
from shared.costs.accounts import ACCOUNT_TYPES, AwsAccount, AzureAccount, FocusAccount
from shared.costs.aws import AwsProvider
from shared.costs.azure import AzureProvider
from shared.costs.focus.provider import FocusProvider
from shared.costs.provider import PROVIDERS, provider_for

AWS = AwsAccount(name="corp", provider="aws", account_id="123456789012")
AZURE = AzureAccount(name="prod", provider="azure", scope="/subscriptions/00000000-0000-0000-0000-000000000000")
FOCUS = FocusAccount(name="exports", provider="focus", path="var/exports/*.csv")
DAYS = DayRange(date(2024, 9, 1), date(2024, 9, 2))


def test_what_may_be_left_out_has_its_default():
    assert (AWS.paused, AWS.role_arn, AWS.external_id_env, AWS.endpoint) == (False, None, None, None)
    assert (AZURE.token_env, AZURE.endpoint) == (None, "https://management.azure.com")


def test_an_account_is_frozen_and_equal_to_one_of_the_same_content():
    with pytest.raises(ValidationError):
        FOCUS.name = "other"
    assert FocusAccount(name="exports", provider="focus", path="var/exports/*.csv") == FOCUS


@pytest.mark.parametrize(
    ("provider", "field", "value"),
    [
        ("focus", "path", ""),
        ("focus", "path", "var/exports"),
        ("focus", "path", "s3://bucket/*.csv"),
        ("focus", "path", "a.json"),
        ("focus", "path", "a\0.csv"),
        ("focus", "name", ""),
        ("focus", "name", " a"),
        ("focus", "name", "a\nb"),
        ("focus", "name", "n" * 101),
        ("focus", "paused", "false"),
        ("aws", "account_id", "12345"),
        ("aws", "account_id", 123456789012),
        ("aws", "role_arn", "CostReader"),
        ("aws", "role_arn", "arn:aws:iam::210987654321:role/CostReader"),
        ("aws", "external_id_env", "no-variable"),
        ("aws", "endpoint", "localhost:4566"),
        ("azure", "scope", "subscriptions/1"),
        ("azure", "token_env", "eyJhbGciOi.eyJ"),
        ("azure", "endpoint", "https://user:secret@management.azure.com"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(provider, field, value):
    sound = {"focus": FOCUS, "aws": AWS, "azure": AZURE}[provider].model_dump()
    with pytest.raises(ValidationError):
        ACCOUNT_TYPES[provider].model_validate(sound | {field: value})


@pytest.mark.parametrize("path", ["a.csv", "a.CSV", "/x/b.csv.gz", "c.parquet", "var/*", "var/**/part-[0-9]", "a?.csv"])
def test_a_path_is_a_file_of_a_known_format_or_a_glob(path):
    assert FocusAccount(name="exports", provider="focus", path=path).path == path


def test_the_focus_provider_serves_focus_accounts():
    provider = provider_for(FOCUS)
    assert isinstance(provider, FocusProvider)
    assert provider.path == FOCUS.path


def test_the_aws_provider_serves_aws_accounts():
    assert isinstance(provider_for(AWS), AwsProvider)


def test_the_azure_provider_serves_azure_accounts():
    assert isinstance(provider_for(AZURE), AzureProvider)
    with pytest.raises(TypeError, match="exports"):
        PROVIDERS["azure"](FOCUS)


def test_a_provider_does_not_take_an_account_of_another():
    with pytest.raises(TypeError, match="corp"):
        PROVIDERS["focus"](AWS)
    with pytest.raises(TypeError, match="exports"):
        PROVIDERS["aws"](FOCUS)


def test_boto3_is_not_imported_before_there_is_an_aws_account():
    program = "import sys, shared.bootstrap.container, workers.main; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
