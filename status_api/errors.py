"""Every answer that is not a success: always JSON, never a traceback, each error of the tree with its status."""

import json
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn
from uuid import uuid4

import falcon
import redis
from loguru import logger

from shared.core.errors import (
    DatabaseUnavailableError,
    ExportError,
    HoldfastError,
    IdempotencyConflictError,
    RedisUnavailableError,
    RequestError,
    RunFinishedError,
    SchemaTooNewError,
    UnknownAccountError,
    UnknownRunError,
)
from shared.core.health import RedisHealth
from shared.observability import events, metrics
from status_api.collaborators import Link

JSON_TYPE: Final = "application/json; charset=utf-8"
DATABASE_RETRY_AFTER_S: Final = 5
REDIS_RETRY_AFTER_MAX_S: Final = 30
REDIS_AWAY: Final = "Redis cache is currently unavailable. Please retry in a few seconds."

STATUS_OF: Final[Mapping[type[HoldfastError], HTTPStatus]] = {
    UnknownAccountError: HTTPStatus.NOT_FOUND,
    UnknownRunError: HTTPStatus.NOT_FOUND,
    RunFinishedError: HTTPStatus.CONFLICT,
    IdempotencyConflictError: HTTPStatus.CONFLICT,
}


class ApiError(falcon.HTTPError):
    """An answer of `status`: `facts` stand beside `error` and `message` in its body."""

    def __init__(
        self,
        status: HTTPStatus,
        *,
        message: str,
        error: str | None = None,
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(int(status), headers=dict(headers or {}))
        self.body: dict[str, Any] = {"error": error or status.phrase, "message": message, **(facts or {})}


def encode(body: Any) -> bytes:
    """Compact JSON, UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def serialize(_req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error's body: JSON whatever the request accepts."""
    if isinstance(error, ApiError):
        body = error.body
    else:
        phrase = HTTPStatus(error.status_code).phrase
        body = {"error": phrase, "message": error.description or f"{phrase}; /openapi.yaml describes this API"}
    resp.data = encode(body)
    resp.content_type = JSON_TYPE


def redis_away(health: RedisHealth, retry_in_s: float | None) -> ApiError:
    """The refusal of a route that needs Redis. Retry-After: whole seconds to the next attempt, 30 when none is due."""
    seconds = REDIS_RETRY_AFTER_MAX_S if retry_in_s is None else math.ceil(retry_in_s)
    seconds = max(1, min(seconds, REDIS_RETRY_AFTER_MAX_S))
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        error="Service Temporarily Unavailable",
        message=REDIS_AWAY,
        headers={"Retry-After": str(seconds)},
        facts={
            "status": health.status,
            "retryAfter": seconds,
            # In `failed` it still tries: only a link that was never started or is closed does not.
            "details": {"connectionState": health.status, "retrying": health.status != "disconnected"},
        },
    )


def database_away(message: str) -> ApiError:
    """The refusal of a route that needs the database."""
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        error="Service Temporarily Unavailable",
        message=message,
        headers={"Retry-After": str(DATABASE_RETRY_AFTER_S)},
        facts={"retryAfter": DATABASE_RETRY_AFTER_S},
    )


def add_error_handlers(app: "falcon.App[Any, Any]", link: Link) -> None:
    """Give every exception that may leave a resource its answer."""
    app.set_error_serializer(serialize)
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(RequestError, _bad_request)
    app.add_error_handler(DatabaseUnavailableError, _database_away)
    app.add_error_handler(SchemaTooNewError, _schema_too_new)
    app.add_error_handler(ExportError, _not_exported)
    app.add_error_handler(redis.RedisError, _redis_failed(link))
    for kind, status in STATUS_OF.items():
        app.add_error_handler(kind, _plain(status))


def _plain(status: HTTPStatus) -> Callable[..., NoReturn]:
    def handler(_req: falcon.Request, _resp: falcon.Response, error: Exception, _params: Mapping[str, Any]) -> NoReturn:
        raise ApiError(status, message=str(error)) from None

    return handler


def _bad_request(_req: falcon.Request, _resp: falcon.Response, error: RequestError, _params: Any) -> NoReturn:
    message = f"{error.field} {error.problem}; allowed: {error.allowed}"
    raise ApiError(
        HTTPStatus.BAD_REQUEST, message=message, facts={"field": error.field, "allowed": error.allowed}
    ) from None


def _database_away(req: falcon.Request, _resp: falcon.Response, error: Exception, _params: Any) -> NoReturn:
    logger.bind(event=events.HTTP_FAILED, scope=events.SCOPE_REQUEST, route=req.uri_template, reason=str(error)).debug(
        "Request refused: the database is away"
    )
    # The error's own text may name hosts and users: health says more, to those who may see it.
    raise database_away("The database is currently unavailable. Please retry in a few seconds.") from None


def _schema_too_new(_req: falcon.Request, _resp: falcon.Response, error: SchemaTooNewError, _params: Any) -> NoReturn:
    raise database_away(str(error)) from None


def _not_exported(_req: falcon.Request, _resp: falcon.Response, error: ExportError, _params: Any) -> NoReturn:
    logger.bind(event=events.HTTP_FAILED, scope=events.SCOPE_REQUEST, code=error.code, reason=error.summary).error(
        "An export could not be written"
    )
    # What the operating system said may name folders: the log has it.
    raise database_away(f"The export could not be made. {error.hint}") from None


def _redis_failed(link: Link) -> Callable[..., NoReturn]:
    """The command failed on the way, or Redis refused it: the guard's answer, later."""

    def handler(req: falcon.Request, _resp: falcon.Response, error: redis.RedisError, _params: Any) -> NoReturn:
        code = error.code if isinstance(error, RedisUnavailableError) else type(error).__name__
        logger.bind(event=events.HTTP_FAILED, scope=events.SCOPE_REQUEST, route=req.uri_template, code=code).warning(
            "Request refused: a Redis command failed"
        )
        raise redis_away(link.health(), link.retry_in_s()) from None

    return handler


def _unexpected(req: falcon.Request, _resp: falcon.Response, error: Exception, _params: Any) -> NoReturn:
    """A mistake of ours: the log has the traceback (redacted by the sink), the answer an id to find it by."""
    error_id = uuid4().hex[:12]
    metrics.UNEXPECTED_ERRORS.labels(where="http").inc()
    logger.bind(
        event=events.UNEXPECTED_ERROR,
        scope=events.SCOPE_REQUEST,
        error_id=error_id,
        method=req.method,
        route=req.uri_template,
    ).opt(exception=error).error("Unhandled error while answering a request")
    raise ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        message="Something went wrong here. The log has the details under this id.",
        facts={"errorId": error_id},
    ) from None
