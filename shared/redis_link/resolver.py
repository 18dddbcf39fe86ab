"""Names become addresses on a thread of their own, since getaddrinfo has no deadline and may hang."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from shared.redis_link.endpoint import Endpoint

INTERVAL_S: Final = 1.0

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | str]


class Resolver:
    """Resolves one endpoint, at most once a second and one at a time; `changed` is called when an answer came."""

    def __init__(self, endpoint: Endpoint, changed: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._changed = changed
        self._asked_at_s: float | None = None
        self._busy = threading.Event()
        self._answer: tuple[Address, ...] | OSError | None = _literal(endpoint)
        self._needed = self._answer is None

    def ask(self) -> None:
        """Look the name up again unless that was done within the last second or is still under way."""
        now_s = time.monotonic()
        recent = self._asked_at_s is not None and now_s - self._asked_at_s < INTERVAL_S
        if not self._needed or recent or self._busy.is_set():
            return
        self._asked_at_s = now_s
        self._busy.set()
        threading.Thread(target=self._look_up, name="redis-resolver", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a lookup is under way."""
        return self._busy.is_set()

    def latest(self) -> tuple[Address, ...] | OSError | None:
        """The last answer: addresses, or why there are none, or None before the first one."""
        return self._answer

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._endpoint.host, self._endpoint.port, 0, socket.SOCK_STREAM)
            self._answer = _addresses(found)
        except (OSError, UnicodeError) as error:
            self._answer = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error))
        finally:
            self._busy.clear()
            self._changed()


def _literal(endpoint: Endpoint) -> tuple[Address, ...] | None:
    if endpoint.kind == "unix":
        return ((socket.AF_UNIX, endpoint.path),)
    if not endpoint.literal:
        return None
    found = socket.getaddrinfo(endpoint.host, endpoint.port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    return _addresses(found)


def _addresses(found: list[Any]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys((family, place) for family, _, _, _, place in found))
