"""The worker, starved at the worst moment: its launcher dies while worker processes have not taken their first step.

`python -m tests.support.late_worker`. A worker process makes the file SLOW_BEGUN when it is forked, and goes on when
SLOW_RELEASE exists, which its parent makes when it has done all that it does about the launcher's death.
"""

import os
import sys
import threading
from pathlib import Path

import workers.launcher
import workers.master
from workers.crew import command
from workers.env import LAUNCHER_PID

POLL_S = 0.02


def _starve() -> None:
    Path(os.environ["SLOW_BEGUN"]).touch()
    while not Path(os.environ["SLOW_RELEASE"]).exists():
        threading.Event().wait(POLL_S)


def master() -> int:
    """Dramatiq's process."""
    on_orphaned = workers.master._on_orphaned

    def told(*signal: object) -> None:
        on_orphaned(*signal)
        Path(os.environ["SLOW_RELEASE"]).touch()

    vars(workers.master)["_on_orphaned"] = told
    os.register_at_fork(after_in_child=_starve)
    return workers.master.main()


def launcher() -> int:
    """The launcher as it is, but for the process that it starts."""
    from workers.__main__ import main

    def changed(**options: float) -> list[str]:
        return [__spec__.name if part == "workers.master" else part for part in command(**options)]  # type: ignore[arg-type] # handed through

    vars(workers.launcher)["command"] = changed
    return main()


if __name__ == "__main__":
    sys.exit(master() if LAUNCHER_PID in os.environ else launcher())
