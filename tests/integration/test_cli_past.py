"""`holdfast backfill`, `export`, `reconcile` on a real ledger: what they say, what they do, how they end."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import pytest

from shared.core.costs import DayTotal, FetchedCosts, Price, totals_by_day
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs import provider as providers
from shared.costs.focus.provider import FocusProvider
from shared.ledger.claims import claim_next_due
from shared.ledger.database import Database
from shared.ledger.store import store
from tests.support.cli import Outcome, called, settle
from tests.support.exports import amount_of, focus_account, write_exports
from tests.support.system import ROOT

pytestmark = pytest.mark.integration

FEBRUARY = DayRange(date(2026, 2, 1), date(2026, 2, 28))
SPRING = ("--start", "2026-01-01", "--end", "2026-03-31")
MONTH = ("--month", "2026-02", "--account", "shop")
TOTAL = sum((amount_of(day, service) for day in FEBRUARY for service in ("Compute", "Storage", "Queue")), Decimal(0))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    """A folder with two accounts and their exports of a month, no Redis, and an empty database of either kind."""
    settle(tmp_path, monkeypatch, database_url)
    monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    write_exports(tmp_path / "exports", FEBRUARY)
    text = "".join(focus_account(name, f"{tmp_path}/exports/*.csv") for name in ("shop", "lake"))
    (tmp_path / "accounts.toml").write_text(text)
    return tmp_path


@pytest.fixture
def holdfast(place: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    return partial(called, capfdbinary)


@contextmanager
def ledger() -> Iterator[Database]:
    db = Database(os.environ["DATABASE_URL"])
    try:
        yield db
    finally:
        db.dispose()


def work_all(place: Path) -> int:
    """Do every run that is due, as a worker would; returns how many."""
    done = 0
    provider = FocusProvider(f"{place}/exports/*.csv")
    with ledger() as db:
        while (held := claim_next_due(db, holder="test")) is not None:
            assert store(db, held, provider.fetch(held.run.days))
            done += 1
    return done


class Priced:
    """The focus provider with a price, and with days of its own."""

    def __init__(self, inner: FocusProvider) -> None:
        self.inner = inner
        self.asked: list[DayRange] = []
        self.changed: dict[date, Decimal] = {}
        self.failure: ProviderError | None = None

    def fetch(self, days: DayRange) -> FetchedCosts:
        return self.inner.fetch(days)

    def sign_in(self) -> str:
        return "tester"

    def day_totals(self, days: DayRange) -> list[DayTotal]:
        self.asked.append(days)
        if self.failure:
            raise self.failure
        totals = totals_by_day(self.inner.fetch(days).rows)
        return [total._replace(billed=total.billed + self.changed.get(total.day, Decimal(0))) for total in totals]

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:
        pages = max(1, -(-len(days) * rows_a_day // 1000))
        cent = Decimal("0.01")
        return Price(requests=(1, pages), usd=(cent, cent * pages))


@pytest.fixture
def charging(place: Path, monkeypatch: pytest.MonkeyPatch) -> Priced:
    provider = Priced(FocusProvider(f"{place}/exports/*.csv"))
    monkeypatch.setattr(providers, "PROVIDERS", {"focus": lambda _: provider})
    return provider


# Backfill.


def test_a_dry_run_says_by_account_and_in_all_what_it_takes_and_does_nothing(holdfast, charging) -> None:
    told = holdfast("backfill", *SPRING, "--dry-run")
    assert (told.code, told.out) == (0, "")
    lines = [line.split() for line in told.err.splitlines()]
    # Nothing is known of the accounts: a guess of 1 to 2,000 rows a day.
    assert ["lake", "90", "3", "0", "0", "3", "to", "180", "0.03", "to", "1.80"] in lines
    assert told.err.splitlines()[-1] == "In all 180 days to collect: 6 to 360 requests, 0.06 to 3.60 USD."
    assert holdfast("runs", "--json").document["runs"] == []


def test_what_is_known_of_an_account_makes_the_price_exact(holdfast, charging, place) -> None:
    assert holdfast("collect", "--start", "2026-02-01", "--end", "2026-02-28").code == 0
    work_all(place)
    found = holdfast("backfill", *SPRING, "--dry-run", "--account", "shop", "--json").document
    (account,) = found["accounts"]
    assert (account["rowsADay"], account["completeDays"], account["days"]) == (3, 28, 62)
    assert account["ranges"] == [
        {"start": "2026-03-01", "end": "2026-03-31"},
        {"start": "2026-01-01", "end": "2026-01-31"},
    ]
    assert found["price"] == {"requests": {"least": 2, "most": 2}, "usd": {"least": "0.02", "most": "0.02"}}


def test_where_nobody_can_be_asked_money_needs_a_yes(holdfast, charging, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    refused = holdfast("backfill", *SPRING)
    assert refused.code == 2
    assert "--yes: is missing: the provider charges 0.06 to 3.60 USD" in refused.err
    assert holdfast("runs", "--json").document["runs"] == []
    assert holdfast("backfill", *SPRING, "--yes").code == 0
    assert len(holdfast("runs", "--json").document["runs"]) == 6


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "code", "runs"), [("y\n", 0, 6), ("YES\n", 0, 6), ("\n", 1, 0), ("n\n", 1, 0), ("", 1, 0)]
)
def test_on_a_terminal_it_asks(holdfast, charging, monkeypatch, typed, code, runs) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    asked = holdfast("backfill", *SPRING)
    assert asked.code == code
    assert "The provider charges 0.06 to 3.60 USD. Go on? (y/N)" in asked.err
    assert len(holdfast("runs", "--json").document["runs"]) == runs


def test_what_costs_nothing_is_not_asked_about(holdfast) -> None:
    made = holdfast("backfill", *SPRING)
    assert made.code == 0
    assert "6 runs, newest days first" in made.err
    assert "No worker is running" in made.err
    runs = holdfast("runs", "--json", "--kind", "backfill").document["runs"]
    assert {(run["start"], run["end"]) for run in runs} == {
        ("2026-01-01", "2026-01-31"),
        ("2026-02-01", "2026-02-28"),
        ("2026-03-01", "2026-03-31"),
    }


def test_the_same_command_goes_on_where_it_was(holdfast, place) -> None:
    first = holdfast("backfill", *SPRING, "--json").document
    again = holdfast("backfill", *SPRING, "--json").document
    assert {run["id"] for run in again["runs"]} == {run["id"] for run in first["runs"]}
    holdfast("cancel", first["runs"][0]["id"])
    assert work_all(place) == 5
    rest = holdfast("backfill", *SPRING, "--json").document
    assert len(rest["runs"]) == 1
    assert sum(account["days"] for account in rest["accounts"]) == 31
    work_all(place)
    done = holdfast("backfill", *SPRING)
    assert "Nothing to collect: every day is there" in done.err
    assert len(holdfast("backfill", *SPRING, "--again", "--json").document["runs"]) == 6


def test_a_whole_backfill_is_cancelled_by_one_command(holdfast) -> None:
    holdfast("backfill", *SPRING)
    holdfast("collect")
    assert holdfast("cancel", "--backfill", "--account", "shop").out == "3 runs of backfills cancelled, over 90 days.\n"
    assert len(holdfast("cancel", "--backfill", "--json").document["runs"]) == 3
    states = {(run["kind"], run["state"]) for run in holdfast("runs", "--json").document["runs"]}
    assert states == {("backfill", "cancelled"), ("manual", "pending")}


@pytest.mark.parametrize("arguments", [(), ("1", "--backfill"), ("1", "--account", "shop"), ("--account", "shop")])
def test_what_to_cancel_must_be_clear(holdfast, arguments) -> None:
    refused = holdfast("cancel", *arguments)
    assert (refused.code, "RUN: does not say what to cancel" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--start", "2026-02-31"), "--start: '2026-02-31' is no day"),
        (("--start", "1990-01-01"), "ask for at most 7305 at once"),
        (("--start", str(datetime.now(UTC).date())), "has not ended"),
        (("--start", "2026-02-01", "--account", "nobody"), "No account named 'nobody'"),
    ],
)
def test_a_mistake_is_one_line_with_its_cure(holdfast, arguments, said) -> None:
    refused = holdfast("backfill", *arguments)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert said in refused.err


def started(*arguments: str) -> subprocess.Popen[str]:
    """The command as a process of its own, to be interrupted."""
    command = [sys.executable, "-m", "holdfast_cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_who_waits_sees_the_days_go_by_and_may_leave(holdfast, place) -> None:
    with started("backfill", *SPRING, "--wait") as waiting:
        assert waiting.stderr
        lines = iter(waiting.stderr.readline, "")
        assert any(line == "0 of 180 days, 0 of 2 accounts done\n" for line in lines)
        with ledger() as db:
            held = claim_next_due(db, holder="test")
            assert held is not None
            assert store(db, held, FetchedCosts([])) is not None
        assert any(line == "31 of 180 days, 0 of 2 accounts done\n" for line in lines)
        waiting.send_signal(signal.SIGINT)
        assert any("The work goes on" in line and "holdfast cancel --backfill" in line for line in lines)
        assert waiting.wait(60) == 130
    states = [run["state"] for run in holdfast("runs", "--json").document["runs"]]
    assert sorted(states) == ["pending"] * 5 + ["succeeded"]
    with started("backfill", *SPRING, "--wait", "--json") as waiting:
        assert waiting.stderr
        # It has asked for the runs that are left, and looks at them.
        assert waiting.stderr.readline() == "0 of 149 days, 0 of 2 accounts done\n"
        assert work_all(place) == 5
        out, _ = waiting.communicate(timeout=60)
        assert waiting.returncode == 0
        assert {run["state"] for run in json.loads(out)["runs"]} == {"succeeded"}


# Export.


def collect_february(holdfast: Callable[..., Outcome], place: Path) -> None:
    assert holdfast("collect", "--start", "2026-02-01", "--end", "2026-02-28").code == 0
    assert work_all(place) == 2


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_an_export_is_imported_with_the_same_total(holdfast, place, name) -> None:
    collect_february(holdfast, place)
    told = holdfast("export", "--start", "2026-02-01", "--end", "2026-02-28", "--account", "shop", "--output", name)
    assert (told.code, told.out) == (0, "")
    assert told.err.startswith(f"{name}: 2026-02-01 to 2026-02-28, ")
    fetched = FocusProvider(str(place / name)).fetch(FEBRUARY)
    assert sum((row.billed for row in fetched.rows), Decimal(0)) == TOTAL
    assert (place / name).stat().st_mode & 0o777 == 0o666 & ~current_mask()


def current_mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_without_a_file_it_goes_to_standard_output(holdfast, place) -> None:
    collect_february(holdfast, place)
    rows = list(csv.DictReader(io.StringIO(holdfast("export", "--start", "2026-02-01", "--end", "2026-02-28").out)))
    assert sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0)) == TOTAL * 2
    command = [sys.executable, "-m", "holdfast_cli", "export", "--start", "2026-02-01", "--format", "parquet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    piped = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    (place / "piped.parquet").write_bytes(piped.stdout)
    with duckdb.connect(":memory:") as connection:
        (total,) = connection.execute("SELECT sum(BilledCost) FROM 'piped.parquet'").fetchone() or ()
    assert total == TOTAL * 2


def test_a_reader_that_has_enough_is_no_error(holdfast, place) -> None:
    collect_february(holdfast, place)
    with started("export", "--start", "2026-02-01") as exporting:
        assert exporting.stdout
        assert exporting.stderr
        exporting.stdout.close()
        assert exporting.wait(60) == 0
        assert exporting.stderr.read() == ""


def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(holdfast, place, monkeypatch) -> None:
    collect_february(holdfast, place)
    (place / "out.csv").write_text("old")
    before = sorted(path.name for path in place.iterdir())
    assert holdfast("export", "--account", "nobody", "--output", "out.csv").code == 2
    monkeypatch.setattr("os.fsync", no_room)
    failed = holdfast("export", "--output", "out.csv")
    assert (failed.code, "out.csv cannot be written" in failed.err) == (1, True)
    assert (place / "out.csv").read_text() == "old"
    assert sorted(path.name for path in place.iterdir()) == before
    assert holdfast("export", "--output", "no/such/folder.csv").code == 2
    assert holdfast("export", "--format", "xml").code == 2


def no_room(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


# Reconcile.


def test_a_month_as_the_provider_has_it_is_equal(holdfast, place, charging) -> None:
    collect_february(holdfast, place)
    found = holdfast("reconcile", *MONTH, "--invoice-total", str(round(TOTAL, 2)), "--yes")
    assert found.code == 0
    assert found.err == "shop, 2026-02-01 to 2026-02-28: 1 requests, 0.01 USD.\n"
    assert found.out.splitlines()[-1] == "Equal, to within 0.01 a day."
    assert charging.asked == [FEBRUARY]


def test_it_says_which_days_differ_with_both_figures_and_what_to_do(holdfast, place, charging) -> None:
    collect_february(holdfast, place)
    charging.changed = {date(2026, 2, day): Decimal("1.5") for day in (3, 4, 9)}
    found = holdfast("reconcile", *MONTH, "--yes")
    assert found.code == 3
    lines = [line.split() for line in found.out.splitlines()]
    assert ["2026-02-03", "complete", "USD"] in [line[:3] for line in lines]
    assert "Collect again: holdfast collect --account 'shop' --start 2026-02-03 --end 2026-02-04" in found.out
    assert "Collect again: holdfast collect --account 'shop' --start 2026-02-09 --end 2026-02-09" in found.out
    document = holdfast("reconcile", *MONTH, "--yes", "--json").document
    assert [day["day"] for day in document["days"]] == ["2026-02-03", "2026-02-04", "2026-02-09"]
    assert {day["difference"] for day in document["days"]} == {"-1.5"}
    assert Decimal(document["totals"][0]["theirs"]) == TOTAL + Decimal("4.5")
    assert (document["equal"], document["invoice"]) == (False, None)


def test_missing_days_are_told(holdfast, place) -> None:
    assert holdfast("collect", "--start", "2026-02-01", "--end", "2026-02-20").code == 0
    work_all(place)
    document = holdfast("reconcile", *MONTH, "--json").document
    assert {day["state"] for day in document["days"]} == {"missing"}
    assert document["collect"] == [{"start": "2026-02-21", "end": "2026-02-28"}]


def test_an_invoice_that_says_otherwise_is_told_though_every_day_is_right(holdfast, place) -> None:
    collect_february(holdfast, place)
    found = holdfast("reconcile", *MONTH, "--invoice-total", "1.00", "--currency", "USD")
    assert found.code == 3
    assert "the invoice says otherwise" in found.out
    other = holdfast("reconcile", *MONTH, "--invoice-total", "1.00", "--currency", "EUR", "--json").document
    assert other["invoice"] == {"stored": "0", "theirs": "1", "difference": "-1"}


def test_its_price_is_asked_about_before_the_provider_is_asked(holdfast, charging, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    refused = holdfast("reconcile", *MONTH)
    assert (refused.code, charging.asked) == (1, [])
    assert "Nothing was asked of the provider" in refused.err


def test_a_provider_that_fails_says_what_to_do(holdfast, charging) -> None:
    charging.failure = ProviderError(code="AWS_ACCESS_DENIED", summary="No access", hint="Allow ce:GetCostAndUsage")
    failed = holdfast("reconcile", *MONTH, "--yes")
    assert (failed.code, failed.err.splitlines()[-1]) == (
        1,
        "holdfast: AWS_ACCESS_DENIED: No access. Allow ce:GetCostAndUsage",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--month", "2026-13", "--account", "shop"),
        ("--month", "2999-01", "--account", "shop"),
        ("--month", "2026-02", "--account", "nobody"),
        (*MONTH, "--invoice-total", "12,50"),
        (*MONTH, "--invoice-total", "NaN"),
        (*MONTH, "--invoice-total", "1"),
        (*MONTH, "--metric", "x"),
    ],
)
def test_mistakes_of_reconcile_are_told(holdfast, arguments, place) -> None:
    (place / "exports").rename(place / "gone")
    (place / "exports").mkdir()
    (place / "exports" / "x.csv").write_text((place / "gone" / "2026-02-01.csv").read_text().splitlines()[0] + "\n")
    refused = holdfast("reconcile", *arguments)
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith("holdfast: ")
