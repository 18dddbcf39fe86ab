"""The link to one Redis: what callers see of it."""

import os
import threading
import time
import weakref
from datetime import timedelta
from typing import Final

import redis

from shared.core.classify import Failure
from shared.core.connection import LinkState, Memory, Policy
from shared.core.connection_types import Instant
from shared.core.health import ErrorFacts, RedisDetails, RedisHealth
from shared.redis_link.client import GatePool, build_client
from shared.redis_link.config import LinkConfig
from shared.redis_link.dialer import Dialer
from shared.redis_link.endpoint import endpoint_of
from shared.redis_link.gate import Gate
from shared.redis_link.notify import Notifier, StateCallback
from shared.redis_link.registrar import Registrar, instant
from shared.redis_link.supervisor import Supervisor
from shared.redis_link.values import Values
from shared.redis_link.waker import Waker

# An attempt in the middle of a TLS handshake cannot be interrupted; it ends by itself, after close() has returned.
STOP_S: Final = 1.0
# After so many beats that did not come, a good state is an old one.
STALE_BEATS: Final = 3
UNWATCHED_HINT: Final = "Nothing to correct in Redis: restart the process, and report it if it comes again"


class RedisLink:
    """A link to the Redis at `config.url`. The constructor starts nothing and opens nothing.

    Thread-safe. In a forked child the same object, and every client it handed out, belongs to the child: it connects
    anew, on first use, if the parent's was started.
    """

    def __init__(self, config: LinkConfig, *, name: str = "holdfast") -> None:
        self.config = config
        self.name = name
        self._endpoint = endpoint_of(config.url)
        self._notifier = Notifier()
        policy = Policy(startup_attempts=config.startup_attempts, backoff=config.backoff)
        self._registrar = Registrar(policy, url_shown=self._endpoint.shown, notifier=self._notifier)
        self._gate = Gate(self)
        self._client = build_client(self._endpoint, config, self._gate, name)
        self._registrar.attach(self._gate, self._client)
        self._values = Values(self._client, config.namespace)
        self._lifecycle = threading.RLock()
        self._supervisor: Supervisor | None = None
        self._orphaned = False
        _links.add(self)

    def start(self) -> None:
        """Begin to connect, in the background. Returns at once; does nothing when started already."""
        with self._lifecycle:
            self._orphaned = False
            if self._supervisor is not None:
                return
            waker = Waker()
            dialer = Dialer(self._endpoint, self.config, name=self.name, waker=waker)
            supervisor = Supervisor(self._registrar, self._gate, dialer=dialer, waker=waker, config=self.config)
            self._supervisor = supervisor
            supervisor.start(self._registrar.begin())

    def close(self) -> None:
        """Disconnect, freeing every thread that waits for an answer. Safe to call twice, and before `start`."""
        with self._lifecycle:
            self._orphaned = False
            supervisor, self._supervisor = self._supervisor, None
            if supervisor is None:
                return
            self._registrar.end()
            supervisor.stop(STOP_S)
            self._client.connection_pool.disconnect()

    def is_available(self) -> bool:
        """Whether the link is connected. No I/O, no lock."""
        return self._registrar.open_client is not None or self._revived() is not None

    def get_safe(self) -> redis.Redis | None:
        """The client, or None when not connected. No I/O, no lock."""
        client = self._registrar.open_client
        return client if client is not None else self._revived()

    def get(self) -> redis.Redis:
        """The client. Raises RedisUnavailableError when not connected."""
        client = self.get_safe()
        if client is None:
            raise self._gate.refused()
        return client

    @property
    def client(self) -> redis.Redis:
        """The client, valid for life: while Redis is away its commands raise RedisUnavailableError."""
        return self._client

    def health(self) -> RedisHealth:
        """The link's state and facts, from memory."""
        self._revived()
        memory, now = self._registrar.memory, instant()
        is_open = memory.state is LinkState.CONNECTED
        connected_at_s, retry_in_s = memory.connected_at_s, self._registrar.retry_in_s()
        facts = self._registrar.facts
        details = RedisDetails(
            retry_count=memory.failed_attempts,
            attempt=memory.attempt,
            last_error=memory.failure.summary if memory.failure else None,
            uptime=now.mono_s - connected_at_s if connected_at_s is not None else None,
            url=self._endpoint.shown,
            error=_last_error(memory),
            degraded=_limit(memory) or (self._unwatched(now) if is_open else None),
            response_ms=self._registrar.response_ms,
            next_attempt_at=now.at + timedelta(seconds=retry_in_s) if retry_in_s is not None else None,
            next_attempt_in_s=retry_in_s,
            server_version=facts.version if is_open else None,
            server_role=facts.role if is_open else None,
            server_run_id=facts.run_id if is_open else None,
            transitions=memory.transitions,
        )
        return RedisHealth(status=str(memory.state), is_open=is_open, details=details)

    def on_change(self, callback: StateCallback) -> None:
        """Call `callback(StateChange)` for every change from now on, in order, on a thread of the callback's own."""
        self._notifier.add(callback)

    def off_change(self, callback: StateCallback) -> None:
        """Stop calling `callback`; one that is not registered is no error."""
        self._notifier.remove(callback)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until connected; False after `timeout_s`, or early when the link is closed."""
        self._revived()
        return self._registrar.wait(timeout_s)

    def retry_in_s(self) -> float | None:
        """Seconds to the next scheduled attempt, 0 while it is under way, None when none is scheduled."""
        return self._registrar.retry_in_s()

    def supervisor_alive(self, max_age_s: float) -> bool:
        """Whether the supervisor thread lives and moved within `max_age_s`. True for a link that is not started."""
        supervisor = self._supervisor
        if supervisor is None:
            return True
        return supervisor.alive and time.monotonic() - supervisor.pulse_s <= max_age_s

    def set_value(self, key: str, value: str, ttl_s: int | None = None) -> None:
        """Store `value` under the namespace, for `ttl_s` whole seconds or for good."""
        self._values.set(key, value, ttl_s)

    def get_value(self, key: str) -> str | None:
        """The value of `key` under the namespace, None when absent."""
        return self._values.get(key)

    def delete_value(self, key: str) -> bool:
        """Delete `key` under the namespace; whether it was there."""
        return self._values.delete(key)

    def key_exists(self, key: str) -> bool:
        """Whether `key` exists under the namespace."""
        return self._values.exists(key)

    def key_ttl(self, key: str) -> int:
        """Whole seconds until `key` expires, -2 when absent, -1 without expiry."""
        return self._values.ttl(key)

    def refusal(self) -> tuple[Failure, float | None]:
        """For the gate: why there is no connection, and the seconds to the next scheduled attempt."""
        self._revived()
        return self._registrar.refusal()

    def suspect(self) -> None:
        """For the gate: a caller met something odd."""
        if (supervisor := self._supervisor) is not None:
            supervisor.suspect()

    def denied(self, failure: Failure) -> None:
        """For the gate: a caller's new connection was refused."""
        if (supervisor := self._supervisor) is not None:
            supervisor.deny(failure)

    def _revived(self) -> redis.Redis | None:
        """In a forked child, begin to connect; the client, should it be there by now."""
        if self._orphaned:
            self.start()
        return self._registrar.open_client

    def _unwatched(self, now: Instant) -> ErrorFacts | None:
        """What to say of a connection that nobody looks after any more: "connected" is then no news."""
        supervisor = self._supervisor
        if supervisor is None:
            return None
        age_s = time.monotonic() - supervisor.pulse_s
        if age_s <= self.config.beat_timeout_s + STALE_BEATS * self.config.beat_interval_s:
            return None
        summary = f"Stale: the connection has not been looked after for {age_s:.0f}s"
        return ErrorFacts(code="UNWATCHED", summary=summary, hint=UNWATCHED_HINT, at=now.at - timedelta(seconds=age_s))

    def _renew(self) -> None:
        if self._supervisor is not None:
            self._orphaned = True
            self._supervisor.abandon()
            self._supervisor = None
        self._lifecycle = threading.RLock()
        self._notifier.renew()
        self._registrar.renew()
        self._gate.renew()
        pool = self._client.connection_pool
        if isinstance(pool, GatePool):
            pool.renew()


def _last_error(memory: Memory) -> ErrorFacts | None:
    if memory.failure is None or memory.failure_at is None:
        return None
    failure = memory.failure
    return ErrorFacts(code=str(failure.code), summary=failure.summary, hint=failure.hint, at=memory.failure_at)


def _limit(memory: Memory) -> ErrorFacts | None:
    if memory.degraded is None or memory.degraded_at is None:
        return None
    limit = memory.degraded
    return ErrorFacts(code=str(limit.code), summary=limit.summary, hint=limit.hint, at=memory.degraded_at)


_links: weakref.WeakSet[RedisLink] = weakref.WeakSet()


def _renew_all() -> None:
    for link in tuple(_links):
        link._renew()  # noqa: SLF001 - the module's own


os.register_at_fork(after_in_child=_renew_all)
