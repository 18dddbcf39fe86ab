"""Noticing that the launcher, or the Dramatiq process between, has gone: then this process must not live on."""

import os
import select
import threading
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 1.0


class Lifeline:
    """Calls `on_cut` once, when the pipe `descriptor` closes or the parent of this moment is no longer the parent."""

    def __init__(self, descriptor: int, on_cut: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_cut = on_cut
        self._parent = os.getppid()
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def _watch(self) -> None:
        while os.getppid() == self._parent and not self._closed():
            pass
        self._on_cut()

    def _closed(self) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], LOOK_S)
        return bool(readable)
