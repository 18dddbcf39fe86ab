"""Falcon hooks, in the order they run before a resource: what the query may hold, then the guards of Redis.

A resource behind a guard has the link as `link`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import falcon

from status_api.collaborators import Link
from status_api.errors import redis_away
from status_api.params import one_of_each

Responder = TypeVar("Responder", bound=Callable[..., None])


def query_of(*allowed: str) -> Callable[[Responder], Responder]:
    """A decorator: put the query's parameters in `req.context.query`, each known and given once."""

    def hook(req: falcon.Request, _resp: falcon.Response, _resource: object, _params: dict[str, Any]) -> None:
        req.context.query = one_of_each(req.params, allowed)

    return cast("Callable[[Responder], Responder]", falcon.before(hook))


def require_redis(_req: falcon.Request, _resp: falcon.Response, resource: Any, _params: dict[str, Any]) -> None:
    """Strict: refuse at once while Redis is away. A command that fails on the way gets the same answer later."""
    link: Link = resource.link
    if not link.is_available():
        raise redis_away(link.health(), link.retry_in_s())


def check_redis(req: falcon.Request, _resp: falcon.Response, resource: Any, _params: dict[str, Any]) -> None:
    """Soft: tell the resource in `req.context.redis_available` whether asking Redis is worth it."""
    link: Link = resource.link
    req.context.redis_available = link.is_available()
