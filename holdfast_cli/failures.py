"""Errors as a person reads them: one line each, with the cure, and the exit code that goes with it."""

from typing import Final

import redis

from shared.core.errors import (
    AccountsFileError,
    DatabaseUnavailableError,
    ProviderError,
    RedisUnavailableError,
    RequestError,
    SettingsError,
    UnknownAccountError,
    UnknownRunError,
)

FAILED: Final = 1
USAGE: Final = 2

# The person who typed, or who configured, must act: as the processes exit with 2 for a wrong environment.
_USAGE_ERRORS: Final = (SettingsError, AccountsFileError, RequestError, UnknownAccountError, UnknownRunError)
# The first that fits. Other errors of ours say what to do themselves.
_CURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (UnknownAccountError, "`holdfast accounts` lists those there are; new ones stand in the accounts file"),
    (UnknownRunError, "`holdfast runs` lists those there are"),
    (DatabaseUnavailableError, "start the database, or correct DATABASE_URL"),
    (RedisUnavailableError, "start Redis, or correct REDIS_URL"),
    (redis.RedisError, "Redis refused it; its administrator can tell why"),
)


def exit_code(error: Exception) -> int:
    """2 when what was typed or configured is wrong, 1 when it could not be done."""
    return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED


def lines(error: Exception) -> list[str]:
    """What to print, one line for each thing that is wrong."""
    if isinstance(error, SettingsError | AccountsFileError):
        return list(error.problems)
    if isinstance(error, ProviderError):
        return [f"{error.code}: {error.summary}. {error.hint}"]
    cures = [f"{error}: {cure}" for kind, cure in _CURES if isinstance(error, kind)]
    return cures[:1] or [str(error)]
