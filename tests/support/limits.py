"""Limits of processes that run, as an operator or a leak would set them."""

import contextlib
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

DESCRIPTORS = Path("/proc/self/fd")


def cannot_limit() -> str | None:
    """Why the limits of a running process cannot be set; None where they can."""
    return None if DESCRIPTORS.is_dir() else "no /proc, and so no limits for a process that runs"


@contextlib.contextmanager
def without_descriptors(processes: Iterable[psutil.Process]) -> Iterator[None]:
    """Meanwhile none of these can open a file or a socket: the limit of each is the lowest number it has free."""
    before = {one: one.rlimit(resource.RLIMIT_NOFILE) for one in processes}
    for one, (_, hard) in before.items():
        one.rlimit(resource.RLIMIT_NOFILE, (_lowest_free(one.pid), hard))
    try:
        yield
    finally:
        for one, limit in before.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.rlimit(resource.RLIMIT_NOFILE, limit)


def _lowest_free(pid: int) -> int:
    taken = {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}
    return min(set(range(len(taken) + 1)) - taken)
