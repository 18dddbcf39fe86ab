"""Azure accounts through real workers: on both databases, one request in flight per tenant, to the last decimal."""

from datetime import date
from decimal import Decimal

import pytest

from shared.bootstrap.accounts import facts_of
from shared.core.costs import EXACT
from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import OPEN_STATES, RunKind, RunState
from shared.costs.accounts_file import load_accounts
from shared.ledger.accounts import list_accounts, sync_accounts
from shared.ledger.checking import check
from shared.ledger.database import Database
from shared.ledger.queries import get_run
from shared.ledger.requests import request_runs
from shared.ledger.tables import costs
from tests.fakes.azure_query import azure
from tests.fakes.azure_query.estate import Estate
from tests.support.azure import TOKEN, azure_account, own_totals
from tests.support.waiting import wait_none
from tests.support.worker import WorkerRig

pytestmark = pytest.mark.integration

DAYS = DayRange(date(2026, 8, 20), date(2026, 10, 31))
NAMES = [f"subscription-{number}" for number in range(5)]


@pytest.fixture
def fake():
    # Slow enough for requests to overlap, if anybody let them.
    with azure(Estate(subscriptions=5), page_rows=100, latency_s=0.02) as server:
        yield server


def worker(folder, server, fake, database: Database, url: str) -> WorkerRig:
    """A worker with the fake's five subscriptions for accounts; not started."""
    folder.mkdir()
    rig = WorkerRig(folder, server.url, **{TOKEN: fake.token(), "WORKER_THREADS": "4"})
    text = "".join(azure_account(name, fake, fake.scope(number)) for number, name in enumerate(NAMES))
    (folder / "accounts.toml").write_text(text)
    rig.database_url = url
    rig._db = database
    return rig


def stored(database):
    """By subscription and day, what the ledger holds."""
    sums: dict[tuple[str, date], tuple[Decimal, Decimal]] = {}
    with database.read() as connection:
        for row in connection.execute(costs.select()):
            key = (row.sub_account.removeprefix("/subscriptions/"), row.day)
            billed, effective = sums.get(key, (Decimal(0), Decimal(0)))
            sums[key] = (EXACT.add(billed, row.billed), EXACT.add(effective, row.effective))
    return sums


def collect(rig, runs, timeout_s=300):
    """Dispatch as the scheduler does until all runs have ended."""

    def left():
        try:
            rig.dispatch()
            return [f"{run.account} {run.days}" for run in runs if rig.state(run) in OPEN_STATES]
        except DatabaseUnavailableError as error:
            # A busy machine may be late for the limit of a read; whoever dispatches tries again.
            return [error.summary]

    wait_none(left, timeout_s)


@pytest.mark.timeout(400)
def test_two_workers_and_five_accounts_of_a_tenant_ask_one_thing_at_a_time(
    database, database_url, server, fake, tmp_path, monkeypatch
):
    first, second = (worker(tmp_path / name, server, fake, database, database_url) for name in ("one", "two"))
    try:
        monkeypatch.setenv(TOKEN, first.environment[TOKEN])
        sync_accounts(database, facts_of(load_accounts(tmp_path / "one/accounts.toml")))
        assert {one.lane for one in list_accounts(database)} == {f"azure:{fake.estate.tenant_ids[0]}"}
        first.start()
        second.start()
        halves = [DayRange(DAYS.start, date(2026, 9, 30)), DayRange(date(2026, 10, 1), DAYS.end)]
        runs = [
            run for half in halves for run in request_runs(database, accounts=NAMES, days=half, kind=RunKind.BACKFILL)
        ]
        # Some bad luck on the way, which the ledger's own retries make good.
        fake.fault("429", retry_after_s=1)
        fake.fault("503", retry_after_s=1)
        collect(first, runs)
        assert {first.state(run) for run in runs} == {RunState.SUCCEEDED}
        assert dict(fake.counters.most_at_once) == {fake.estate.tenant_ids[0]: 1}
        assert fake.quota.violations == 0
        assert stored(database) == own_totals(fake, DAYS)
        assert not [found for found in check(database, grace_s=0, at_rest=True) if found.broken]
    finally:
        second._db = None
        second.close()
        first._db = None
        first.close()


@pytest.mark.timeout(400)
def test_a_permanent_refusal_fails_its_own_account_alone(database, database_url, server, fake, tmp_path, monkeypatch):
    rig = worker(tmp_path / "one", server, fake, database, database_url)
    try:
        monkeypatch.setenv(TOKEN, rig.environment[TOKEN])
        sync_accounts(database, facts_of(load_accounts(tmp_path / "one/accounts.toml")))
        fake.fault("403", scope=fake.scope(1))
        rig.start()
        day = DayRange(DAYS.start, DAYS.start)
        bad, *good = request_runs(database, accounts=[NAMES[1], NAMES[0], NAMES[2]], days=day)
        collect(rig, [bad, *good])
        by_account = {run.account: get_run(database, run.id) for run in (bad, *good)}
        assert [by_account[name].state for name in NAMES[:3]] == [
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.SUCCEEDED,
        ]
        error = by_account[NAMES[1]].error
        assert error is not None
        assert error.code == "AZURE_FORBIDDEN"
        assert "Cost Management Reader" in error.hint
        assert rig.environment[TOKEN] not in "\n".join(rig.lines())
        assert str(fake.server_address[1]) not in "\n".join(line for line in rig.lines() if "HTTP Request" in line)
    finally:
        rig._db = None
        rig.close()
