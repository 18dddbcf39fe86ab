"""The aws provider against the fake Cost Explorer: pages, estimates, restatements, and everything that goes wrong."""

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.costs import totals_by_day
from shared.core.days import ONE_DAY, DayRange, last_complete_days
from shared.core.errors import ProviderError
from shared.costs.aws import AwsProvider, pages, sessions
from shared.costs.aws.access import Access
from shared.costs.aws.provider import SIGN_IN_S
from shared.costs.aws.sessions import Sessions
from tests.fakes.cost_explorer import FakeCostExplorer
from tests.support.aws import as_user, by_role, only_these

pytestmark = pytest.mark.integration

DAYS = last_complete_days(datetime.now(UTC), 7)
USAGE = "GetCostAndUsage"
EXTERNAL_ID = "shared-secret-of-corp"
# A machine may be busy; what is bounded here would take half a minute or more without the bound.
SLACK_S = 10.0


@pytest.fixture
def fake(monkeypatch):
    with FakeCostExplorer(payers=2) as running:
        only_these(monkeypatch, running.environment())
        yield running


@pytest.fixture
def once(monkeypatch):
    """No second attempts: what a single answer leads to."""
    monkeypatch.setattr(sessions, "CE_ATTEMPTS", 1)
    monkeypatch.setattr(sessions, "STS_ATTEMPTS", 1)


def totals(fake, account=None, days=DAYS):
    found = fake.book.totals(account or fake.payers[0], days.start, days.end)
    return {(day, unit): (one.unblended, one.amortized) for day, sums in found.items() for unit, one in sums.items()}


def fetched(provider, days=DAYS):
    return by_day(totals_by_day(provider.fetch(days).rows))


def by_day(found):
    return {(total.day, total.currency): (total.billed, total.effective) for total in found}


def failed(ask) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask()
    assert caught.value.__cause__ is None
    return caught.value


def asked(fake, operation=USAGE):
    return sum(count for (name, _), count in fake.counters.outcomes.items() if name == operation)


# What is fetched


@pytest.mark.parametrize("page_groups", [1, 7, 100, 251, 252, 1000])
def test_every_group_is_fetched_in_as_few_pages_as_there_are(fake, page_groups):
    fake.page_groups = page_groups
    groups = sum(len(fake.book.charges(fake.payers[0], day)) for day in DAYS)
    provider = by_role(fake)
    assert fetched(provider) == totals(fake)
    assert fake.counters.pages[fake.payers[0]] == -(-groups // page_groups)
    if page_groups >= pages.GROUPS_A_PAGE_AT_LEAST:
        least, most = provider.price(DAYS, rows_a_day=-(-groups // len(DAYS))).usd
        assert least <= fake.counters.charged_usd <= most


def test_totals_without_groups_take_one_page_and_are_the_same_sums(fake):
    fake.page_groups = 1
    assert by_day(by_role(fake).day_totals(DAYS)) == totals(fake)
    assert fake.counters.pages.total() == 1


def test_newest_days_are_estimated(fake):
    assert by_role(fake).fetch(DAYS).estimated_days == {DAYS.end, DAYS.end - ONE_DAY}


def test_a_restated_day_shows_its_new_figures_and_the_others_the_old_ones(fake):
    provider = by_role(fake)
    before = fetched(provider)
    fake.book.restate(fake.payers[0], DAYS.start)
    after = fetched(provider)
    assert after == totals(fake)
    assert {day for day, _ in before if before[day, "USD"] != after[day, "USD"]} == {DAYS.start}


def test_an_emptied_day_has_no_rows_and_a_renamed_service_only_its_new_name(fake):
    fake.book.put(fake.payers[0], DAYS.start, ())
    fake.book.rename(fake.payers[0], "AWS Lambda", "Lambda")
    rows = by_role(fake).fetch(DAYS).rows
    assert DAYS.start not in {row.day for row in rows}
    assert {"AWS Lambda", "Lambda"} & {row.service for row in rows} == {"Lambda"}


def test_a_member_sees_itself_alone(fake, monkeypatch):
    member = fake.book.members_of(fake.payers[0])[1]
    only_these(monkeypatch, fake.environment(member))
    rows = as_user(fake, member).fetch(DAYS).rows
    assert {row.sub_account for row in rows} == {member}


def test_a_single_day_is_fetched(fake):
    day = DayRange(DAYS.end, DAYS.end)
    assert fetched(by_role(fake), day) == totals(fake, days=day)


# Signing in


def test_a_role_is_assumed_once_for_all_threads_of_a_process(fake):
    provider = by_role(fake)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: fetched(provider), range(16)))
    assert all(answer == totals(fake) for answer in answers)
    assert fake.keys.issued == 1


def test_accounts_of_one_process_do_not_get_in_each_others_way(fake):
    shared = Sessions()
    providers = [AwsProvider(Access(one, fake.role_arn(one), None, fake.url), shared) for one in fake.payers * 8]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(fetched, providers))
    assert answers == [totals(fake, one) for one in fake.payers * 8]
    assert fake.keys.issued == len(fake.payers)


def test_a_roles_session_is_renewed_before_it_expires(fake):
    fake.sts.lifetime = timedelta(minutes=9)
    provider = by_role(fake)
    provider.sign_in()
    first = fake.keys.issued
    provider.sign_in()
    assert fake.keys.issued > first


def test_the_external_id_is_read_from_the_variable_that_is_named(fake, monkeypatch):
    fake.sts.external_id = EXTERNAL_ID
    monkeypatch.setenv("CORP_EXTERNAL_ID", EXTERNAL_ID)
    assert by_role(fake, external_id_env="CORP_EXTERNAL_ID").sign_in().endswith(":assumed-role/CostReader/holdfast")
    error = failed(by_role(fake).sign_in)
    assert (error.code, error.permanent) == ("AWS_ROLE_DENIED", True)


def test_the_wrong_account_is_told_before_any_costs_are_asked_for(fake, monkeypatch):
    only_these(monkeypatch, fake.environment(fake.payers[1]))
    error = failed(lambda: as_user(fake, fake.payers[0]).fetch(DAYS))
    assert (error.code, error.permanent) == ("AWS_WRONG_ACCOUNT", True)
    assert fake.payers[1] in error.summary
    assert asked(fake) == 0


def test_an_expired_key_ends_the_run_and_a_new_one_in_the_file_is_found(fake, monkeypatch, tmp_path):
    account = fake.payers[0]
    environment = fake.environment(account)
    file = tmp_path / "credentials"

    def write(key, secret):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")

    write("AKIAUNKNOWN000000000", "wrong")
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": "/dev/null"}
    only_these(monkeypatch, files | {"AWS_EC2_METADATA_DISABLED": "true"})
    provider = as_user(fake)
    assert failed(lambda: provider.fetch(DAYS)).code == "AWS_BAD_CREDENTIALS"
    write(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    assert fetched(provider) == totals(fake)
    fake.keys.expire(account)
    error = failed(lambda: provider.fetch(DAYS))
    assert (error.code, error.permanent) == ("AWS_CREDENTIALS_EXPIRED", True)
    assert account in error.summary
    fake.keys.renew()
    assert fetched(provider) == totals(fake)


def test_an_expired_session_of_a_role_is_tried_again_with_a_new_one(fake):
    provider = by_role(fake)
    provider.sign_in()
    fake.keys.expire(fake.payers[0])
    error = failed(lambda: provider.fetch(DAYS))
    assert (error.code, error.permanent) == ("AWS_CREDENTIALS_EXPIRED", False)
    assert fetched(provider) == totals(fake)


def test_no_credentials_are_told_and_not_looked_for_again_at_once(fake, monkeypatch):
    only_these(monkeypatch, {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes connections and answers none, as an address that swallows packets.
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        provider = as_user(fake)
        begun_s = time.monotonic()
        error = failed(provider.sign_in)
        assert (error.code, error.permanent) == ("AWS_NO_CREDENTIALS", True)
        assert time.monotonic() - begun_s < SIGN_IN_S + SLACK_S
        assert failed(lambda: provider.fetch(DAYS)).code == "AWS_NO_CREDENTIALS"


def test_signing_in_is_given_up_in_seconds_whatever_hangs(fake):
    fake.faults.switch("slow", seconds=60.0, operation="AssumeRole")
    begun_s = time.monotonic()
    error = failed(by_role(fake).sign_in)
    assert (error.code, error.permanent) == ("AWS_UNREACHABLE", False)
    assert time.monotonic() - begun_s < SIGN_IN_S + SLACK_S


# What goes wrong


def test_a_few_refusals_for_haste_are_waited_out_in_the_call(fake):
    fault = fake.faults.switch("throttle", times=2, operation=USAGE)
    assert fetched(by_role(fake)) == totals(fake)
    assert fault.hits == 2


def test_more_of_them_put_the_run_off_without_a_failure(fake):
    fault = fake.faults.switch("throttle", operation=USAGE)
    error = failed(lambda: by_role(fake).fetch(DAYS))
    assert (error.code, error.throttled, error.permanent) == ("AWS_THROTTLED", True, False)
    assert error.retry_after_s == 60
    assert fault.hits == sessions.CE_ATTEMPTS


def test_a_quota_is_kept_to_by_waiting(fake):
    fake.rate.per_s = 2.0
    fake.page_groups = 50
    assert fetched(by_role(fake)) == totals(fake)
    assert fake.counters.outcomes[USAGE, "LimitExceededException"] > 0


@pytest.mark.parametrize("fault", ["error_500", "error_503", "drop"])
def test_a_failing_service_is_asked_again_in_the_call(fake, fault):
    fake.faults.switch(fault, times=2, operation=USAGE)
    assert fetched(by_role(fake)) == totals(fake)


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        ("error_500", "AWS_UNAVAILABLE", False),
        ("error_503", "AWS_UNAVAILABLE", False),
        ("drop", "AWS_UNREACHABLE", False),
        ("cut", "AWS_UNREACHABLE", False),
        ("html", "AWS_UNREACHABLE", False),
        ("denied", "AWS_ACCESS_DENIED", True),
        ("unavailable", "AWS_NO_DATA", False),
        ("repeat_token", "AWS_PAGES_CHANGED", False),
        ("twice", "AWS_BAD_ANSWER", False),
        ("outside", "AWS_BAD_ANSWER", False),
    ],
)
@pytest.mark.usefixtures("once")
def test_what_stays_wrong_is_told(fake, fault, code, permanent):
    fake.faults.switch(fault, operation=USAGE)
    error = failed(lambda: by_role(fake).fetch(DAYS))
    assert (error.code, error.permanent, error.throttled) == (code, permanent, False)
    assert error.hint


@pytest.mark.parametrize("operation", ["AssumeRole", "GetCallerIdentity"])
@pytest.mark.parametrize("fault", ["html", "drop", "error_500"])
@pytest.mark.usefixtures("once")
def test_an_sts_that_fails_is_tried_again_later(fake, fault, operation):
    fake.faults.switch(fault, operation=operation)
    error = failed(lambda: by_role(fake).fetch(DAYS))
    assert (error.code, error.permanent) in {("AWS_UNREACHABLE", False), ("AWS_UNAVAILABLE", False)}
    assert asked(fake) == 0


def test_pages_without_end_are_stopped(fake, monkeypatch):
    monkeypatch.setattr(pages, "PAGES_MOST", 9)
    fake.faults.switch("endless")
    with pytest.raises(ProviderError) as caught:
        list(pages.answers(pair(fake).ce, pages.question(DAYS, grouped=True), Access(fake.payers[0])))
    assert caught.value.code == "AWS_ENDLESS_PAGES"
    assert fake.counters.pages.total() == 9


@pytest.mark.usefixtures("once")
def test_an_answer_that_does_not_come_frees_the_thread(fake, monkeypatch):
    monkeypatch.setattr(sessions, "CE_READ_S", 0.2)
    fake.faults.switch("slow", seconds=60.0, operation=USAGE)
    begun_s = time.monotonic()
    error = failed(lambda: by_role(fake).fetch(DAYS))
    assert (error.code, error.permanent) == ("AWS_UNREACHABLE", False)
    assert time.monotonic() - begun_s < SLACK_S


def test_a_call_is_bounded_as_configured():
    worst_s = sessions.CE_ATTEMPTS * (sessions.CE_CONNECT_S + sessions.CE_READ_S) + sum(2**n for n in range(3))
    assert worst_s < 150


def test_days_that_aws_does_not_keep_end_the_run(fake):
    old = DayRange(DAYS.start - 600 * ONE_DAY, DAYS.start - 599 * ONE_DAY)
    error = failed(lambda: by_role(fake).fetch(old))
    assert (error.code, error.permanent) == ("AWS_BAD_REQUEST", True)
    assert "14 months" in error.summary


def test_parameters_that_change_between_pages_are_refused_by_the_fake(fake):
    fake.page_groups = 10
    client = pair(fake).ce
    first = client.get_cost_and_usage(**pages.question(DAYS, grouped=True))
    with pytest.raises(client.exceptions.RequestChangedException):
        client.get_cost_and_usage(**pages.question(DAYS, grouped=False), NextPageToken=first["NextPageToken"])
    with pytest.raises(client.exceptions.InvalidNextTokenException):
        client.get_cost_and_usage(**pages.question(DAYS, grouped=True), NextPageToken="nonsense")


def pair(fake):
    return Sessions().pair(Access(fake.payers[0], fake.role_arn(fake.payers[0]), None, fake.url))


# Secrets


def test_neither_logs_nor_errors_tell_a_secret(fake, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    fake.sts.external_id = EXTERNAL_ID
    monkeypatch.setenv("CORP_EXTERNAL_ID", EXTERNAL_ID)
    provider = by_role(fake, external_id_env="CORP_EXTERNAL_ID")
    told = [repr(provider), repr(provider.fetch(DAYS).rows[0])]
    for fault in ("denied", "expired", "error_500", "throttle", "html"):
        fake.faults.switch(fault, times=4, operation=USAGE)
        error = failed(lambda: provider.fetch(DAYS))
        told += [error.summary, error.hint, repr(error)]
        fake.faults.clear()
    monkeypatch.setenv("CORP_EXTERNAL_ID", "bad id \\ of corp")
    told.append(failed(by_role(fake, external_id_env="CORP_EXTERNAL_ID").sign_in).summary)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")
    told.append(failed(as_user(fake, "999999999999").sign_in).summary)
    text = "\n".join([*told, caplog.text])
    secrets = [EXTERNAL_ID, "bad id", "not the secret", fake.environment()["AWS_SECRET_ACCESS_KEY"]]
    secrets += [part for who in fake.keys._known.values() for part in (who.secret, who.token) if part]
    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in text] == []


def test_the_canonical_string_that_aws_repeats_is_not_told(fake, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")
    error = failed(as_user(fake).sign_in)
    assert error.code == "AWS_BAD_CREDENTIALS"
    assert "Canonical" not in error.summary


def test_clients_are_shared_and_bounded(fake, monkeypatch):
    monkeypatch.setattr(sessions, "PAIRS_KEPT", 2)
    shared = Sessions()
    access = [Access(fake.payers[0], None, None, f"{fake.url}/{number}") for number in range(3)]
    first = shared.pair(access[0])
    assert shared.pair(access[0]) is first
    for one in access[1:]:
        shared.pair(one)
    assert shared.pair(access[0]) is not first
    assert threading.active_count() < 100
