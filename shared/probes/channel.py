"""What is asked of a connection beyond waitress: JSON errors, one request at a time, and a clock on its client."""

import json
import socket
import threading
import time
from typing import Any, Final, cast

from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

JSON_TYPE: Final = "application/json; charset=utf-8"


class AnswerCut(ClientDisconnected):
    """Raised by an answer's body that cannot go on, once it has told why: the connection is closed without its end."""


class Parser(HTTPRequestParser):
    """Whatever is wrong with a request is a 400, also where waitress lets a ValueError escape."""

    # For a request that was never understood: waitress names the path in its lines.
    path = "/"

    def parse_header(self, header_plus: bytes) -> None:
        """Understand the head. Raises ParsingError."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of thousands of digits, a target with half a bracket
            raise ParsingError("The request line or a header is malformed") from error
        # Where it ends must not depend on who reads it: a proxy before us may go by the other one.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("The length of the body is stated in two ways, or in one that HTTP/1.0 does not have")


class JsonErrorTask(ErrorTask):
    """Answers what never reached the application: a malformed request, one too large, an error in the application."""

    def execute(self) -> None:
        """Answer in JSON; waitress's own words are plain text."""
        error = cast("Error", cast("HTTPRequestParser", self.request).error)
        self.status = f"{error.code} {error.reason}"
        body = json.dumps({"error": error.reason, "message": str(error.body)}).encode()
        self.response_headers = [("Content-Type", JSON_TYPE)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class ClosingTask(WSGITask):
    """Tells the client that the connection ends when the server is draining."""

    def build_response_header(self) -> Any:
        """The header, with `Connection: close` in a drain."""
        if cast("Any", self.channel.server).draining:
            self.set_close_on_finish()
        header = super().build_response_header()
        if cast("Any", self.request).command == "HEAD":
            # waitress would send the end of a body that has none of its own length, also where there is no body.
            self.chunked_response = False
        return header


class Channel(HTTPChannel):
    """A connection. Methods here run on the listener's loop, `service` apart.

    One request is parsed and answered at a time. waitress parses all that a client sends ahead (8 KB hold 450 requests)
    and answers on while nobody reads: a few such clients would take every thread and gigabytes of memory.
    """

    task_class = ClosingTask
    error_task_class = JsonErrorTask
    parser_class = Parser
    # What the stubs leave out or make too narrow.
    request: HTTPRequestParser | None
    requests: list[HTTPRequestParser]
    requests_lock: threading.Lock

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None) -> None:  # noqa: A002, PLR0917 - the signature is waitress's
        self._ahead = b""
        self._answered_at_s = time.monotonic()
        # Since when a request has been coming in, or has been expected on a new connection.
        self.partial_since_s: float | None = self._answered_at_s
        super().__init__(server, sock, addr, adj, map)

    def received(self, data: bytes) -> bool:
        """Take in data; a request not yet whole starts a clock."""
        self._ahead += data
        self._parse()
        return True

    def readable(self) -> bool:
        """Whether to read on. Called at every turn of the loop: the place to begin a request that came ahead."""
        if self._ahead and not self.total_outbufs_len:
            self._parse()
        return not self._ahead and bool(super().readable())

    def write_soon(self, data: Any) -> int:
        """Take a piece of the answer, to be sent on."""
        if not self.total_outbufs_len:
            # From here on it is the client who is waited for, however long the answer was in coming.
            self.last_activity = time.time()
        return super().write_soon(data)

    def service(self) -> None:
        """Answer the request, on a thread of the server's."""
        super().service()
        self._answered_at_s = time.monotonic()

    def handle_expt(self) -> None:
        """Close: HTTP knows no urgent data, and unread it would wake the loop again and again."""
        self.will_close = True

    def busy(self) -> bool:
        """Whether a request is being answered, waits to be, or its answer is not yet with the kernel."""
        return bool(self.requests or self.total_outbufs_len or self._ahead)

    def waits_since_s(self) -> float | None:
        """Since when the client has been waited for: to ask, or to take its answer. None while we have work to do."""
        if self.requests:
            return None
        return self._answered_at_s if self.partial_since_s is None else self.partial_since_s

    def overdue(self, deadline_s: float) -> bool:
        """Whether a request has been coming in for longer than `deadline_s`."""
        return self.partial_since_s is not None and time.monotonic() - self.partial_since_s > deadline_s

    def _parse(self) -> None:
        with self.requests_lock:
            while self._ahead and not (self.requests or self.will_close or self.close_when_flushed):
                self._parse_some()

    def _parse_some(self) -> None:
        """Parse up to the end of a head, of a body or of the data."""
        request = self.request = self.request or Parser(self.adj)
        self._ahead = self._ahead[request.received(self._ahead) :]
        if request.completed:
            self.request, self.partial_since_s, self.sent_continue = None, None, False
            if not request.empty:
                self.requests.append(request)
                self.server.add_task(self)  # type: ignore[arg-type] # the stub means a Task, waitress a channel
            return
        if self.partial_since_s is None:
            self.partial_since_s = time.monotonic()
        if request.expect_continue and request.headers_finished and not self.sent_continue:
            self.send_continue()
