"""What happens around every resource: method, then authorisation; and a count of how it ended."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import falcon

from shared.observability import metrics
from status_api.access import Access, Asked, refusal
from status_api.errors import ApiError

GUARDED_PREFIX: Final = "/api/"
NO_ROUTE: Final = "none"
ALLOW_ORDER: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Gatekeeper:
    """The method comes before authorisation, so that 405 and its Allow need no token; both come before the body."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: object, _params: dict[str, Any]
    ) -> None:
        """Refuse a method that the resource does not have, then a request that may not go on."""
        allowed = methods_of(resource)
        if req.method not in allowed:
            raise ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                message=f"This route allows {', '.join(allowed)}",
                headers={"Allow": ", ".join(allowed)},
                facts={"allowed": list(allowed)},
            )
        if (req.uri_template or "").startswith(GUARDED_PREFIX):
            self._authorise(req)

    def _authorise(self, req: falcon.Request) -> None:
        asked = Asked(
            method=req.method,
            authorization=req.get_header("Authorization"),
            host=_named_in_target(req) or req.get_header("Host"),
            origin=req.get_header("Origin"),
            fetch_site=req.get_header("Sec-Fetch-Site"),
            referer=req.get_header("Referer"),
        )
        refused = refusal(self._access, asked)
        if refused:
            headers = {"WWW-Authenticate": refused.challenge} if refused.challenge else {}
            raise ApiError(refused.status, message=refused.message, headers=headers)


class RequestMetrics:
    """Counts and times every request, unknown paths together as one route."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Note when it began."""
        req.context.began_s = self._monotonic_s()

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Note how it ended, unless the probes' application has done so itself."""
        if getattr(req.context, "counted", False):
            return
        metrics.record_request(
            method=req.method,
            route=req.uri_template or NO_ROUTE,
            status=falcon.http_status_to_code(resp.status),
            took_s=self._monotonic_s() - req.context.began_s,
        )


def _named_in_target(req: falcon.Request) -> str | None:
    """The host of a request line such as `GET http://host/path HTTP/1.1`."""
    target: str = req.env.get("REQUEST_URI", "")
    # The server has parsed it: it can be split.
    return None if target.startswith("/") else urlsplit(target).netloc or None


def methods_of(resource: object) -> tuple[str, ...]:
    """The methods a resource has, in the order of an Allow header."""
    return tuple(method for method in ALLOW_ORDER if hasattr(resource, f"on_{method.lower()}"))
