"""The azure provider against a fake Azure that pages, throttles, refuses, hangs and lies."""

import logging
import os
import time
from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.core.costs import EXACT
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.accounts import AzureAccount
from shared.costs.azure import AzureProvider, client
from shared.costs.azure import tokens as tokens_module
from shared.costs.azure.tokens import CredentialTokens, shared_tokens
from shared.costs.provider import provider_for
from tests.fakes.azure_query import azure
from tests.fakes.azure_query.estate import Estate
from tests.support.azure import TOKEN, WIDE, own_totals, totals_of

pytestmark = pytest.mark.integration

MONTH = DayRange(date(2026, 10, 1), date(2026, 10, 31))
QUARTER = DayRange(date(2026, 8, 20), date(2026, 11, 17))
DAY = DayRange(date(2026, 10, 4), date(2026, 10, 4))


@pytest.fixture
def fake(monkeypatch):
    with azure() as server:
        monkeypatch.setenv(TOKEN, server.token())
        yield server


@pytest.fixture
def provider(fake):
    return provider_for(
        AzureAccount(name="prod", provider="azure", scope=fake.scope(), token_env=TOKEN, endpoint=fake.url)
    )


def refusal(provider, days=DAY):
    with pytest.raises(ProviderError) as caught:
        provider.fetch(days)
    error = caught.value
    token = os.environ.get(TOKEN) or "no token"
    assert token not in f"{error!r} {error.summary} {error.hint}"
    return error


def test_ninety_days_are_the_fake_s_own_to_the_last_decimal(fake, provider):
    rows = provider.fetch(QUARTER).rows
    own = own_totals(fake, QUARTER)
    assert totals_of(rows) == {key: sums for key, sums in own.items() if key[0] == fake.estate.ids[0]}
    assert len(QUARTER) == 90
    # Three pieces, two kinds of cost, one page each.
    assert fake.counters.requests == fake.counters.pages == 6
    assert dict(fake.counters.by_client) == {"Holdfast": 6}
    assert {row.charge_category for row in rows} == {"Usage", "Purchase"}


def test_a_wide_scope_holds_every_subscription_of_the_tenant(fake):
    provider = AzureProvider(WIDE, endpoint=fake.url, token_env=TOKEN)
    assert totals_of(provider.fetch(MONTH).rows) == own_totals(fake, MONTH)


@pytest.mark.parametrize("page_rows", [1, 7, 50, 10_000])
def test_all_pages_are_fetched_and_none_twice(fake, provider, page_rows):
    days = DayRange(date(2026, 10, 1), date(2026, 10, 5))
    fake.page_rows = page_rows
    own = own_totals(fake, days)
    assert totals_of(provider.fetch(days).rows) == {key: own[key] for key in own if key[0] == fake.estate.ids[0]}
    # Usage of five services, a refund on Sunday the 4th; the fee of the 1st only as billed, unused hours only as not.
    actual, amortized = 5 * 5 + 1 + 1, 6 * 5 + 1
    assert fake.counters.pages == -(-actual // page_rows) - (-amortized // page_rows)


def test_the_totals_of_days_are_asked_for_without_grouping(fake, provider):
    own = own_totals(fake, MONTH)
    found = {total.day: (total.billed, total.effective) for total in provider.day_totals(MONTH)}
    assert found == {day: sums for (subscription, day), sums in own.items() if subscription == fake.estate.ids[0]}
    assert {total.currency for total in provider.day_totals(DAY)} == {"EUR"}


def test_a_restated_day_shows_its_new_figure(fake, provider):
    before = totals_of(provider.fetch(DAY).rows)
    fake.estate.restate(DAY.start)
    after = totals_of(provider.fetch(DAY).rows)
    assert after != before
    assert after == {key: sums for key, sums in own_totals(fake, DAY).items() if key[0] == fake.estate.ids[0]}


def test_days_without_costs_are_an_empty_answer(monkeypatch):
    with azure(Estate(first_day=date(2026, 1, 1))) as fake:
        monkeypatch.setenv(TOKEN, fake.token())
        provider = AzureProvider(fake.scope(), endpoint=fake.url, token_env=TOKEN)
        assert provider.fetch(DayRange(date(2025, 1, 1), date(2025, 1, 3))).rows == []
        assert dict(fake.counters.by_status) == {"204": 2}


@pytest.mark.parametrize("kind", ["204", "no_rows"])
@pytest.mark.parametrize("cost_type", ["ActualCost", "AmortizedCost"])
def test_one_kind_of_cost_that_is_empty_for_once_is_asked_again(fake, provider, kind, cost_type):
    fake.fault(kind, type=cost_type)
    rows = provider.fetch(DAY).rows
    assert totals_of(rows) == {key: sums for key, sums in own_totals(fake, DAY).items() if key[0] == fake.estate.ids[0]}
    assert fake.counters.requests == 3


def test_one_kind_of_cost_that_stays_empty_is_zero(fake, provider):
    fake.fault("204", type="ActualCost", times=2)
    billed = {row.billed for row in provider.fetch(DAY).rows}
    assert billed == {Decimal(0)}


ANSWERS = [
    ("400", "AZURE_REFUSED", True),
    ("costs_disabled", "AZURE_COSTS_DISABLED", True),
    ("401", "AZURE_UNAUTHORIZED", True),
    ("401_rbac", "AZURE_FORBIDDEN", True),
    ("403", "AZURE_FORBIDDEN", True),
    ("404", "AZURE_NOT_FOUND", True),
    ("424", "AZURE_UNAVAILABLE", False),
    ("500", "AZURE_UNAVAILABLE", False),
    ("502", "AZURE_UNAVAILABLE", False),
    ("503", "AZURE_UNAVAILABLE", False),
    ("html", "AZURE_BAD_ANSWER", False),
    ("html_error", "AZURE_UNAVAILABLE", False),
    ("cut_json", "AZURE_BAD_ANSWER", False),
    ("truncated", "AZURE_CONNECTION_LOST", False),
    ("drop", "AZURE_CONNECTION_LOST", False),
    ("huge", "AZURE_TOO_LARGE", False),
    ("redirect", "AZURE_REDIRECTED", True),
    ("link_elsewhere", "AZURE_BAD_LINK", False),
    ("link_in_circles", "AZURE_BAD_LINK", False),
    ("no_column", "AZURE_BAD_COLUMNS", True),
    ("other_days", "AZURE_BAD_ROW", True),
]


@pytest.mark.parametrize(("kind", "code", "permanent"), ANSWERS)
def test_a_bad_day_has_a_code_and_the_next_try_succeeds(fake, provider, kind, code, permanent):
    fake.fault(kind)
    error = refusal(provider)
    assert (error.code, error.permanent, error.throttled) == (code, permanent, False)
    assert fake.counters.requests == 1
    assert provider.fetch(DAY).rows


def test_links_elsewhere_are_not_followed_with_the_token(monkeypatch):
    with azure() as fake, azure() as thief:
        monkeypatch.setenv(TOKEN, fake.token())
        provider = AzureProvider(fake.scope(), endpoint=fake.url, token_env=TOKEN)
        for link in (
            thief.url,
            thief.url.replace("http:", "https:"),
            f"{fake.url[:-1]}@evil:1",
            "/relative",
            "http://[",
            "",
        ):
            fake.faults.clear()
            monkeypatch.setattr(
                "tests.fakes.azure_query.server.Handler._link", lambda *_, there=link: f"{there}/x?$skiptoken=1"
            )
            fake.page_rows = 1
            assert refusal(provider).code == "AZURE_BAD_LINK"
        assert thief.counters.requests == 0
        assert not thief.counters.by_status


@pytest.mark.parametrize(("kind", "code"), [("429", "AZURE_THROTTLED"), ("503", "AZURE_BUSY")])
def test_throttling_gives_the_run_the_time_that_azure_asked_for_and_does_not_wait(fake, provider, kind, code):
    fake.fault(kind, retry_after_s=40)
    began_s = time.monotonic()
    error = refusal(provider)
    assert time.monotonic() - began_s < 20
    assert (error.code, error.throttled, error.permanent) == (code, True, False)
    # Of two headers the larger one, where there are two.
    assert error.retry_after_s == 40
    assert fake.counters.requests == 1


def test_the_quota_of_azure_throttles_too(monkeypatch):
    with azure(quota_scale=1.0) as fake:
        monkeypatch.setenv(TOKEN, fake.token())
        provider = AzureProvider(fake.scope(), endpoint=fake.url, token_env=TOKEN)
        for _ in range(6):
            provider.fetch(DAY)
        error = refusal(provider)
        assert error.throttled
        assert error.retry_after_s is not None
        assert 0 < error.retry_after_s <= 10
        assert fake.quota.violations == 0
        with pytest.raises(ProviderError):
            provider.fetch(DAY)
        assert fake.quota.violations == 1


@pytest.mark.parametrize("kind", ["hang", "trickle", "slow"])
def test_a_request_has_one_deadline_however_it_drags_on(fake, monkeypatch, kind):
    monkeypatch.setattr(client.Session.__init__, "__kwdefaults__", {"request_s": 0.5, "token_s": 5.0})
    fake.fault(kind, seconds=0.05 if kind == "trickle" else 30)
    provider = AzureProvider(fake.scope(), endpoint=fake.url, token_env=TOKEN)
    began_s = time.monotonic()
    error = refusal(provider)
    assert time.monotonic() - began_s < 15
    assert (error.code, error.permanent) == ("AZURE_TIMEOUT", False)


def test_nobody_at_the_endpoint_is_told_as_such(monkeypatch):
    monkeypatch.setenv(TOKEN, "token")
    error = refusal(AzureProvider("/subscriptions/x", endpoint="http://127.0.0.1:1", token_env=TOKEN))
    assert (error.code, error.permanent) == ("AZURE_UNREACHABLE", False)
    error = refusal(AzureProvider("/subscriptions/x", endpoint="http://no-such-host.invalid", token_env=TOKEN))
    assert error.code == "AZURE_UNREACHABLE"


def test_another_tenant_s_subscription_is_not_found(monkeypatch):
    with azure(Estate(subscriptions=2, tenants=2)) as fake:
        monkeypatch.setenv(TOKEN, fake.token(0))
        assert AzureProvider(fake.scope(0), endpoint=fake.url, token_env=TOKEN).fetch(DAY).rows
        assert refusal(AzureProvider(fake.scope(1), endpoint=fake.url, token_env=TOKEN)).code == "AZURE_NOT_FOUND"


def test_a_ready_token_that_is_refused_ends_the_run(fake, provider, monkeypatch):
    fake.revoked.add(os.environ[TOKEN])
    error = refusal(provider)
    # The fake repeats the token in its message; `refusal` sees that ours does not.
    assert (error.code, error.permanent) == ("AZURE_UNAUTHORIZED", True)
    assert dict(fake.counters.by_status) == {"401": 1}
    monkeypatch.setenv(TOKEN, fake.token(expires_in_s=-1000))
    assert refusal(provider).code == "AZURE_TOKEN_EXPIRED"
    assert fake.counters.requests == 1


@pytest.fixture
def managed(fake, monkeypatch):
    """DefaultAzureCredential itself, with the fake for the identity endpoint of an app service."""
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{fake.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "fake-header-secret")
    shared_tokens.cache_clear()
    yield fake
    shared_tokens.cache_clear()


def test_the_environment_s_identity_signs_in_once_for_all(managed):
    provider = AzureProvider(managed.scope(), endpoint=managed.url)
    for _ in range(3):
        assert AzureProvider(managed.scope(), endpoint=managed.url).fetch(DAY).rows
    assert managed.counters.tokens == 1
    assert "tenant" in provider.sign_in()
    assert managed.counters.tokens == 1


def test_a_token_that_azure_refuses_is_renewed_once(managed):
    provider = AzureProvider(managed.scope(), endpoint=managed.url)
    managed.revoked.add(shared_tokens(managed.url).get(within_s=30))
    assert provider.fetch(DAY).rows
    assert managed.counters.tokens == 2
    managed.fault("401", times=2)
    error = refusal(provider)
    assert (error.code, error.permanent) == ("AZURE_UNAUTHORIZED", True)
    assert managed.counters.tokens == 3


def test_a_sign_in_asks_for_no_costs(fake, provider):
    assert provider.sign_in().endswith(f"in tenant {fake.estate.tenant_ids[0]}")
    assert (fake.counters.requests, fake.counters.checks) == (0, 1)
    fake.revoked.add(os.environ[TOKEN])
    with pytest.raises(ProviderError) as caught:
        provider.sign_in()
    assert caught.value.code == "AZURE_UNAUTHORIZED"


def test_a_sign_in_without_any_identity_says_so_within_seconds(fake, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nonexistent")  # no `az` to ask
    shared_tokens.cache_clear()
    began_s = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        AzureProvider(fake.scope(), endpoint=fake.url).sign_in()
    # Five seconds by the provider's own deadline; the rest is for a machine that is busy.
    assert time.monotonic() - began_s < 15
    assert caught.value.code in {"AZURE_NO_CREDENTIALS", "AZURE_SIGN_IN_FAILED"}
    assert not caught.value.permanent
    shared_tokens.cache_clear()


def test_a_sign_in_whose_names_do_not_resolve_is_bounded(fake, monkeypatch):
    monkeypatch.setattr("shared.costs.azure.provider.SIGN_IN_S", 0.5)
    fake.closing.clear()

    class Stuck:
        def get_token(self, *_):
            fake.closing.wait(60)

    provider = AzureProvider(fake.scope(), endpoint=fake.url, tokens=CredentialTokens("https://x", Stuck))
    began_s = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        provider.sign_in()
    assert time.monotonic() - began_s < 10
    assert caught.value.code == "AZURE_SIGN_IN_FAILED"


def test_libraries_tell_neither_tokens_nor_addresses(managed, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "azure", "msal"):
        assert logging.getLogger(name).level >= logging.WARNING
    AzureProvider(managed.scope(), endpoint=managed.url).fetch(DAY)
    token = shared_tokens(managed.url).get(within_s=5)
    assert token not in caplog.text
    assert managed.estate.ids[0] not in caplog.text
    assert tokens_module.identity_of(token)


def test_a_year_of_many_services_is_exact_too(monkeypatch):
    with azure(Estate(subscriptions=1, services=60)) as fake:
        monkeypatch.setenv(TOKEN, fake.token())
        provider = AzureProvider(fake.scope(), endpoint=fake.url, token_env=TOKEN)
        days = DayRange(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=61))
        price = provider.price(days, rows_a_day=62)
        rows = provider.fetch(days).rows
        total = Decimal(0)
        for billed, _ in own_totals(fake, days).values():
            total = EXACT.add(total, billed)
        found = Decimal(0)
        for row in rows:
            found = EXACT.add(found, row.billed)
        assert found == total
        assert price.requests[0] <= fake.counters.requests <= price.requests[1]
