"""Sample exports: the same for the same seed and days, readable as any export, with something to see in them."""

import csv
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from shared.core.anomalies import AnomalyKind, History, find
from shared.core.days import DayRange
from shared.costs.accounts_file import load_accounts
from shared.costs.provider import provider_for
from shared.costs.sample_estates import ESTATES, SHOP
from shared.costs.samples import export, is_anomaly, write_accounts_file, write_samples
from tests.support.focus_files import totals

pytestmark = pytest.mark.integration

DAYS = DayRange(date(2025, 1, 15), date(2025, 2, 13))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_and_days_make_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_samples(tmp_path / name, days=DAYS, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a").keys() == contents(tmp_path / "c").keys()
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_later_day_adds_its_files_and_leaves_all_others_untouched(tmp_path):
    first = write_samples(tmp_path, days=DAYS, seed=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.csv")}
    later = DayRange(DAYS.start + timedelta(days=1), DAYS.end + timedelta(days=1))
    second = write_samples(tmp_path, days=later, seed=1)
    assert (first.written, second.written) == (3 * 30, 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_one_file_stands_for_each_day_and_account_and_nothing_half_written_is_left(tmp_path):
    samples = write_samples(tmp_path, days=DAYS, seed=1)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {f"{account.name}-{day}.csv" for account in samples.accounts for day in DAYS}


def test_the_accounts_file_names_the_samples_and_reads_back_to_their_very_sums(tmp_path):
    samples = write_samples(tmp_path / 'exports "x"', days=DAYS, seed=3)
    assert write_accounts_file(tmp_path / "accounts.toml", samples)
    accounts = load_accounts(tmp_path / "accounts.toml")
    assert [account.name for account in accounts] == ["shop-aws", "office-azure", "research-gcp"]
    for account, sample in zip(accounts, samples.accounts, strict=True):
        rows = provider_for(account).fetch(DAYS).rows
        expected: dict[str, Decimal] = defaultdict(Decimal)
        for path in (samples.folder / account.name).iterdir():
            for service, amount in totals(path, "ServiceName", "EffectiveCost").items():
                expected[service] += amount
        found: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            found[row.service] += row.effective
        assert found == expected
        assert {row.day for row in rows} == set(DAYS)
        assert {row.currency for row in rows} == {sample.currency}
        assert 5 <= len(found) <= 8


def test_an_accounts_file_that_is_there_is_never_touched(tmp_path):
    (tmp_path / "accounts.toml").write_text("# mine")
    assert not write_accounts_file(tmp_path / "accounts.toml", write_samples(tmp_path, days=DAYS, seed=1))
    assert (tmp_path / "accounts.toml").read_text() == "# mine"


def daily(folder: Path, account: str, column: str) -> dict[date, Decimal]:
    sums: dict[date, Decimal] = {}
    for path in (folder / account).iterdir():
        with path.open(newline="") as text:
            sums[date.fromisoformat(path.stem[-10:])] = sum(
                (Decimal(line[column]) for line in csv.DictReader(text)), start=Decimal(0)
            )
    return sums


def test_weekends_are_cheaper_and_one_day_stands_out(tmp_path):
    samples = write_samples(tmp_path, days=DAYS, seed=5)
    costs = daily(tmp_path, "shop-aws", "EffectiveCost")
    (strange,) = samples.anomalies
    usual = {day: cost for day, cost in costs.items() if day != strange}
    assert costs[strange] > 2 * max(usual.values())
    weekend = [cost for day, cost in usual.items() if day.weekday() >= 5]
    working = [cost for day, cost in usual.items() if day.weekday() < 5]
    assert max(weekend) < min(working)


@pytest.mark.parametrize("seed", [0, 1, 29, 30, 12345])
def test_any_thirty_days_in_a_row_hold_exactly_one_anomaly(seed):
    start = date(2025, 3, 1)
    for shift in range(40):
        days = [start + timedelta(days=shift + offset) for offset in range(30)]
        assert sum(is_anomaly(day, seed) for day in days) == 1


def test_there_are_credits_purchases_two_currencies_and_amounts_of_many_decimals(tmp_path):
    samples = write_samples(tmp_path, days=DAYS, seed=1)
    found = set()
    for path in tmp_path.rglob("*.csv"):
        with path.open(newline="") as text:
            found |= {
                (line["ChargeCategory"], line["BillingCurrency"], len(line["BilledCost"]))
                for line in csv.DictReader(text)
            }
    assert {category for category, _, _ in found} == {"Usage", "Purchase", "Credit"}
    assert (
        {currency for _, currency, _ in found} == {account.currency for account in samples.accounts} == {"USD", "EUR"}
    )
    assert max(length for _, _, length in found) > 12


@pytest.mark.parametrize("seed", [1, 2, 30])
@pytest.mark.parametrize("place", [0, 2, 9, 16, 24, 29])
def test_the_search_for_anomalies_finds_the_planted_one_and_no_other_wherever_it_lies(seed, place):
    planted = next(day for day in DAYS if is_anomaly(day, seed))
    days = DayRange(planted - timedelta(days=place), planted + timedelta(days=29 - place))
    found = []
    for estate in ESTATES:
        amounts: dict[tuple[str, str], dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for day in days:
            for row in csv.DictReader(export(estate, day, seed).splitlines()):
                amounts[row["ServiceName"], row["BillingCurrency"]][day] += Decimal(row["EffectiveCost"])
        found += [(estate, one) for one in find(History(frozenset(days), amounts), days).anomalies]
    ((estate, one),) = found
    assert (estate, one.day, one.service, one.kind) == (SHOP, planted, SHOP.services[0].name, AnomalyKind.SPIKE)
