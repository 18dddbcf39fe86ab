"""The search for anomalies on made-up accounts with planted ones: precision and recall, beside a simple threshold.

    python -m benchmarks.anomalies [--accounts 20] [--seeds 101,102,103,104,105] [--misses]

An account has a dozen services: weekly rhythms of any depth (some quiet on weekends, some busier), trends from -0.3 to
+0.6 % a day, noise of 3 to 15 %, a level that moves, charges at the turn of the month, public holidays, a committed
purchase, weekly credits, services used now and then, and small ones. Half a year of each is judged day by day, each day
with what came before it alone, after 90 days of history. Into 1.5 % of those days of one service each something is
planted: spikes of 1.5 to 5 times, drops, new and vanished services.

The other in the same run flags a day that is more than three standard deviations from the mean of the last 30, and, to
be fair, by no less than matters here (the same floor). Flagged days in a row count as one alert. The rules were tuned
on seeds 1 to 3; those of the default were only looked at afterwards.
"""

import argparse
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from shared.core.anomalies import RULES, History, find

FIRST: Final = date(2025, 1, 1)
HISTORY_DAYS: Final = 90
JUDGED_DAYS: Final = 182
DAYS: Final = [FIRST + timedelta(days=number) for number in range(HISTORY_DAYS + JUDGED_DAYS)]
JUDGED: Final = DAYS[HISTORY_DAYS:]
HOLIDAYS: Final = {
    date(2025, 1, 1), date(2025, 4, 18), date(2025, 4, 21), date(2025, 5, 1), date(2025, 5, 29), date(2025, 6, 9),
    date(2025, 9, 1), date(2025, 10, 3),
}  # fmt: skip
# Days after a planted one on which an alert is neither right nor wrong: the series has not settled yet.
AFTERMATH_DAYS: Final = 3
# Something is planted in services of at least this share of their account's usual day.
LEAST_PLANTED: Final = 0.05
SIGMAS: Final = 3.0
LOOKBACK: Final = 30
CLEAR: Final = {"spike 2x", "spike 3x", "spike 5x", "drop to 0.3", "vanished", "new"}
Series = dict[date, float]


@dataclass
class Planted:
    """Something unusual: `kind` as the table names it, one day or several."""

    service: str
    kind: str
    days: list[date]


@dataclass
class Account:
    """Services by name, and what was planted in them."""

    services: dict[str, Series] = field(default_factory=dict)
    planted: list[Planted] = field(default_factory=list)


@dataclass
class Score:
    """What one way of judging found: planted ones by kind, and alerts about nothing."""

    found: Counter[str] = field(default_factory=Counter)
    planted: Counter[str] = field(default_factory=Counter)
    right: int = 0
    wrong: int = 0
    seconds: float = 0.0

    def add(self, other: "Score") -> None:
        """Count what the other has as well."""
        self.found += other.found
        self.planted += other.planted
        self.right += other.right
        self.wrong += other.wrong
        self.seconds += other.seconds

    def recall(self, kinds: set[str]) -> float:
        """Of what was planted of these kinds, the share that was found."""
        planted = sum(self.planted[kind] for kind in kinds)
        return sum(self.found[kind] for kind in kinds) / planted if planted else math.nan

    @property
    def precision(self) -> float:
        """The share of alerts that are about something planted."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else math.nan


def steady(chance: random.Random, size: float) -> Series:
    """A service that is used every day."""
    weekend = chance.choice([0.0, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0, 1.3])
    weekdays = [1 + chance.uniform(-0.08, 0.08) for _ in range(5)] + [weekend, weekend * chance.uniform(0.85, 1.0)]
    trend = chance.uniform(-0.003, 0.006)
    noise = chance.choice([0.03, 0.05, 0.08, 0.12, 0.15])
    month_end = chance.choice([1.0, 1.0, 1.0, 1.6, 2.5])
    month_start_fee = chance.choice([0.0, 0.0, 0.0, 0.5, 3.0]) * size
    level, series = size, {}
    for day in DAYS:
        level *= (1 + trend) * math.exp(chance.gauss(0, noise / 8))
        quiet = day in HOLIDAYS and weekend < 1
        part = weekdays[6] if quiet else weekdays[day.weekday()]
        if (day + timedelta(days=1)).day == 1:
            part *= month_end
        amount = level * part * math.exp(chance.gauss(0, noise))
        series[day] = amount + (month_start_fee if day.day == 1 else 0.0)
    return series


def now_and_then(chance: random.Random, size: float) -> Series:
    """Jobs that run on some days, of any size."""
    share = chance.uniform(0.05, 0.3)
    return {day: size * chance.lognormvariate(0, 0.4) if chance.random() < share else 0.0 for day in DAYS}


def weekly_credit(chance: random.Random, size: float) -> Series:
    weekday = chance.randrange(7)
    return {day: -size * 0.3 if day.weekday() == weekday else 0.0 for day in DAYS}


def monthly_fee(chance: random.Random, size: float) -> Series:
    when = chance.choice([1, 1, 2, 15])
    return {day: size * 3 * chance.uniform(0.97, 1.03) if day.day == when else 0.0 for day in DAYS}


def plant(chance: random.Random, account: Account, name: str, size: float) -> None:
    """Put something unusual into a steady service, far enough from the last one and the turn of the month."""
    series = account.services[name]
    at = JUDGED[0] + timedelta(days=chance.randrange(5, 40))
    while at < JUDGED[-1] - timedelta(days=20):
        if chance.random() < 0.55 and series[at] > size * 0.15 and at not in HOLIDAYS:
            _plant_one(chance, account, name, at)
        at += timedelta(days=chance.randrange(25, 60))


def _plant_one(chance: random.Random, account: Account, name: str, at: date) -> None:
    series = account.services[name]
    kinds = ["spike 1.5x", "spike 2x", "spike 3x", "spike 5x", "drop to 0.6", "drop to 0.3", "vanished"]
    kind = chance.choice(kinds)
    factors = {"spike 1.5x": 1.5, "spike 2x": 2, "spike 3x": 3, "spike 5x": 5, "drop to 0.6": 0.6, "drop to 0.3": 0.3}
    days = [at + timedelta(days=number) for number in range(chance.choice([1, 1, 2, 4]))]
    for day in days:
        series[day] *= factors.get(kind, 0.0)
    account.planted.append(Planted(name, kind, days))


def make_account(seed: str) -> Account:
    chance = random.Random(seed)
    account = Account()
    scale = 10 ** chance.uniform(0.7, 4)
    for number in range(8):
        size = scale * chance.choice([0.1, 0.3, 1.0, 1.0])
        account.services[f"steady-{number}"] = steady(chance, size)
    for number in range(8):
        usual = statistics.median(account.services[f"steady-{number}"].values())
        if usual >= LEAST_PLANTED * sum(statistics.median(series.values()) for series in account.services.values()):
            plant(chance, account, f"steady-{number}", usual)
    account.services["jobs"] = now_and_then(chance, scale * 0.4)
    account.services["credit"] = weekly_credit(chance, scale)
    account.services["support"] = monthly_fee(chance, scale)
    account.services["small"] = steady(chance, scale * 0.001)
    if chance.random() < 0.5:
        begins = chance.choice(JUDGED[10:-20])
        born = steady(chance, scale)
        account.services["born"] = {day: born[day] if day >= begins else 0.0 for day in DAYS}
        account.planted.append(Planted("born", "new", [begins]))
    if chance.random() < 0.5:
        ends = chance.choice([day for day in JUDGED[10:-20] if day.weekday() < 4 and day not in HOLIDAYS])
        dying = steady(chance, scale)
        account.services["dying"] = {day: dying[day] if day < ends else 0.0 for day in DAYS}
        account.planted.append(Planted("dying", "vanished", [ends]))
    return account


def ours(account: Account) -> set[tuple[str, date]]:
    amounts = {
        (name, "USD"): {day: Decimal(f"{amount:.4f}") for day, amount in series.items()}
        for name, series in account.services.items()
    }
    verdict = find(History(frozenset(DAYS), amounts), JUDGED)
    return {(one.service, one.day) for one in verdict.anomalies}


def threshold(account: Account) -> set[tuple[str, date]]:
    """Three standard deviations from the mean of the last 30 days, and as much as matters."""
    usual = statistics.median(sum(series[day] for series in account.services.values()) for day in DAYS)
    floor = RULES.floor("USD", usual)
    flagged = set()
    for name, series in account.services.items():
        values = [series[day] for day in DAYS]
        for index in range(HISTORY_DAYS, len(DAYS)):
            last = values[index - LOOKBACK : index]
            off = abs(values[index] - statistics.fmean(last))
            if off > SIGMAS * statistics.pstdev(last) and off >= floor:
                flagged.add((name, DAYS[index]))
    return flagged


def judged(account: Account, way: Callable[[Account], set[tuple[str, date]]], misses: list[str] | None = None) -> Score:
    began_s = time.process_time()
    flagged = way(account)
    score = Score(seconds=time.process_time() - began_s)
    excused: set[tuple[str, date]] = set()
    for one in account.planted:
        hit = any((one.service, day) in flagged for day in one.days)
        score.planted[one.kind] += 1
        score.found[one.kind] += hit
        score.right += hit
        if misses is not None and not hit:
            misses.append(f"missed {one.kind} {one.service} {one.days[0]:%a %Y-%m-%d}")
        last = one.days[-1]
        settling = [last + timedelta(days=number) for number in range(1, AFTERMATH_DAYS + 1)]
        excused |= {(one.service, day) for day in (*one.days, *settling)}
    for name, day in alerts(flagged - excused):
        score.wrong += 1
        if misses is not None:
            misses.append(f"false {name} {day:%a %Y-%m-%d}")
    return score


def alerts(flagged: set[tuple[str, date]]) -> Iterator[tuple[str, date]]:
    """The first of flagged days in a row."""
    return ((name, day) for name, day in sorted(flagged) if (name, day - timedelta(days=1)) not in flagged)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--seeds", default="101,102,103,104,105")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    ways = {"holdfast": ours, "mean + 3 sigma of 30 days": threshold}
    totals = {name: Score() for name in ways}
    seeds = options.seeds.split(",")
    misses: list[str] = []
    for seed in seeds:
        scores = {name: Score() for name in ways}
        for number in range(options.accounts):
            account = make_account(f"{seed}/{number}")
            for name, way in ways.items():
                found = misses if options.misses and name == "holdfast" else None
                scores[name].add(judged(account, way, found))
        for name, score in scores.items():
            totals[name].add(score)
            print(
                f"seed {seed}: {name}: precision {score.precision:.3f}, recall of clear ones {score.recall(CLEAR):.3f}"
            )
    months = options.accounts * len(seeds) * JUDGED_DAYS / 30.4
    print(f"\n{options.accounts * len(seeds)} accounts, {sum(totals['holdfast'].planted.values())} planted\n")
    print(f"| figure | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    every = list(totals.values())
    print("| precision | " + " | ".join(f"{score.precision:.3f}" for score in every) + " |")
    print("| recall, clear ones | " + " | ".join(f"{score.recall(CLEAR):.3f}" for score in every) + " |")
    for kind in sorted(totals["holdfast"].planted):
        cells = " | ".join(f"{score.recall({kind}):.3f}" for score in every)
        print(f"| recall, {kind} ({totals['holdfast'].planted[kind]}) | {cells} |")
    print("| false alarms, account and month | " + " | ".join(f"{score.wrong / months:.3f}" for score in every) + " |")
    per_day = options.accounts * len(seeds) * JUDGED_DAYS / 1000
    print("| processor ms, account-day | " + " | ".join(f"{score.seconds / per_day:.2f}" for score in every) + " |")
    print("\n".join(misses))


if __name__ == "__main__":
    main()
