"""What a service was likely to cost on a day, by its weekly rhythm, its level and trend, and the turn of the month."""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import inf, log
from statistics import median
from typing import Final

from shared.core.anomalies.types import Rules
from shared.core.anomalies.window import WEEK, Point, Window

# The normal distribution's standard deviation is so many median deviations.
SIGMAS: Final = 1.4826
SATURDAY: Final = 5
# With fewer weeks than this a weekday cannot be told by itself.
FEW: Final = 3
# So many of the days lie within so many standard deviations.
MOST_DAYS: Final = 0.8
SIGMAS_OF_MOST: Final = 1.2816
# Days that weigh less than this share of the others say nothing about the level.
FAINT: Final = 0.1
# Below this share of the usual a day counts as one without costs.
NEARLY_NOTHING: Final = 0.05
# A service whose quietest weekday costs less than this share of the day keeps weekends, and so holidays.
RESTED: Final = 0.8
# A service has a rhythm when it costs something on so many of its days: those of five working days in seven do.
STEADY: Final = 0.6
# Days around the turn of a month take one another's place when it falls on a weekend.
EDGE_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Likely:
    """What a steady service might have cost on the day, each figure for a reason of its own, the best guess first.

    `quiet` is the same for a day like the quietest of the week, `level` what an ordinary day costs at that time,
    `noise` the standard deviation of the logarithm of the amounts.
    """

    amounts: tuple[float, ...]
    quiet: tuple[float, ...]
    level: float
    noise: float

    def has_quiet_days(self) -> bool:
        """Whether the day is one on which the service is usually busier than on its quietest."""
        return abs(self.quiet[0]) < RESTED * abs(self.amounts[0])

    def is_quiet(self, actual: float) -> bool:
        """Whether the day was nearer to a quiet one than to an ordinary one."""
        return _distance(actual, self.quiet) < _distance(actual, self.amounts)

    def deviations(self, actual: float, likely: float) -> float:
        """How many usual deviations lie between the two: proportions count, and near nothing amounts do."""
        if not self.level:
            return inf
        one, other = (max(amount / self.level, 0.0) + NEARLY_NOTHING for amount in (actual, likely))
        return abs(log(one / other)) / self.noise


def _distance(actual: float, amounts: Iterable[float]) -> float:
    return min(abs(actual - amount) for amount in amounts)


def is_steady(points: Sequence[Point]) -> bool:
    """Whether the service costs something on most days, always of one sign."""
    usual = median([point.amount for point in points])
    return bool(usual) and sum(point.amount / usual > NEARLY_NOTHING for point in points) >= STEADY * len(points)


def likely(window: Window, day: date, rules: Rules) -> Likely:
    """What a steady service was likely to cost on `day`."""
    weekdays = _weekday_parts(window.points)
    part = weekdays[day.weekday()]
    levels = _levels(window, weekdays, day, rules)
    extras = _monthly_extras(window.points, weekdays, day)
    amounts = (*(level * part for level in levels), *(levels[0] * part + extra for extra in extras))
    quietest = levels[0] * min(weekdays)
    quiet = (quietest, *(quietest + extra for extra in extras))
    least = rules.least_noise_at_turn if _is_turn(day) else rules.least_noise
    return Likely(amounts, quiet, levels[0], max(_noise(window.points, weekdays), least))


def _weekday_parts(points: Sequence[Point]) -> list[float]:
    """Each weekday's part of its week's median."""
    ratios: list[list[float]] = [[] for _ in range(WEEK)]
    for point in points:
        if point.usual:
            ratios[point.day.weekday()].append(point.amount / point.usual)
    return [_part(ratios, weekday) for weekday in range(WEEK)]


def _part(ratios: Sequence[Sequence[float]], weekday: int) -> float:
    found = ratios[weekday]
    if len(found) >= FEW:
        return median(found)
    # One of two may be the anomaly: the neighbours, working days or those of the weekend, tell which.
    neighbours = ratios[:SATURDAY] if weekday < SATURDAY else ratios[SATURDAY:]
    around = [ratio for others in neighbours for ratio in others]
    return median([*found, median(around)] if around else [1.0])


def _levels(window: Window, weekdays: Sequence[float], day: date, rules: Rules) -> list[float]:
    """What a day of part 1 costs at this time: lately, with the trend, and as of the last few days."""
    flat = [
        (point.day, point.amount / weekdays[point.day.weekday()])
        for point in window.points
        if weekdays[point.day.weekday()] >= FAINT
    ]
    values = [value for _, value in flat]
    level = median(values[: rules.level_days] or [0.0])
    # A level that has just changed is told once or twice, and then is what the service costs.
    near = [value for found, value in flat if abs(day - found) <= timedelta(days=WEEK)]
    recent = median(near[: rules.recent_days] or [level])
    if not window.past:
        return [level, recent]
    before = median(values[rules.level_days : 2 * rules.level_days] or [level])
    slope = (level - before) / rules.level_days
    return [level, level + slope * (rules.level_days + 1) / 2, recent]


def _monthly_extras(points: Sequence[Point], weekdays: Sequence[float], day: date) -> list[float]:
    """What came on top at the same place of the months before."""
    around = [point for point in points if (point.day.year, point.day.month) != (day.year, day.month)]
    turn = [_extra(point, weekdays) for point in around if _at_one_turn(point.day, day)]
    if turn:
        return turn
    # Anything may once have happened on the same day of a month: what did so in both of the last two comes monthly.
    same = [_extra(point, weekdays) for point in around if point.day.day == day.day]
    return [min(same, key=abs)] if same else []


def _extra(point: Point, weekdays: Sequence[float]) -> float:
    return 0.0 if point.usual is None else point.amount - point.usual * weekdays[point.day.weekday()]


def _at_one_turn(one: date, other: date) -> bool:
    starts = one.day <= EDGE_DAYS and other.day <= EDGE_DAYS
    return starts or (_days_left(one) < EDGE_DAYS and _days_left(other) < EDGE_DAYS)


def _is_turn(day: date) -> bool:
    return _at_one_turn(day, day)


def _days_left(day: date) -> int:
    return monthrange(day.year, day.month)[1] - day.day


def _noise(points: Sequence[Point], weekdays: Sequence[float]) -> float:
    """How far the service usually is from its rhythm, as a share."""
    off = [
        abs(point.amount / (point.usual * weekdays[point.day.weekday()]) - 1)
        for point in points
        if point.usual and weekdays[point.day.weekday()] >= FAINT
    ]
    if not off:
        return 1.0
    # Both, as either may be small by luck; neither minds a day in ten that is far off.
    return max(SIGMAS * median(off), sorted(off)[int(MOST_DAYS * len(off))] / SIGMAS_OF_MOST)
