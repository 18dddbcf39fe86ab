"""Every error Holdfast raises on purpose.

HoldfastError
├── SettingsError              the operator: fix the environment; the process exits with 2
├── AccountsFileError          the operator: fix accounts.toml
├── RedisUnavailableError      the caller: degrade now, or try again at `retry_in_s`
├── DatabaseUnavailableError   the caller: try again; the database is away
├── SchemaTooNewError          the operator: the database belongs to a newer release
├── SendRefusedError           the dispatcher: nothing reached Redis; the run goes back to pending
├── SendUncertainError         the dispatcher: it may have arrived; the run stays queued
├── ProviderError              the ledger: retry the attempt, or give the run up when `permanent`
├── ExportError                the operator: make room on the disk, or the client: ask for less
├── RequestError               the client: one field of the request is wrong
├── UnknownAccountError        the client: no such account
├── UnknownRunError            the client: no such run
├── RunFinishedError           the client: the run has ended, nothing to cancel
└── IdempotencyConflictError   the client: the key was used for another request
"""

from collections.abc import Sequence

import redis


class HoldfastError(Exception):
    """Base of every error Holdfast raises on purpose."""


class SettingsError(HoldfastError):
    """The environment is wrong. Each of `problems` is one line: the variable, what is wrong, what is allowed."""

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class AccountsFileError(HoldfastError):
    """The accounts file cannot be used. Each of `problems` is one line: file, account, field, cure."""

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class RedisUnavailableError(HoldfastError, redis.ConnectionError):
    """Not connected: degrade now, or try again in `retry_in_s`.

    `code` is the class of the last failure (see docs/connection.md), `retry_in_s` the seconds to the next scheduled
    attempt, None when none is scheduled. `sent` tells whether the command may have reached the server.
    """

    def __init__(self, *, summary: str, code: str, retry_in_s: float | None = None, sent: bool = False) -> None:
        super().__init__(summary)
        self.summary = summary
        self.code = code
        self.retry_in_s = retry_in_s
        self.sent = sent


class DatabaseUnavailableError(HoldfastError):
    """The database did not answer. Nothing was committed unless the loss came during the commit (`uncertain`)."""

    def __init__(self, *, summary: str, uncertain: bool = False) -> None:
        super().__init__(summary)
        self.summary = summary
        self.uncertain = uncertain


class SchemaTooNewError(HoldfastError):
    """The database's schema is newer than this release: roll forward, or restore the backup of the older one."""

    def __init__(self, *, found: str, known: str) -> None:
        super().__init__(
            f"The database schema is at revision {found}, this release knows up to {known}: "
            "start the newer release again, or restore the database's backup of this one"
        )
        self.found = found
        self.known = known


class SendRefusedError(HoldfastError):
    """The first `sent` messages were enqueued, the next one certainly was not, and the rest need not be waited for."""

    def __init__(self, *, summary: str, sent: int = 0) -> None:
        super().__init__(summary)
        self.summary = summary
        self.sent = sent


class SendUncertainError(HoldfastError):
    """The first `sent` messages were enqueued, the next `uncertain` ones may have been, and the rest were not tried."""

    def __init__(self, *, summary: str, sent: int = 0, uncertain: int = 1) -> None:
        super().__init__(summary)
        self.summary = summary
        self.sent = sent
        self.uncertain = uncertain


class ProviderError(HoldfastError):
    """An attempt to fetch costs failed. `permanent` errors cannot pass by themselves and end the run at once.

    `retry_after_s` is what the provider asked for, None when the ledger's own delays apply. `throttled`: the provider
    is well and wants us to come later; the attempt does not count towards those after which a run is given up.
    """

    def __init__(
        self,
        *,
        code: str,
        summary: str,
        hint: str,
        permanent: bool = False,
        retry_after_s: float | None = None,
        throttled: bool = False,
    ) -> None:
        super().__init__(summary)
        self.code = code
        self.summary = summary
        self.hint = hint
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        self.throttled = throttled


class ExportError(HoldfastError):
    """An export could not be made: `summary` says why, `hint` what to do."""

    code = "EXPORT_FAILED"

    def __init__(self, *, summary: str, hint: str) -> None:
        super().__init__(f"{summary}. {hint}")
        self.summary = summary
        self.hint = hint


class RequestError(HoldfastError):
    """A request's `field` has a value that is not allowed; `allowed` says what is."""

    def __init__(self, *, field: str, problem: str, allowed: str) -> None:
        super().__init__(f"{field}: {problem}; {allowed}")
        self.field = field
        self.problem = problem
        self.allowed = allowed


class UnknownAccountError(HoldfastError):
    """No account of that name is configured or has history."""

    def __init__(self, *, account: str) -> None:
        super().__init__(f"No account named '{account}'")
        self.account = account


class UnknownRunError(HoldfastError):
    """No run with that id."""

    def __init__(self, *, run_id: str) -> None:
        super().__init__(f"No run with id '{run_id}'")
        self.run_id = run_id


class RunFinishedError(HoldfastError):
    """The run has ended (`state`); it cannot be cancelled any more."""

    def __init__(self, *, run_id: int, state: str) -> None:
        super().__init__(f"Run {run_id} is {state} already")
        self.run_id = run_id
        self.state = state


class IdempotencyConflictError(HoldfastError):
    """The Idempotency-Key has been used for a different request."""

    def __init__(self, *, key: str, account: str) -> None:
        super().__init__(f"Idempotency-Key '{key}' was used for another request of account '{account}'")
        self.key = key
        self.account = account
