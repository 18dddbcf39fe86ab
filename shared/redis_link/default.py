"""The functions of the process's default link. They never touch the network themselves to find out where it stands."""

import os
import threading
from collections.abc import Callable

import redis

from shared.core.connection import StateChange
from shared.core.errors import RedisUnavailableError
from shared.core.health import RedisHealth
from shared.redis_link.config import LinkConfig
from shared.redis_link.link import RedisLink
from shared.settings import load_settings

StateCallback = Callable[[StateChange], object]


class _Default:
    """The one link of this process."""

    link: RedisLink | None = None
    building = threading.Lock()


_default = _Default()


def _renew() -> None:
    _default.building = threading.Lock()


os.register_at_fork(after_in_child=_renew)


def set_default_link(link: RedisLink | None) -> None:
    """Make `link` the one the functions below speak of (None: forget it; it is not closed)."""
    _default.link = link


def default_link() -> RedisLink:
    """The process's link, built from the settings when bootstrap has not set one. Starts nothing."""
    with _default.building:
        if _default.link is None:
            _default.link = RedisLink(LinkConfig.from_settings(load_settings()))
        return _default.link


def init_redis() -> None:
    """Begin to connect in the background; returns at once, whether or not Redis is there. Safe to call twice."""
    default_link().start()


def close_redis() -> None:
    """Disconnect. Safe to call twice, and before `init_redis`."""
    if _default.link is not None:
        _default.link.close()


def is_redis_available() -> bool:
    """Whether Redis is connected right now; costs no I/O and waits for no lock."""
    link = _default.link
    return link is not None and link.is_available()


def get_redis_health_status() -> RedisHealth:
    """The connection's state and facts, from memory."""
    link = _default.link
    return link.health() if link is not None else RedisHealth(status="disconnected", is_open=False)


def get_redis() -> redis.Redis:
    """The client (replies are bytes). Raises RedisUnavailableError when not connected."""
    return _started().get()


def get_redis_safe() -> redis.Redis | None:
    """The client, or None when not connected."""
    link = _default.link
    return link.get_safe() if link is not None else None


def on_connection_state_change(callback: StateCallback) -> None:
    """Call `callback(StateChange)` for every change, in order, on a thread that is none of the caller's."""
    default_link().on_change(callback)


def off_connection_state_change(callback: StateCallback) -> None:
    """Stop calling `callback`; one that was never registered is no error."""
    if _default.link is not None:
        _default.link.off_change(callback)


def set_redis_value(key: str, value: str, ttl: int | None = None) -> None:
    """Store `value` under the namespace, for `ttl` whole seconds or for good. Raises RedisUnavailableError."""
    _started().set_value(key, value, ttl)


def get_redis_value(key: str) -> str | None:
    """The value of `key`, None when absent. Raises RedisUnavailableError."""
    return _started().get_value(key)


def delete_redis_value(key: str) -> bool:
    """Delete `key`; whether it was there. Raises RedisUnavailableError."""
    return _started().delete_value(key)


def redis_key_exists(key: str) -> bool:
    """Whether `key` exists. Raises RedisUnavailableError."""
    return _started().key_exists(key)


def get_redis_key_ttl(key: str) -> int:
    """Whole seconds until `key` expires, -2 when absent, -1 without expiry. Raises RedisUnavailableError."""
    return _started().key_ttl(key)


def _started() -> RedisLink:
    if _default.link is None:
        raise RedisUnavailableError(summary="The link to Redis has not been started", code="NOT_STARTED")
    return _default.link
