"""What a backfill will take: the ledger knows the days, a provider knows its prices. And how both look in JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.core.backfill import span_of, sum_of
from shared.core.costs import Price
from shared.core.days import DayRange
from shared.costs.accounts import AccountConfig
from shared.costs.provider import provider_for
from shared.ledger.backfill import AccountBackfill, Backfill
from shared.ledger.documents import amount, run_document

# Rows a day of an account of which nothing is known, from a small one to twenty services in each of a hundred members.
GUESSED_ROWS_A_DAY: Final = (1, 2_000)


@dataclass(frozen=True, slots=True)
class PricedBackfill:
    """A backfill with what fetching its new runs takes, by account and in all."""

    backfill: Backfill
    prices: Mapping[str, Price]

    @property
    def price(self) -> Price:
        """In all."""
        return sum_of(self.prices.values())


def priced(backfill: Backfill, accounts: Iterable[AccountConfig]) -> PricedBackfill:
    """Ask the providers of `accounts`, which ask nobody, what the new runs take."""
    configured = {account.name: account for account in accounts}
    prices = {
        each.account: sum_of(price_of(configured[each.account], days, each.rows_a_day) for days in each.ranges)
        for each in backfill.accounts
        # An account may have been taken out of the file a moment ago.
        if each.account in configured
    }
    return PricedBackfill(backfill, prices)


def price_of(account: AccountConfig, days: DayRange, rows_a_day: int | None) -> Price:
    """What fetching `days` takes; from the least to the most that is likely when `rows_a_day` is not known."""
    provider = provider_for(account)
    likely = GUESSED_ROWS_A_DAY if rows_a_day is None else (GUESSED_ROWS_A_DAY[0], rows_a_day)
    return span_of(provider.price(days, rows_a_day=rows) for rows in likely)


def backfill_document(found: PricedBackfill) -> dict[str, Any]:
    """The runs there are, each account's part, and the price of what is new."""
    return {
        "runs": [run_document(run) for run in found.backfill.runs],
        "accounts": [_account_document(each, found.prices.get(each.account)) for each in found.backfill.accounts],
        "price": price_document(found.price),
    }


def price_document(price: Price) -> dict[str, Any]:
    """Requests, and what the provider charges in USD, at least and at most."""
    least, most = price.usd
    return {
        "requests": {"least": price.requests[0], "most": price.requests[1]},
        "usd": {"least": amount(least), "most": amount(most)},
    }


def _account_document(each: AccountBackfill, price: Price | None) -> dict[str, Any]:
    return {
        "account": each.account,
        "days": each.days,
        "completeDays": each.complete_days,
        "rowsADay": each.rows_a_day,
        "ranges": _ranges(each.ranges),
        "price": price_document(price or Price()),
    }


def _ranges(ranges: Sequence[DayRange]) -> list[dict[str, str]]:
    return [{"start": days.start.isoformat(), "end": days.end.isoformat()} for days in ranges]
