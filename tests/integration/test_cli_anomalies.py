"""`holdfast anomalies` and `holdfast budgets` on a real ledger, after the samples that `make run` begins with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from holdfast_cli.samples import prepare_dev
from shared.core.costs import FetchedCosts
from shared.core.days import last_complete_days
from shared.costs.accounts_file import load_accounts
from shared.costs.provider import provider_for
from shared.costs.samples import is_anomaly
from shared.ledger.accounts import sync_accounts
from shared.ledger.anomalies import changed_accounts, look_at
from shared.ledger.database import Database
from shared.ledger.store import store
from tests.support.cli import Outcome, called, settle
from tests.support.ledger import claimed

pytestmark = pytest.mark.integration

DAYS = last_complete_days(datetime.now(UTC), 30)
(PLANTED,) = (day for day in DAYS if is_anomaly(day, 1))
BUDGET = 'monthly_budget = "0.01"\nbudget_currency = "USD"\n'


@pytest.fixture
def holdfast(database_url, tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    settle(tmp_path, monkeypatch, database_url)
    return partial(called, capsys)


@pytest.fixture
def collected_samples(holdfast, database: Database, tmp_path) -> None:
    """What `make run` has after its first catch-up and a minute."""
    path = tmp_path / "accounts.toml"
    assert prepare_dev(path)
    path.write_text(path.read_text().replace('name = "shop-aws"\n', f'name = "shop-aws"\n{BUDGET}'))
    accounts = load_accounts(path)
    sync_accounts(database, [(account.name, account.provider, False) for account in accounts])
    for account in accounts:
        fetched = provider_for(account).fetch(DAYS)
        assert store(database, claimed(database, account.name, DAYS), FetchedCosts(fetched.rows)) is not None
    for changed in changed_accounts(database, limit=10):
        look_at(database, changed, post=False)


@pytest.mark.usefixtures("collected_samples")
def test_a_user_of_make_run_sees_the_planted_anomaly_and_no_other(holdfast):
    told = holdfast("anomalies")
    head, line = told.out.splitlines()
    assert head.split()[:3] == ["day", "account", "service"]
    assert line.startswith(f"{PLANTED}  shop-aws  Amazon Elastic Compute Cloud  spike")
    assert "█" * 30 in line

    (one,) = holdfast("anomalies", "--json").document["anomalies"]
    assert (one["day"], one["account"], one["kind"], one["clearedAt"]) == (str(PLANTED), "shop-aws", "spike", None)
    assert float(one["actual"]) > 3 * float(one["expected"])
    assert holdfast("anomalies", "--account", "office-azure", "--json").document == {"anomalies": [], "next": None}
    other = holdfast("anomalies", "--kind", "drop", "--start", str(PLANTED), "--end", str(PLANTED))
    assert (other.code, other.out) == (0, "")
    assert other.err.startswith(f"No anomalies from {PLANTED} to {PLANTED}.")


@pytest.mark.usefixtures("collected_samples")
def test_budgets_show_how_far_the_month_has_come(holdfast):
    (one,) = holdfast("budgets", "--json").document["budgets"]
    newest = DAYS.end
    assert (one["account"], one["currency"], one["budget"]) == ("shop-aws", "USD", "0.01")
    assert (one["month"], one["through"], one["days"]) == (f"{newest:%Y-%m}", str(newest), min(newest.day, 30))
    assert one["reached"] == [80, 100]
    told = holdfast("budgets")
    assert (told.code, told.err) == (0, "")
    assert "█" * 30 in told.out
    assert holdfast("budgets", "--account", "office-azure").err.startswith("No budgets.")


def test_mistakes_are_told_in_one_line(holdfast, database):
    for arguments, words in (
        (("anomalies", "--kind", "spikes"), "did you mean 'spike'?"),
        (("anomalies", "--account", "nobody"), "nobody"),
        (("anomalies", "--cursor", "x"), "not one that was given out"),
        (("budgets", "--account", "nobody"), "nobody"),
        (("anomalies", "--start", str(DAYS.end + timedelta(days=9))), "lies in the future"),
    ):
        told = holdfast(*arguments)
        assert (told.code, told.out) == (2, "")
        assert words in told.err
