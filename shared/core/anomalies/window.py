"""The days that one day is compared with."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median

from shared.core.anomalies.types import Rules

WEEK = 7
# Of a week with fewer known days nobody can say what was usual in it.
LEAST_OF_WEEK = 5


@dataclass(frozen=True, slots=True)
class Point:
    """A known day of a series. `usual` is the median of the week that ends with it, None when too little is known.

    A week has each weekday once: `amount / usual` tells the weekday's part, however the level moves.
    """

    day: date
    amount: float
    usual: float | None


@dataclass(frozen=True, slots=True)
class Places:
    """Where among the known days those are that one is compared with. `past` when all of them lie before it."""

    indices: tuple[int, ...]
    past: bool


@dataclass(frozen=True, slots=True)
class Window:
    """What one day is compared with, the nearest day first. `past` when all of it lies before the day."""

    points: tuple[Point, ...]
    past: bool


def points_of(known: Sequence[date], amounts: Mapping[date, Decimal]) -> list[Point]:
    """The series on the `known` days, which are in order."""
    values = [float(amounts.get(day, 0)) for day in known]
    points = []
    for index, day in enumerate(known):
        first = bisect_left(known, day - timedelta(days=WEEK - 1))
        week = values[first : index + 1]
        points.append(Point(day, values[index], median(week) if len(week) >= LEAST_OF_WEEK else None))
    return points


def window_of(known: Sequence[date], day: date, rules: Rules) -> Places | None:
    """Where in `known` the days are that `day`, one of them, is compared with, the nearest first; None when too few.

    Days before it, as the verdict then never changes by what came later. Only where a history begins, and those are
    too few, later ones help out.
    """
    reach = timedelta(days=rules.window_days)
    here = bisect_left(known, day)
    before = range(bisect_left(known, day - reach), here)
    if len(before) >= rules.least_days:
        return Places(tuple(reversed(before)), past=True)
    after = range(here + 1, bisect_left(known, day + reach))
    if len(before) + len(after) < rules.least_days:
        return None
    nearest = sorted((*before, *after), key=lambda index: (abs(known[index] - day), known[index]))
    return Places(tuple(nearest), past=False)
