"""Waiting for what must become true, with a deadline: tests never sleep for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01
# Asking a database costs the machine time that those who are waited for need.
ASK_S = 0.1


def wait_for(condition: Callable[[], T], timeout_s: float = 20.0, what: str = "") -> T:
    """The first truthy value of `condition()`. Raises AssertionError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"not within {timeout_s:g} s: {name} (last value: {value!r})")
        time.sleep(POLL_S)


def wait_none(left: Callable[[], list[str]], timeout_s: float) -> None:
    """Wait until nothing is `left`. Raises AssertionError that names what still is after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while found := left():
        if time.monotonic() >= deadline:
            raise AssertionError("\n".join([f"still left after {timeout_s:g} s:", *found]))
        time.sleep(ASK_S)


def pass_time(seconds: float) -> None:
    """Let this much time pass, where it is time itself that a test is about."""
    until_s = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until_s, seconds + 5, f"{seconds:g} s to pass")
