"""Sample FOCUS 1.2 exports: made up, but with the habits of real ones, so that everything can be tried without a cloud.

A day's file depends on the seed, the account and the day alone: made again with later days, the earlier are the same.
"""

import csv
import io
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Final

from shared.core.days import ONE_DAY, DayRange
from shared.costs.sample_estates import ESTATES, SHOP, Estate, Service

COLUMNS: Final = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId",
    "SubAccountName", "SubAccountType", "Tags",
)  # fmt: skip
RESOURCES: Final = 2
NOISE_PERCENT: Final = 8
SATURDAY: Final = 5
SUNDAY: Final = 6
COMMITTED_SHARE: Final = Decimal("0.72")
ZERO: Final = Decimal(0)
# One day in 30, in one service: something was left running.
ANOMALY_EVERY_DAYS: Final = 30
ANOMALY_FACTOR: Final = 12

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class SampleAccount:
    """One folder of exports, and the path that makes it an account."""

    name: str
    path: str
    currency: str


@dataclass(frozen=True, slots=True)
class SampleSet:
    """What `write_samples` left in `folder`. `written` counts the files that were not there before."""

    folder: Path
    accounts: tuple[SampleAccount, ...]
    days: DayRange
    anomalies: tuple[date, ...]
    written: int


def write_samples(folder: Path | str, *, days: DayRange, seed: int) -> SampleSet:
    """One CSV a day and account under `folder`. Files that are there already stay, as do those of other days."""
    root = Path(folder)
    written = 0
    for estate in ESTATES:
        (root / estate.account).mkdir(parents=True, exist_ok=True)
        for day in days:
            written += _write_once(root / estate.account / f"{estate.account}-{day}.csv", export(estate, day, seed))
    accounts = tuple(
        SampleAccount(estate.account, str(root / estate.account / "*.csv"), estate.currency) for estate in ESTATES
    )
    return SampleSet(root, accounts, days, tuple(day for day in days if is_anomaly(day, seed)), written)


def write_accounts_file(path: Path | str, samples: SampleSet) -> bool:
    """Write an accounts file that names the samples, unless there is one: somebody's own is never touched."""
    tables = "\n".join(
        f'[[account]]\nname = "{account.name}"\nprovider = "focus"\npath = {_toml_text(account.path)}\n'
        for account in samples.accounts
    )
    text = f"# Sample exports made by Holdfast. docs/providers.md tells what may stand here.\n\n{tables}"
    return _write_once(Path(path), text)


def is_anomaly(day: date, seed: int) -> bool:
    """Whether it is the day of the anomaly: exactly one in any 30 in a row."""
    return (day.toordinal() - seed) % ANOMALY_EVERY_DAYS == 0


def export(estate: Estate, day: date, seed: int) -> str:
    """The day's file as text."""
    chance = random.Random(f"{seed}/{estate.account}/{day}")  # noqa: S311 - made to be foreseen
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for charge in _charges(estate, day, seed, chance):
        writer.writerow({**_billing(estate, day), **charge})
    return text.getvalue()


def _charges(estate: Estate, day: date, seed: int, chance: random.Random) -> Iterator[Row]:
    for sub_account, name in estate.sub_accounts:
        owner = {"SubAccountId": sub_account, "SubAccountName": name}
        for service in estate.services:
            for number in range(1, RESOURCES + 1):
                resource = {"ResourceId": f"{name}/{number}", "ResourceName": f"{name}-{number}", **owner}
                yield _usage(service, _quantity(service, day, chance), resource)
            if service.committed and day.day == 1:
                yield _purchase(service, owner)
    if is_anomaly(day, seed) and estate is SHOP:
        service, (sub_account, name) = estate.services[0], estate.sub_accounts[1]
        owner = {"SubAccountId": sub_account, "SubAccountName": name, "ResourceId": f"{name}/load-test"}
        yield _usage(service, service.daily * ANOMALY_FACTOR * _noise(chance), owner)
    if estate.credit is not None and day.weekday() == SUNDAY:
        sub_account, name = estate.sub_accounts[0]
        yield _priced("Credit", estate.credit, estate.credit) | {"SubAccountId": sub_account, "SubAccountName": name}


def _quantity(service: Service, day: date, chance: random.Random) -> Decimal:
    percent = service.weekend_percent if day.weekday() >= SATURDAY else 100
    return (service.daily * percent * _noise(chance) / (100 * RESOURCES)).quantize(Decimal("0.001"))


def _noise(chance: random.Random) -> Decimal:
    return 1 + Decimal(chance.randint(-NOISE_PERCENT * 100, NOISE_PERCENT * 100)) / 10_000


def _usage(service: Service, quantity: Decimal, owner: Row) -> Row:
    at_list = quantity * service.price
    billed, effective = (ZERO, at_list * COMMITTED_SHARE) if service.committed else (at_list, at_list)
    return _priced("Usage", billed, effective) | _of(service) | owner | {
        "ChargeDescription": f"{service.name}, {service.unit}",
        "CommitmentDiscountStatus": "Used" if service.committed else "",
        "ConsumedQuantity": f"{quantity:f}",
        "ConsumedUnit": service.unit,
        "ContractedCost": f"{at_list:f}",
        "ListCost": f"{at_list:f}",
        "ListUnitPrice": f"{service.price:f}",
        "PricingCategory": "Committed" if service.committed else "Standard",
        "PricingQuantity": f"{quantity:f}",
        "PricingUnit": service.unit,
    }  # fmt: skip


def _purchase(service: Service, owner: Row) -> Row:
    fee = (30 * service.daily * service.price * COMMITTED_SHARE).quantize(Decimal("0.01"))
    return _priced("Purchase", fee, ZERO) | _of(service) | owner | {"ChargeDescription": f"{service.name}, one month"}


def _of(service: Service) -> Row:
    return {"ServiceName": service.name, "ServiceCategory": service.category, "SkuId": service.name.replace(" ", "-")}


def _priced(category: str, billed: Decimal, effective: Decimal) -> Row:
    return {
        "BilledCost": f"{billed:f}",
        "EffectiveCost": f"{effective:f}",
        "ListCost": f"{billed:f}",
        "ContractedCost": f"{billed:f}",
        "ChargeCategory": category,
        "ChargeDescription": category,
        "ChargeFrequency": "Usage-Based" if category == "Usage" else "One-Time",
        "ServiceName": "Agreement",
        "ServiceCategory": "Other",
    }


def _billing(estate: Estate, day: date) -> Row:
    month = day.replace(day=1)
    return {
        "BillingAccountId": estate.billing_account,
        "BillingAccountName": estate.account,
        "BillingCurrency": estate.currency,
        "PricingCurrency": estate.currency,
        "BillingPeriodStart": _instant(month),
        "BillingPeriodEnd": _instant((month + 31 * ONE_DAY).replace(day=1)),
        "ChargePeriodStart": _instant(day),
        "ChargePeriodEnd": _instant(day + ONE_DAY),
        "InvoiceIssuerName": estate.issuer,
        "ProviderName": estate.provider,
        "PublisherName": estate.issuer,
        "RegionId": estate.region,
        "RegionName": estate.region,
    }


def _instant(day: date) -> str:
    return f"{datetime.combine(day, time()).isoformat()}Z"


def _write_once(path: Path, text: str) -> bool:
    """Write the file as a whole or not at all, and only if there is none. Tells whether it did."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a name that no account's path takes
    begun.write_text(text, encoding="utf-8")
    begun.replace(path)
    return True


def _toml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
