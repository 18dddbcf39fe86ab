"""The fake as a server: routes, tokens, quotas, faults, counters."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.azure_query.answers import fingerprint, page_of, rows_of, scope_of
from tests.fakes.azure_query.estate import Estate
from tests.fakes.azure_query.faults import KINDS, Fault, Faults
from tests.fakes.azure_query.quota import Quota
from tests.fakes.azure_query.tokens import said_by, token_for
from tests.fakes.azure_query.validate import RefusedError, query_of

QUERY = "/providers/Microsoft.CostManagement/query"
PAGE_ROWS = 1000


@dataclass
class Counters:
    """What came in. `most_at_once` is by tenant."""

    requests: int = 0
    pages: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_client: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    checks: int = 0


class FakeAzure(ThreadingHTTPServer):
    """Listens from the start; `azure()` serves it. All of it may be used while it serves."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        estate: Estate | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        page_rows: int = PAGE_ROWS,
        quota_scale: float = 0.0,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__((host, port), Handler)
        self.estate = estate or Estate()
        self.page_rows = page_rows
        self.latency_s = latency_s
        self.quota_scale = quota_scale
        self.quota = Quota(quota_scale)
        self.faults = Faults()
        self.counters = Counters()
        self.closing = threading.Event()
        # Tokens that were good once.
        self.revoked: set[str] = set()
        self._at_once: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def token(self, tenant: int = 0, *, expires_in_s: float = 3600.0) -> str:
        """A token for the tenant of that number."""
        return token_for(self.estate.tenant_ids[tenant], expires_in_s=expires_in_s)

    def scope(self, number: int = 0) -> str:
        """The scope of the subscription of that number."""
        return f"/subscriptions/{self.estate.ids[number]}"

    def fault(self, kind: str, **facts: Any) -> None:
        """Switch a fault on, for the next request unless said otherwise."""
        self.faults.add(Fault(kind, **facts))

    def count(self, what: str, which: str | None = None) -> None:
        """One more of `what`, a field of Counters; of `which`, where they are told apart."""
        with self._lock:
            if which is None:
                setattr(self.counters, what, getattr(self.counters, what) + 1)
            else:
                getattr(self.counters, what)[which] += 1

    def arrived(self, tenant: str) -> Callable[[], None]:
        """Count a request of the tenant as under way, until what this gives is first called."""
        with self._lock:
            self._at_once[tenant] += 1
            most = self.counters.most_at_once
            most[tenant] = max(most[tenant], self._at_once[tenant])
        under_way = [tenant]

        def left() -> None:
            with self._lock:
                while under_way:
                    self._at_once[under_way.pop()] -= 1

        return left

    def facts(self) -> dict[str, Any]:
        """What the control API shows."""
        with self._lock:
            counters = self.counters
            return {
                "requests": counters.requests,
                "pages": counters.pages,
                "byStatus": dict(counters.by_status),
                "byClientType": dict(counters.by_client),
                "mostAtOnce": dict(counters.most_at_once),
                "quotaViolations": self.quota.violations,
                "tokens": counters.tokens,
                "tokenChecks": counters.checks,
                "faults": [vars(fault) for fault in self.faults.on if fault.times != 0],
                "tenants": self.estate.tenant_ids,
                "subscriptions": self.estate.ids,
            }

    def reset(self) -> None:
        """Count from nothing, with full quotas and no faults."""
        with self._lock:
            self.counters = Counters()
            self.quota = Quota(self.quota_scale)
        self.faults.clear()

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeAzure
    _left: Callable[[], None] = staticmethod(lambda: None)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/_control":
            self.document(200, self.server.facts())
        elif url.path == "/_control/totals":
            days = parse_qs(url.query)
            start, end = (date.fromisoformat(days[name][0]) for name in ("start", "end"))
            self.document(200, self.server.estate.totals(start, end))
        elif url.path == "/tenants":
            self._tenants()
        elif url.path == "/msi/token":
            self._managed_identity()
        else:
            self.error(404, "NotFound", "Nothing is here")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        if url.path == "/_control":
            self._control(json.loads(raw or b"{}"))
        elif url.path.lower().endswith(QUERY.lower()):
            self.server.count("requests")
            self._query(url.path[: -len(QUERY)], parse_qs(url.query), raw)
        else:
            self.error(404, "NotFound", "Nothing is here")

    def _control(self, wanted: dict[str, Any]) -> None:
        """Do what is in `wanted`: reset, clear (faults), faults (a list to switch on), restate (day, subscription)."""
        try:
            if wanted.get("reset"):
                self.server.reset()
            if wanted.get("clear"):
                self.server.faults.clear()
            for fault in wanted.get("faults", []):
                self.server.faults.add(Fault(**fault))
            if restate := wanted.get("restate"):
                self.server.estate.restate(date.fromisoformat(restate["day"]), restate.get("subscription"))
        except (TypeError, ValueError, KeyError) as error:
            self.error(400, "BadControl", str(error))
            return
        self.document(200, self.server.facts())

    def _tenants(self) -> None:
        self.server.count("checks")
        tenant = self._tenant()
        if tenant is not None:
            self.document(200, {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]})

    def _managed_identity(self) -> None:
        """The identity endpoint of an app service: how DefaultAzureCredential gets a token in plain HTTP."""
        self.server.count("tokens")
        expires_at = str(int(time.time()) + 3600)
        self.document(200, {"access_token": self.server.token(), "expires_on": expires_at, "token_type": "Bearer"})

    def _tenant(self) -> str | None:
        """Whose the token is; None when that has been answered with 401."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        said = said_by(token)
        if said is None or token in self.server.revoked:
            self.error(401, "InvalidAuthenticationToken", f"The access token is invalid: {token}")
        elif said["exp"] < time.time():
            self.error(401, "ExpiredAuthenticationToken", "The access token has expired.")
        else:
            return str(said["tid"])
        return None

    def _query(self, scope: str, parameters: dict[str, list[str]], raw: bytes) -> None:
        self._tenant_id = self._tenant()
        if self._tenant_id is None:
            return
        self._left = self.server.arrived(self._tenant_id)
        try:
            self.client = self.headers.get("ClientType") or "Default"
            self.server.count("by_client", self.client)
            self.server.closing.wait(self.server.latency_s)
            try:
                self._body = json.loads(raw)
            except ValueError:
                self.error(400, "BadRequest", "Invalid query definition: no JSON")
                return
            cost_type = self._body.get("type") if isinstance(self._body, dict) else ""
            self._asked = scope, parameters
            fault = self.server.faults.next(scope, str(cost_type))
            with suppress(OSError):
                if fault is not None:
                    KINDS[fault.kind](self, fault)
                else:
                    self.answer()
        finally:
            self._left()

    def answer(self) -> None:
        """The answer of a good day."""
        found = self.computed()
        if found is not None:
            status, text, headers = found
            if status == 200:
                self.server.count("pages")
            self.raw(status, text.encode(), headers)

    def computed(self) -> tuple[int, str, dict[str, str]] | None:
        """Status, body and headers; None when an error has been answered."""
        assert self._tenant_id is not None
        scope, parameters = self._asked
        try:
            query = query_of(self._body, parameters)
            found = scope_of(self.server.estate, scope, self._tenant_id)
            offset = self._offset(parameters)
        except RefusedError as error:
            self.error(400, error.code, str(error))
            return None
        if found is None:
            self.error(404, "SubscriptionNotFound", f"The subscription of '{scope}' could not be found.")
            return None
        months = (query.end.year - query.start.year) * 12 + query.end.month - query.start.month + 1
        verdict = self.server.quota.take(self._tenant_id, self.client, months, time.monotonic())
        if verdict.retry_after_s is not None:
            self.error(429, "429", "Too many requests. Please retry.", verdict.headers)
            return None
        rows = rows_of(self.server.estate, found, query)
        if not rows:
            return 204, "", verdict.headers
        end = offset + self.server.page_rows
        link = self._link(end) if end < len(rows) else None
        return 200, page_of(rows[offset:end], query, scope, link), verdict.headers

    def _offset(self, parameters: dict[str, list[str]]) -> int:
        token = (parameters.get("$skiptoken") or [""])[0]
        if not token:
            return 0
        offset, _, of_query = token.partition("-")
        if of_query != fingerprint(self._body) or not offset.isdecimal():
            raise RefusedError("The skip token is of another query", "InvalidSkipToken")
        return int(offset)

    def _link(self, offset: int) -> str:
        scope, parameters = self._asked
        version = parameters["api-version"][0]
        token = f"{offset}-{fingerprint(self._body)}"
        return f"{self.server.url}{scope}{QUERY}?api-version={version}&$skiptoken={token}"

    def spoiled_by(self, change: Callable[[dict[str, Any]], None]) -> None:
        """The answer, changed before it is sent."""
        found = self.computed()
        if found is not None:
            document = json.loads(found[1] or "{}")
            if document:
                change(document)
            self.raw(found[0], json.dumps(document).encode(), found[2])

    def in_circles(self) -> None:
        """A page whose next one is itself."""
        self.spoiled_by(lambda answer: answer["properties"].update(nextLink=f"{self.server.url}{self.path}"))

    def late(self, seconds: float) -> None:
        """The right answer, after a while."""
        self.server.closing.wait(seconds)
        self.answer()

    def stay_away(self, seconds: float) -> None:
        """Note that the tenant has been told to."""
        assert self._tenant_id is not None
        self.server.quota.close(self._tenant_id, self.client, seconds, time.monotonic())

    def error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.document(status, {"error": {"code": code, "message": message}}, headers)

    def document(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        self.raw(status, json.dumps(document).encode(), headers or {})

    def raw(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send an answer. All is counted by then: who has an answer may look at the counters, or ask again, at once."""
        self._left()
        if not self.path.startswith("/_control"):
            self.server.count("by_status", str(status))
        self.send_response(status)
        sent = {"Content-Type": "application/json; charset=utf-8", **headers}
        for name, value in sent.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def azure(estate: Estate | None = None, **settings: Any) -> Iterator[FakeAzure]:
    """A fake on a free port, serving."""
    server = FakeAzure(estate, **settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
