"""What is asked of a connection beyond waitress: JSON errors, a deadline for a whole request, closing in a drain."""

import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final, cast

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from shared.probes.reserve import ReservedServer

if TYPE_CHECKING:
    from waitress.parser import HTTPRequestParser
    from waitress.utilities import Error

# waitress has no deadline for a request that trickles in: a thousand of them would hold every connection for good.
REQUEST_DEADLINE_S: Final = 15.0
# In a drain a request that is still coming in gets this long.
DRAIN_PARTIAL_S: Final = 1.0


class JsonErrorTask(ErrorTask):
    """Answers what never reached the application: a malformed request, one too large, an error in the application."""

    def execute(self) -> None:
        """Answer in JSON; waitress's own words are plain text."""
        error = cast("Error", cast("HTTPRequestParser", self.request).error)
        self.status = f"{error.code} {error.reason}"
        body = json.dumps({"error": error.reason, "message": str(error.body)}).encode()
        self.response_headers = [("Content-Type", "application/json; charset=utf-8")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class DrainingTask(WSGITask):
    """Tells the client that the connection ends when the server is draining."""

    def build_response_header(self) -> Any:
        """The header, with `Connection: close` in a drain."""
        if cast("Listener", self.channel.server).draining:
            self.set_close_on_finish()
        return super().build_response_header()


class Channel(HTTPChannel):
    """A connection. Methods here run on the listener's loop, where alone requests are added."""

    task_class = DrainingTask
    error_task_class = JsonErrorTask

    def __init__(self, server: "Listener", sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None) -> None:  # noqa: A002, PLR0917 - the signature is waitress's
        # Since when a request has been coming in, or has been expected on a new connection.
        self.partial_since_s: float | None = time.monotonic()
        super().__init__(server, sock, addr, adj, map)

    def received(self, data: bytes) -> bool:
        """Take in data; a request not yet whole starts a clock."""
        taken: bool = super().received(data)
        if self.request is None:
            self.partial_since_s = None
        elif self.partial_since_s is None:
            self.partial_since_s = time.monotonic()
        return taken

    def busy(self) -> bool:
        """Whether a request is being answered, or its answer is not yet with the kernel."""
        return bool(self.requests or self.total_outbufs_len)

    def overdue(self, deadline_s: float) -> bool:
        """Whether a request has been coming in for longer than `deadline_s`."""
        return self.partial_since_s is not None and time.monotonic() - self.partial_since_s > deadline_s


class Listener(ReservedServer):
    """A listening socket and its connections, on a map of its own. Methods run on the loop's thread."""

    channel_class = Channel
    draining = False
    active_channels: dict[int, Channel]  # type: ignore[assignment] # the stub names the values only
    effective_port: str

    def maintenance(self, now: int) -> None:
        """Close idle connections, and those whose request does not come to an end."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            if not channel.busy() and channel.overdue(REQUEST_DEADLINE_S):
                channel.will_close = True

    def begin_drain(self) -> None:
        """Take in who already knocked, then close the door. Connections live on until `sweep` closes them."""
        if self.draining:
            return
        self.draining = True
        self.accept_waiting()
        # Not close(): that would also close the trigger, by which tasks tell the loop that they have output.
        self.del_channel()
        self.accepting = False
        cast("socket.socket", self.socket).close()

    def accept_waiting(self) -> None:
        """Accept every connection that the kernel holds for us: closing the socket would reset them."""
        while True:
            before = len(self.active_channels)
            self.handle_accept()
            if len(self.active_channels) == before:
                return

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
