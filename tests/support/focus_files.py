"""FOCUS files for tests: rows with sound defaults, written as CSV, and read back without any of our own code."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb

from shared.core.days import DayRange

DAY: Final = date(2024, 9, 18)
SEPTEMBER: Final = DayRange(date(2024, 9, 1), date(2024, 9, 30))
SAMPLE: Final = Path("../shared/data/focus_1.0_sample_1000.csv")

SOUND: Final[Mapping[str, str]] = {
    "BilledCost": "1.25",
    "BillingAccountId": "1234567890123",
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargePeriodStart": "2024-09-18T22:00:00Z",
    "EffectiveCost": "1.00",
    "ProviderName": "AWS",
    "ServiceName": "Amazon Simple Queue Service",
    "SubAccountId": "51738928782",
    "Tags": '{"team": "blue"}',
}


def row(**changes: str) -> dict[str, str]:
    """A row that is right but for `changes`."""
    return {**SOUND, **changes}


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], *, leave_out: Iterable[str] = ()) -> Path:
    """`rows` as a CSV, gzipped when the name says so. All columns of the first row but `leave_out`."""
    names = [name for name in (rows[0] if rows else SOUND) if name not in set(leave_out)]
    opener: Callable[..., object] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as text:  # type: ignore[attr-defined] # both give a text file
        writer = csv.DictWriter(text, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, select: str) -> Path:
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def parquet_row(**changes: str) -> str:
    """SELECT of one sound row with native types; `changes` are SQL expressions."""
    native = {
        "BilledCost": "CAST('1.25' AS DECIMAL(28,10))",
        "EffectiveCost": "CAST('1.00' AS DECIMAL(28,10))",
        "ChargePeriodStart": "TIMESTAMP '2024-09-18 22:00:00'",
    }
    columns = {name: "'" + value.replace("'", "''") + "'" for name, value in SOUND.items()} | native | changes
    return "SELECT " + ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())


def totals(path: Path, key: str, amount: str = "BilledCost") -> dict[str, Decimal]:
    """What a file holds for each value of the column `key`, by csv and Decimal alone."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    with path.open(encoding="utf-8-sig", newline="") as text:
        for line in csv.DictReader(text):
            found[line[key]] += Decimal(line[amount])
    return dict(found)
