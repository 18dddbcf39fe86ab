"""The process: the application put together from what bootstrap built, served until it is asked to end."""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from loguru import logger

from shared.bootstrap.container import Container
from shared.bootstrap.dispatching import Dispatch
from shared.bootstrap.drain import Drain
from shared.core.errors import SettingsError
from shared.core.redact import may_be_secret
from shared.messaging.depths import queue_depths
from shared.messaging.sender import DramatiqSender
from shared.observability import events, metrics
from shared.probes.app import probe_app
from shared.probes.server import HttpServer
from status_api.access import Access
from status_api.app import create_app
from status_api.bounded import BoundedCalls
from status_api.collaborators import Collaborators
from status_api.ledger import DatabaseLedger

THREADS: Final = 8
DISPATCH_BUDGET_S: Final = 0.5
# How long a thread may keep the interpreter from the others. At the default of 5 ms the threads of a flooded API hold
# up a probe, which takes several turns, by 20 ms and more.
SWITCH_INTERVAL_S: Final = 0.0005
# New objects between two looks for cycles. An answer of 30,000 rows makes some hundred thousand, none of them in a
# cycle; by default half of its time would go into looking. What was there at the start is not looked at again at all.
GARBAGE_EVERY: Final = 50_000
# Answering what is under way may take all of the grace, closing what is left over no more than this.
STOP_S: Final = 1.0


def serve(container: Container, drain: Drain) -> None:
    """Serve until `drain` is asked for. Raises SettingsError when the port cannot be used."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY)
    with ExitStack() as stack:
        calls = BoundedCalls(THREADS, name="redis-call")
        stack.callback(calls.close)
        app = create_app(collaborators(container, calls))
        settings = container.settings
        server = HttpServer(app, settings.host, settings.port_of("status_api"), threads=THREADS, name="api")
        _listen(server)
        stack.callback(server.stop, STOP_S)
        container.serve_probes()
        container.announce_started()
        drain.wait()
        server.drain(drain.left_s())


def _listen(server: HttpServer) -> None:
    try:
        server.start()
    except OSError as error:
        reason = error.strerror or str(error)
        cure = "set PORT to a free one, or stop what listens there"
        problem = f"PORT: {server.port} of {_shown(server.host)} cannot be used ({reason}); {cure}"
        raise SettingsError(problems=[problem]) from None
    logger.bind(event=events.HTTP_LISTENING, host=server.host, port=server.port).info("API listens")


def _shown(host: str) -> str:
    return "HOST" if may_be_secret(host) else host


def collaborators(container: Container, calls: BoundedCalls) -> Collaborators:
    """What the application is given in a process of its own."""
    settings, link = container.settings, container.link
    return Collaborators(
        link=link,
        ledger=DatabaseLedger(container.db, container.migrator, container.accounts.current),
        queues=lambda: queue_depths(link, namespace=settings.redis_namespace),
        dispatch=_dispatch(container),
        probes=probe_app(container.health, metrics.render),
        access=Access(token=settings.api_token, bound_to=settings.host, production=settings.app_env == "production"),
        window_days=settings.cost_window_days,
        now=lambda: datetime.now(UTC),
        monotonic_s=time.monotonic,
        redis_calls=calls,
    )


def _dispatch(container: Container) -> Callable[[Sequence[int]], frozenset[int]]:
    settings, link = container.settings, container.link
    namespace = settings.redis_namespace
    sender = DramatiqSender(link, namespace=namespace)
    dispatch = Dispatch(container.db, link, sender, namespace=namespace, window=settings.dispatch_window)

    def send(run_ids: Sequence[int]) -> frozenset[int]:
        dispatched = dispatch.due(only=run_ids, deadline_s=DISPATCH_BUDGET_S)
        if dispatched.problem:
            bound = logger.bind(event=events.DISPATCH_FAILED, scope=events.SCOPE_REQUEST, reason=dispatched.problem)
            bound.info("Requested runs are left to the scheduler")
        return frozenset(dispatched.sent)

    return send
