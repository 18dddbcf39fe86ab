"""Turns what goes wrong at AWS into a ProviderError, without any secret in it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shared.core.errors import ProviderError
from shared.core.redact import redact_text
from shared.costs.aws import sorts
from shared.costs.aws.access import RUNS_WITH, Access
from shared.costs.aws.sorts import Kind, Sort

QUOTED_CHARS: Final = 200
ASSUME_ROLE: Final = "AssumeRole"
# What botocore raises, at most.
BOTOCORE_ERRORS: Final = (BotoCoreError, ClientError, ResponseParserError)
NOT_AWS: Final = "what came is cut short, or is no answer of AWS"
# What AWS says of a wrong clock, under the name of a wrong signature.
CLOCK_WORDS: Final = ("Signature expired", "Signature not yet current")
WAIT_MOST_S: Final = 3600.0


def failure(sort: Sort, access: Access, *, detail: str = "", renewable: bool = False, **facts: object) -> ProviderError:
    """The error of `sort` about `access`. `renewable`: its credentials renew themselves."""
    kind = sort.renewable if renewable and sort.renewable is not None else sort.kind
    words: dict[str, object] = {
        "account": access.account_id,
        "who": access.who,
        "role": access.who,
        "credentials": RUNS_WITH,
        "external_id": access.external_id,
        "external_id_env": access.external_id_env or "external_id_env",
        "service": "Cost Explorer",
        **facts,
    }
    summary = sort.summary.format(**words)
    return ProviderError(
        code=sort.code,
        summary=_first_capital(f"{summary}: {detail}" if detail else summary),
        hint=_first_capital(sort.hint.format(**words)),
        permanent=kind in {Kind.ACCOUNT, Kind.EVERY},
        throttled=kind is Kind.WAIT,
        retry_after_s=sort.retry_after_s,
    )


def explained(
    error: Exception, access: Access, *, renewable: bool = False, secrets: Sequence[str] = ()
) -> ProviderError:
    """What `error`, raised by botocore, means for `access`. `secrets` are kept out of what AWS is quoted with.

    Any other exception is raised again as it is.
    """
    if isinstance(error, ClientError):
        return _answered(error, access, renewable=renewable, secrets=secrets)
    if isinstance(error, BotoCoreError | ResponseParserError):
        sort = _by_exception(error)
        # The name alone: the texts of these exceptions hold URLs, paths and what a credential_process printed.
        return failure(sort, access, detail=type(error).__name__, renewable=renewable, service=_service(error))
    raise error


def _by_exception(error: Exception) -> Sort:
    for kind in type(error).__mro__:
        if kind.__name__ in sorts.BY_EXCEPTION:
            return sorts.BY_EXCEPTION[kind.__name__]
    return sorts.UNEXPECTED


def _service(error: Exception) -> str:
    endpoint = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    return "STS" if "sts" in endpoint else "Cost Explorer"


def _answered(error: ClientError, access: Access, *, renewable: bool, secrets: Sequence[str]) -> ProviderError:
    response: Mapping[str, Any] = error.response
    told = response.get("Error", {})
    name, message = str(told.get("Code", "")), str(told.get("Message", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    sort = sort_of(name, message, operation=error.operation_name, status=status)
    said = f"{name} ({redact_text(message, secrets)[:QUOTED_CHARS]})" if sort.quotes and message else name
    found = failure(
        sort,
        access,
        detail=said,
        renewable=renewable,
        service="Cost Explorer" if error.operation_name == "GetCostAndUsage" else "STS",
    )
    asked_s = _asked_s(metadata.get("HTTPHeaders", {}))
    if asked_s is not None and not found.permanent:
        found.retry_after_s = max(asked_s, found.retry_after_s or 0.0)
    return found


def sort_of(name: str, message: str = "", *, operation: str = "GetCostAndUsage", status: int = 400) -> Sort:
    """The sort of an error that AWS calls `name`."""
    name = name.rpartition("#")[2].removesuffix("Exception")
    if any(word in message for word in CLOCK_WORDS):
        return sorts.CLOCK
    if operation == ASSUME_ROLE and name in sorts.ASSUME_ROLE:
        return sorts.ASSUME_ROLE[name]
    if name in sorts.BY_AWS_CODE:
        return sorts.BY_AWS_CODE[name]
    if status == 429:
        return sorts.THROTTLED
    return sorts.UNAVAILABLE if status >= 500 else sorts.UNEXPECTED


def _asked_s(headers: Mapping[str, str]) -> float | None:
    """What the answer asks to be waited for, bounded."""
    text = headers.get("retry-after", "")
    return min(float(text), WAIT_MOST_S) if text.isdecimal() else None


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]
