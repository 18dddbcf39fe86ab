"""Whether Holdfast can sign in as an account: when that is asked again, and how the answers are told. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.core.errors import ProviderError
from shared.core.health import CheckResult, CheckStatus

# Providers that ask who we are; reading files on this machine needs no credentials.
CHECKED_PROVIDERS: Final = ("aws", "azure")
CHECK_INTERVAL_S: Final = 300.0
RETRY_FIRST_S: Final = 30.0
# All workers together begin no more than one check in this time, however many accounts there are.
PACE_S: Final = 1.0
STALE_AFTER_INTERVALS: Final = 3
# What a message names; the others are counted.
NAMED: Final = 3
# Words in a provider's codes that speak of credentials.
CREDENTIAL_WORDS: Final = frozenset({"CREDENTIAL", "CREDENTIALS", "EXPIRED", "DENIED", "FORBIDDEN", "TOKEN"})
NOT_CHECKED: Final = "NOT_CHECKED"
UNUSED: Final = CheckResult(CheckStatus.UNUSED, message="Not configured")
PAUSED: Final = CheckResult(CheckStatus.UNUSED, message="All accounts are paused")


class CredentialStatus(StrEnum):
    """`down`: refused, a person must act. `degraded`: nobody could tell (network, throttling, no answer in time)."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. The texts are None when it is `up`."""

    status: CredentialStatus
    code: str | None = None
    summary: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """One account's credentials, as the ledger has them: `since` and `checked_at` are of the database's clock.

    `turn` is odd while somebody checks; a row that is not there yet has turn 0 and neither instant.
    """

    account_id: int
    account: str
    provider: str
    found: Finding
    since: datetime | None
    checked_at: datetime | None
    turn: int = 0

    @property
    def checked(self) -> bool:
        """Whether any check has come to an end yet."""
        return self.checked_at is not None and self.found.code != NOT_CHECKED


@dataclass(frozen=True, slots=True)
class CredentialsAnswer:
    """What probes say of one provider's accounts: the check, and the accounts behind it, the worst first."""

    check: CheckResult
    credentials: tuple[Credential, ...] = ()


UP: Final = Finding(CredentialStatus.UP)
UNKNOWN: Final = Finding(
    CredentialStatus.DEGRADED, NOT_CHECKED, "Not checked yet", "Wait a moment; a running worker checks it"
)


def finding_of(error: ProviderError) -> Finding:
    """What an error at signing in says of the credentials."""
    refused = is_about_credentials(error)
    return Finding(
        CredentialStatus.DOWN if refused else CredentialStatus.DEGRADED, error.code, error.summary, error.hint
    )


def no_answer(deadline_s: float) -> Finding:
    """The provider did not answer in time."""
    return Finding(
        CredentialStatus.DEGRADED,
        "SIGN_IN_TIMEOUT",
        f"No answer to the sign-in within {deadline_s:g} s",
        "See that this machine reaches the provider (proxy, DNS, firewall); it is tried again by itself",
    )


def unforeseen(error: BaseException) -> Finding:
    """A fault of ours: its kind alone, since its text may hold anything."""
    return Finding(
        CredentialStatus.DEGRADED,
        "UNEXPECTED",
        f"Unexpected {type(error).__name__} at the sign-in",
        "The log of the workers holds the details; please report it if it comes again",
    )


def is_about_credentials(error: ProviderError) -> bool:
    """Whether asking again at once is worth it after a run failed so: refused for good, or by its code."""
    if error.throttled:
        return False
    return error.permanent or not CREDENTIAL_WORDS.isdisjoint(error.code.upper().split("_"))


def merged(before: Credential, found: Finding) -> Finding:
    """What is known after another check: a refusal stands until somebody could ask again."""
    cannot_tell = found.status is CredentialStatus.DEGRADED
    return before.found if cannot_tell and before.found.status is CredentialStatus.DOWN else found


def interval_s(credential: Credential, accounts: int) -> float:
    """Seconds from the last check to the next: the sooner, the shorter it has been unwell; spread over many accounts.

    Each wait while it is unwell is as long as it has been so by then: 30, 30, 60, 120, 240, 300 s.
    """
    least_s = accounts * PACE_S
    if credential.found.status is CredentialStatus.UP:
        return max(CHECK_INTERVAL_S, least_s)
    wait_s = RETRY_FIRST_S
    if credential.since is not None and credential.checked_at is not None:
        wait_s = max(wait_s, (credential.checked_at - credential.since).total_seconds())
    return max(min(wait_s, CHECK_INTERVAL_S), least_s)


def is_due(credential: Credential, *, now: datetime, accounts: int) -> bool:
    """Whether it is to be checked; never while somebody does."""
    if is_taken(credential):
        return False
    if credential.checked_at is None:
        return True
    return (now - credential.checked_at).total_seconds() >= interval_s(credential, accounts)


def is_taken(credential: Credential) -> bool:
    """Whether somebody checks it, or died while he did."""
    return credential.turn % 2 == 1


def is_stale(credential: Credential, *, now: datetime, accounts: int) -> bool:
    """Whether the result has not been refreshed for three of its intervals."""
    if credential.checked_at is None:
        return False
    age_s = (now - credential.checked_at).total_seconds()
    return age_s > STALE_AFTER_INTERVALS * interval_s(credential, accounts)


def credentials_check(credentials: Sequence[Credential], *, now: datetime, accounts: int) -> CheckResult:
    """The readiness check of one provider; at worst degraded, since what is stored is served all the same.

    `accounts` counts those of all providers, `now` is by the database's clock.
    """
    if not credentials:
        return UNUSED
    amiss = sorted(
        (each for each in credentials if _is_amiss(each, now=now, accounts=accounts)),
        key=lambda each: (_RANK[each.found.status], each.since or now, each.account),
    )
    if not amiss:
        return CheckResult(CheckStatus.UP, message=_count(len(credentials), "account") + " signed in")
    named = [_told(each, now=now, accounts=accounts) for each in amiss[:NAMED]]
    more = len(amiss) - len(named)
    text = " | ".join([*named, *([f"and {more} more of {len(credentials)}"] if more else [])])
    return CheckResult(CheckStatus.DEGRADED, message=text)


def codes_of(credentials: Iterable[Credential]) -> list[str]:
    """The codes of what is amiss, each once, for those who may see nothing else."""
    return sorted({each.found.code for each in credentials if each.found.code})


def worst_first(credentials: Collection[Credential]) -> list[Credential]:
    """The refused ones, then those of which nobody can tell, then the others; by name among equals."""
    return sorted(credentials, key=lambda each: (_RANK[each.found.status], each.account))


_RANK: Final = {CredentialStatus.DOWN: 0, CredentialStatus.DEGRADED: 1, CredentialStatus.UP: 2}


def _is_amiss(credential: Credential, *, now: datetime, accounts: int) -> bool:
    return credential.found.status is not CredentialStatus.UP or is_stale(credential, now=now, accounts=accounts)


def _told(credential: Credential, *, now: datetime, accounts: int) -> str:
    name, found = credential.account, credential.found
    if not credential.checked:
        return f"{name}: not checked yet"
    if is_stale(credential, now=now, accounts=accounts):
        return f"{name}: stale, last checked {_minute(credential.checked_at or now)}; see that a worker runs"
    since = _minute(credential.since or now)
    if found.status is CredentialStatus.DOWN:
        return f"{name}: refused since {since} ({found.code}): {found.summary}; {found.hint}"
    return f"{name}: cannot be checked since {since} ({found.code}): {found.summary}; {found.hint}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
