"""The whole status API in this process, as `python -m status_api` puts it together, and openapi.yaml to ask it by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from shared.bootstrap.container import Container, build
from shared.core.days import DayRange
from shared.ledger.accounts import list_accounts
from shared.ledger.endings import cancel_run
from shared.redis_link import set_default_link
from shared.settings import Settings
from status_api import service
from status_api.access import Access
from status_api.app import create_app
from status_api.bounded import BoundedCalls
from status_api.collaborators import OPENAPI_FILE
from tests.support.ledger import collected, cost_row, requested
from tests.support.logs import captured
from tests.support.programs import ACCOUNTS
from tests.support.waiting import wait_for

ACCOUNT, KEY, TOKEN = "exports", "known", "a-token-of-the-test"
# Whether a day may be asked for depends on today, which a schema cannot say: what is valid there may still be a 400.
JUDGES = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
DOCUMENT = schemathesis.openapi.from_path(OPENAPI_FILE).raw_schema
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"]
# Those of whose requests something can be wrong by the document.
PARTICULAR = [
    (path, method)
    for path, method in OPERATIONS
    if "{key}" in path or DOCUMENT["paths"][path][method].keys() & {"parameters", "requestBody"}
]


@dataclass
class DescribedApi:
    """A running process's application; `runs` are ids of runs that are there."""

    container: Container
    calls: BoundedCalls
    runs: list[str]

    def schema(self, **access: Any) -> Any:
        """The document as this application serves it; `access` changes who may do what."""
        given = service.collaborators(self.container, self.calls)
        changed = replace(given, access=replace(OPEN, **access))
        return schemathesis.openapi.from_wsgi("/openapi.yaml", create_app(changed))

    def ask(self, case: Any, **given: Any) -> int:
        """Send `case`; the status. Raises when the answer is not one of the document, or a 5xx but 503."""
        answer = case.call(**given)
        judges = JUDGES if answer.status_code == 503 else [*JUDGES, not_a_server_error]
        case.validate_response(answer, checks=judges)
        return int(answer.status_code)


OPEN = Access(token=None, bound_to="127.0.0.1", production=False)


@contextmanager
def described_api(folder: Path, *, redis_url: str, database_url: str) -> Iterator[DescribedApi]:
    """The process's parts, started; what is away is known to be away."""
    accounts = folder / "accounts.toml"
    accounts.write_text(ACCOUNTS)
    given: dict[str, Any] = {"redis_url": redis_url, "database_url": database_url, "accounts_file": accounts}
    # Not before the container is built: it sets up a log of its own.
    container = build("status_api", Settings(redis_namespace="described", redis_beat_timeout_s=30.0, **given))
    with captured():
        calls = BoundedCalls(service.THREADS, name="described-call")
        container.start()
        try:
            wait_for(container._settled, what="the first word of Redis and of the database")
            yield DescribedApi(container, calls, _runs(container))
        finally:
            container.stop()
            calls.close()
            set_default_link(None)


def _runs(container: Container) -> list[str]:
    """One that has ended well, one cancelled, one open; with data to go with the first."""
    if container.link.is_available():
        container.link.set_value(KEY, "value", 3600)
    if not container.migrator.wait_ready(0):
        return ["1"]
    wait_for(lambda: list_accounts(container.db), what="the account in the ledger")
    today = datetime.now(UTC).date()
    days = DayRange(today - timedelta(days=9), today - timedelta(days=1))
    collected(container.db, ACCOUNT, days, [cost_row(days.start, billed="12.34")])
    cancel_run(container.db, requested(container.db, ACCOUNT, days).id)
    requested(container.db, ACCOUNT, DayRange(date(2026, 1, 1), date(2026, 1, 2)))
    return ["1", "2", "3"]
