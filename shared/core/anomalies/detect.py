"""The search for anomalies: each service's day against what was likely, and whether the difference matters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from statistics import median
from typing import Final

from shared.core.anomalies.rhythm import FAINT, NEARLY_NOTHING, Likely, is_steady, likely
from shared.core.anomalies.types import RULES, Anomaly, AnomalyKind, History, Rules, Verdict
from shared.core.anomalies.window import WEEK, Places, Point, Window, points_of, window_of

ZERO: Final = Decimal(0)
# What is expected is a guess: more digits would claim more.
GUESS: Final = Context(prec=4, rounding=ROUND_HALF_EVEN)
GUESS_PLACES: Final = 6
MOST_SCORE: Final = 999.0
# A weekly charge is missed after it came so many weeks in a row.
WEEKS_IN_A_ROW: Final = 4

Key = tuple[str, str]


def find(history: History, days: Iterable[date], rules: Rules = RULES) -> Verdict:
    """Judge each of `days` that is known and has history enough, every service of it by itself."""
    known = sorted(history.known)
    account_days = _account_days(known, history.amounts)
    series = [
        _Series(service, currency, amounts, points_of(known, amounts), floor)
        for (service, currency), amounts in sorted(history.amounts.items())
        if _ever_matters(amounts, floor := rules.floor(currency, account_days[currency]))
    ]
    judged: set[date] = set()
    found: list[Anomaly] = []
    for day in sorted(set(days) & history.known):
        places = window_of(known, day, rules)
        if places is not None:
            judged.add(day)
            found += _on(day, [_look(one, known.index(day), places, rules) for one in series], rules)
    return Verdict(frozenset(judged), tuple(found))


@dataclass(frozen=True, slots=True)
class _Series:
    service: str
    currency: str
    amounts: Mapping[date, Decimal]
    points: Sequence[Point]
    floor: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """A service's day and what it is compared with; `likely` when it has a rhythm."""

    series: _Series
    point: Point
    window: Window
    likely: Likely | None


def _account_days(known: Sequence[date], amounts: Mapping[Key, Mapping[date, Decimal]]) -> dict[str, float]:
    """What the account usually costs a day, in each currency."""
    totals: dict[str, dict[date, float]] = {}
    for (_, currency), series in amounts.items():
        sums = totals.setdefault(currency, dict.fromkeys(known, 0.0))
        for day in series.keys() & sums.keys():
            sums[day] += float(series[day])
    return {currency: abs(median(sums.values() or [0.0])) for currency, sums in totals.items()}


def _ever_matters(amounts: Mapping[date, Decimal], floor: float) -> bool:
    """Whether any deviation can reach the floor: most services of most accounts are small."""
    values = [0.0, *(float(amount) for amount in amounts.values())]
    return max(values) - min(values) >= floor


def _on(day: date, seen: Sequence[_Seen], rules: Rules) -> Iterator[Anomaly]:
    for one in seen:
        judgement = _judge(one, rules, quiet=_is_quiet_day(one, seen))
        if judgement is not None:
            kind, expected, score = judgement
            series = one.series
            actual = series.amounts.get(day, ZERO)
            score = min(score, MOST_SCORE)
            yield Anomaly(day, series.service, series.currency, kind, _guess(expected), actual, score)


def _guess(amount: float) -> Decimal:
    """As many digits as a guess has."""
    guess = GUESS.create_decimal_from_float(round(amount, GUESS_PLACES))
    return Decimal(f"{guess:f}") if guess else ZERO


def _look(series: _Series, place: int, places: Places, rules: Rules) -> _Seen:
    window = Window(tuple(series.points[at] for at in places.indices), places.past)
    since, point = _since_it_began(window, series.floor), series.points[place]
    has_rhythm = len(since.points) >= rules.young_days and is_steady(since.points)
    return _Seen(series, point, window, likely(since, point.day, rules) if has_rhythm else None)


def _since_it_began(window: Window, floor: float) -> Window:
    """The window without the days before the service was first used; of its first week nobody can say what is usual."""
    first = min((point.day for point in window.points if abs(point.amount) >= floor * FAINT), default=date.max)
    if first - min(point.day for point in window.points) < timedelta(days=WEEK):
        return window
    kept = [point for point in window.points if point.day >= first]
    young = timedelta(days=WEEK - 1)
    points = (replace(point, usual=None) if point.day - first < young else point for point in kept)
    return Window(tuple(points), window.past)


def _is_quiet_day(one: _Seen, seen: Sequence[_Seen]) -> bool:
    """Whether the account's other services kept the day as a holiday; True when none of them can tell."""
    votes = [
        other.likely.is_quiet(other.point.amount)
        for other in seen
        if other is not one and other.likely is not None and other.likely.has_quiet_days()
    ]
    return 2 * sum(votes) >= len(votes)


def _judge(one: _Seen, rules: Rules, *, quiet: bool) -> tuple[AnomalyKind, float, float] | None:
    """The kind, what was expected and the score, None for a day as it was to be expected."""
    if one.likely is None:
        return _judge_unsteady(one, rules)
    return _judge_steady(one.likely, one.point.amount, one.series.floor, rules, quiet=quiet)


def _judge_steady(
    found: Likely, actual: float, floor: float, rules: Rules, *, quiet: bool
) -> tuple[AnomalyKind, float, float] | None:
    """A day that is far from every figure that would explain it, and on the same side of all."""
    amounts = (*found.amounts, *found.quiet) if quiet else found.amounts
    # Among the figures a day is its own nearest.
    nearest = min(max(actual, min(amounts)), max(amounts))
    off = actual - nearest
    least = max(floor, rules.least_share * abs(nearest), rules.least_share / 2 * abs(found.level))
    score = found.deviations(actual, nearest)
    if score < rules.score or abs(off) < least:
        return None
    if abs(actual) <= NEARLY_NOTHING * abs(nearest):
        return AnomalyKind.VANISHED, nearest, score
    return (AnomalyKind.SPIKE if off > 0 else AnomalyKind.DROP), nearest, score


def _judge_unsteady(one: _Seen, rules: Rules) -> tuple[AnomalyKind, float, float] | None:
    """A service that costs something now and then: only what it never did, or a weekly charge that fails to come."""
    points, amount, floor = one.window.points, one.point.amount, one.series.floor
    most = max(abs(point.amount) for point in points)
    if most < floor:
        return (AnomalyKind.NEW, 0.0, rules.score * amount / floor) if amount - most >= floor else None
    same_weekday = [point.amount for point in points if point.day.weekday() == one.point.day.weekday()]
    expected = median(same_weekday or [0.0])
    is_old = len(_since_it_began(one.window, floor).points) >= rules.young_days
    if is_old and amount > rules.record * most:
        return AnomalyKind.SPIKE, expected, rules.score * amount / (rules.record * most)
    if abs(amount) <= NEARLY_NOTHING * abs(expected) and _is_weekly(one, floor):
        return AnomalyKind.VANISHED, expected, rules.score * abs(expected) / floor
    return None


def _is_weekly(one: _Seen, floor: float) -> bool:
    """Whether the service costs something on this weekday alone, and always did lately."""
    points, weekday = one.window.points, one.point.day.weekday()
    here = [abs(point.amount) for point in points if point.day.weekday() == weekday][:WEEKS_IN_A_ROW]
    if len(here) < WEEKS_IN_A_ROW:
        return False
    least = max(floor, max(here) / 2)
    return min(here) >= least and all(abs(point.amount) < least for point in points if point.day.weekday() != weekday)
