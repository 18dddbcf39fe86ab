"""What must never be seen: every secret that this process could come to print."""

import os
from collections.abc import Iterable, Iterator

from shared.bootstrap.upkeep import secrets_of_accounts
from shared.costs.accounts import AccountConfig
from shared.observability.redactor import secrets_of_environment, secrets_of_url, secrets_of_webhook
from shared.settings import Settings


def known_secrets(settings: Settings, accounts: Iterable[AccountConfig]) -> set[str]:
    """Passwords in URLs, the API's token, the secrets that the SDKs read, and those that accounts name."""
    return set(_secrets(settings, accounts))


def _secrets(settings: Settings, accounts: Iterable[AccountConfig]) -> Iterator[str]:
    yield from secrets_of_url(settings.redis_url)
    yield from secrets_of_url(settings.database_url)
    if settings.api_token:
        yield settings.api_token
    if settings.alert_webhook_url:
        yield from secrets_of_webhook(settings.alert_webhook_url)
    yield from secrets_of_environment(os.environ)
    yield from secrets_of_accounts(accounts)
