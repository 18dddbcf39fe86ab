"""The sockets of a server, and one turn of its loop."""

import select
from typing import Any

from waitress import wasyncore

from shared.probes.channel import Channel

READ = select.POLLIN | select.POLLPRI


class Sockets(dict[int, Any]):
    """The map that wasyncore keeps sockets in by their descriptors, with what each waits for.

    wasyncore's own loop asks every connection at every turn. Here only those are asked that are new, had an event or
    are at work, so that a crowd that keeps silent costs the others nothing. Used on the loop's thread alone, once that
    has started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._poll = select.poll()
        self._waits_for: dict[int, int] = {}
        self._to_ask: set[int] = set()

    def __setitem__(self, descriptor: int, found: Any) -> None:
        super().__setitem__(descriptor, found)
        self._to_ask.add(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self._to_ask.discard(descriptor)
        self._wait_for(descriptor, 0)

    def turn(self, timeout_s: float) -> None:
        """Wait for events, for so long at most, and have each handled."""
        for descriptor in tuple(self._to_ask):
            self._ask(descriptor, self[descriptor])
        for descriptor, flags in self._poll.poll(int(timeout_s * 1000)):
            found = self.get(descriptor)
            if found is None:
                continue  # closed by what was handled before
            self._to_ask.add(descriptor)
            wasyncore.readwrite(found, flags)

    def _ask(self, descriptor: int, found: Any) -> None:
        # Asked first: a thread that finishes meanwhile makes it wait for something else, and it must be asked again.
        settled = isinstance(found, Channel) and not found.busy()
        flags = READ if found.readable() else 0
        if found.writable() and not found.accepting:
            flags |= select.POLLOUT
        if descriptor not in self:
            return  # it was found closed when it was asked
        self._wait_for(descriptor, flags)
        if settled:
            self._to_ask.discard(descriptor)

    def _wait_for(self, descriptor: int, flags: int) -> None:
        if flags == self._waits_for.get(descriptor, 0):
            return
        if flags:
            self._poll.register(descriptor, flags)
            self._waits_for[descriptor] = flags
        else:
            self._poll.unregister(descriptor)
            del self._waits_for[descriptor]
