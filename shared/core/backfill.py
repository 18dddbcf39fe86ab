"""Splitting a long past into runs, and adding up what fetching them takes."""

from collections.abc import Iterable
from datetime import date
from itertools import groupby

from shared.core.costs import EXACT, Price
from shared.core.days import DayRange, contiguous


def runs_of(days: Iterable[date]) -> list[DayRange]:
    """`days`, in any order, as the runs that collect exactly them: newest first, none across the end of a month.

    A calendar month is what bills are made of and what a person asks for again; no provider refuses 31 days.
    """
    months = groupby(sorted(set(days)), key=lambda day: (day.year, day.month))
    ranges = [stretch for _, found in months for stretch in contiguous(found)]
    return ranges[::-1]


def sum_of(prices: Iterable[Price]) -> Price:
    """What several fetches take in all."""
    total = Price()
    for price in prices:
        least, most = total.requests
        usd_least, usd_most = total.usd
        total = Price(
            requests=(least + price.requests[0], most + price.requests[1]),
            usd=(EXACT.add(usd_least, price.usd[0]), EXACT.add(usd_most, price.usd[1])),
        )
    return total


def span_of(prices: Iterable[Price]) -> Price:
    """What a fetch takes that may be any of `prices`, of which there is at least one."""
    found = list(prices)
    return Price(
        requests=(min(price.requests[0] for price in found), max(price.requests[1] for price in found)),
        usd=(min(price.usd[0] for price in found), max(price.usd[1] for price in found)),
    )
