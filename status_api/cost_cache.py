"""Answers about costs, kept in Redis for as long as the data they were made of is the newest.

Redis here only saves work: whatever it does, the answer comes from the database, and nobody waits for it beyond the
budget. What went wrong is counted as `bypass`, beside the link's own metrics and log lines.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import redis

from shared.observability import metrics
from status_api.collaborators import BoundedCaller, Link

# Redis's memory is the queues' first: an old version's entries go by themselves, and a huge answer is not kept.
TTL_S: Final = 3600
MAX_VALUE_BYTES: Final = 262_144

T = TypeVar("T")


class CacheOutcome(StrEnum):
    """What the cache did for a request: the value of X-Cache."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class CostKey:
    """All that an answer depends on. `data_version` rises with every store, so that an old entry is never found."""

    ledger_id: str
    data_version: int
    start: str
    end: str
    group_by: tuple[str, ...]
    metric: str
    account: str | None

    def text(self) -> str:
        """The key in Redis, below the application's namespace."""
        asked = json.dumps([self.ledger_id, self.start, self.end, self.group_by, self.metric, self.account])
        return f"costs:v{self.data_version}:{hashlib.sha256(asked.encode()).hexdigest()[:32]}"


class CostCache:
    """The cache behind one route. `budget_s` is all the time that one request gives to Redis."""

    def __init__(self, link: Link, calls: BoundedCaller, *, budget_s: float, monotonic_s: Callable[[], float]) -> None:
        self._link = link
        self._calls = calls
        self._budget_s = budget_s
        self._monotonic_s = monotonic_s

    def fetch(self, key: str, make: Callable[[], bytes], *, ask: bool) -> tuple[bytes, CacheOutcome]:
        """The answer under `key`, made by `make` when Redis has none; Redis is not asked unless `ask`."""
        body, outcome = self._fetch(key, make, ask=ask)
        metrics.COST_CACHE.labels(outcome=outcome.value).inc()
        return body, outcome

    def _fetch(self, key: str, make: Callable[[], bytes], *, ask: bool) -> tuple[bytes, CacheOutcome]:
        if not ask:
            return make(), CacheOutcome.BYPASS
        asked_at = self._monotonic_s()
        try:
            found = self._calls.call(lambda: self._link.get_value(key), self._budget_s)
        except (redis.RedisError, TimeoutError, UnicodeError):
            return make(), CacheOutcome.BYPASS
        left_s = self._budget_s - (self._monotonic_s() - asked_at)
        if found is not None and _usable(found):
            return found.encode(), CacheOutcome.HIT
        body = make()
        self._keep(key, body, left_s)
        return body, CacheOutcome.MISS

    def _keep(self, key: str, body: bytes, left_s: float) -> None:
        if len(body) > MAX_VALUE_BYTES:
            return
        try:
            self._calls.call(lambda: self._link.set_value(key, body.decode(), TTL_S), left_s)
        except (redis.RedisError, TimeoutError):
            metrics.COST_CACHE.labels(outcome="not_kept").inc()


def _usable(found: str) -> bool:
    """Whether it is an answer of ours: a person may have written something else under the key."""
    try:
        body = json.loads(found)
    except ValueError:
        return False
    return isinstance(body, dict) and {"rows", "totals", "asOf"} <= body.keys()
