"""The trial of `holdfast accounts check --trial`: what it takes is said first, then a day of each account fetched."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from holdfast_cli.output import stderr
from shared.core.costs import DayTotal, Price, totals_by_day
from shared.core.credentials import CHECKED_PROVIDERS
from shared.core.days import DayRange
from shared.core.errors import ProviderError, RequestError
from shared.costs.accounts import AccountConfig
from shared.costs.provider import provider_for
from shared.ledger.documents import amount

# What a day is taken to have when nothing is known of the account.
GUESSED_ROWS: Final = 500


@dataclass(frozen=True)
class Trial:
    """One day fetched and thrown away, or why it could not be."""

    days: DayRange
    rows: int = 0
    estimated: bool = False
    totals: Sequence[DayTotal] = ()
    error: ProviderError | None = None


def refuse_unasked(accounts: Sequence[AccountConfig]) -> None:
    """Raise RequestError when a trial of `accounts` may cost money and nobody is there to be asked."""
    if any(account.provider in CHECKED_PROVIDERS for account in accounts) and not sys.stdin.isatty():
        raise RequestError(
            field="--trial", problem="may cost money, and nobody is here to be asked", allowed="add --yes to go on"
        )


def agreed(accounts: Sequence[AccountConfig], days: DayRange, *, rows_a_day: Mapping[str, int], yes: bool) -> bool:
    """Say what the trial takes; whether to go on. Nobody is asked with `yes`, or when it takes no request."""
    told = stderr()
    prices = {account.name: _price(account, days, rows_a_day) for account in accounts}
    for name, price in prices.items():
        told.print(f"{name}: a trial of {days.start} takes {price_text(price)}", markup=False)
    total = price_sum(prices.values())
    if yes or not total.requests[1]:
        return True
    told.print(f"Together {price_text(total)}. Go on? [y/N] ", markup=False, end="")
    return input().strip().lower() in {"y", "yes"}


def try_out(account: AccountConfig, days: DayRange) -> Trial:
    """Fetch `days` of the account. Nothing of it is stored."""
    try:
        fetched = provider_for(account).fetch(days)
    except ProviderError as error:
        return Trial(days, error=error)
    return Trial(days, len(fetched.rows), bool(fetched.estimated_days), totals_by_day(fetched.rows))


def price_text(price: Price) -> str:
    """In words: requests, and USD where it costs any."""
    least, most = price.requests
    if not most:
        return "no request"
    requests = f"{_range(str(least), str(most))} request{'' if most == 1 else 's'}"
    if not price.usd[1]:
        return f"{requests}, free of charge"
    return f"{requests}, {_range(amount(price.usd[0]), amount(price.usd[1]))} USD"


def price_sum(prices: Iterable[Price]) -> Price:
    """All of them together."""
    every = list(prices)
    return Price(
        (sum(price.requests[0] for price in every), sum(price.requests[1] for price in every)),
        (
            sum((price.usd[0] for price in every), Decimal(0)),
            sum((price.usd[1] for price in every), Decimal(0)),
        ),
    )


def trial_text(trial: Trial) -> str:
    """What came of it."""
    if trial.error:
        return f"trial failed ({trial.error.code}): {trial.error.summary}. {trial.error.hint}."
    totals = ", ".join(f"{amount(total.billed)} {total.currency}" for total in trial.totals) or "no costs"
    rows = f"{trial.rows} row{'' if trial.rows == 1 else 's'}"
    return f"trial of {trial.days.start}: {rows}, {totals}{', still estimated' if trial.estimated else ''}"


def trial_document(trial: Trial) -> dict[str, Any]:
    """The same as JSON."""
    error = trial.error
    return {
        "day": trial.days.start.isoformat(),
        "rows": trial.rows,
        "estimated": trial.estimated,
        "totals": [
            {"currency": total.currency, "billed": amount(total.billed), "effective": amount(total.effective)}
            for total in trial.totals
        ],
        "error": {"code": error.code, "summary": error.summary, "hint": error.hint} if error else None,
    }


def _price(account: AccountConfig, days: DayRange, rows_a_day: Mapping[str, int]) -> Price:
    return provider_for(account).price(days, rows_a_day=rows_a_day.get(account.name) or GUESSED_ROWS)


def _range(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
