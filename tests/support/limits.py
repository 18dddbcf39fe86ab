"""Limits of processes that run, as an operator or a leak would set them."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from tests.support.waiting import wait_for

DESCRIPTORS = Path("/proc/self/fd")
GAPS_WITHIN_S = 5.0


def cannot_limit() -> str | None:
    """Why the limits of a running process cannot be set; None where they can."""
    return None if DESCRIPTORS.is_dir() else "no /proc, and so no limits for a process that runs"


@contextlib.contextmanager
def without_descriptors(processes: Iterable[psutil.Process]) -> Iterator[None]:
    """Meanwhile none of these can open a file or a socket: the limit of each is the lowest number it has free.

    Never below what it keeps in reserve: a probe's connection that just ended may have left a gap there.
    """
    before = {one: one.rlimit(resource.RLIMIT_NOFILE) for one in processes}
    for one, (_, hard) in before.items():
        one.rlimit(resource.RLIMIT_NOFILE, (max(_lowest_free(one.pid), _reserve_end(one.pid)), hard))
    try:
        yield
    finally:
        for one, limit in before.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.rlimit(resource.RLIMIT_NOFILE, limit)


@contextlib.contextmanager
def without_gaps(process: psutil.Process, port: int) -> Iterator[None]:
    """Meanwhile connections to its `port` fill the numbers that are free below those it keeps in reserve.

    A process that has really run out has no such gap: what it gives up can be had again. Below a limit that was lowered
    to a gap it could not.
    """
    with contextlib.ExitStack() as held:

        def filled() -> bool:
            if _lowest_free(process.pid) >= _reserve_end(process.pid):
                return True
            held.enter_context(socket.create_connection(("127.0.0.1", port), GAPS_WITHIN_S))
            return False

        wait_for(filled, GAPS_WITHIN_S, f"process {process.pid} to have no free number below its reserve")
        yield


def _reserve_end(pid: int) -> int:
    """The number after its reserve: above the standard streams, what leads nowhere is kept for its number."""
    reserved = (number for number in _numbers(pid) if number > 2 and _target(pid, number) == os.devnull)
    return max(reserved, default=-1) + 1


def _target(pid: int, number: int) -> str | None:
    with contextlib.suppress(OSError):  # closed meanwhile
        return str(Path(f"/proc/{pid}/fd/{number}").readlink())
    return None


def _numbers(pid: int) -> set[int]:
    return {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}


def _lowest_free(pid: int) -> int:
    taken = _numbers(pid)
    return min(set(range(len(taken) + 1)) - taken)
