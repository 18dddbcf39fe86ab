"""Dramatiq's command line as the launcher starts it: in a process group of its own that dies with the launcher."""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
from typing import Final

from dramatiq import cli

from workers.env import LAUNCHER_PID

PR_SET_PDEATHSIG: Final = 1
# What children get to hand their runs back once the launcher is gone.
ORPHAN_GRACE_S: Final = 3


def die_with_launcher(launcher_pid: int) -> None:
    """End the whole process group soon after the launcher has died, however it did.

    The children end by themselves when the pipe from the launcher closes, and Dramatiq ends when they do. Whoever has
    not by then is killed, of which Linux alone gives notice, by a signal; elsewhere a frozen child would stay.
    """
    signal.signal(signal.SIGUSR1, _on_orphaned)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(os.getpgrp(), signal.SIGKILL))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != launcher_pid:
        _on_orphaned()


def _on_orphaned(*_: object) -> None:
    # No SIGTERM: a child that has just been forked would take it with a handler of Dramatiq's that fails by then.
    signal.alarm(ORPHAN_GRACE_S)


def main() -> int:
    """Run Dramatiq's command line with this process's arguments."""
    # Children inherit the launcher's pipe only when they are forked.
    multiprocessing.set_start_method("fork")
    # What it would say of a child's end, in a form of its own, the launcher says better.
    logging.getLogger("dramatiq.MainProcess").addHandler(logging.NullHandler())
    die_with_launcher(int(os.environ[LAUNCHER_PID]))
    code: int = cli.main()  # type: ignore[no-untyped-call] # Dramatiq's command line has no types
    return code


if __name__ == "__main__":
    sys.exit(main())
