"""What is exported: all of it, in one state, and read back by the `focus` provider to the last digit."""

import csv
import io
import threading
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from shared.core.costs import EXACT
from shared.core.days import DayRange
from shared.core.errors import ExportError, UnknownAccountError
from shared.costs.focus.provider import FocusProvider
from shared.costs.focus.written import COLUMNS, csv_pieces, write_csv, write_parquet
from shared.ledger import exporting
from shared.ledger.accounts import sync_accounts
from shared.ledger.cost_queries import CostQuery, costs
from shared.ledger.exporting import ExportQuery, exported
from tests.support.ledger import collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

MARCH = DayRange(date(2026, 3, 1), date(2026, 3, 31))
SPRING = DayRange(date(2026, 2, 1), date(2026, 4, 30))
LARGEST = "99999999999999.999999999999999999999999"
SMALLEST = "-0.000000000000000000000001"
NAMES = ["plain", 'with "quotes", commas', "line\nend", "tab\tand ümläut ☃", " spaces ", "'; DROP TABLE costs; --", ""]
WRITERS = {"csv": write_csv, "parquet": write_parquet}


def rows_of(days):
    amounts = [LARGEST, SMALLEST, "0", "12.5", "-3", "0.1", "100"]
    return [
        cost_row(day, billed=amounts[(day.day + number) % 7], effective="0.3", service=name, sub_account=name[::-1])
        for day in days
        for number, name in enumerate(NAMES)
    ]


def filled(db):
    with_accounts(db, "corp", "lab", "Zebra")
    for name in ("corp", "lab"):
        for month in (DayRange(date(2026, 2, 10), date(2026, 2, 28)), MARCH, DayRange(date(2026, 4, 1), SPRING.end)):
            collected(db, name, month, rows_of(month), estimated_days=frozenset({SPRING.end}))


def written(db, target, days=SPRING, account=None):
    WRITERS[target.suffix[1:]](csv_pieces(exported(db, ExportQuery(days, account))), target)
    return target


def totals(db, days, metric="billed"):
    report = costs(db, CostQuery(days, group_by=("day", "service"), metric=metric))
    return {(row["day"], row["service"]): row["amount"] for row in report.rows}


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_exported_is_imported_with_the_same_totals_to_the_last_digit(database, tmp_path, suffix):
    filled(database)
    # Two accounts become one: their largest amounts would not fit into one group.
    for account in ("corp", "lab"):
        target = written(database, tmp_path / f"{account}.{suffix}", account=account)
        fetched = FocusProvider(str(target)).fetch(SPRING).rows
        stored = [
            row
            for month in (DayRange(date(2026, 2, 10), date(2026, 2, 28)), MARCH, DayRange(date(2026, 4, 1), SPRING.end))
            for row in rows_of(month)
        ]
        assert sorted(fetched) == sorted(stored)
    again = "again"
    sync_accounts(database, [(again, "focus", False)])
    before = totals(database, SPRING)
    for month in (MARCH, DayRange(date(2026, 4, 1), SPRING.end), DayRange(SPRING.start, date(2026, 2, 28))):
        rows = FocusProvider(str(tmp_path / f"corp.{suffix}")).fetch(month).rows
        collected(database, again, month, rows)
    after = totals(database, SPRING)
    # corp, lab and again are all the same.
    assert after == {
        key: EXACT.divide(EXACT.multiply(amount, Decimal(3)), Decimal(2)) for key, amount in before.items()
    }


def test_its_rows_come_by_account_day_and_group_with_focus_names(database):
    filled(database)
    text = b"".join(csv_pieces(exported(database, ExportQuery(SPRING)))).decode()
    assert text.partition("\n")[0] == (
        "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodEnd,ChargePeriodStart,EffectiveCost,"
        "ProviderName,ServiceName,SubAccountId,x_Account,x_State"
    )
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 2 * (19 + 31 + 30) * len(NAMES)
    order = [(row["x_Account"], row["ChargePeriodStart"], row["SubAccountId"].encode()) for row in rows]
    assert order == sorted(order)
    assert rows[0]["ChargePeriodStart"], rows[0]["ChargePeriodEnd"] == ("2026-02-10T00:00:00Z", "2026-02-11T00:00:00Z")
    states = {row["x_State"]: row["ChargePeriodStart"][:10] for row in rows}
    assert states == {"complete": "2026-04-29", "estimated": "2026-04-30"}
    amounts = {row["BilledCost"] for row in rows}
    assert {LARGEST, SMALLEST, "0", "12.5", "-3", "0.1", "100"} == amounts


def test_parquet_has_exact_decimals_and_instants(database, tmp_path):
    filled(database)
    target = written(database, tmp_path / "x.parquet", account="corp")
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"DESCRIBE SELECT * FROM '{target}'").fetchall()
        types = {name: kind for name, kind, *_ in found}
        assert list(types) == [name for name, _ in COLUMNS]
        assert types["BilledCost"] == types["EffectiveCost"] == "DECIMAL(38,24)"
        assert types["ChargePeriodStart"] == "TIMESTAMP WITH TIME ZONE"
        (empty,) = connection.execute(f"SELECT count(*) FROM '{target}' WHERE ServiceName IS NULL").fetchone() or ()
        assert empty == 80
        (largest,) = connection.execute(f"SELECT max(BilledCost) FROM '{target}'").fetchone() or ()
        assert largest == Decimal(LARGEST)


@pytest.mark.parametrize("suffix", WRITERS)
def test_nothing_is_a_header_alone(database, tmp_path, suffix):
    with_accounts(database, "corp")
    target = written(database, tmp_path / f"x.{suffix}")
    if suffix == "csv":
        assert target.read_text().count("\n") == 1
    else:
        with duckdb.connect(":memory:") as connection:
            assert connection.execute(f"SELECT count(*) FROM '{target}'").fetchall() == [(0,)]


def test_only_the_days_and_the_account_that_are_asked_for(database):
    filled(database)
    found = [row for batch in exported(database, ExportQuery(MARCH, "lab")) for row in batch]
    assert {row.account for row in found} == {"lab"}
    assert {row.day for row in found} == set(MARCH)
    with pytest.raises(UnknownAccountError):
        next(exported(database, ExportQuery(MARCH, "nobody")))


def test_one_state_is_exported_whatever_is_stored_meanwhile(database, monkeypatch):
    """Between two batches every day is stored anew, and an account is added: the export knows nothing of it."""
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    filled(database)
    before = [row for batch in exported(database, ExportQuery(SPRING)) for row in batch]
    batches = exported(database, ExportQuery(SPRING))
    found = list(next(batches))
    with_accounts(database, "aaa", "corp", "lab")
    for name in ("aaa", "corp", "lab"):
        collected(database, name, MARCH, [cost_row(day, billed="777") for day in MARCH])
    found += [row for batch in batches for row in batch]
    assert found == before


def test_who_goes_away_leaves_no_transaction_behind(database):
    filled(database)
    for _ in range(20):  # more than the pool has connections
        batches = exported(database, ExportQuery(SPRING))
        next(batches)
        batches.close()
    assert database._engine.pool.checkedout() == 0


@pytest.mark.parametrize("write", WRITERS.values())
def test_a_failure_of_the_source_is_the_failure_of_the_export(tmp_path, write):
    def failing():
        yield b",".join(name.encode() for name, _ in COLUMNS) + b"\n"
        raise ZeroDivisionError

    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        write(failing(), tmp_path / "x")
    assert threading.active_count() == threads


@pytest.mark.parametrize("write", WRITERS.values())
def test_a_full_disk_or_a_missing_folder_says_what_to_do(tmp_path, write):
    with pytest.raises(ExportError, match=r"could not be written: .*Make room"):
        write(csv_pieces([]), tmp_path / "nowhere" / "x")


def test_a_file_is_no_larger_than_allowed(database, tmp_path):
    filled(database)
    with pytest.raises(ExportError, match="larger than 1000 bytes"):
        write_csv(csv_pieces(exported(database, ExportQuery(SPRING))), tmp_path / "x.csv", max_bytes=1000)


def test_descriptors_are_all_given_back(database, tmp_path):
    filled(database)
    written(database, tmp_path / "x.parquet")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        written(database, tmp_path / f"{number}.parquet")
    assert len(list(Path("/proc/self/fd").iterdir())) <= open_before


def test_batches_are_small(database, monkeypatch):
    filled(database)
    monkeypatch.setattr(exporting, "BATCH_ROWS", 50)
    sizes: dict[int, int] = defaultdict(int)
    for batch in exported(database, ExportQuery(SPRING)):
        sizes[len(batch)] += 1
    assert max(sizes) == 50
