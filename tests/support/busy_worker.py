"""The worker, its processes kept busy by threads while a file exists: `python -m tests.support.busy_worker`.

BUSY names the file. The threads stand for what a provider's library may do to the process that it runs in.
"""

import os
import threading
from pathlib import Path

from tests.support.worker_main import real_setup, run

THREADS = 8
LOOK_S = 0.1
TURNS = 100_000


def keep_busy(wanted: Path, threads: int = THREADS) -> None:
    """Start threads that compute while `wanted` exists, and one that looks whether it does."""
    busy = threading.Event()

    def compute() -> None:
        while True:
            busy.wait()
            sum(range(TURNS))

    def look() -> None:
        never = threading.Event()
        while not never.wait(LOOK_S):
            (busy.set if wanted.exists() else busy.clear)()

    for work in [look, *[compute] * threads]:
        threading.Thread(target=work, name="busy", daemon=True).start()


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    keep_busy(Path(os.environ["BUSY"]))
    real_setup()


if __name__ == "__main__":
    run("tests.support.busy_worker:setup")
