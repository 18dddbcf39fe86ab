"""The worker with a provider that fetches for as long as a test wants: `python -m tests.support.slow_worker`.

A fetch begins by making the file SLOW_BEGUN and ends when SLOW_RELEASE exists.
"""

import os
import threading
from decimal import Decimal
from pathlib import Path

from shared.core.costs import CostRow, FetchedCosts
from shared.core.runs import Run
from tests.support.worker_main import real_setup, run

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
    real_setup(Fetcher=SlowFetcher)


if __name__ == "__main__":
    run("tests.support.slow_worker:setup")
