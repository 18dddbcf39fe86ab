"""The status API without a server: its collaborators as fakes, and a client that checks every answer's shape."""

import gzip
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import fakeredis
import falcon.testing
import redis
import yaml
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from shared.bootstrap.backfill import PricedBackfill
from shared.core.backfill import runs_of
from shared.core.budgets import BudgetStatus
from shared.core.costs import CoverageState, Price
from shared.core.credentials import Credential, CredentialStatus, Finding
from shared.core.days import DayRange
from shared.core.errors import (
    RedisUnavailableError,
    RequestError,
    RunFinishedError,
    UnknownAccountError,
    UnknownRunError,
)
from shared.core.exports import StoredRow
from shared.core.health import CheckResult, CheckStatus, RedisDetails, RedisHealth
from shared.core.revisions import Amounts, Change, Service
from shared.core.runs import OPEN_STATES, Run, RunError, RunKind, RunState
from shared.ledger.accounts import LedgerAccount
from shared.ledger.anomaly_queries import AnomalyPage, AnomalyQuery, KnownAnomaly
from shared.ledger.backfill import AccountBackfill, Backfill, BackfillAsked
from shared.ledger.exporting import ExportQuery
from shared.ledger.queries import AccountCoverage, CostQuery, CostReport, CoveredDay, RunPage
from shared.ledger.revisions import Revision, RevisionFilter, RevisionPage
from shared.ledger.standing import AccountStanding
from shared.messaging.depths import QueueDepth
from shared.observability import metrics
from shared.probes.app import probe_app
from shared.probes.bodies import Live, Moment, Ready, dependencies_body, ready_answer, redis_check
from status_api.access import Access
from status_api.app import create_app
from status_api.bounded import BoundedCalls
from status_api.collaborators import OPENAPI_FILE, Collaborators
from status_api.params import RunFilter, RunsAsked

NOW = datetime(2026, 3, 10, 12, 30, 15, 123_456, tzinfo=UTC)
LEDGER_ID = UUID("00000000-0000-4000-8000-000000000001")
BASE = "urn:holdfast:openapi"
CURSOR = "a-cursor-that-was-given-out"
LOOPBACK = {"Host": "127.0.0.1:4000"}
CONNECTED = RedisHealth(
    status="connected",
    is_open=True,
    details=RedisDetails(uptime=12.5, url="redis://localhost:6379/0", server_version="7.0.15", server_role="master"),
)
CONNECTING = RedisHealth(status="connecting", is_open=False, details=RedisDetails(retry_count=3, attempt=4))


class FakeLink:
    """A link whose state a test sets, with a Redis in memory behind it."""

    def __init__(self, namespace: str = "holdfast") -> None:
        self.redis = fakeredis.FakeRedis()
        self.namespace = namespace
        self.state = CONNECTED
        self.next_attempt_s: float | None = None
        self.failure: Exception | None = None
        self.commands = 0

    @property
    def client(self) -> redis.Redis:
        """The client, whatever the state."""
        return self.redis

    def is_available(self) -> bool:
        return self.state.is_open

    def health(self) -> RedisHealth:
        return self.state

    def retry_in_s(self) -> float | None:
        return self.next_attempt_s

    def away(self, *, retry_in_s: float | None = None) -> None:
        """Lose the connection."""
        self.state, self.next_attempt_s = CONNECTING, retry_in_s

    def get_value(self, key: str) -> str | None:
        self._command()
        value = self.redis.get(f"{self.namespace}:{key}")
        return value.decode() if isinstance(value, bytes) else None

    def set_value(self, key: str, value: str, ttl_s: int | None = None) -> None:
        self._command()
        self.redis.set(f"{self.namespace}:{key}", value, ex=ttl_s)

    def delete_value(self, key: str) -> bool:
        self._command()
        return bool(self.redis.delete(f"{self.namespace}:{key}"))

    def key_ttl(self, key: str) -> int:
        self._command()
        return int(self.redis.ttl(f"{self.namespace}:{key}"))

    def _command(self) -> None:
        self.commands += 1
        if self.failure:
            raise self.failure
        if not self.state.is_open:
            raise RedisUnavailableError(summary="not connected", code="ECONNREFUSED")


def a_run(**changes: Any) -> Run:
    """A pending manual run of account `one`."""
    standard = Run(
        id=1,
        account="one",
        provider="focus",
        kind=RunKind.MANUAL,
        slot="manual",
        days=DayRange(date(2026, 3, 1), date(2026, 3, 7)),
        state=RunState.PENDING,
        attempt=1,
        failures=0,
        not_before=None,
        created_at=NOW,
        started_at=None,
        finished_at=None,
        rows=None,
        error=None,
    )
    return replace(standard, **changes)


def an_account(number: int, name: str) -> LedgerAccount:
    """An AWS account that collects."""
    return LedgerAccount(id=number, name=name, provider="aws", paused=False, removed=False, data_version=1)


REFUSED = Credential(
    0, "one", "aws", Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it"), NOW, NOW
)
FAILED = RunError(code="FOCUS_NO_FILE", summary="No file matches", hint="Look at the account's path")

HAD, HAS = Amounts(Decimal("1E+1"), Decimal("9.50")), Amounts(Decimal("12.340"), Decimal("-0.00"))


@dataclass
class FakeLedger:
    """A ledger in memory: what was asked of it, and what it answers."""

    accounts: Sequence[str] = ("one", "two")
    kept: dict[int, Run] = field(default_factory=dict)
    report: CostReport = field(
        default_factory=lambda: CostReport(
            ("day", "service", "currency", "amount"),
            [(date(2026, 3, 1), "Compute", "USD", "12.34"), (date(2026, 3, 2), "Compute", "USD", "0")],
            totals=[{"currency": "USD", "amount": Decimal("1E+3")}],
            as_of=NOW,
        )
    )
    unusual: list[KnownAnomaly] = field(default_factory=list)
    limits: list[BudgetStatus] = field(default_factory=list)
    history: Sequence[Revision] = (
        Revision(2, "one", Change(Service(date(2026, 3, 1), "Compute", "USD"), HAD, HAS), NOW, 7),
        Revision(1, "one", Change(Service(date(2026, 3, 1), "Disk", "USD"), None, HAS), NOW, 7),
    )
    version: int = 1
    batches: Sequence[Sequence[StoredRow]] = ()
    # What an export ends with, after its batches.
    broken_off: Exception | None = None
    failure: Exception | None = None
    asked: list[Any] = field(default_factory=list)

    def identity(self) -> str:
        return str(LEDGER_ID)

    def run(self, run_id: int) -> Run:
        self._ask("run", run_id)
        if run_id not in self.kept:
            raise UnknownRunError(run_id=str(run_id))
        return self.kept[run_id]

    def runs(self, wanted: RunFilter) -> RunPage:
        self._ask("runs", wanted)
        self._known(wanted.account)
        if wanted.cursor not in {None, CURSOR}:
            raise RequestError(field="cursor", problem="is not one that was given out", allowed="the `next` of a page")
        found = [run for run in self.kept.values() if wanted.account in {None, run.account}]
        return RunPage(runs=found[: wanted.limit], next=None)

    def request_runs(self, asked: RunsAsked) -> list[Run]:
        self._ask("request_runs", asked)
        made = []
        for account in self.accounts if asked.accounts is None else asked.accounts:
            self._known(account)
            run = a_run(id=len(self.kept) + 1, account=account, days=asked.days)
            self.kept[run.id] = run
            made.append(run)
        return made

    def cancel(self, run_id: int) -> Run:
        run = self.run(run_id)
        if run.state not in OPEN_STATES:
            raise RunFinishedError(run_id=run_id, state=run.state)
        self.kept[run_id] = replace(run, state=RunState.CANCELLED, finished_at=NOW)
        return self.kept[run_id]

    def standings(self) -> list[AccountStanding]:
        self._ask("standings")
        return [
            AccountStanding(an_account(number, name), credentials=found, last_complete_day=day)
            for number, (name, found, day) in enumerate(
                zip(self.accounts, (REFUSED, None), (date(2026, 3, 9), None), strict=False)
            )
        ]

    def coverage(self, days: DayRange, account: str | None) -> list[AccountCoverage]:
        self._ask("coverage", days, account)
        self._known(account)
        known = [CoveredDay(day=day, state=CoverageState.COMPLETE, rows=3, collected_at=NOW) for day in days]
        known[-1] = CoveredDay(day=days.end, state=CoverageState.MISSING, rows=0, collected_at=None)
        return [AccountCoverage(account=name, provider="focus", days=known) for name in self.accounts]

    def revisions(self, wanted: RevisionFilter) -> RevisionPage:
        self._ask("revisions", wanted)
        self._known(wanted.account)
        if wanted.cursor not in {None, CURSOR}:
            raise RequestError(field="cursor", problem="is not one that was given out", allowed="the `next` of a page")
        return RevisionPage(revisions=list(self.history[: wanted.limit]), next=None)

    def costs(self, query: CostQuery) -> CostReport:
        self._ask("costs", query)
        return self.report

    def plan_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        self._ask("plan_backfill", asked)
        return self._priced(asked, [])

    def request_backfill(self, asked: BackfillAsked) -> PricedBackfill:
        self._ask("request_backfill", asked)
        names = self.accounts if asked.accounts is None else asked.accounts
        wanted = [(name, days) for name in names for days in runs_of(asked.days)]
        made = [
            a_run(id=len(self.kept) + number, account=name, days=days, kind=RunKind.BACKFILL)
            for number, (name, days) in enumerate(wanted, start=1)
        ]
        self.kept |= {run.id: run for run in made}
        return self._priced(asked, made)

    def _priced(self, asked: BackfillAsked, made: list[Run]) -> PricedBackfill:
        names = self.accounts if asked.accounts is None else asked.accounts
        for name in names:
            self._known(name)
        found = [AccountBackfill(name, (asked.days,), (), 2, 7) for name in names]
        price = Price(requests=(1, 4), usd=(Decimal("0.01"), Decimal("0.04")))
        return PricedBackfill(Backfill(found, made), dict.fromkeys(names, price))

    def exported(self, query: ExportQuery) -> Generator[Sequence[StoredRow], None, None]:
        self._ask("exported", query)
        self._known(query.account)
        yield from self.batches
        if self.broken_off:
            raise self.broken_off

    def anomalies(self, query: AnomalyQuery) -> AnomalyPage:
        self._ask("anomalies", query)
        self._known(query.account)
        if query.cursor not in {None, CURSOR}:
            raise RequestError(field="cursor", problem="is not one that was given out", allowed="the `next` of a page")
        return AnomalyPage(self.unusual[: query.limit], CURSOR if len(self.unusual) > query.limit else None)

    def budgets(self, account: str | None) -> list[BudgetStatus]:
        self._ask("budgets", account)
        self._known(account)
        return [status for status in self.limits if account in {None, status.budget.account}]

    def data_version(self, account: str | None) -> int:
        self._ask("data_version", account)
        self._known(account)
        return self.version

    def calls(self, name: str) -> list[Any]:
        """The arguments of every call of this name."""
        return [call[1:] for call in self.asked if call[0] == name]

    def _ask(self, *call: Any) -> None:
        self.asked.append(call)
        if self.failure:
            raise self.failure

    def _known(self, account: str | None) -> None:
        if account is not None and account not in self.accounts:
            raise UnknownAccountError(account=account)


class FakeHealth:
    """A process that is well."""

    def __init__(self, link: FakeLink) -> None:
        self._link = link

    def moment(self) -> Moment:
        return Moment(now=NOW, uptime_s=12.0)

    def live(self) -> Live:
        return Live()

    def ready(self) -> Ready:
        return ready_answer(self._checks(), self.moment(), version="0.1.0")

    def dependencies(self) -> dict[str, Any]:
        return dependencies_body(self._link.health(), {}, self._checks(), [])

    def _checks(self) -> dict[str, CheckResult]:
        unused = CheckResult(CheckStatus.UNUSED, message="Not configured")
        return {
            "database": CheckResult(CheckStatus.UP, 1.0, vital=True),
            "redis": redis_check(self._link.health()),
            "azureCredentials": unused,
            "awsCredentials": unused,
        }


class Description:
    """openapi.yaml, as a judge of answers."""

    def __init__(self, path: Path = OPENAPI_FILE) -> None:
        # A schema taken out of its document still finds its neighbours: references are made absolute.
        self.document = yaml.safe_load(path.read_text().replace('"#/', f'"{BASE}#/'))
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(BASE, resource)

    def operations(self) -> dict[str, dict[str, Any]]:
        """Path template to method (in capitals) to operation."""
        return {
            path: {method.upper(): operation for method, operation in item.items() if method != "parameters"}
            for path, item in self.document["paths"].items()
        }

    def template_of(self, path: str) -> str | None:
        """The described path that `path` is one of."""
        parts = (path.rstrip("/") or "/").split("/")
        for template in self.document["paths"]:
            wanted = template.split("/")
            if len(wanted) == len(parts) and all(
                want == part or (want.startswith("{") and part) for want, part in zip(wanted, parts, strict=True)
            ):
                return str(template)
        return None

    def check(self, method: str, path: str, answer: falcon.testing.Result) -> None:
        """Raise AssertionError unless the answer is one that the description gives for this request."""
        template = self.template_of(path)
        operations = self.operations().get(template or "", {})
        if template is None or method not in operations:
            assert answer.status_code in {404, 405}, f"{method} {path} is not described: {answer.status}"
            self._validate(answer.json, self.document["components"]["schemas"]["Error"])
            return
        described = operations[method]["responses"].get(str(answer.status_code))
        assert described is not None, f"{method} {template} does not describe {answer.status}: {answer.text}"
        described = self._resolved(described)
        for name, header in described.get("headers", {}).items():
            self._validate(answer.headers[name], self._resolved(header)["schema"])
        self._check_content(answer, described.get("content", {}))

    def _check_content(self, answer: falcon.testing.Result, content: dict[str, Any]) -> None:
        if not content:
            assert answer.content == b""
            return
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in content, f"{kind} is not one of {list(content)}"
        if kind == "application/vnd.apache.parquet":
            return
        gzipped = answer.headers.get("content-encoding") == "gzip"
        text = gzip.decompress(answer.content).decode() if gzipped else answer.text
        body = yaml.safe_load(text) if kind == "application/yaml" else text
        body = json.loads(text) if kind == "application/json" else body
        self._validate(body, content[kind]["schema"])

    def _resolved(self, found: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in found:
            return found
        node = self.document
        for step in found["$ref"].removeprefix(f"{BASE}#/").split("/"):
            node = node[step]
        return dict(node)

    def _validate(self, value: object, schema: dict[str, Any]) -> None:
        OAS31Validator(schema, registry=self._registry, format_checker=OAS31Validator.FORMAT_CHECKER).validate(value)


@dataclass
class Client:
    """The application, asked without a server. Every answer is held against openapi.yaml."""

    collaborators: Collaborators
    described: Description

    def request(self, method: str, url: str, **given: Any) -> falcon.testing.Result:
        """Ask as a program on this machine would."""
        headers = {name: value for name, value in {**LOOPBACK, **given.pop("headers", {})}.items() if value is not None}
        parts = urlsplit(url)
        client = falcon.testing.TestClient(create_app(self.collaborators))
        answer = client.simulate_request(method, parts.path, query_string=parts.query, headers=headers, **given)
        if method != "HEAD":
            self.described.check(method, parts.path, answer)
        return answer

    def get(self, url: str, **given: Any) -> falcon.testing.Result:
        return self.request("GET", url, **given)

    def post(self, url: str, payload: object = None, **given: Any) -> falcon.testing.Result:
        if payload is not None:
            given["body"] = json.dumps(payload)
            given["headers"] = {"Content-Type": "application/json", **given.get("headers", {})}
        return self.request("POST", url, **given)

    def delete(self, url: str, **given: Any) -> falcon.testing.Result:
        return self.request("DELETE", url, **given)


@dataclass
class Api(Client):
    """The application over fakes; `sent` is what was dispatched."""

    link: FakeLink
    ledger: FakeLedger
    sent: list[Sequence[int]]


OPEN = Access(token=None, bound_to="127.0.0.1", production=False)


def make_api(*, access: Access = OPEN, **changes: Any) -> Api:
    """An API whose collaborators are fakes, except those in `changes`."""
    link, ledger = FakeLink(), FakeLedger()
    sent: list[Sequence[int]] = []

    def dispatch(run_ids: Sequence[int]) -> frozenset[int]:
        sent.append(run_ids)
        for run_id in run_ids:
            ledger.kept[run_id] = replace(ledger.kept[run_id], state=RunState.QUEUED)
        return frozenset(run_ids)

    given = Collaborators(
        link=link,
        ledger=ledger,
        queues=lambda: [QueueDepth("collect", 3, 1, 0)],
        dispatch=dispatch,
        probes=probe_app(FakeHealth(link), metrics.render),
        access=access,
        window_days=7,
        now=lambda: NOW,
        monotonic_s=lambda: 0.0,
        redis_calls=BoundedCalls(2, name="test-redis"),
        # A stall of the machine is no frozen Redis.
        redis_budget_s=10.0,
    )
    return Api(replace(given, **changes), Description(), link, ledger, sent)
