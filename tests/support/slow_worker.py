"""The worker with a provider that fetches for as long as a test wants: `python -m tests.support.slow_worker`.

A fetch begins by making the file SLOW_BEGUN and ends when SLOW_RELEASE exists.
"""

import os
import sys
import threading
from decimal import Decimal
from pathlib import Path

from shared.core.costs import CostRow, FetchedCosts
from shared.core.runs import Run

POLL_S = 0.02


class SlowFetcher:
    """Stands in for every provider."""

    def __init__(self, accounts: object) -> None:
        self._never = threading.Event()

    def __call__(self, run: Run) -> FetchedCosts:
        Path(os.environ["SLOW_BEGUN"]).touch()
        while not Path(os.environ["SLOW_RELEASE"]).exists():
            self._never.wait(POLL_S)
        return FetchedCosts(
            [CostRow(day, "", "AWS", "Compute", "Usage", "USD", Decimal(1), Decimal(1)) for day in run.days]
        )


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    import workers.child
    from workers.main import setup as real

    vars(workers.child)["Fetcher"] = SlowFetcher
    real()


if __name__ == "__main__":
    import workers.launcher
    from workers.__main__ import main
    from workers.crew import command

    def slow_command(**options: float) -> list[str]:
        slow = {"workers.main:setup": "tests.support.slow_worker:setup"}
        return [slow.get(part, part) for part in command(**options)]  # type: ignore[arg-type] # handed through

    vars(workers.launcher)["command"] = slow_command
    sys.exit(main())
