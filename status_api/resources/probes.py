"""/health/* and /metrics on the main listener: the probe listener's own application answers, so both say the same."""

from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

import falcon

from status_api.resources.base import Resource


class Probe(Resource):
    """GET of one path, answered by another WSGI application."""

    def __init__(self, *, application: WSGIApplication) -> None:
        self._application = application

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Pass the request on, and its answer back."""

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            resp.status = status
            resp.set_headers(headers)
            return lambda _data: None

        # The probes' application counts its requests on both listeners.
        req.context.counted = True
        resp.data = b"".join(self._application(req.env, start_response))
