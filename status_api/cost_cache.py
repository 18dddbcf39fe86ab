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
from status_api.kept import Answer, read

# Redis's memory is the queues' first: an old version's entries go by themselves, and what is huge even when compressed
# is not kept.
TTL_S: Final = 3600
MAX_VALUE_BYTES: Final = 1_048_576

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

    def fetch(self, key: str, make: Callable[[], bytes], *, ask: bool) -> tuple[Answer, CacheOutcome]:
        """The answer under `key`, made by `make` when Redis has none; Redis is not asked unless `ask`."""
        answer, outcome = self._fetch(key, make, ask=ask)
        metrics.COST_CACHE.labels(outcome=outcome.value).inc()
        return answer, outcome

    def _fetch(self, key: str, make: Callable[[], bytes], *, ask: bool) -> tuple[Answer, CacheOutcome]:
        if not ask:
            return Answer(make()), CacheOutcome.BYPASS
        asked_at = self._monotonic_s()
        try:
            found = self._calls.call(lambda: self._link.get_value(key), self._budget_s)
        except (redis.RedisError, TimeoutError, UnicodeError):
            return Answer(make()), CacheOutcome.BYPASS
        left_s = self._budget_s - (self._monotonic_s() - asked_at)
        known = None if found is None else _usable(found)
        if known is not None:
            return known, CacheOutcome.HIT
        answer = Answer.of(make())
        self._keep(key, answer.value(), left_s)
        return answer, CacheOutcome.MISS

    def _keep(self, key: str, value: str, left_s: float) -> None:
        if len(value) > MAX_VALUE_BYTES:
            return
        try:
            self._calls.call(lambda: self._link.set_value(key, value, TTL_S), left_s)
        except (redis.RedisError, TimeoutError):
            metrics.COST_CACHE.labels(outcome="not_kept").inc()


def _usable(found: str) -> Answer | None:
    """The answer of ours that it is: a person may have written something else under the key."""
    answer = read(found)
    if answer is None or answer.compressed:
        return answer
    try:
        body = json.loads(found)
    except ValueError:
        return None
    return answer if {"rows", "totals", "asOf"} <= body.keys() else None
