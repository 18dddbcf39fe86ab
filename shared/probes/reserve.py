"""Descriptors kept for the day on which a process has none left: on that day above all, probes must be answered."""

import errno
import os
from contextlib import suppress
from typing import Any, Final

from waitress.server import TcpWSGIServer

OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
# As many are answered at a time, each serves one connection after another: several who ask, often.
RESERVE: Final = 16


class Reserve:
    """A few open descriptors that lead nowhere."""

    def __init__(self, size: int = RESERVE) -> None:
        self._size = size
        self._kept: list[int] = []
        self.fill()

    def fill(self) -> None:
        """Take back what was spent, as far as that can be had."""
        with suppress(OSError):
            while len(self._kept) < self._size:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def spend(self) -> bool:
        """Give one up, for whoever opens something next; False when none is left."""
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Give all up."""
        while self.spend():
            pass


class ReservedServer(TcpWSGIServer):
    """Accepts in place of a descriptor of its reserve when the process has no other."""

    def __init__(self, *given: Any, **more: Any) -> None:
        self._reserve = Reserve()
        super().__init__(*given, **more)

    def accept(self) -> Any:
        """As waitress's. Raises OSError when not even the reserve helps."""
        self._reserve.fill()
        while True:
            try:
                return super().accept()
            except OSError as error:
                # What is given up another thread may take before we do; then another one is.
                if error.errno not in OUT_OF_DESCRIPTORS or not self._reserve.spend():
                    raise

    def close(self) -> None:
        """As waitress's."""
        self._reserve.close()
        super().close()
