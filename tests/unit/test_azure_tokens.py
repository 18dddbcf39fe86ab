"""Tokens: kept until shortly before they expire, shared, renewed once, never shown; and the lanes of tenants."""

import base64
import json
import threading
from types import SimpleNamespace

import pytest

from shared.core.errors import ProviderError
from shared.costs.accounts import AwsAccount, AzureAccount, FocusAccount
from shared.costs.azure.lane import tenant_lane
from shared.costs.azure.tokens import (
    MARGIN_S,
    CredentialTokens,
    VariableTokens,
    claims,
    identity_of,
    sign_in_trouble,
)
from shared.costs.lanes import lane_of

SCOPE = "/subscriptions/1"


def jwt(**said):
    part = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return f"e30.{part}.signature"


class Clock:
    now_s = 1_000_000.0

    def __call__(self):
        return self.now_s


class FakeCredential:
    """Counts sign-ins; each gives a token of an hour. Raises `error` instead when there is one."""

    def __init__(self, clock):
        self.clock = clock
        self.made = 0
        self.asked = []
        self.error = None
        self.gate = threading.Event()
        self.gate.set()

    def make(self):
        self.made += 1
        return self

    def get_token(self, *scopes):
        self.gate.wait(10)
        self.asked.append(scopes)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(token=f"secret-{len(self.asked)}", expires_on=self.clock() + 3600)


@pytest.fixture
def credential():
    return FakeCredential(Clock())


@pytest.fixture
def tokens(credential):
    return CredentialTokens("https://management.azure.com", credential.make, clock=credential.clock)


def test_a_token_is_fetched_once_and_kept_until_shortly_before_it_expires(credential, tokens):
    assert [tokens.get(within_s=5) for _ in range(3)] == ["secret-1"] * 3
    credential.clock.now_s += 3600 - MARGIN_S - 1
    assert tokens.get(within_s=5) == "secret-1"
    credential.clock.now_s += 2
    assert tokens.get(within_s=5) == "secret-2"
    assert credential.asked == [("https://management.azure.com/.default",)] * 2


def test_a_token_that_still_lives_is_used_when_the_sign_in_fails(credential, tokens):
    tokens.get(within_s=5)
    credential.clock.now_s += 3600 - MARGIN_S + 1
    credential.error = ValueError("secret words")
    assert tokens.get(within_s=5) == "secret-1"
    credential.clock.now_s += MARGIN_S
    with pytest.raises(ProviderError) as caught:
        tokens.get(within_s=5)
    assert caught.value.code == "AZURE_SIGN_IN_FAILED"
    assert "secret" not in f"{caught.value!r} {caught.value.summary} {caught.value.hint}"


def test_a_refused_token_is_renewed_by_a_new_credential_once_for_all_threads(credential, tokens):
    first = tokens.get(within_s=5)
    assert tokens.renew(first, within_s=5) == "secret-2"
    # Another thread was refused the same old token: it gets the new one, and nobody signs in again.
    assert tokens.renew(first, within_s=5) == "secret-2"
    assert credential.made == len(credential.asked) == 2


def test_many_threads_share_one_sign_in(credential, tokens):
    credential.gate.clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(tokens.get(within_s=10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    credential.gate.set()
    for thread in threads:
        thread.join(10)
    assert found == ["secret-1"] * 8
    assert credential.made == 1


def test_a_sign_in_that_hangs_holds_nobody_longer_than_they_wait(credential, tokens):
    credential.gate.clear()
    with pytest.raises(ProviderError) as caught:
        tokens.get(within_s=0.01)
    assert caught.value.code == "AZURE_SIGN_IN_FAILED"
    assert not caught.value.permanent
    credential.gate.set()
    assert tokens.get(within_s=10) == "secret-1"


def test_nothing_about_tokens_shows_one(credential, tokens):
    tokens.get(within_s=5)
    assert "secret" not in f"{tokens!r} {tokens}"


@pytest.mark.parametrize(
    ("text", "code", "permanent"),
    [
        ("AADSTS7000222: The provided client secret keys are expired", "AZURE_SIGN_IN_REFUSED", True),
        ("AADSTS90033: A transient error has occurred", "AZURE_SIGN_IN_FAILED", False),
        ("EnvironmentCredential authentication unavailable. Environment …", "AZURE_NO_CREDENTIALS", False),
        ("Failed to establish a new connection", "AZURE_SIGN_IN_FAILED", False),
    ],
)
def test_a_failed_sign_in_is_told_by_its_kind_alone(text, code, permanent):
    error = sign_in_trouble(ValueError(f"{text} secret-words"))
    assert (error.code, error.permanent) == (code, permanent)
    assert "secret-words" not in error.summary


@pytest.mark.parametrize("text", [jwt(exp=2_000_000), f" Bearer {jwt(exp=2_000_000)}\n", "opaque", jwt()])
def test_a_ready_token_is_taken_as_people_paste_it(monkeypatch, text):
    monkeypatch.setenv("PROD_TOKEN", text)
    found = VariableTokens("PROD_TOKEN", clock=Clock()).get(within_s=1)
    assert found == text.strip().removeprefix("Bearer ")
    assert VariableTokens("PROD_TOKEN").renew(found, within_s=1) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "AZURE_NO_TOKEN"),
        ("two words", "AZURE_NO_TOKEN"),
        ("tökén", "AZURE_NO_TOKEN"),
        (jwt(exp=5), "AZURE_TOKEN_EXPIRED"),
    ],
)
def test_what_is_no_token_is_told_by_the_name_of_its_variable(monkeypatch, text, code):
    monkeypatch.setenv("PROD_TOKEN", text)
    with pytest.raises(ProviderError) as caught:
        VariableTokens("PROD_TOKEN", clock=Clock()).get(within_s=1)
    assert (caught.value.code, caught.value.permanent) == (code, True)
    assert "PROD_TOKEN" in caught.value.summary
    assert not text or text not in caught.value.summary


def test_who_a_token_is_for_is_what_it_says():
    assert identity_of(jwt(appid="app-1", tid="t-1")) == "app-1 in tenant t-1"
    assert identity_of(jwt(upn="ann@example.com")) == "ann@example.com"
    assert identity_of("opaque") == ""


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.!!.c", f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.c"])
def test_what_is_no_jwt_says_nothing(token):
    assert claims(token) == {}


@pytest.mark.parametrize(
    ("tenant", "token_env", "environment", "lane"),
    [
        ("Contoso.com", "T", {"AZURE_TENANT_ID": "env", "T": jwt(tid="token")}, "azure:contoso.com"),
        (None, "T", {"AZURE_TENANT_ID": "env", "T": jwt(tid="token")}, "azure:env"),
        (None, "T", {"T": jwt(tid="TOKEN")}, "azure:token"),
        (None, None, {"AZURE_TENANT_ID": " "}, "azure:default"),
        (None, None, {}, "azure:default"),
    ],
)
def test_the_lane_is_the_tenant_s(tenant, token_env, environment, lane):
    assert tenant_lane(tenant, token_env, environment) == lane


def test_a_token_that_does_not_say_its_tenant_gives_a_lane_by_its_variable_and_never_itself():
    lanes = {tenant_lane(None, name, {name: "opaque-secret"}) for name in ("FIRST", "SECOND")}
    assert len(lanes) == 2
    assert not any("opaque-secret" in lane or "FIRST" in lane for lane in lanes)
    assert tenant_lane(None, "FIRST", {}) == tenant_lane(None, "FIRST", {"FIRST": "another"})


def test_only_azure_accounts_have_a_lane():
    azure = AzureAccount(name="a", provider="azure", scope=SCOPE, tenant="t")
    assert lane_of(azure) == "azure:t"
    assert lane_of(FocusAccount(name="f", provider="focus", path="x.csv")) is None
    assert lane_of(AwsAccount(name="w", provider="aws", account_id="1" * 12)) is None
