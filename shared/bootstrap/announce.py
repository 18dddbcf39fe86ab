"""The line that says a process serves, and what of its surroundings is there."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from loguru import logger

from shared.core.health import CheckResult, CheckStatus
from shared.observability import events

# How long the line waits for the first word of Redis and of the database once they can be asked.
SETTLE_S: Final = 3.0
SETTLE_LOOK_S: Final = 0.05


def announce(
    checks: Callable[[], Mapping[str, CheckResult]],
    *,
    settled: Callable[[], bool],
    stopped: threading.Event,
    booted: Callable[[], bool] = lambda: True,
) -> None:
    """Log it once `settled()` and all is checked, 3 s after `booted()` at the latest; never after `stopped`.

    On a thread of its own.
    """

    def wait_and_log() -> None:
        while not booted() and not stopped.wait(SETTLE_LOOK_S):
            pass
        until_s = time.monotonic() + SETTLE_S
        while not (settled() and _all_checked(checks())):
            if time.monotonic() >= until_s or stopped.wait(SETTLE_LOOK_S):
                break
        if not stopped.is_set():
            log_started(checks())

    threading.Thread(target=wait_and_log, name="announce", daemon=True).start()


def _all_checked(checks: Mapping[str, CheckResult]) -> bool:
    """Of credentials, each account's: what a worker found before is read from the ledger a moment after the start."""
    return not any("not checked" in (check.message or "").lower() for check in checks.values())


def log_started(checks: Mapping[str, CheckResult]) -> None:
    """Say that the process serves, and what of its surroundings is there."""
    available = [name for name, check in checks.items() if check.status is CheckStatus.UP]
    missing = {CheckStatus.DOWN, CheckStatus.DEGRADED}
    unavailable = [name for name, check in checks.items() if check.status in missing]
    bound = logger.bind(event=events.PROCESS_STARTED, available=available, unavailable=unavailable)
    if unavailable:
        bound.warning("Server started - some features may be degraded")
    else:
        bound.info("Server started")
