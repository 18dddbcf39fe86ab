"""Dramatiq's process group: started, restarted and ended as one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

# Children of a Dramatiq process that died hand their runs back and end by themselves, in about a second.
ORPHANS_S: Final = 3.0
# How long Dramatiq waits for all of its processes to be up before it looks whether any has died. It waits so that what
# it forks later, of which there is nothing here, finds them up.
BOOT_WAIT_S: Final = 1.0
LOOK_S: Final = 0.02
FIRST_DELAY_S: Final = 1.0
MAX_DELAY_S: Final = 15.0
# A process group that lived this long was not broken from the start.
STEADY_S: Final = 60.0


def command(*, processes: int, threads: int, shutdown_timeout_s: float) -> list[str]:
    """The command line of Dramatiq. Its own logging is off: the launcher and the worker processes tell everything."""
    options = {
        "--processes": processes,
        "--threads": threads,
        "--worker-shutdown-timeout": int(shutdown_timeout_s * 1000),
        "--worker-fork-timeout": int(BOOT_WAIT_S * 1000),
    }
    flat = [str(part) for option in options.items() for part in option]
    return [sys.executable, "-m", "workers.master", "workers.main:setup", *flat, "--skip-logging"]


def restart_delay_s(lived_s: float, previous_s: float) -> float:
    """How long to wait before starting again a group that ended by itself after `lived_s`."""
    if lived_s >= STEADY_S or previous_s <= 0:
        return FIRST_DELAY_S
    return min(previous_s * 2, MAX_DELAY_S)


class Crew:
    """One group at a time. `start` must be called from a thread that lives as long as the launcher.

    Linux tells a child of the death of the thread that started it, not of the whole process.
    """

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], inherited: int) -> None:
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._inherited = inherited
        self._process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0

    @property
    def pid(self) -> int:
        """The Dramatiq process, and the group's number."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start a group. Raises OSError when this machine cannot (no descriptors, no memory, no process numbers)."""
        self.started_s = time.monotonic()
        self._process = None
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._arguments,
            env=self._environment,
            pass_fds=(self._inherited,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def exit_code(self) -> int | None:
        """What the Dramatiq process ended with, None while it runs."""
        return self._process.poll() if self._process else 0

    def terminate(self) -> None:
        """One SIGTERM to Dramatiq, which passes it on."""
        if self._process:
            self._process.terminate()

    def signal_children(self, pids: Sequence[int]) -> None:
        """SIGTERM to worker processes whom Dramatiq did not reach; a repeated one does no harm."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until nobody of the group is left."""
        until_s = time.monotonic() + timeout_s
        while self._anyone():
            if time.monotonic() >= until_s:
                return False
            time.sleep(LOOK_S)  # the kernel tells nobody when a group is empty
        return True

    def kill(self) -> None:
        """End whoever is left of the group, at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _anyone(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return self._process is not None
        try:
            # As the first process of a container the launcher inherits orphans, and must bury them.
            while os.waitpid(-self._process.pid, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
