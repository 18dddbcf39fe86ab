"""The writing transactions under way in this process, so that its end need not wait for them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# An interruption between two statements hits nothing, so it is repeated.
REPEAT_S: Final = 0.02


class UnderWay:
    """Knows the driver's connections that write now; `interrupt` breaks off the statement that one of them runs."""

    def __init__(self, interrupt: Callable[[Any], None]) -> None:
        self._interrupt = interrupt
        self._connections: dict[int, Any] = {}
        self._changed = threading.Condition()

    @contextmanager
    def writing(self, connection: Any) -> Iterator[None]:
        """The block is a transaction of `connection`."""
        with self._changed:
            self._connections[id(connection)] = connection
        try:
            yield
        finally:
            with self._changed:
                del self._connections[id(connection)]
                self._changed.notify_all()

    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._connections)

    def all(self) -> list[Any]:
        """Their connections."""
        with self._changed:
            return list(self._connections.values())

    def break_off(self, within_s: float) -> bool:
        """Interrupt every transaction until none is left; False when some outlast `within_s`."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            left = self.all()
            if not left:
                return True
            for connection in left:
                self._interrupt(connection)
            with self._changed:
                self._changed.wait_for(lambda: not self._connections, REPEAT_S)
        return not self._connections
