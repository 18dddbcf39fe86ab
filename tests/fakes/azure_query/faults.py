"""Bad days on demand: what is wrong, whom it meets, how often, and how it looks on the wire."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.fakes.azure_query.quota import PREFIX

if TYPE_CHECKING:
    from tests.fakes.azure_query.server import Handler

# Faults of which the answer is an error in Azure's words: status, code, message.
ERRORS: Mapping[str, tuple[int, str, str]] = {
    "400": (400, "BadRequest", "Invalid query definition"),
    "costs_disabled": (400, "AccountCostDisabled", "Access to cost data has been disabled for account admins."),
    "401": (401, "ExpiredAuthenticationToken", "The access token has expired."),
    "401_rbac": (401, "RBACAccessDenied", "The client does not have authorization to perform action."),
    "403": (403, "AuthorizationFailed", "The client does not have authorization to perform action."),
    "404": (404, "SubscriptionNotFound", "The subscription could not be found."),
    "424": (424, "FailedDependency", "Cost management failed."),
    "429": (429, "429", "Too many requests. Please retry."),
    "500": (500, "InternalServerError", "An unexpected error occurred."),
    "502": (502, "BadGateway", "Bad gateway."),
    "503": (503, "ServiceUnavailable", "The service is unavailable."),
}


@dataclass(frozen=True)
class Fault:
    """`kind` is one of KINDS. `times` None is without end; `scope` and `type` narrow down whom it meets."""

    kind: str
    times: int | None = 1
    chance: float = 1.0
    scope: str | None = None
    type: str | None = None
    retry_after_s: int | None = None
    seconds: float = 1.0

    def meets(self, scope: str, cost_type: str) -> bool:
        return (self.scope is None or self.scope.lower() in scope.lower()) and self.type in {None, cost_type}


@dataclass
class Faults:
    """Those that are on, the first that meets a request being its own."""

    seed: int = 1
    on: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def add(self, fault: Fault) -> None:
        if fault.kind not in KINDS:
            raise ValueError(f"no fault {fault.kind!r}; there are {', '.join(KINDS)}")
        with self._lock:
            self.on.append(fault)

    def clear(self) -> None:
        with self._lock:
            self.on.clear()

    def next(self, scope: str, cost_type: str) -> Fault | None:
        with self._lock:
            for place, fault in enumerate(self.on):
                if fault.times != 0 and fault.meets(scope, cost_type) and self._chance.random() < fault.chance:
                    self.on[place] = replace(fault, times=None if fault.times is None else fault.times - 1)
                    return fault
        return None


def refuse(handler: "Handler", fault: Fault) -> None:
    """An error as Azure words it."""
    status, code, message = ERRORS[fault.kind]
    headers: dict[str, str] = {}
    if fault.retry_after_s is not None:
        if status == 429:
            headers[f"{PREFIX}-entity-retry-after"] = str(max(fault.retry_after_s // 2, 1))
            headers[f"{PREFIX}-tenant-retry-after"] = str(fault.retry_after_s)
        else:
            headers["Retry-After"] = str(fault.retry_after_s)
        handler.stay_away(fault.retry_after_s)
    handler.error(status, code, message, headers)


def html(handler: "Handler", _: Fault) -> None:
    """What a proxy or a gateway puts in the place of an answer."""
    handler.raw(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"Content-Type": "text/html"})


def html_error(handler: "Handler", _: Fault) -> None:
    handler.raw(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"Content-Type": "text/html"})


def empty(handler: "Handler", _: Fault) -> None:
    handler.raw(204, b"", {})


def drop(handler: "Handler", _: Fault) -> None:
    """Hang up without an answer."""
    handler.close_connection = True


def truncated(handler: "Handler", _: Fault) -> None:
    """A length that is longer than what follows."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"properties": {"rows": [')
    handler.close_connection = True


def cut_json(handler: "Handler", _: Fault) -> None:
    """Half an answer whose length is right."""
    handler.raw(200, b'{"properties": {"rows": [[1.5, ', {})


def hang(handler: "Handler", _: Fault) -> None:
    """Never answer."""
    handler.server.closing.wait(600)
    handler.close_connection = True


def trickle(handler: "Handler", fault: Fault) -> None:
    """A byte every so often, without end: every wait for the next one is short."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
    while not handler.server.closing.wait(fault.seconds):
        handler.wfile.write(b" ")


def huge(handler: "Handler", _: Fault) -> None:
    """A body beyond any page."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b" " * 65_536
    for _number in range(1024):
        handler.wfile.write(b"10000\r\n" + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def redirected(handler: "Handler", _: Fault) -> None:
    handler.raw(307, b"", {"Location": "http://127.0.0.1:1/elsewhere"})


def as_document(change: Callable[[dict[str, Any]], None]) -> Callable[["Handler", Fault], None]:
    """A fault that spoils an answer that is whole otherwise."""

    def spoil(handler: "Handler", _: Fault) -> None:
        handler.spoiled_by(change)

    return spoil


def _link_elsewhere(answer: dict[str, Any]) -> None:
    answer["properties"]["nextLink"] = "http://127.0.0.1:1/subscriptions/x?api-version=1&$skiptoken=1"


def _drop_column(answer: dict[str, Any]) -> None:
    answer["properties"]["columns"] = [one for one in answer["properties"]["columns"] if one["name"] != "Currency"]


def _other_days(answer: dict[str, Any]) -> None:
    names = [column["name"] for column in answer["properties"]["columns"]]
    for row in answer["properties"]["rows"]:
        row[names.index("UsageDate")] = 19990101


def _no_rows(answer: dict[str, Any]) -> None:
    answer["properties"]["rows"] = []
    answer["properties"]["nextLink"] = None


KINDS: Mapping[str, Callable[["Handler", Fault], None]] = {
    **dict.fromkeys(ERRORS, refuse),
    "204": empty,
    "no_rows": as_document(_no_rows),
    "html": html,
    "html_error": html_error,
    "drop": drop,
    "truncated": truncated,
    "cut_json": cut_json,
    "hang": hang,
    "slow": lambda handler, fault: handler.late(fault.seconds),
    "trickle": trickle,
    "huge": huge,
    "redirect": redirected,
    "link_elsewhere": as_document(_link_elsewhere),
    "link_in_circles": lambda handler, _: handler.in_circles(),
    "no_column": as_document(_drop_column),
    "other_days": as_document(_other_days),
}
