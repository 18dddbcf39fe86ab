"""The worker, with fetches that last PACED_FETCH_S longer: `python -m tests.support.paced_worker`.

The first attempt of each run of the account "flaky" fails, in a way that passes at once.
"""

import os
import threading

from shared.core.costs import FetchedCosts
from shared.core.errors import ProviderError
from shared.core.runs import Run
from tests.support.worker_main import real_setup, run
from workers.ledger import Accounts, Fetcher

FLAKY = "flaky"


class PacedFetcher:
    """The real one, slower."""

    def __init__(self, accounts: Accounts) -> None:
        self._real = Fetcher(accounts)
        self._never = threading.Event()

    def __call__(self, run: Run) -> FetchedCosts:
        if run.account == FLAKY and not run.failures:
            raise ProviderError(code="BUSY", summary="busy", hint="wait", retry_after_s=0)
        fetched = self._real(run)
        self._never.wait(float(os.environ["PACED_FETCH_S"]))
        return fetched


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    real_setup(Fetcher=PacedFetcher)


if __name__ == "__main__":
    run("tests.support.paced_worker:setup")
