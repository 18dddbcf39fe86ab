"""What the API relies on: the fakes of its unit tests and the real link and ledger pass the same suite."""

from collections.abc import Sequence
from contextlib import closing
from datetime import date

import pytest

from shared.core.days import DayRange
from shared.core.errors import (
    RedisUnavailableError,
    RequestError,
    RunFinishedError,
    UnknownAccountError,
    UnknownRunError,
)
from shared.core.runs import RunKind, RunState
from shared.ledger.anomaly_queries import AnomalyQuery
from shared.ledger.migrate import Migrator
from shared.ledger.queries import CostQuery
from shared.ledger.revisions import RevisionFilter
from shared.redis_link import LinkConfig, RedisLink
from status_api.collaborators import Ledger, Link
from status_api.ledger import DatabaseLedger
from status_api.params import RunFilter, RunsAsked
from tests.support.api import FakeLedger, FakeLink
from tests.support.ledger import with_accounts
from tests.support.redis_server import RedisServer, free_port

DAYS = DayRange(date(2026, 3, 1), date(2026, 3, 2))
DATABASES = ("sqlite_database", "postgres_database")
REAL = pytest.param("real", marks=pytest.mark.integration)


@pytest.fixture(params=["fake", REAL])
def link(request):
    if request.param == "fake":
        yield FakeLink()
        return
    with RedisServer() as server, closing(RedisLink(LinkConfig(url=server.url))) as made:
        made.start()
        assert made.wait_connected(10)
        yield made


@pytest.fixture(params=["fake", REAL])
def lost_link(request):
    if request.param == "fake":
        made = FakeLink()
        made.away()
        yield made
        return
    with closing(RedisLink(LinkConfig(url=f"redis://127.0.0.1:{free_port()}/0"))) as link:
        link.start()
        yield link


@pytest.fixture(params=["fake", *(pytest.param(name, marks=pytest.mark.integration) for name in DATABASES)])
def ledger(request):
    if request.param == "fake":
        return FakeLedger()
    database = request.getfixturevalue(request.param)
    with_accounts(database, "one", "two")
    migrator = Migrator(database)
    migrator.start()
    assert migrator.wait_ready(30)
    return DatabaseLedger(database, migrator)


def test_a_link_keeps_text_with_and_without_an_end(link: Link):
    assert link.is_available()
    assert link.health().is_open
    assert (link.get_value("greeting"), link.key_ttl("greeting"), link.delete_value("greeting")) == (None, -2, False)
    link.set_value("greeting", "h\u00e4llo")
    assert (link.get_value("greeting"), link.key_ttl("greeting")) == ("h\u00e4llo", -1)
    link.set_value("greeting", "again", 100)
    assert link.get_value("greeting") == "again"
    assert 0 < link.key_ttl("greeting") <= 100
    assert (link.delete_value("greeting"), link.get_value("greeting")) == (True, None)


def test_a_link_without_redis_refuses_every_command(lost_link: Link):
    assert not lost_link.is_available()
    assert not lost_link.health().is_open
    for command in (
        lambda: lost_link.get_value("a"),
        lambda: lost_link.set_value("a", "b"),
        lambda: lost_link.delete_value("a"),
        lambda: lost_link.key_ttl("a"),
    ):
        with pytest.raises(RedisUnavailableError):
            command()


def ask(ledger: Ledger, accounts: Sequence[str] | None = ("one",)):
    return ledger.request_runs(RunsAsked(accounts=accounts, days=DAYS))


def test_a_requested_run_is_pending_and_found_again(ledger: Ledger):
    (run,) = ask(ledger)
    assert (run.account, run.days, run.kind, run.state) == ("one", DAYS, RunKind.MANUAL, RunState.PENDING)
    assert ledger.run(run.id) == run
    page = ledger.runs(RunFilter(account="one"))
    assert ([found.id for found in page.runs], page.next) == ([run.id], None)


def test_without_accounts_every_account_gets_a_run(ledger: Ledger):
    assert sorted(run.account for run in ask(ledger, None)) == ["one", "two"]


def test_a_run_is_cancelled_once(ledger: Ledger):
    (run,) = ask(ledger)
    assert ledger.cancel(run.id).state is RunState.CANCELLED
    with pytest.raises(RunFinishedError):
        ledger.cancel(run.id)


def test_a_run_that_is_not_there_is_unknown(ledger: Ledger):
    for missing in (ledger.run, ledger.cancel):
        with pytest.raises(UnknownRunError):
            missing(2**62)


def test_an_account_that_is_not_there_is_unknown(ledger: Ledger):
    for missing in (
        lambda: ask(ledger, ["nobody"]),
        lambda: ledger.runs(RunFilter(account="nobody")),
        lambda: ledger.coverage(DAYS, "nobody"),
        lambda: ledger.revisions(RevisionFilter(account="nobody")),
        lambda: ledger.data_version("nobody"),
        lambda: ledger.anomalies(AnomalyQuery(days=DAYS, account="nobody")),
        lambda: ledger.budgets("nobody"),
    ):
        with pytest.raises(UnknownAccountError):
            missing()


def test_coverage_has_every_account_and_day_in_order(ledger: Ledger):
    found = ledger.coverage(DAYS, None)
    assert [account.account for account in found] == ["one", "two"]
    assert all([known.day for known in account.days] == list(DAYS) for account in found)


def test_a_report_and_its_version_are_there_from_the_beginning(ledger: Ledger):
    assert ledger.data_version(None) >= 0
    assert ledger.identity() == ledger.identity() != ""
    report = ledger.costs(CostQuery(days=DAYS, group_by=("day", "service")))
    assert all(set(row) == {"day", "service", "currency", "amount"} for row in report.rows)


def test_a_cursor_that_was_never_given_out_is_refused(ledger: Ledger):
    for wrong in (
        lambda: ledger.runs(RunFilter(cursor="nonsense")),
        lambda: ledger.anomalies(AnomalyQuery(days=DAYS, cursor="nonsense")),
        lambda: ledger.revisions(RevisionFilter(cursor="nonsense")),
    ):
        with pytest.raises(RequestError) as caught:
            wrong()
        assert caught.value.field == "cursor"


def test_every_account_has_its_standing_by_name(ledger: Ledger):
    found = ledger.standings()
    assert [(each.account.name, each.account.removed) for each in found] == [("one", False), ("two", False)]
    assert found[1].last_complete_day is None


def test_without_anomalies_and_budgets_there_are_none(ledger: Ledger):
    page = ledger.anomalies(AnomalyQuery(days=DAYS))
    assert (list(page.anomalies), page.next) == ([], None)
    assert list(ledger.budgets(None)) == list(ledger.budgets("one")) == []
