"""Credentials: when they are checked again, and how what was found is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.credentials import (
    NAMED,
    NOT_CHECKED,
    UNKNOWN,
    UNUSED,
    UP,
    Credential,
    CredentialStatus,
    Finding,
    codes_of,
    credentials_check,
    finding_of,
    interval_s,
    is_about_credentials,
    is_due,
    is_stale,
    merged,
    no_answer,
    unforeseen,
    worst_first,
)
from shared.core.errors import ProviderError
from shared.core.health import CheckStatus

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
REFUSED = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew the role's session")
UNSURE = Finding(CredentialStatus.DEGRADED, "AWS_NETWORK", "No route to sts", "Look at the proxy")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def credential(found: Finding = UP, *, since: float = 1000, checked: float = 0, **more: Any) -> Credential:
    given: dict[str, Any] = {"account_id": 1, "account": "payer", "provider": "aws", "turn": 2, **more}
    return Credential(found=found, since=ago(since), checked_at=ago(checked), **given)


NEVER = Credential(1, "payer", "aws", UNKNOWN, None, None)
BEGUN = Credential(1, "payer", "aws", UNKNOWN, ago(9), ago(9), turn=1)


def error(code: str, **more: Any) -> ProviderError:
    return ProviderError(code=code, summary="s", hint="h", **more)


@pytest.mark.parametrize(
    ("found", "unwell_s", "expected_s"),
    [
        (UP, 5000, 300),
        (REFUSED, 0, 30),
        (REFUSED, 30, 30),
        (REFUSED, 60, 60),
        (REFUSED, 120, 120),
        (REFUSED, 5000, 300),
        (UNSURE, 0, 30),
        (UNSURE, 200, 200),
    ],
)
def test_a_well_account_waits_five_minutes_and_an_unwell_one_longer_and_longer(found, unwell_s, expected_s):
    assert interval_s(credential(found, since=unwell_s), 1) == expected_s


def test_many_accounts_wait_longer_so_that_all_together_make_one_check_a_second():
    assert interval_s(credential(UP), 1000) == 1000
    assert interval_s(credential(REFUSED, since=0), 1000) == 1000
    assert interval_s(credential(UP), 300) == 300


@pytest.mark.parametrize(
    ("given", "due"),
    [
        (NEVER, True),
        (BEGUN, False),
        (replace(BEGUN, turn=2, checked_at=ago(31), since=ago(31)), True),
        (credential(UP, checked=299), False),
        (credential(UP, checked=300), True),
        (credential(UP, checked=3000, turn=3), False),
        (credential(REFUSED, since=29, checked=29), False),
        (credential(REFUSED, since=31, checked=31), True),
    ],
)
def test_what_is_due_is_told_by_the_last_check_and_never_while_somebody_checks(given, due):
    assert is_due(given, now=NOW, accounts=1) is due


def test_a_result_is_stale_after_three_of_its_intervals():
    assert not is_stale(NEVER, now=NOW, accounts=1)
    assert not is_stale(credential(UP, checked=900), now=NOW, accounts=1)
    assert is_stale(credential(UP, checked=901), now=NOW, accounts=1)
    assert is_stale(credential(REFUSED, since=91, checked=91), now=NOW, accounts=1)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (error("AWS_ACCESS_DENIED", permanent=True), CredentialStatus.DOWN),
        (error("AZURE_CREDENTIALS"), CredentialStatus.DOWN),
        (error("AWS_TOKEN_EXPIRED"), CredentialStatus.DOWN),
        (error("AWS_NETWORK"), CredentialStatus.DEGRADED),
        (error("AZURE_THROTTLED", throttled=True, permanent=False), CredentialStatus.DEGRADED),
        (error("AZURE_TOKEN_THROTTLED", throttled=True), CredentialStatus.DEGRADED),
    ],
)
def test_a_refusal_is_down_and_what_nobody_can_tell_is_degraded(given, status):
    found = finding_of(given)
    assert (found.status, found.code, found.summary, found.hint) == (status, given.code, "s", "h")
    assert is_about_credentials(given) is (status is CredentialStatus.DOWN)


def test_silence_is_no_refusal_and_says_where_to_look():
    assert no_answer(10) == Finding(
        CredentialStatus.DEGRADED,
        "SIGN_IN_TIMEOUT",
        "No answer to the sign-in within 10 s",
        "See that this machine reaches the provider (proxy, DNS, firewall); it is tried again by itself",
    )


def test_a_fault_of_ours_is_no_refusal_and_shows_nothing_of_its_text():
    assert unforeseen(ValueError("secret")) == Finding(
        CredentialStatus.DEGRADED,
        "UNEXPECTED",
        "Unexpected ValueError at the sign-in",
        "The log of the workers holds the details; please report it if it comes again",
    )


def test_a_refusal_stands_until_somebody_could_ask_again():
    assert merged(credential(REFUSED), UNSURE) == REFUSED
    assert merged(credential(REFUSED), UP) == UP
    assert merged(credential(UP), UNSURE) == UNSURE
    assert merged(credential(UNSURE), REFUSED) == REFUSED


def told(*given: Credential) -> tuple[CheckStatus, str]:
    check = credentials_check(given, now=NOW, accounts=len(given))
    return check.status, str(check.message)


def test_without_an_account_credentials_are_unused():
    assert credentials_check([], now=NOW, accounts=0) == UNUSED


def test_all_well_is_up():
    assert told(credential(UP)) == (CheckStatus.UP, "1 account signed in")
    assert told(credential(UP), credential(UP, account="lab")) == (CheckStatus.UP, "2 accounts signed in")


def test_a_refused_account_is_named_with_its_time_and_its_cure_and_is_at_worst_degraded():
    status, message = told(credential(REFUSED, since=36_000), credential(UP, account="lab"))
    assert status is CheckStatus.DEGRADED
    assert message == (
        "payer: refused since 2026-11-27T02:00Z (AWS_EXPIRED): The session has expired; Renew the role's session"
    )


def test_what_is_not_known_yet_or_any_more_says_so():
    assert told(NEVER) == (CheckStatus.DEGRADED, "payer: not checked yet")
    assert told(BEGUN) == (CheckStatus.DEGRADED, "payer: not checked yet")
    status, message = told(credential(UP, checked=3600))
    assert status is CheckStatus.DEGRADED
    assert message == "payer: stale, last checked 2026-11-27T11:00Z; see that a worker runs"
    assert told(credential(UNSURE, since=60, checked=60)) == (
        CheckStatus.DEGRADED,
        "payer: cannot be checked since 2026-11-27T11:59Z (AWS_NETWORK): No route to sts; Look at the proxy",
    )


def test_of_many_the_refused_ones_come_first_and_the_rest_is_counted():
    many = [credential(UNSURE, account="unsure"), *(credential(REFUSED, account=f"a{n}") for n in range(NAMED + 1))]
    _, message = told(*many)
    assert message.count("refused since") == NAMED
    assert message.startswith("a0: ")
    assert message.endswith(f" | and 2 more of {len(many)}")
    assert [each.account for each in worst_first(many)] == ["a0", "a1", "a2", "a3", "unsure"]
    assert codes_of([*many, credential(UP)]) == ["AWS_EXPIRED", "AWS_NETWORK"]


def test_of_those_refused_the_longest_come_first():
    given = [credential(REFUSED, account="a", since=60), credential(REFUSED, account="b", since=120)]
    _, message = told(*given)
    assert [text.split(":")[0] for text in message.split(" | ")] == ["b", "a"]


def test_what_never_came_to_an_end_counts_as_not_checked():
    assert not NEVER.checked
    assert not BEGUN.checked
    assert BEGUN.found.code == NOT_CHECKED
    assert credential(UP).checked


def test_an_instant_that_is_missing_is_no_mistake():
    assert interval_s(replace(NEVER, found=UNSURE), 1) == 30
    assert interval_s(replace(credential(UNSURE), since=None), 1) == 30
    assert told(replace(NEVER, found=REFUSED))[1].startswith("payer: not checked yet")
