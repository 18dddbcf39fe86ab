"""/api/v1/cache/{key}: look at, or drop, one entry of this application's cache."""

from http import HTTPStatus
from typing import Any, Final

import falcon
import redis

from status_api import params
from status_api.collaborators import Link
from status_api.errors import ApiError
from status_api.hooks import query_of, require_redis
from status_api.resources.base import Resource
from status_api.views import answer

# Neighbours of the cache in the namespace, whose loss would cost more than a cache entry.
NOT_CACHE: Final = frozenset({"ledger", "queues", "beat"})
ABSENT: Final = -2


def _cache_key(_req: falcon.Request, _resp: falcon.Response, _resource: object, path: dict[str, Any]) -> None:
    """Check the key before Redis is asked whether it is there."""
    key = params.cache_key(path["key"])
    if key.partition(":")[0] in NOT_CACHE:
        raise _no_entry(key)


def _no_entry(key: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, message=f"The cache has no entry '{key}'")


class CacheEntry(Resource):
    """One value under the application's namespace."""

    def __init__(self, *, link: Link) -> None:
        self.link = link

    @query_of()
    @falcon.before(_cache_key)
    @falcon.before(require_redis)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Answer with the value and the seconds it has left, -1 when it does not expire."""
        try:
            value = self.link.get_value(key)
        except (UnicodeError, redis.ResponseError) as error:
            if isinstance(error, UnicodeError) or str(error).startswith("WRONGTYPE"):
                raise _no_entry(key) from None  # somebody else's: the cache holds only text
            raise
        ttl_s = self.link.key_ttl(key)
        if value is None or ttl_s == ABSENT:
            raise _no_entry(key)
        answer(resp, {"key": key, "value": value, "ttl": ttl_s})

    @query_of()
    @falcon.before(_cache_key)
    @falcon.before(require_redis)
    def on_delete(self, _req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Drop the entry."""
        if not self.link.delete_value(key):
            raise _no_entry(key)
        resp.status = falcon.HTTP_204
