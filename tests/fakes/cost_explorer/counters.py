"""What was asked of the fake and what AWS would have charged for it."""

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

PAGE_USD = Decimal("0.01")
CALLS_KEPT = 100_000


class Call(NamedTuple):
    """One request, as it ended. `outcome` is "ok" or the error's name."""

    operation: str
    account: str | None
    outcome: str
    start: str = ""
    end: str = ""
    groups: int = 0


@dataclass
class Counters:
    """Safe to use from any thread."""

    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """While a request is worked on."""
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def note(self, call: Call) -> None:
        """Keep how a request ended. A page of costs that was answered is charged."""
        with self._lock:
            self.calls.append(call)
            self.outcomes[call.operation, call.outcome] += 1
            if call.operation == "GetCostAndUsage" and call.outcome == "ok":
                self.pages[call.account or ""] += 1

    @property
    def charged_usd(self) -> Decimal:
        """A cent a page; what failed costs nothing."""
        return PAGE_USD * self.pages.total()

    def reset(self) -> None:
        """Begin at zero."""
        with self._lock:
            self.calls.clear()
            self.outcomes.clear()
            self.pages.clear()
            self.most_in_flight = self.in_flight

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        with self._lock:
            return {
                "requests": sum(self.outcomes.values()),
                "outcomes": {f"{operation} {outcome}": n for (operation, outcome), n in sorted(self.outcomes.items())},
                "pages": self.pages.total(),
                "pagesByAccount": dict(sorted(self.pages.items())),
                "chargedUsd": str(self.charged_usd),
                "inFlight": self.in_flight,
                "mostInFlight": self.most_in_flight,
            }
