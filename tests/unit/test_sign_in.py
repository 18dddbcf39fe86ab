"""Signing in ends within its deadline, whatever the provider's library does."""

import threading

import pytest

from shared.core.credentials import UP, CredentialStatus
from shared.core.errors import ProviderError
from shared.costs.accounts import AwsAccount
from shared.costs.sign_in import SignedIn, SignIns
from tests.support.logs import captured
from tests.support.waiting import wait_for


def account(name: str = "payer") -> AwsAccount:
    return AwsAccount(name=name, provider="aws", account_id="123456789012")


class Provider:
    def __init__(self, sign_in) -> None:
        self.sign_in = sign_in


def sign_ins(sign_in, **limits) -> SignIns:
    return SignIns(lambda _account: Provider(sign_in), **limits)  # type: ignore[arg-type,return-value] # signs in only


def test_who_signs_in_is_told_by_name():
    assert sign_ins(lambda: "arn:me").check(account()) == SignedIn(UP, "arn:me")


def test_a_refusal_is_what_was_found():
    def refuse():
        raise ProviderError(code="AWS_DENIED", summary="s", hint="h", permanent=True)

    assert sign_ins(refuse).check(account()).found.status is CredentialStatus.DOWN


def test_an_error_nobody_foresaw_raises_nothing():
    def fail():
        raise ValueError("secret")

    with captured():
        found = sign_ins(fail).check(account()).found
    assert (found.status, found.code) == (CredentialStatus.DEGRADED, "UNEXPECTED")


@pytest.mark.timeout(60)
def test_what_hangs_is_left_behind_and_counted_until_it_ends():
    release = threading.Event()
    checking = sign_ins(lambda: (release.wait(50) and "") or "", deadline_s=0.05, max_hanging=2)
    assert checking.check(account("a")).found.code == "SIGN_IN_TIMEOUT"
    assert (checking.hanging(), checking.full()) == (1, False)
    assert not checking.possible(account("a"))
    assert checking.possible(account("b"))
    checking.check(account("b"))
    assert checking.full()
    assert not checking.possible(account("c"))
    release.set()
    wait_for(lambda: checking.hanging() == 0, 20, "what hung to end")
    assert checking.possible(account("a"))
