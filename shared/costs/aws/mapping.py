"""Cost Explorer's pages as exact rows: UnblendedCost is billed, AmortizedCost effective."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT, CostRow, DayTotal, FetchedCosts
from shared.core.days import ONE_DAY, DayRange

PROVIDER_NAME: Final = "AWS"
BILLED: Final = "UnblendedCost"
EFFECTIVE: Final = "AmortizedCost"
METRICS: Final = (BILLED, EFFECTIVE)
GROUPS: Final = ("LINKED_ACCOUNT", "SERVICE")

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<exponent>[eE][+-]?[0-9]{1,3})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LAST_PLACE: Final = Decimal(1).scaleb(-DIGITS_AFTER_POINT)
_WIDE: Final = Context(prec=1200, rounding=ROUND_HALF_EVEN)

Page = Mapping[str, Any]


class AnswerError(Exception):
    """An answer that cannot be taken over. Its text says where and why, and holds nothing secret."""


def rows_of(pages: Iterable[Page], days: DayRange) -> FetchedCosts:
    """The rows of all `pages` of one question grouped by linked account and service.

    Groups that cost nothing are kept: a day of which AWS says that it cost nothing is another thing than an empty one,
    and a service that is free today is not gone. A day is estimated if any page says so, or if AWS does not speak of
    it at all. A group that comes twice on one day is an error, since a page that was cut anew in between would count
    twice if it were added up. The charge category stays "": there is no third grouping to ask for it.
    """
    rows: dict[tuple[date, str, str, str], CostRow] = {}
    estimated: set[date] = set()
    spoken_of: set[date] = set()
    for day, result in _results(pages, days):
        spoken_of.add(day)
        if result.get("Estimated"):
            estimated.add(day)
        for group in result.get("Groups") or ():
            row = _row(day, group)
            key = (day, row.sub_account, row.service, row.currency)
            if key in rows:
                raise AnswerError(f"{day}: the group {row.sub_account}, {row.service} comes twice")
            rows[key] = row
    return FetchedCosts(list(rows.values()), frozenset(estimated | (set(days) - spoken_of)))


def totals_of(pages: Iterable[Page], days: DayRange) -> list[DayTotal]:
    """What each day cost in all, of the answer to a question without groups, in the order of the days."""
    totals: dict[date, DayTotal] = {}
    for day, result in _results(pages, days):
        if not result.get("Total"):
            continue
        if day in totals:
            raise AnswerError(f"{day}: comes twice")
        totals[day] = DayTotal(day, *_amounts(day, result["Total"]))
    return [totals[day] for day in sorted(totals)]


def _results(pages: Iterable[Page], days: DayRange) -> Iterator[tuple[date, Mapping[str, Any]]]:
    for page in pages:
        if not isinstance(page.get("ResultsByTime"), list):
            # What a proxy answers in AWS's place is parsed to nothing, and must not count as no costs.
            raise AnswerError("it holds no results by time")
        for result in page["ResultsByTime"]:
            day = _day(result)
            if day not in days:
                raise AnswerError(f"{day} lies outside the days that were asked for, {days.start} to {days.end}")
            yield day, result


def _day(result: Mapping[str, Any]) -> date:
    period = result.get("TimePeriod") or {}
    try:
        start, end = date.fromisoformat(period["Start"]), date.fromisoformat(period["End"])
    except (KeyError, TypeError, ValueError):
        raise AnswerError(f"{str(period)[:80]} is no day") from None
    if end - start != ONE_DAY:
        raise AnswerError(f"{start} to {end} is no single day")
    return start


def _row(day: date, group: Mapping[str, Any]) -> CostRow:
    keys = group.get("Keys")
    if not isinstance(keys, list) or len(keys) != len(GROUPS) or not all(isinstance(key, str) for key in keys):
        raise AnswerError(f"{day}: a group has the keys {str(keys)[:80]} in place of an account and a service")
    account, service = keys
    currency, billed, effective = _amounts(day, group.get("Metrics") or {})
    return CostRow(day, account, PROVIDER_NAME, service, "", currency, billed, effective)


def _amounts(day: date, metrics: Mapping[str, Any]) -> tuple[str, Decimal, Decimal]:
    missing = [name for name in METRICS if name not in metrics]
    if missing:
        raise AnswerError(f"{day}: {', '.join(missing)} is missing")
    units = {str(metrics[name].get("Unit")) for name in METRICS}
    if len(units) != 1:
        raise AnswerError(f"{day}: one group in several currencies, {', '.join(sorted(units))[:80]}")
    (currency,) = units
    if not _CURRENCY.fullmatch(currency):
        raise AnswerError(f"{day}: {currency[:20]!r} is no currency")
    billed, effective = (exact(day, metrics[name].get("Amount")) for name in METRICS)
    return currency, billed, effective


def exact(day: date, text: object) -> Decimal:
    """The amount, exactly. One with an exponent is a double that AWS wrote down: it is rounded to what is kept."""
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise AnswerError(f"{day}: {str(text)[:40]!r} is no amount")
    amount = Decimal(found[0])
    if amount and amount.adjusted() >= DIGITS_BEFORE_POINT:
        raise AnswerError(f"{day}: {found[0][:40]!r} has more than {DIGITS_BEFORE_POINT} digits before the point")
    kept = amount.quantize(_LAST_PLACE, context=_WIDE)
    if kept != amount and not found["exponent"]:
        raise AnswerError(f"{day}: {found[0][:60]!r} has more than {DIGITS_AFTER_POINT} digits after the point")
    return kept if kept != amount else amount
