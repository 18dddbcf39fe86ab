"""Mistakes in accounts.toml in plain words: the field, what is wrong, the cure. What may be secret is never shown."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# What a field must look like, told when a value does not.
CURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "name": 'text in quotes of at most 100 characters, such as "exports"',
        "paused": "true or false, without quotes",
        "monthly_budget": 'an amount in quotes, such as "1200.00"',
        "budget_currency": 'three capital letters in quotes, such as "USD"',
        "path": 'a file or glob in quotes, such as "var/exports/*.csv"',
        "account_id": 'twelve digits in quotes, such as "123456789012"',
        "role_arn": 'a role\'s ARN in quotes, such as "arn:aws:iam::123456789012:role/CostReader"',
        "external_id_env": 'the name of an environment variable in quotes, such as "CORP_EXTERNAL_ID"',
        "token_env": 'the name of an environment variable in quotes, such as "PROD_AZURE_TOKEN"',
        "tenant": 'a tenant\'s id or domain in quotes, such as "00000000-0000-0000-0000-000000000000"',
        "scope": 'a scope in quotes, such as "/subscriptions/00000000-0000-0000-0000-000000000000"',
        "endpoint": 'a URL in quotes, such as "https://management.azure.com"',
    }
)
# Fields people reach for, and what to write in place of them.
BY_NAME_OF_VARIABLE: Final[Mapping[str, str]] = MappingProxyType(
    {"token": "token_env", "external_id": "external_id_env"}
)


def described(error: ValidationError, kind: type[BaseModel]) -> Iterator[str]:
    """One line for each mistake that `error` holds about an account of `kind`."""
    for item in error.errors():
        if not item["loc"]:  # what is wrong with fields that are right each by itself names them
            yield _words(item)
            continue
        field = str(item["loc"][0])
        yield f"field '{field}': {_problem(item, field, kind)}"


def unusable_provider(table: Mapping[str, Any], known: Sequence[str]) -> str:
    """Why the account's provider cannot be told."""
    allowed = ", ".join(f'"{name}"' for name in known)
    if "provider" not in table:
        return f"field 'provider': is missing; it must be one of {allowed}"
    return f"field 'provider': {str(table['provider'])[:40]!r} is not one of {allowed}"


def _problem(item: ErrorDetails, field: str, kind: type[BaseModel]) -> str:
    if item["type"] == "missing":
        return f"is missing; it must be {CURES[field]}"
    if item["type"] == "extra_forbidden":
        return _unknown(field, kind)
    if item["type"] == "value_error":
        return _words(item)
    return f"must be {CURES[field]}"


def _words(item: ErrorDetails) -> str:
    return str(item["msg"]).removeprefix("Value error, ")


def _unknown(field: str, kind: type[BaseModel]) -> str:
    allowed = list(kind.model_fields)
    instead = BY_NAME_OF_VARIABLE.get(field)
    if instead in allowed:
        return f"secrets do not stand in this file; put it into a variable and write {instead} = its name"
    near = get_close_matches(field, allowed, n=1)
    meant = f", did you mean '{near[0]}'?" if near else ""
    return f"is unknown{meant or ','} allowed are {', '.join(allowed)}"
