"""The worker, its processes kept busy by threads while a file exists: `python -m tests.support.busy_worker`.

BUSY names the file. The threads stand for what a provider's library may do to the process that it runs in.
"""

import os
import sys
import threading
from pathlib import Path

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
    from workers.main import setup as real

    keep_busy(Path(os.environ["BUSY"]))
    real()


if __name__ == "__main__":
    import workers.launcher
    from workers.__main__ import main
    from workers.crew import command

    def busy_command(**options: float) -> list[str]:
        busy = {"workers.main:setup": "tests.support.busy_worker:setup"}
        return [busy.get(part, part) for part in command(**options)]  # type: ignore[arg-type] # handed through

    vars(workers.launcher)["command"] = busy_command
    sys.exit(main())
