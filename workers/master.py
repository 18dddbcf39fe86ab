"""Dramatiq's command line as the launcher starts it: in a process group of its own that dies with the launcher."""

import ctypes
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from dramatiq import cli

from workers.env import LAUNCHER_PID

PR_SET_PDEATHSIG: Final = 1
# What children get to hand their runs back once the launcher is gone.
ORPHAN_GRACE_S: Final = 3


def die_with_launcher(launcher_pid: int) -> None:
    """End the whole process group soon after the launcher has died, however it did.

    Linux tells of a parent's death by a signal. Elsewhere the children end by themselves when the pipe from the
    launcher closes, and Dramatiq ends when its children do; there a frozen child would stay.
    """
    signal.signal(signal.SIGUSR1, _on_orphaned)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(os.getpgrp(), signal.SIGKILL))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != launcher_pid:
        _on_orphaned()


def _on_orphaned(*_: object) -> None:
    signal.alarm(ORPHAN_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(os.getpgrp(), signal.SIGTERM)


def main() -> int:
    """Run Dramatiq's command line with this process's arguments."""
    # Children inherit the launcher's pipe only when they are forked.
    multiprocessing.set_start_method("fork")
    die_with_launcher(int(os.environ[LAUNCHER_PID]))
    code: int = cli.main()  # type: ignore[no-untyped-call] # Dramatiq's command line has no types
    return code


if __name__ == "__main__":
    sys.exit(main())
