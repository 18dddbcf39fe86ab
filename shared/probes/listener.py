"""A listening socket: takes in no more connections than it can serve, and lets go of clients who keep it waiting."""

import errno
import socket
import time
from operator import itemgetter
from typing import Any, Final, cast

from loguru import logger

from shared.observability import events
from shared.observability.metrics import HTTP_CLOSED
from shared.probes.channel import Channel
from shared.probes.reserve import OUT_OF_DESCRIPTORS, ReservedServer

# waitress has no deadline for a request that trickles in: a thousand of them would hold every connection for good.
REQUEST_DEADLINE_S: Final = 15.0
# In a drain a request that is still coming in gets this long.
DRAIN_PARTIAL_S: Final = 1.0
# Whoever comes while a crowd does waits behind all who came before: they are taken in by many at a time.
ACCEPTS_A_TURN: Final = 64
# One in so many places is kept free for newcomers.
SPARE_SHARE: Final = 8
# Out of descriptors, a socket that cannot be accepted would wake the loop again and again.
REST_S: Final = 0.1
CANNOT_OPEN: Final = OUT_OF_DESCRIPTORS | {errno.ENOBUFS, errno.ENOMEM}
TELL_AGAIN_S: Final = 60.0


class Listener(ReservedServer):
    """A listening socket and its connections, on a map of its own. Methods run on the loop's thread."""

    channel_class = Channel
    draining = False
    active_channels: dict[int, Channel]  # type: ignore[assignment] # the stub names the values only
    effective_port: str
    _map: dict[int, Any]
    _rest_until_s = 0.0
    _told_at_s = float("-inf")

    def readable(self) -> bool:
        """Whether to accept."""
        return self.accepting and not self._full() and time.monotonic() >= self._rest_until_s

    def tidy(self) -> None:
        """Close whoever has kept us waiting too long. To be called between two turns of the loop.

        Within one, a descriptor that is closed might be a newcomer's by the time its old event is handled; and waiting
        for its own event would be in vain, since a connection whose client takes nothing never has one.
        """
        now = time.time()
        if now >= self.next_channel_cleanup:
            self.next_channel_cleanup = int(now) + self.adj.cleanup_interval
            self._close_lapsed(now - self.adj.channel_timeout)
        self._make_room()

    def handle_accept(self) -> None:
        """Accept some of those who wait."""
        for _ in range(ACCEPTS_A_TURN):
            if self._full() or not self._accept_one():
                return

    def begin_drain(self) -> None:
        """Take in who already knocked, then close the door. Connections live on until `sweep` closes them."""
        if self.draining:
            return
        self.draining = True
        self._accept_waiting()
        # Not close(): that would also close the trigger, by which tasks tell the loop that they have output.
        self.del_channel()
        self.accepting = False
        cast("socket.socket", self.socket).close()

    def cut(self) -> None:
        """Close every connection, whatever it is doing."""
        for channel in list(self.active_channels.values()):
            channel.handle_close()

    def sweep(self) -> int:
        """Close connections that have nothing to do. Returns how many are left."""
        for channel in list(self.active_channels.values()):
            waiting = channel.partial_since_s is not None and not channel.overdue(DRAIN_PARTIAL_S)
            if not channel.busy() and not waiting:
                channel.handle_close()
        return len(self.active_channels)

    def _full(self) -> bool:
        return len(self._map) >= self.adj.connection_limit

    def _accept_waiting(self) -> None:
        """Accept every connection that the kernel holds for us: closing the socket would reset them."""
        # No more than can have been waiting, else a crowd that keeps coming would keep us here.
        for _ in range(self.adj.backlog):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Accept one connection; False when none waits, or none can be had now."""
        try:
            accepted = self.accept()
            if accepted is None:
                return False
            found, address = accepted
            self.set_socket_options(found)
        except OSError as error:  # mostly a client that has left already
            if error.errno in CANNOT_OPEN:
                self._rest_until_s = time.monotonic() + REST_S
                self._tell(f"no further connection can be opened ({error.strerror})")
            return False
        self.channel_class(self, found, address, self.adj, map=self._map)
        return True

    def _close_lapsed(self, cutoff: float) -> None:
        """Close connections that are idle, whose request does not come to an end, or that take nothing of an answer."""
        for channel in list(self.active_channels.values()):
            # In this order: an answer that begins in between is not yet one that nobody takes.
            answered = bool(channel.total_outbufs_len)
            idle = channel.last_activity < cutoff
            if idle and answered:
                self._let_go(channel, "stalled")
            elif channel.requests:
                continue
            elif channel.overdue(REQUEST_DEADLINE_S):
                self._let_go(channel, "overdue")
            elif idle:
                channel.handle_close()

    def _make_room(self) -> None:
        """With few places left, close those connections that have waited longest for their clients."""
        spare = max(1, self.adj.connection_limit // SPARE_SHARE)
        if len(self._map) + spare <= self.adj.connection_limit:
            return
        waits = ((channel.waits_since_s(), channel) for channel in self.active_channels.values())
        waiting = sorted((found for found in waits if found[0] is not None), key=itemgetter(0))
        for _, channel in waiting[:spare]:
            self._let_go(channel, "crowded")
        if waiting:
            self._tell(f"{len(waiting)} connections wait for their clients")

    def _let_go(self, channel: Channel, reason: str) -> None:
        HTTP_CLOSED.labels(reason=reason).inc()
        channel.handle_close()

    def _tell(self, reason: str) -> None:
        if time.monotonic() - self._told_at_s < TELL_AGAIN_S:
            return
        self._told_at_s = time.monotonic()
        bound = logger.bind(event=events.HTTP_CROWDED, port=int(self.effective_port), reason=reason)
        bound.warning("Too many connections: those that have waited longest for their clients are closed")
