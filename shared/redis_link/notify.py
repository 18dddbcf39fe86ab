"""Callbacks on changes of state: each in order, on a thread of its own, so that one that blocks or raises is alone."""

import queue
import threading
from collections.abc import Callable
from typing import Final

from loguru import logger

from shared.core.connection import StateChange
from shared.observability import events, metrics

StateCallback = Callable[[StateChange], object]

# What a callback that hangs may have waiting; older changes are dropped then, the newest always arrives.
WAITING_MAX: Final = 1000
# A thread without work ends after this long; the next change starts another.
IDLE_S: Final = 5.0


class _Listener:
    """One callback, its waiting changes and, while there are any, its thread."""

    def __init__(self, callback: StateCallback) -> None:
        self.callback = callback
        self._waiting: queue.Queue[StateChange] = queue.Queue(WAITING_MAX)
        self._lock = threading.Lock()
        self._running = False
        self.ended = False

    def tell(self, change: StateChange) -> None:
        with self._lock:
            if self._waiting.full():
                self._waiting.get_nowait()
            self._waiting.put_nowait(change)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="redis-callback", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                change = self._waiting.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._running = False
                        return
                continue
            if not self.ended:
                self._call(change)

    def _call(self, change: StateChange) -> None:
        try:
            self.callback(change)
        except Exception as error:  # noqa: BLE001 - whatever a callback raises is its own affair, counted and told
            metrics.UNEXPECTED_ERRORS.labels(where="redis_callback").inc()
            logger.bind(
                event=events.REDIS_CALLBACK_FAILED, callback=repr(self.callback), error=type(error).__name__
            ).opt(exception=error).error("Redis: A callback on the connection's state failed")


class Notifier:
    """The callbacks of one link."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[_Listener, ...] = ()

    def add(self, callback: StateCallback) -> None:
        """Tell `callback` of every change from now on; once, however often it is added."""
        with self._lock:
            if all(listener.callback != callback for listener in self._listeners):
                self._listeners = (*self._listeners, _Listener(callback))

    def remove(self, callback: StateCallback) -> None:
        """Tell `callback` nothing more, not even what waits for it."""
        with self._lock:
            for listener in self._listeners:
                listener.ended = listener.ended or listener.callback == callback
            self._listeners = tuple(listener for listener in self._listeners if not listener.ended)

    def tell(self, change: StateChange) -> None:
        """Hand `change` to every callback; waits for none."""
        for listener in self._listeners:
            listener.tell(change)

    def renew(self) -> None:
        """In a forked child: the callbacks stay, the parent's locks and threads do not."""
        self._lock = threading.Lock()
        self._listeners = tuple(_Listener(listener.callback) for listener in self._listeners)
