"""Who signs in how: what needs no network."""

import threading
from itertools import count

import pytest

from shared.core.errors import ProviderError
from shared.costs.aws import AwsProvider
from shared.costs.aws.access import Access
from shared.costs.aws.deadline import Bounded
from shared.costs.aws.sessions import Sessions

ROLE = "arn:aws:iam::210987654321:role/CostReader"


def test_a_role_of_another_account_is_refused_without_asking_anybody():
    provider = AwsProvider(Access("123456789012", ROLE))
    with pytest.raises(ProviderError) as caught:
        provider.sign_in()
    assert (caught.value.code, caught.value.permanent) == ("AWS_WRONG_ACCOUNT", True)
    assert "belongs to AWS account 210987654321, accounts.toml says 123456789012" in caught.value.summary


@pytest.mark.parametrize("environment", [{}, {"CORP_EXTERNAL_ID": ""}])
def test_an_external_id_that_is_not_set_is_told_by_the_variables_name(environment):
    access = Access("210987654321", ROLE, "CORP_EXTERNAL_ID")
    with pytest.raises(ProviderError) as caught:
        Sessions(environment).external_id(access)
    assert (caught.value.code, caught.value.permanent) == ("AWS_NO_EXTERNAL_ID", True)
    assert "CORP_EXTERNAL_ID" in caught.value.hint


def test_nothing_shows_the_environment():
    assert "shared-secret" not in repr(Sessions({"CORP_EXTERNAL_ID": "shared-secret"}))


def test_a_call_that_hangs_is_given_up_and_not_piled_up():
    release, calls = threading.Event(), count()
    bounded: Bounded[str] = Bounded(0.05)

    def hang():
        next(calls)
        release.wait(30)
        return "late"

    for _ in range(3):
        with pytest.raises(TimeoutError):
            bounded.call("key", hang)
    assert next(calls) == 1
    release.set()


def test_a_call_answers_or_raises_as_it_would_by_itself():
    bounded: Bounded[str] = Bounded(30)
    assert bounded.call("key", lambda: "answer") == "answer"
    with pytest.raises(ZeroDivisionError):
        bounded.call("key", lambda: str(1 // 0))
    assert bounded.call("key", lambda: "again") == "again"
