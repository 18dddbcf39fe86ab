"""HTTP over waitress, with what it leaves out: a drain that loses no answer, and several servers in one process."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from loguru import logger
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS
from shared.probes.channel import Listener

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Between two looks at connections that time out; whatever happens on a socket is seen at once.
POLL_S: Final = 2.0
DRAIN_POLL_S: Final = 0.02
RETRY_PORT_S: Final = 5.0
PROBE_THREADS: Final = 4
# Threads that are idle end at once; one that is stuck in a request ends with the process.
THREADS_END_S: Final = 0.2
# Half-open connections exhaust waitress's default of 100; the system's own limits lie above this.
CONNECTION_LIMIT: Final = 1000

# waitress writes a warning for each request that waits for a thread: a busy minute would have hundreds of them.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a listener puts up with. Seconds and bytes."""

    threads: int = 8
    connection_limit: int = CONNECTION_LIMIT
    channel_timeout_s: int = 15
    header_bytes: int = 16_384
    body_bytes: int = 65_536

    def adjustments(self, host: str, port: int) -> Adjustments:
        """The same for waitress. Raises OSError when `host` is no address of this machine."""
        try:
            return self._adjustments(host, port)
        except ValueError as error:
            raise OSError(f"{host} is no address to listen on") from error

    def _adjustments(self, host: str, port: int) -> Adjustments:
        return Adjustments(
            host=host,
            port=port,
            threads=self.threads,
            connection_limit=self.connection_limit,
            channel_timeout=self.channel_timeout_s,
            cleanup_interval=5,
            max_request_header_size=self.header_bytes,
            max_request_body_size=self.body_bytes,
            asyncore_use_poll=True,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )


class HttpServer:
    """Serves `app` on `host`:`port` (0: any free port) with `threads` threads and one for the sockets."""

    def __init__(self, app: "WSGIApplication", host: str, port: int, *, threads: int = 8, name: str = "http") -> None:
        self._app = app
        self._host = host
        self._wanted_port = port
        self._limits = HttpLimits(threads=threads)
        self._name = name
        self._map: dict[int, Any] = {}
        self._listeners: list[Listener] = []
        self._dispatcher: ThreadedTaskDispatcher | None = None
        self._thread: threading.Thread | None = None
        self._draining = threading.Event()
        self._drained = threading.Event()
        self._closing = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens: of use when it was told to take any port."""
        return int(self._listeners[0].effective_port) if self._listeners else self._wanted_port

    @property
    def host(self) -> str:
        """The address it was told to listen on."""
        return self._host

    def start(self) -> None:
        """Bind, listen and serve. Raises OSError when the port is taken. Nothing when started or stopped before."""
        if self._thread or self._closing.is_set():
            return
        adjustments = self._limits.adjustments(self._host, self._wanted_port)
        self._dispatcher = ThreadedTaskDispatcher()
        try:
            self._listeners = [self._listen(adjustments, socket_info) for socket_info in adjustments.listen]
        except OSError:
            wasyncore.close_all(self._map)
            raise
        self._dispatcher.set_thread_count(self._limits.threads)
        self._thread = threading.Thread(target=self._serve, name=f"{self._name}-loop", daemon=True)
        self._thread.start()

    def stop_accepting(self) -> None:
        """Close the door: new connections are refused, requests under way go on. Returns at once."""
        self._draining.set()
        self._wake()

    def drain(self, timeout_s: float) -> bool:
        """Stop accepting and wait until every request is answered and every answer sent. False on time-out."""
        self.stop_accepting()
        if not self._thread:
            return True
        return self._drained.wait(max(0.0, timeout_s))

    def stop(self, timeout_s: float = 1.0) -> None:
        """Close everything now; what is still under way is cut. Twice, or before `start`, is fine."""
        self._closing.set()
        self._wake()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def alive(self) -> bool:
        """Whether it serves: its loop's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _listen(self, adjustments: Adjustments, socket_info: Any) -> Listener:
        return Listener(self._app, self._map, dispatcher=self._dispatcher, adj=adjustments, sockinfo=socket_info)

    def _serve(self) -> None:
        while not self._closing.is_set() and not self._drained.is_set():
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - one bad connection must not end the listener
                UNEXPECTED_ERRORS.labels(where="http_loop").inc()
                logger.bind(event=events.HTTP_LOOP_FAILED).opt(exception=True).error("The listener's loop failed")
                self._closing.wait(DRAIN_POLL_S)
        self._close()

    def _turn(self) -> None:
        if not self._draining.is_set():
            wasyncore.poll2(POLL_S, self._map)
            return
        for listener in self._listeners:
            listener.begin_drain()
        wasyncore.poll2(DRAIN_POLL_S, self._map)
        if not sum(listener.sweep() for listener in self._listeners):
            self._drained.set()

    def _close(self) -> None:
        left = sum(len(listener.active_channels) for listener in self._listeners)
        if left:
            logger.bind(event=events.HTTP_DRAIN_CUT, connections=left).warning("Connections were cut at the stop")
        for listener in self._listeners:
            listener.cut()
        wasyncore.close_all(self._map)
        if self._dispatcher:
            self._dispatcher.shutdown(timeout=THREADS_END_S)  # type: ignore[arg-type] # only added to a time

    def _wake(self) -> None:
        if self.alive() and self._listeners:
            try:
                self._listeners[0].pull_trigger()
            except (OSError, IndexError):
                # The loop has just ended and closed its pipe: there is nothing left to wake.
                return


class ProbeServer:
    """A listener for probes that a taken port does not stop: it says so once and tries again every 5 s."""

    def __init__(
        self,
        app: "WSGIApplication",
        host: str,
        port: int,
        *,
        retry_s: float = RETRY_PORT_S,
        make: Callable[..., HttpServer] = HttpServer,
    ) -> None:
        self._new: Callable[[], HttpServer] = partial(make, app, host, port, threads=PROBE_THREADS, name="probe")
        self._retry_s = retry_s
        self._server = self._new()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens, or will."""
        return self._server.port

    def start(self) -> None:
        """Listen now, or as soon as the port is free. Returns at once, never raises for a taken port."""
        if self._thread or self._server.alive() or self._stop.is_set():
            return
        if not self._try(first=True):
            self._thread = threading.Thread(target=self._keep_trying, name="probe-port", daemon=True)
            self._thread.start()

    def listening(self) -> bool:
        """Whether it has its port."""
        return self._server.alive()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Answer what is under way, then close. Twice, or before `start`, is fine."""
        until_s = time.monotonic() + timeout_s
        self._stop.set()
        if self._thread:
            self._thread.join(timeout_s)
        self._server.drain(max(0.0, until_s - time.monotonic()))
        self._server.stop()

    def _keep_trying(self) -> None:
        while not self._stop.wait(self._retry_s):
            if self._try(first=False):
                return

    def _try(self, *, first: bool) -> bool:
        server = self._new()
        try:
            server.start()
        except OSError as error:
            if first:
                bound = logger.bind(
                    event=events.PROBE_PORT_TAKEN, port=server.port, reason=error.strerror or str(error)
                )
                bound.error(f"Probe port {server.port} cannot be used, trying again every {self._retry_s:g}s")
            return False
        self._server = server
        if not first:
            logger.bind(event=events.PROBE_LISTENING, port=server.port).info(f"Probe port {server.port} is ours now")
        return True
