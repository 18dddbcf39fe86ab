"""Checks run in the background, each on a thread of its own; probes read the last results. Results expire."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from loguru import logger

from shared.core.health import CheckResult, CheckStatus
from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS

STALE_AFTER_INTERVALS: Final = 3
# Joining waits for a check that is under way no longer than this; its thread is a daemon and ends with the process.
JOIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a check runs, and how long it may take before it counts as not answering. Seconds."""

    interval_s: float = 2.0
    deadline_s: float = 5.0

    def __post_init__(self) -> None:
        if self.interval_s <= 0 or self.deadline_s <= 0:
            raise ValueError("interval_s and deadline_s must be above 0")


@dataclass(frozen=True, slots=True)
class Seen:
    """The last result of a check, when it came, and since when the next one has been under way. Monotonic seconds."""

    result: CheckResult
    at_s: float
    running_since_s: float | None = None


def current(seen: Seen, now_s: float, timing: Timing) -> CheckResult:
    """What the last result is worth now: itself, or a failure when the check hangs or no longer runs."""
    if seen.running_since_s is not None:
        # A check under way is as fresh as can be, until it takes too long.
        took_s = now_s - seen.running_since_s
        return _lapsed(seen.result, f"No answer for {took_s:.0f}s") if took_s > timing.deadline_s else seen.result
    age_s = now_s - seen.at_s
    if age_s > STALE_AFTER_INTERVALS * timing.interval_s:
        return _lapsed(seen.result, f"Stale: last checked {age_s:.0f}s ago")
    return seen.result


def _lapsed(result: CheckResult, message: str) -> CheckResult:
    status = CheckStatus.DOWN if result.vital else CheckStatus.DEGRADED
    return replace(result, status=status, response_ms=None, message=message)


class CheckRunner:
    """Runs `checks` every `interval_s`. A check may raise or hang: it harms neither the others nor whoever asks.

    `vital` names those that make the whole unhealthy when they are down.
    """

    def __init__(
        self,
        checks: Mapping[str, Callable[[], CheckResult]],
        *,
        interval_s: float = 2.0,
        deadline_s: float = 5.0,
        vital: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = dict(checks)
        self._timing = Timing(interval_s, deadline_s)
        self._clock = clock
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._first: dict[str, threading.Event] = {name: threading.Event() for name in checks}
        self._callbacks: list[Callable[[], object]] = []
        self._wake: dict[str, threading.Event] = {name: threading.Event() for name in checks}
        # Replaced whole, never changed in place: whoever reads needs no lock.
        self._seen = {name: self._not_yet(name, vital) for name in checks}

    def start(self) -> None:
        """Start the threads; nothing when they run already or after `stop`."""
        if self._threads or self._stop.is_set():
            return
        for name in self._checks:
            thread = threading.Thread(target=self._run, args=(name,), name=f"check-{name}", daemon=True)
            thread.start()
            # Not before: `stop`, which may come from another thread meanwhile, could not wait for it.
            self._threads.append(thread)

    def stop(self, timeout_s: float = JOIN_S) -> None:
        """End the threads; one that hangs in its check is left to end with the process."""
        until_s = time.monotonic() + timeout_s
        self._stop.set()
        self.hurry()
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def hurry(self) -> None:
        """Check again now instead of at the end of the interval."""
        for wake in self._wake.values():
            wake.set()

    def on_change(self, callback: Callable[[], object]) -> None:
        """Call `callback` after each change of a check's status, on that check's thread; it must not raise."""
        self._callbacks.append(callback)

    def results(self) -> dict[str, CheckResult]:
        """The checks' results as of now, in the order given. Costs no I/O."""
        now_s = self._clock()
        return {name: current(self._seen[name], now_s, self._timing) for name in self._checks}

    def wait_first(self, timeout_s: float) -> bool:
        """Wait until each check has had its first result."""
        until_s = time.monotonic() + timeout_s
        return all(first.wait(max(0.0, until_s - time.monotonic())) for first in self._first.values())

    def _not_yet(self, name: str, vital: frozenset[str]) -> Seen:
        status = CheckStatus.DOWN if name in vital else CheckStatus.DEGRADED
        return Seen(CheckResult(status, message="Not checked yet", vital=name in vital), self._clock())

    def _run(self, name: str) -> None:
        while not self._stop.is_set():
            self._wake[name].clear()
            began_s = self._clock()
            self._seen[name] = replace(self._seen[name], running_since_s=began_s)
            result = replace(self._look(name), vital=self._seen[name].result.vital)
            was, self._seen[name] = self._seen[name].result.status, Seen(result, self._clock())
            self._first[name].set()
            for callback in self._callbacks if result.status is not was else ():
                callback()
            if not self._stop.is_set():
                self._wake[name].wait(self._timing.interval_s)

    def _look(self, name: str) -> CheckResult:
        try:
            return self._checks[name]()
        except Exception as error:  # noqa: BLE001 - whatever a check raises is its result
            UNEXPECTED_ERRORS.labels(where=f"check_{name}").inc()
            logger.bind(event=events.CHECK_FAILED, check=name).opt(exception=True).error("A health check failed")
            return CheckResult(CheckStatus.DOWN, message=f"The check failed ({type(error).__name__})")
