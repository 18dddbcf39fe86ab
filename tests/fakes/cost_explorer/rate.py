"""A quota of requests, as AWS has one for each account."""

import threading
import time


class Rate:
    """A bucket for each account that holds one second's worth of `per_s` requests; None lets everything through."""

    def __init__(self, per_s: float | None) -> None:
        self.per_s = per_s
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def admits(self, account: str) -> bool:
        """Whether a request of the account fits now; it is counted if so."""
        if self.per_s is None:
            return True
        most = max(1.0, self.per_s)
        with self._lock:
            now_s = time.monotonic()
            left, since_s = self._left.get(account, (most, now_s))
            left = min(most, left + (now_s - since_s) * self.per_s)
            self._left[account] = (max(left - 1, 0.0) if left >= 1 else left, now_s)
            return left >= 1
