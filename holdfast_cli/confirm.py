"""Asking before money is spent."""

import sys
from typing import Final

import typer

from holdfast_cli.output import stderr
from shared.core.costs import Price
from shared.core.errors import RequestError

YES: Final = frozenset({"y", "yes"})


def price_text(price: Price) -> str:
    """What something takes, as a person reads it."""
    requests = _span(str(price.requests[0]), str(price.requests[1]))
    return f"{requests} requests, {_span(*(f'{usd:.2f}' for usd in price.usd))} USD"


def confirm(price: Price, *, yes: bool) -> None:
    """Go on when nothing is charged or `yes` was given; else ask on a terminal, and refuse elsewhere (RequestError).

    Exits with 1 when the answer is no.
    """
    if yes or not price.usd[1]:
        return
    cost = _span(*(f"{usd:.2f}" for usd in price.usd))
    if not sys.stdin.isatty():
        raise RequestError(field="--yes", problem=f"is missing: the provider charges {cost} USD", allowed="add --yes")
    stderr().print(f"The provider charges {cost} USD. Go on? (y/N) ", end="", markup=False)
    if sys.stdin.readline().strip().lower() not in YES:
        stderr().print("Nothing was asked of the provider.")
        raise typer.Exit(1)


def _span(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
