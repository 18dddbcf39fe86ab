"""Small text values under the namespace."""

from typing import cast

import redis


class Values:
    """Reads and writes through `client`. Raises RedisUnavailableError when Redis is away, or goes on the way."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def key(self, name: str) -> str:
        """The key in Redis for `name`."""
        return f"{self._namespace}:{name}"

    def set(self, name: str, value: str, ttl_s: int | None) -> None:
        """Store `value`, for `ttl_s` whole seconds or for good."""
        if ttl_s is not None and ttl_s < 1:
            raise ValueError("a time to live must be at least one second")
        self._client.set(self.key(name), value, ex=ttl_s)

    def get(self, name: str) -> str | None:
        """The value, None when absent."""
        found = cast("bytes | None", self._client.get(self.key(name)))
        return None if found is None else found.decode()

    def delete(self, name: str) -> bool:
        """Whether there was something to delete."""
        return bool(self._client.delete(self.key(name)))

    def exists(self, name: str) -> bool:
        """Whether there is a value."""
        return bool(self._client.exists(self.key(name)))

    def ttl(self, name: str) -> int:
        """Whole seconds left, -2 when absent, -1 without expiry."""
        return self._client.ttl(self.key(name))
