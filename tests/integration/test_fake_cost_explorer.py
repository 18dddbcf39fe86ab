"""The fake Cost Explorer itself: as a process, and its control API."""

import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.core.costs import totals_by_day
from shared.core.days import last_complete_days
from shared.core.errors import ProviderError
from shared.costs.accounts_file import load_accounts
from shared.costs.provider import provider_for
from tests.fakes.cost_explorer import FakeCostExplorer
from tests.support.aws import by_role, only_these
from tests.support.system import ROOT, request

pytestmark = pytest.mark.integration

DAYS = last_complete_days(datetime.now(UTC), 3)


@pytest.fixture
def fake(monkeypatch):
    with FakeCostExplorer() as running:
        only_these(monkeypatch, running.environment())
        yield running


@contextmanager
def program(*arguments):
    """The fake as a process; gives its port."""
    command = [sys.executable, "-m", "tests.fakes.cost_explorer", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()
            assert process.wait(30) == 0


def control(port, path="", payload=None):
    answer = request(port, f"/_control{path}", method="GET" if payload is None else "POST", payload=payload)
    assert answer.status == 200, answer
    return answer.body


def port_of(fake):
    return int(fake.url.rpartition(":")[2])


def test_as_a_process_it_says_where_it_is_and_what_a_worker_needs(tmp_path, monkeypatch):
    files = ["--accounts", str(tmp_path / "accounts.toml"), "--env", str(tmp_path / "env")]
    with program("--payers", "2", "--external-id", "shared-secret", "--page-groups", "30", *files) as port:
        lines = (tmp_path / "env").read_text().splitlines()
        only_these(monkeypatch, dict(line.split("=", 1) for line in lines))
        accounts = load_accounts(tmp_path / "accounts.toml")
        assert [account.name for account in accounts] == ["aws-01", "aws-02"]
        found = totals_by_day(provider_for(accounts[1]).fetch(DAYS).rows)
        payer = control(port)["payers"][1]
        totals = control(port, f"/totals?account={payer}&start={DAYS.start}&end={DAYS.end}")
        assert {
            str(total.day): {"USD": {"unblended": total.billed, "amortized": total.effective}} for total in found
        } == {
            day: {unit: {name: Decimal(text) for name, text in one.items()} for unit, one in sums.items()}
            for day, sums in totals.items()
        }


def test_it_counts_what_was_asked_and_what_aws_would_have_charged(fake):
    fake.page_groups = 40
    rows = by_role(fake).fetch(DAYS).rows
    pages = -(-len(rows) // 40)
    shown = control(port_of(fake))
    assert (shown["pages"], shown["chargedUsd"]) == (pages, str(Decimal("0.01") * pages))
    assert shown["outcomes"] == {"AssumeRole ok": 1, "GetCallerIdentity ok": 1, "GetCostAndUsage ok": pages}
    assert (shown["inFlight"], shown["mostInFlight"]) == (0, 1)
    assert control(port_of(fake), "/reset", {})["requests"] == 0


def test_faults_are_switched_on_and_off(fake):
    port = port_of(fake)
    control(port, "/faults", {"name": "denied", "operation": "GetCostAndUsage"})
    with pytest.raises(ProviderError, match="may not be read"):
        by_role(fake).fetch(DAYS)
    assert control(port)["faults"][0]["hits"] == 1
    control(port, "/faults", {"off": True})
    assert by_role(fake).fetch(DAYS).rows
    assert fake.counters.charged_usd == Decimal("0.01")


def test_days_are_restated_emptied_and_services_renamed(fake):
    port, payer = port_of(fake), fake.payers[0]
    asked = f"/totals?account={payer}&start={DAYS.start}&end={DAYS.end}"
    before = control(port, asked)
    control(port, "/restate", {"account": payer, "days": [str(DAYS.start)]})
    control(port, "/empty", {"account": payer, "days": [str(DAYS.end)]})
    control(port, "/rename", {"account": payer, "service": "AWS Lambda", "new": "Lambda"})
    after = control(port, asked)
    assert after[str(DAYS.start)] != before[str(DAYS.start)]
    assert after[str(DAYS.end)] == {}
    assert "Lambda" in {row.service for row in by_role(fake).fetch(DAYS).rows}


def test_keys_expire_and_the_quota_is_set(fake):
    port = port_of(fake)
    fake.keys.of_account("999999999999")
    control(port, "/expire", {"account": None})
    with pytest.raises(ProviderError, match="have expired"):
        by_role(fake).sign_in()
    control(port, "/expire", {"off": True})
    assert control(port, "/rate", {"perSecond": 1}) == {"perSecond": 1}
    assert fake.rate.admits("a")
    assert not fake.rate.admits("a")


@pytest.mark.parametrize(
    ("path", "payload", "status"),
    [("/nothing", None, 404), ("/faults", {"name": "unknown"}, 400), ("/totals?account=1", None, 400)],
)
def test_what_makes_no_sense_is_refused(fake, path, payload, status):
    method = "GET" if payload is None else "POST"
    assert request(port_of(fake), f"/_control{path}", method=method, payload=payload).status == status


def test_a_request_without_a_signature_is_refused(fake):
    headers = {"X-Amz-Target": "AWSInsightsIndexService.GetCostAndUsage"}
    answer = request(port_of(fake), "/", method="POST", payload={}, headers=headers)
    assert answer.status == 403
    assert b"MissingAuthenticationTokenException" in answer.body
