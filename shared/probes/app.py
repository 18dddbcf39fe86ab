"""The probe listener's application: four paths, plain WSGI, always JSON (metrics apart)."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from loguru import logger

from shared.observability import events
from shared.observability.metrics import CONTENT_TYPE, UNEXPECTED_ERRORS, record_request
from shared.probes.bodies import live_body
from shared.probes.source import HealthSource

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON: Final = "application/json; charset=utf-8"
ALLOWED: Final = ("GET", "HEAD")
UNKNOWN_ROUTE: Final = "unknown"
Answer = tuple[HTTPStatus, str, bytes]
Handler = Callable[[], Answer]


def probe_app(source: HealthSource, metrics: Callable[[], bytes]) -> "WSGIApplication":
    """Serve /health/live, /health/ready, /health/dependencies and /metrics."""
    handlers = MappingProxyType(
        {
            "/health/live": lambda: _live(source),
            "/health/ready": lambda: _ready(source),
            "/health/dependencies": lambda: json_answer(HTTPStatus.OK, source.dependencies()),
            "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE, metrics()),
        }
    )

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        began_s = time.perf_counter()
        method, path = environ["REQUEST_METHOD"], _path(environ)
        status, content_type, body = _answer(handlers, method, path)
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *([("Allow", ", ".join(ALLOWED))] if status is HTTPStatus.METHOD_NOT_ALLOWED else ()),
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        route = path if path in handlers else UNKNOWN_ROUTE
        record_request(method=method, route=route, status=status.value, took_s=time.perf_counter() - began_s)
        return [] if method == "HEAD" else [body]

    return app


def json_answer(status: HTTPStatus, body: Mapping[str, Any]) -> Answer:
    """An answer with a JSON body."""
    return status, JSON, json.dumps(body).encode()


def error_answer(status: HTTPStatus, message: str) -> Answer:
    """An error: its reason phrase, and one sentence."""
    return json_answer(status, {"error": status.phrase, "message": message})


def _answer(handlers: Mapping[str, Handler], method: str, path: str) -> Answer:
    handler = handlers.get(path)
    if handler is None:
        return error_answer(HTTPStatus.NOT_FOUND, f"Nothing here; try one of {', '.join(handlers)}")
    if method not in ALLOWED:
        return error_answer(HTTPStatus.METHOD_NOT_ALLOWED, f"Only {' and '.join(ALLOWED)} are allowed here")
    try:
        return handler()
    except Exception:  # noqa: BLE001 - a probe must get an answer whatever goes wrong
        UNEXPECTED_ERRORS.labels(where="probe").inc()
        logger.bind(event=events.HTTP_FAILED, route=path).opt(exception=True).error("A probe could not be answered")
        return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The probe failed; the log says why")


def _path(environ: "WSGIEnvironment") -> str:
    path: str = environ.get("PATH_INFO", "/")
    return path.rstrip("/") or "/"


def _live(source: HealthSource) -> Answer:
    live = source.live()
    status = HTTPStatus.OK if live.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return json_answer(status, live_body(live, source.moment()))


def _ready(source: HealthSource) -> Answer:
    ready = source.ready()
    return json_answer(HTTPStatus.OK if ready.ok else HTTPStatus.SERVICE_UNAVAILABLE, ready.body)
