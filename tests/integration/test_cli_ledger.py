"""The `holdfast` command on a real ledger: what it prints, what it records, how it fails."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from shared.core.costs import CostRow, FetchedCosts
from shared.core.days import DayRange, last_complete_days
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy
from shared.core.version import VERSION
from shared.ledger.claims import claim_next_due, fail_attempt
from shared.ledger.database import Database
from shared.ledger.store import store
from tests.support.cli import Outcome, called, settle
from tests.support.exports import focus_account
from tests.support.redis_server import RedisServer
from tests.support.system import free_port
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

AMOUNT = Decimal("1.000000000000000001")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with two accounts, no Redis, and a database that does not exist yet."""
    settle(tmp_path, monkeypatch, f"sqlite:///{tmp_path}/var/holdfast.db")
    monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.toml"))
    text = focus_account("shop", "exports/shop/*.csv") + focus_account("lake", "exports/lake/*.csv")
    (tmp_path / "accounts.toml").write_text(text)
    return tmp_path


@pytest.fixture
def holdfast(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    return partial(called, capsys)


@contextmanager
def ledger(place: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{place}/var/holdfast.db")
    try:
        yield db
    finally:
        db.dispose()


def rows_for(days: DayRange, currencies: Sequence[str] = ("USD",)) -> list[CostRow]:
    return [
        CostRow(day, "a1", "AWS", service, "Usage", currency, AMOUNT, AMOUNT * 2)
        for day in days
        for service in ("Compute", "Storage")
        for currency in currencies
    ]


def work_all(place: Path, currencies: Sequence[str] = ("USD",)) -> int:
    """Do every run that is due, as a worker would; returns how many."""
    done = 0
    with ledger(place) as db:
        while (claim := claim_next_due(db, holder="test")) is not None:
            assert store(db, claim, FetchedCosts(rows_for(claim.run.days, currencies)))
            done += 1
    return done


def test_a_new_ledger_is_made_where_there_is_none_and_says_what_is_missing(holdfast) -> None:
    assert holdfast("runs") == Outcome(0, "", "No runs. `holdfast collect` asks for some.\n")
    coverage = holdfast("coverage")
    assert (coverage.code, coverage.out) == (0, "")
    assert "No accounts yet" in coverage.err
    assert holdfast("costs").err.startswith("No costs from ")
    assert holdfast("runs", "--json").document == {"runs": [], "next": None}
    assert holdfast("coverage", "--json").document == {"accounts": []}


def test_collect_records_one_manual_run_for_each_account(holdfast) -> None:
    asked = holdfast("collect")
    assert asked.code == 0
    assert "No worker is running" in asked.err
    week = last_complete_days(datetime.now(UTC), 7)
    runs = holdfast("runs", "--json").document["runs"]
    assert sorted((run["account"], run["kind"], run["start"], run["end"]) for run in runs) == [
        ("lake", "manual", str(week.start), str(week.end)),
        ("shop", "manual", str(week.start), str(week.end)),
    ]
    assert {run["state"] for run in runs} <= {"pending", "queued"}


def test_collecting_twice_does_not_make_the_same_run_twice(holdfast) -> None:
    first = holdfast("collect", "--json").document
    assert first["dispatch"] == "deferred"
    assert holdfast("collect", "--json").document["runs"] == first["runs"]


def test_collect_takes_days_and_accounts(holdfast) -> None:
    document = holdfast(
        "collect", "--account", "shop", "--start", "2026-01-01", "--end", "2026-01-02", "--json"
    ).document
    assert [(run["account"], run["start"], run["end"]) for run in document["runs"]] == [
        ("shop", "2026-01-01", "2026-01-02")
    ]


def test_what_was_collected_shows_in_coverage_and_costs(holdfast, place) -> None:
    holdfast("collect", "--account", "shop")
    assert work_all(place) == 1
    week = last_complete_days(datetime.now(UTC), 7)

    accounts = {each["account"]: each for each in holdfast("coverage", "--json").document["accounts"]}
    states = [day["state"] for day in accounts["shop"]["days"]]
    assert states == ["missing"] * 23 + ["complete"] * 7
    assert {day["state"] for day in accounts["lake"]["days"]} == {"missing"}

    grid = holdfast("coverage").out.splitlines()
    assert "shop  " + "·" * 23 + "■" * 7 in grid
    assert "lake  " + "·" * 30 in grid

    document = holdfast("costs", "--group-by", "day,service", "--json").document
    assert document["groupBy"] == ["day", "service"]
    assert len(document["rows"]) == 14
    assert document["rows"][0] == {
        "day": str(week.start),
        "service": "Compute",
        "currency": "USD",
        "amount": "1.000000000000000001",
    }
    assert document["totals"] == [{"currency": "USD", "amount": "14.000000000000000014"}]
    assert (
        holdfast("costs", "--metric", "effective", "--json").document["totals"][0]["amount"] == "28.000000000000000028"
    )


@pytest.mark.parametrize("group", ["day", "account", "subAccount", "service", "provider", "chargeCategory"])
def test_costs_can_be_grouped_by_everything_the_api_groups_by(holdfast, place, group) -> None:
    holdfast("collect", "--account", "shop")
    work_all(place)
    document = holdfast("costs", "--group-by", group, "--json").document
    assert all(set(row) == {group, "currency", "amount"} for row in document["rows"])
    assert sum(Decimal(row["amount"]) for row in document["rows"]) == 14 * AMOUNT
    assert holdfast("costs", "--group-by", group).out.splitlines()[0].split()[0] == group


def test_two_currencies_are_never_added_together(holdfast, place) -> None:
    holdfast("collect", "--account", "shop")
    work_all(place, currencies=("EUR", "USD"))
    assert [total["currency"] for total in holdfast("costs", "--json").document["totals"]] == ["EUR", "USD"]
    shown = holdfast("costs").out.splitlines()
    assert [line for line in shown if line.split()[0] in {"day", "total"}] == [
        "day           EUR",
        "total       14.00  billed",
        "day           USD",
        "total       14.00  billed",
    ]


def test_restated_days_are_shown_with_old_and_new_and_the_difference(holdfast, place) -> None:
    assert holdfast("revisions").err.startswith("No day was restated.")
    day = DayRange(date(2026, 1, 5), date(2026, 1, 5))
    asked = ("collect", "--account", "shop", "--start", "2026-01-05", "--end", "2026-01-05")
    for services in ({"Compute": "1200", "Disk": "5"}, {"Compute": "1234.567", "Disc": "5"}):
        holdfast(*asked)
        with ledger(place) as db:
            claim = claim_next_due(db, holder="test")
            assert claim is not None
            rows = [
                CostRow(day.start, "a1", "AWS", name, "Usage", "USD", Decimal(billed), Decimal(5))
                for name, billed in services.items()
            ]
            store(db, claim, FetchedCosts(rows))
    shown = holdfast("revisions", "--start", "2026-01-01")
    lines = [line.split() for line in shown.out.splitlines() if line]
    assert lines[0] == ["2026-01-05"]
    assert [(line[0], line[1], *line[3:7]) for line in lines[2:]] == [
        ("shop", "Disk", "5.00", "-", "-5.00", "-5.00"),
        ("shop", "Disc", "-", "5.00", "+5.00", "+5.00"),
        ("shop", "Compute", "1,200.00", "1,234.57", "+34.57", "0"),
    ]
    first = holdfast("revisions", "--limit", "2", "--json").document
    assert [one["service"] for one in first["revisions"]] == ["Disk", "Disc"]
    (last,) = holdfast("revisions", "--cursor", first["next"], "--json").document["revisions"]
    assert last["billed"] == {"before": "1200", "after": "1234.567"}
    assert last["effective"] == {"before": "5", "after": "5"}
    assert holdfast("revisions", "--start", "2026-01-06", "--json").document == {"revisions": [], "next": None}


def test_piped_output_is_plain_and_never_cut(holdfast, place) -> None:
    holdfast("collect", "--account", "shop")
    work_all(place)
    for arguments in (["runs"], ["coverage"], ["costs", "--group-by", "day,account,service"]):
        shown = holdfast(*arguments)
        assert "\x1b" not in shown.out + shown.err
        assert "…" not in shown.out


def test_runs_can_be_filtered_and_paged(holdfast, place) -> None:
    holdfast("collect")
    holdfast("collect", "--account", "shop", "--start", "2026-01-01", "--end", "2026-01-01")
    work_all(place)
    assert {run["account"] for run in holdfast("runs", "--account", "lake", "--json").document["runs"]} == {"lake"}
    assert holdfast("runs", "--state", "failed", "--json").document["runs"] == []
    assert holdfast("runs", "--kind", "scheduled", "--json").document["runs"] == []
    seen = []
    page = holdfast("runs", "--limit", "1", "--json").document
    while page["next"]:
        seen += [run["id"] for run in page["runs"]]
        page = holdfast("runs", "--limit", "1", "--cursor", page["next"], "--json").document
    seen += [run["id"] for run in page["runs"]]
    assert len(seen) == len(set(seen)) == 3
    assert holdfast("runs", "--limit", "1").err.startswith("More: holdfast runs --cursor ")


def test_waiting_ends_with_the_runs_and_tells_each_step_on_a_line(holdfast, place) -> None:
    holdfast("runs")  # makes the ledger
    worked = threading.Thread(target=lambda: wait_for(lambda: work_all(place), what="a run to do"))
    worked.start()
    shown = holdfast("collect", "--account", "shop", "--wait")
    worked.join()
    assert shown.code == 0
    assert ": shop: succeeded, 14 rows" in shown.err
    assert "succeeded" in shown.out


def test_a_run_that_failed_is_told_with_its_cure_and_fails_the_command(holdfast, place) -> None:
    holdfast("collect", "--account", "shop", "--json")
    with ledger(place) as db:
        claim = claim_next_due(db, holder="test")
        assert claim
        error = ProviderError(code="FOCUS_BAD_ROW", summary="row 7 has no day", hint="Export it again.", permanent=True)
        fail_attempt(db, claim, error, RetryPolicy())
    shown = holdfast("runs")
    assert "FOCUS_BAD_ROW: row 7 has no day" in shown.out
    assert holdfast("runs", "--json").document["runs"][0]["error"]["hint"] == "Export it again."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["collect", "--account", "shpo"], ["No account named 'shpo'", "holdfast accounts"]),
        (["coverage", "--account", "shpo"], ["No account named 'shpo'"]),
        (["costs", "--start", "yesterday"], ["--start: 'yesterday' is no day; write it as in 2026-01-31"]),
        (["collect", "--start", "2999-01-01"], ["lies in the future"]),
        (["costs", "--start", "2024-01-01", "--end", "2026-01-01"], ["at most 366"]),
        (["costs", "--group-by", "servce"], ["did you mean 'service'?"]),
        (["costs", "--metric", "list"], ["--metric", "allowed: billed, effective"]),
        (["runs", "--state", "done"], ["--state", "succeeded"]),
        (["runs", "--cursor", "nonsense"], ["cursor"]),
        (["revisions", "--cursor", "nonsense"], ["cursor"]),
        (["revisions", "--account", "shpo"], ["No account named 'shpo'"]),
        (["revisions", "--end", "2999-01-01"], ["lies in the future"]),
        (["revisions", "--start", "2026-02-01", "--end", "2026-01-01"], ["swap the two"]),
        (["runs", "--limit", "0"], ["--limit"]),
        (["runs", "--colour"], ["No such option: --colour"]),
        (["colect"], ["colect"]),
    ],
)
def test_wrong_usage_is_one_line_with_the_cure_and_code_2(holdfast, arguments, words) -> None:
    failed = holdfast(*arguments)
    assert failed.code == 2
    assert failed.out == ""
    assert len(failed.err.splitlines()) == 1
    assert failed.err.startswith("holdfast: ")
    assert [word for word in words if word not in failed.err] == []


def test_every_mistake_in_the_settings_has_a_line(holdfast, monkeypatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("COST_WINDOW_DAYS", "0")
    failed = holdfast("runs")
    assert failed.code == 2
    assert sorted(line.split(":")[1].strip() for line in failed.err.splitlines()) == ["COST_WINDOW_DAYS", "LOG_LEVEL"]


def test_a_broken_accounts_file_stops_collecting_and_nothing_else(holdfast, place) -> None:
    (place / "accounts.toml").write_text('[[account]]\nname = "shop"\nprovider = "focsu"\n')
    failed = holdfast("collect")
    assert failed.code == 2
    assert "focsu" in failed.err
    assert holdfast("runs").code == 0


def test_a_database_that_is_away_is_one_line_without_its_password(holdfast, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://holdfast:secret-word@127.0.0.1:{free_port()}/holdfast")
    failed = holdfast("costs")
    assert failed.code == 1
    assert len(failed.err.splitlines()) == 1
    assert "DATABASE_URL" in failed.err
    assert "secret-word" not in failed.err
    assert "Traceback" not in failed.err


def test_samples_can_be_collected_as_they_are(holdfast, place) -> None:
    (place / "accounts.toml").unlink()
    made = holdfast("samples", "--days", "3", "--json").document
    assert made["accountsFile"] == str(place / "accounts.toml")
    assert made["written"] == 3 * len(made["accounts"])
    again = holdfast("samples", "--days", "3")
    assert "is there already and stays as it is" in again.out
    accounts = {run["account"] for run in holdfast("collect", "--json").document["runs"]}
    assert accounts == {each["account"] for each in made["accounts"]}


def test_the_version_is_the_release(holdfast) -> None:
    assert holdfast("--version").out == f"{VERSION}\n"


def test_help_is_there_for_every_command(holdfast) -> None:
    overview = holdfast("--help").out
    for command in ("collect", "runs", "coverage", "costs", "samples"):
        assert command in overview
        detail = holdfast(command, "--help")
        assert detail.code == 0
        assert "--json" in detail.out


def test_today_can_be_asked_for_although_it_has_not_ended(holdfast) -> None:
    today = datetime.now(UTC).date()
    document = holdfast("collect", "--account", "shop", "--start", str(today), "--json").document
    assert (document["runs"][0]["start"], document["runs"][0]["end"]) == (str(today), str(today))


def test_a_redis_that_is_marked_by_another_ledger_is_taken_over(holdfast, monkeypatch) -> None:
    with RedisServer() as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        with closing(redis.Redis.from_url(server.url)) as client:
            client.set("holdfast:ledger", "7b0c9a52-0000-4000-8000-000000000000")
            assert holdfast("collect", "--json").document["dispatch"] == "deferred"
            taken = holdfast("ledger", "adopt", "--json").document
            assert taken["was"] == "7b0c9a52-0000-4000-8000-000000000000"
            assert client.get("holdfast:ledger") == taken["ledger"].encode()
        assert "whose it was already" in holdfast("ledger", "adopt").out
        assert holdfast("collect", "--json").document["dispatch"] == "queued"
        assert {run["state"] for run in holdfast("runs", "--json").document["runs"]} == {"queued"}


def test_taking_over_a_redis_that_is_away_is_one_line(holdfast) -> None:
    failed = holdfast("ledger", "adopt")
    assert failed.code == 1
    assert len(failed.err.splitlines()) == 1
    assert "correct REDIS_URL" in failed.err


def test_a_sound_ledger_is_said_to_be_sound(holdfast, place) -> None:
    holdfast("collect", "--account", "shop")
    work_all(place)
    checked = holdfast("ledger", "check", "--at-rest")
    assert (checked.code, checked.err) == (0, "")
    assert re.fullmatch(r"The ledger is sound: \d+ invariants hold\.\n", checked.out)
    document = holdfast("ledger", "check", "--json").document
    assert document["sound"] is True
    assert {name for each in document["invariants"] for name in each} == {"name", "holds", "broken", "more"}


def test_what_breaks_the_ledger_is_printed_and_fails_the_command(holdfast, place) -> None:
    holdfast("collect", "--account", "shop")
    work_all(place)
    with ledger(place) as db, db.write() as connection:
        connection.execute(text("DELETE FROM costs WHERE service = 'Compute'"))
    checked = holdfast("ledger", "check")
    assert checked.code == 1
    lines = checked.out.splitlines()
    assert lines[0].startswith("rows_as_counted: ")
    assert [line for line in lines if "expected 2, found 1" in line] == lines[1:8]
    assert re.fullmatch(r"1 of \d+ invariants are broken\.", lines[8])
    failed = holdfast("ledger", "check", "--json")
    assert (failed.code, failed.document["sound"]) == (1, False)
    assert [each["name"] for each in failed.document["invariants"] if each["broken"]] == ["rows_as_counted"]


def test_open_runs_and_runs_without_a_holder_are_told_when_asked_for(holdfast, place) -> None:
    holdfast("collect")
    assert holdfast("ledger", "check").code == 0
    at_rest = holdfast("ledger", "check", "--at-rest")
    assert at_rest.code == 1
    assert "nothing_is_open" in at_rest.out
    with ledger(place) as db:
        assert claim_next_due(db, holder="dead")
    assert "living_holder" in holdfast("ledger", "check", "--grace", "0").out
