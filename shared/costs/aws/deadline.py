"""Calls that must have answered by a deadline, whatever they hang in: a resolver, a metadata address, a lock."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Runs a call on a thread of its own and waits no longer than `deadline_s` for it.

    Who asks again for the same `key` while a call still hangs waits for that one: threads do not pile up.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[T]] = {}

    def call(self, key: Hashable, function: Callable[[], T]) -> T:
        """What `function` returns or raises. Raises TimeoutError when it has not ended in time."""
        with self._lock:
            future = self._running.get(key)
            if future is None:
                future = self._running[key] = Future()
                arguments = (key, function, future)
                threading.Thread(target=self._run, args=arguments, name="aws-sign-in", daemon=True).start()
        return future.result(self._deadline_s)

    def _run(self, key: Hashable, function: Callable[[], T], future: "Future[T]") -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            self._forget(key)
            future.set_exception(error)
        else:
            self._forget(key)
            future.set_result(result)

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            del self._running[key]
