"""The client that callers get: redis-py's, over a pool that is the gate. Valid for life, whatever the link's state."""

import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.connection import AbstractConnection
from redis.event import EventDispatcher
from redis.exceptions import MaxConnectionsError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from shared.core.errors import RedisUnavailableError
from shared.redis_link.config import LinkConfig
from shared.redis_link.endpoint import Endpoint
from shared.redis_link.gate import Gate
from shared.redis_link.pool import CONNECTIONS


def connection_options(endpoint: Endpoint, *, timeout_s: float, connect_timeout_s: float, name: str) -> dict[str, Any]:
    """Options of every connection of the link: nothing retries by itself, nothing is negotiated beyond need."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "client_name": name,
        "driver_info": None,
        **endpoint.options,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


class GatePool(redis.ConnectionPool):
    """Hands out connections while the gate is open, and refuses at once, without a socket, while it is not."""

    def __init__(self, *, gate: Gate, **options: Any) -> None:
        self._gate = gate
        super().__init__(gate=gate, **options)

    def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:  # noqa: ARG002 - the signature is redis-py's
        """A connection that is ready, for the caller alone until it is released."""
        if not self._gate.is_open:
            raise self._gate.refused()
        try:
            return super().get_connection()
        except RedisUnavailableError as error:
            error.sent = False
            raise
        except MaxConnectionsError as error:
            raise self._gate.limited(error, time.monotonic()) from error
        except Exception as error:
            raise self._gate.connect_failed(error) from error

    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - the signature is redis-py's
        """Close idle connections. Those in use are shut down under their owners, who then get an error, not a crash."""
        super().disconnect(inuse_connections=False)
        if inuse_connections:
            self._gate.free()

    def renew(self) -> None:
        """In a forked child: locks that the parent's threads may have held are replaced, its sockets are left alone."""
        self._lock = type(self._lock)()
        self._fork_lock = type(self._fork_lock)()
        self._event_dispatcher = EventDispatcher()
        self.reset()


class LinkPipeline(Pipeline):
    """A pipeline that says when the connection was lost. redis-py's turns that into WatchError while watching."""

    def _disconnect_reset_raise_on_watching(self, conn: AbstractConnection, error: Exception, *_: Any) -> None:
        conn.disconnect()  # type: ignore[no-untyped-call] # untyped in redis-py
        self.watching = False
        self.reset()
        raise error

    def _disconnect_raise_on_watching(self, conn: AbstractConnection, error: Exception, *_: Any) -> None:
        conn.disconnect()  # type: ignore[no-untyped-call] # untyped in redis-py
        self.watching = False
        raise error


class LinkRedis(redis.Redis):
    """redis-py's client, with the pipeline above."""

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT002 - as above
        """A new pipeline."""
        return LinkPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def build_client(endpoint: Endpoint, config: LinkConfig, gate: Gate, name: str) -> redis.Redis:
    """The client for `endpoint`, behind `gate`. Opens nothing."""
    options = connection_options(
        endpoint, timeout_s=config.command_timeout_s, connect_timeout_s=config.connect_timeout_s, name=name
    )
    pool = GatePool(
        gate=gate,
        connection_class=CONNECTIONS[endpoint.kind],
        max_connections=endpoint.max_connections or config.max_connections,
        **options,
    )
    return LinkRedis(connection_pool=pool)
