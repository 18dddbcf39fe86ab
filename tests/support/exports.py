"""Small FOCUS exports with known totals, and the accounts.toml that names them."""

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from shared.core.days import ONE_DAY, DayRange, last_complete_days

COLUMNS = (
    "BilledCost",
    "BillingCurrency",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "EffectiveCost",
    "ProviderName",
    "ServiceName",
    "SubAccountId",
)
SERVICES = ("Compute", "Storage", "Queue")


def amount_of(day: date, service: str) -> Decimal:
    """A cost that differs from day to day and service to service, with more decimals than a float keeps."""
    return Decimal(day.toordinal() % 97 + 1) * Decimal("1.000000000000000001") + Decimal(len(service))


def write_exports(folder: Path, days: Iterable[date], services: Sequence[str] = SERVICES) -> Decimal:
    """One CSV for each day; returns the exact sum of all billed costs."""
    folder.mkdir(parents=True, exist_ok=True)
    total = Decimal(0)
    for day in days:
        with (folder / f"{day}.csv").open("w", newline="") as output:
            writer = csv.writer(output)
            writer.writerow(COLUMNS)
            for service in services:
                amount = amount_of(day, service)
                total += amount
                writer.writerow(
                    [
                        amount,
                        "USD",
                        "Usage",
                        f"{day + ONE_DAY} 00:00:00",
                        f"{day} 00:00:00",
                        amount,
                        "AWS",
                        service,
                        "a1",
                    ]
                )
    return total


def focus_account(name: str, path: str) -> str:
    """One `[[account]]` of accounts.toml."""
    return f'[[account]]\nname = "{name}"\nprovider = "focus"\npath = "{path}"\n\n'


def month_of_exports(folder: Path, accounts: Iterable[str] = ("exports",)) -> tuple[DayRange, Decimal]:
    """Exports of the last 30 complete days for each account, and accounts.toml; returns the days and the whole sum."""
    days = last_complete_days(datetime.now(UTC), 30)
    total = Decimal(0)
    toml = ""
    for account in accounts:
        total += write_exports(folder / account, days)
        toml += focus_account(account, f"{folder}/{account}/*.csv")
    (folder / "accounts.toml").write_text(toml)
    return days, total
