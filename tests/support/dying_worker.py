"""The worker, one of whose processes dies in the middle of its start, once: `python -m tests.support.dying_worker`."""

import os
import signal
from pathlib import Path

from tests.support.worker_main import real_setup, run


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    try:
        Path("died").touch(exist_ok=False)
    except FileExistsError:
        real_setup()
    else:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run("tests.support.dying_worker:setup")
