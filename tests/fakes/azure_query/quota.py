"""Quotas as Azure has them: token buckets for each tenant and ClientType, told of in headers."""

import math
import threading
from dataclasses import dataclass

PREFIX = "x-ms-ratelimit-microsoft.costmanagement"


@dataclass
class Bucket:
    """So many query units in so many seconds."""

    name: str
    capacity: float
    period_s: float
    level: float
    at_s: float

    def fill(self, now_s: float) -> None:
        self.level = min(self.capacity, self.level + (now_s - self.at_s) * self.capacity / self.period_s)
        self.at_s = now_s

    def wait_s(self, units: float) -> float:
        return max(0.0, (units - self.level) * self.period_s / self.capacity)


@dataclass(frozen=True)
class Verdict:
    """The headers to send along, and how long to stay away: None for a request that is within the quota."""

    headers: dict[str, str]
    retry_after_s: int | None = None


class Quota:
    """Azure's limits (12 units in 10 s, 60 a minute, 600 an hour), times `scale`; 0 is without any."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], list[Bucket]] = {}
        self._closed_until_s: dict[tuple[str, str], float] = {}
        # Requests that came although they had been told to come later.
        self.violations = 0

    def take(self, tenant: str, client: str, units: float, now_s: float) -> Verdict:
        """Count a request towards its quotas, or refuse it."""
        who = (tenant, client)
        with self._lock:
            if now_s < self._closed_until_s.get(who, 0):
                self.violations += 1
            if not self._scale:
                return Verdict({})
            buckets = self._buckets.setdefault(who, self._full(now_s))
            for bucket in buckets:
                bucket.fill(now_s)
            # A larger query than a bucket holds waits for a full one.
            waits = {bucket.name: bucket.wait_s(min(units, bucket.capacity)) for bucket in buckets}
            worst_s = max(waits.values())
            if worst_s > 0:
                return Verdict(self._refusal(waits), self._close(who, worst_s, now_s))
            for bucket in buckets:
                bucket.level -= min(units, bucket.capacity)
            left = ",".join(f"{bucket.name}:{math.floor(bucket.level)}" for bucket in buckets)
            return Verdict({f"{PREFIX}-qpu-consumed": f"{units:g}", f"{PREFIX}-qpu-remaining": left})

    def close(self, tenant: str, client: str, wait_s: float, now_s: float) -> None:
        """Whoever comes before then has not listened."""
        with self._lock:
            self._close((tenant, client), wait_s, now_s)

    def _close(self, who: tuple[str, str], wait_s: float, now_s: float) -> int:
        told_s = math.ceil(wait_s)
        # Told in whole seconds by a clock of ours; a hundredth is not held against anybody.
        self._closed_until_s[who] = max(self._closed_until_s.get(who, 0), now_s + told_s - 0.01)
        return told_s

    def _full(self, now_s: float) -> list[Bucket]:
        limits = (("QueriesPerHour", 600, 3600), ("QueriesPerMin", 60, 60), ("QueriesPer10Sec", 12, 10))
        return [Bucket(name, units * self._scale, each, units * self._scale, now_s) for name, units, each in limits]

    def _refusal(self, waits: dict[str, float]) -> dict[str, str]:
        """As Azure does it: several headers, of which the largest counts."""
        worst_s = math.ceil(max(waits.values()))
        shortest_s = math.ceil(min(wait for wait in waits.values() if wait > 0))
        return {
            f"{PREFIX}-entity-retry-after": str(shortest_s),
            f"{PREFIX}-qpu-retry-after": str(worst_s),
            f"{PREFIX}-qpu-consumed": "0",
            f"{PREFIX}-qpu-remaining": ",".join(f"{name}:0" for name, wait in waits.items() if wait > 0),
        }
