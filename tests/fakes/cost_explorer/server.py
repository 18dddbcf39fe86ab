"""The fake's HTTP server: one port for Cost Explorer, STS and the control API."""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from tests.fakes.cost_explorer import control
from tests.fakes.cost_explorer.book import SERVICES, Book, payers_of
from tests.fakes.cost_explorer.counters import Call, Counters
from tests.fakes.cost_explorer.errors import AwsError
from tests.fakes.cost_explorer.faults import Fault, Faults
from tests.fakes.cost_explorer.keys import HUB, ROLE, Identity, Keys
from tests.fakes.cost_explorer.rate import Rate
from tests.fakes.cost_explorer.sts import Sts
from tests.fakes.cost_explorer.usage import Answering, checked, token

TARGET = "AWSInsightsIndexService."
USAGE = "GetCostAndUsage"
THROTTLED = {"ce": "LimitExceededException", "sts": "Throttling"}
HTML = b"<html><body>Sign in to the network</body></html>"


class Answer(NamedTuple):
    """What goes back. `cut` sends half of it, `drop` nothing."""

    status: int
    body: bytes
    kind: str = "application/x-amz-json-1.1"
    cut: bool = False
    drop: bool = False


class FakeCostExplorer:
    """Start it with `start` or as a context manager; `close` ends it. All of it may be changed while it runs."""

    def __init__(
        self,
        *,
        payers: int | Sequence[str] = 1,
        members: int = 3,
        services: Sequence[str] = SERVICES,
        seed: int = 1,
        page_groups: int = 1000,
        estimated_days: int = 2,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        external_id: str | None = None,
        role_lifetime: timedelta = timedelta(hours=1),
        rate_per_s: float | None = None,
        port: int = 0,
    ) -> None:
        accounts = payers_of(payers) if isinstance(payers, int) else list(payers)
        self.book = Book(accounts, members=members, services=services, seed=seed)
        self.keys = Keys(seed)
        self.sts = Sts(self.book, self.keys, external_id, role_lifetime)
        self.faults = Faults(seed)
        self.counters = Counters()
        self.rate = Rate(rate_per_s)
        self.page_groups = page_groups
        self.estimated_days = estimated_days
        self.today = today
        self._port = port
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None, "not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def payers(self) -> Sequence[str]:
        """Their accounts."""
        return self.book.payers

    def role_arn(self, account: str) -> str:
        """The role that the hub's user may assume there."""
        return f"arn:aws:iam::{account}:role/{ROLE}"

    def environment(self, account: str = HUB) -> dict[str, str]:
        """The variables that make a process a user of `account`, and of nobody else's files or machine role."""
        key, secret = self.keys.of_account(account)
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> Self:
        """Listen."""
        self._server = _Server(self, self._port)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake-aws", daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request of any kind."""
        if path.startswith(control.PREFIX):
            status, shown = control.answer(self, method, path, body)
            return Answer(status, json.dumps(shown, indent=1).encode(), "application/json")
        if method != "POST":
            return Answer(405, b"")
        target = headers.get("x-amz-target", "")
        with self.counters.counted():
            if target:
                return self._costs(target.removeprefix(TARGET), path, headers, body)
            return self._identity(path, headers, body)

    def _costs(self, operation: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        account = None
        try:
            identity = self.keys.checked("ce", path, headers, body)
            account = identity.account
            if (early := self._struck("ce", operation, account)) is not None:
                return early
            return self._page(operation, identity, json.loads(body))
        except AwsError as error:
            self.counters.note(Call(operation, account, error.code))
            return Answer(error.status, error.as_json())

    def _page(self, operation: str, identity: Identity, body: Mapping[str, Any]) -> Answer:
        account, today = identity.account, self.today()
        if operation != USAGE:
            raise AwsError("UnknownOperationException", f"This fake does not do {operation}")
        question = checked(body, today)
        answering = Answering(self.book, self.page_groups, self.estimated_days, today)
        page, groups = answering.page(account, question)
        if (fault := self.faults.strike(USAGE, account, "repeat_token", "endless", "twice", "outside")) is not None:
            _spoil(page, fault, question.parameters, self.counters.pages[account])
        self.counters.note(Call(USAGE, account, "ok", str(question.start), str(question.end), groups))
        cut = self.faults.strike(USAGE, account, "cut") is not None
        return Answer(200, json.dumps(page).encode(), cut=cut)

    def _identity(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        form = dict(parse_qsl(body.decode()))
        operation, account = form.get("Action", "?"), None
        try:
            identity = self.keys.checked("sts", path, headers, body)
            account = identity.account
            if (early := self._struck("sts", operation, account)) is not None:
                return early
            answer = self.sts.answer(form, identity)
        except AwsError as error:
            self.counters.note(Call(operation, account, error.code))
            return Answer(error.status, error.as_xml(), "text/xml")
        self.counters.note(Call(operation, account, "ok"))
        return Answer(200, answer, "text/xml")

    def _struck(self, service: str, operation: str, account: str) -> Answer | None:
        """An answer that comes before any work, if a fault or the rate says so. Raises AwsError."""
        if service == "ce" and not self.rate.admits(account):
            raise AwsError(THROTTLED[service], "Rate exceeded")
        if (slow := self.faults.strike(operation, account, "slow")) is not None:
            time.sleep(slow.seconds)
        if (gone := self.faults.strike(operation, account, "drop", "html")) is not None:
            self.counters.note(Call(operation, account, gone.name))
            return Answer(200, HTML, "text/html", drop=gone.name == "drop")
        fault = self.faults.strike(operation, account, *_REFUSALS)
        if fault is not None:
            raise _refusal(fault, service)
        return None


_REFUSALS = ("throttle", "error", "error_500", "error_503", "expired", "denied", "unavailable")


def _refusal(fault: Fault, service: str) -> AwsError:
    known = {
        "throttle": (THROTTLED[service], "Rate exceeded", 400),
        "error": (fault.code, fault.message, fault.status),
        "error_500": ("InternalServerException", "Something went wrong", 500),
        "error_503": ("ServiceUnavailableException", "Service is unavailable", 503),
        "expired": ("ExpiredTokenException", "The security token included in the request is expired", 400),
        "denied": ("AccessDeniedException", "User not enabled for cost explorer access", 400),
        "unavailable": ("DataUnavailableException", "Data is not available. Please try later", 400),
    }
    code, message, status = known[fault.name]
    return AwsError(code, message, status)


def _spoil(page: dict[str, Any], fault: Fault, parameters: str, number: int) -> None:
    """Answers that AWS must never give."""
    if fault.name == "repeat_token":
        page["NextPageToken"] = token(parameters, 0)
    elif fault.name == "endless":
        # A token of its own each time, for the same page.
        page["NextPageToken"] = token(parameters, 0) + "\n" * (number + 1)
    elif fault.name == "twice":
        groups = page["ResultsByTime"][0]["Groups"]
        groups.append(groups[0])
    else:
        page["ResultsByTime"][0]["TimePeriod"] = {"Start": "2001-01-01", "End": "2001-01-02"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, fake: FakeCostExplorer, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.fake = fake


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body in two packets would wait for each other.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        """The control API's."""
        self._answer()

    def do_POST(self) -> None:
        """Everything else."""
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.fake.answer(self.command, self.path, headers, body)
        if answer.drop:
            self._hang_up()
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("x-amzn-RequestId", "fake")
        self.end_headers()
        try:
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has left
        if answer.cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client was first

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing: the counters tell."""
