"""Calls with a deadline: what a frozen server holds is a thread of ours, never the one that answers a request."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")

JOIN_S: Final = 0.2

Work = tuple[Callable[[], Any], "Future[Any]"]


class BoundedCalls:
    """A few daemon threads that make calls for others. No thread runs before the first call.

    A call that is late keeps its thread until it returns: with all of them kept, further calls are refused at once.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._size = threads
        self._name = name
        self._free = threading.BoundedSemaphore(threads)
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """What `function` returns or raises. Raises TimeoutError when it is late, or no thread is free."""
        if timeout_s <= 0 or not self._free.acquire(blocking=False):
            raise TimeoutError("no time or no thread is left for this call")
        self._start()
        future: Future[T] = Future()
        self._queue.put((function, future))
        return future.result(timeout_s)

    def close(self) -> None:
        """End the threads that are idle; one that is stuck ends with the process."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        until_s = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _start(self) -> None:
        if len(self._threads) == self._size:
            return
        with self._lock:
            for number in range(len(self._threads), self._size):
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            function, future = work
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
                self._free.release()
                future.set_exception(error)
            else:
                self._free.release()
                future.set_result(result)
