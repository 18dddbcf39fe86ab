"""Signals that come when there is nothing left to end."""

import atexit
import signal
from collections.abc import Iterable


def ignore_at_exit(numbers: Iterable[signal.Signals]) -> None:
    """Ignore them from when the interpreter ends.

    It gives them back their default meaning then, and a late one, such as a process manager's second, would kill a
    process that has done everything and make its exit code a failure.
    """
    atexit.register(_ignore, tuple(numbers))


def _ignore(numbers: Iterable[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
