"""Exact money: what the ledger can keep, and how it writes and adds it. Nothing here ever rounds."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal, Inexact, localcontext
from typing import Final

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT, EXACT

_ZERO: Final = Decimal(0)
_LAST_PLACE: Final = Decimal(1).scaleb(-DIGITS_AFTER_POINT)


def exact_text(amount: Decimal) -> str:
    """`amount` in plain decimal notation without trailing zeros.

    Raises ValueError for what is no number, and for more digits than are kept before or after the point.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is not an amount")
    if not amount:
        return "0"
    if amount.adjusted() >= DIGITS_BEFORE_POINT:
        raise ValueError(f"{amount:.3E} has more than {DIGITS_BEFORE_POINT} digits before the point")
    # Its first digit lies behind the last that is kept. Written out it might fill the memory.
    if amount.adjusted() < -DIGITS_AFTER_POINT:
        raise ValueError(_too_fine(-amount.adjusted()))
    whole, _, fraction = format(amount, "f").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > DIGITS_AFTER_POINT:
        raise ValueError(_too_fine(len(fraction)))
    return f"{whole}.{fraction}" if fraction else whole


def surely_kept(amount: Decimal) -> bool:
    """Whether `exact_text` would certainly accept it, in a tenth of the time; False for a few that it would as well."""
    try:
        return amount.adjusted() < DIGITS_BEFORE_POINT and EXACT.quantize(amount, _LAST_PLACE).is_finite()
    except Inexact:
        return False


def _too_fine(places: int) -> str:
    return f"an amount with {places} digits after the point; at most {DIGITS_AFTER_POINT} are kept"


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, without trailing zeros."""
    # With the context set, `sum` needs no call for each of what may be tens of thousands.
    with localcontext(EXACT):
        return plain(sum(amounts, _ZERO))


def plain(amount: Decimal) -> Decimal:
    """`amount` without trailing zeros and without an exponent, whatever its size."""
    if not amount:
        return _ZERO
    text = format(amount, "f")
    return Decimal(text.rstrip("0").rstrip(".")) if "." in text else Decimal(text)


class ExactSumAggregate:
    """The aggregate `exact_sum` of SQLite: decimal text in, decimal text out."""

    def __init__(self) -> None:
        self._sum = _ZERO

    def step(self, text: str | None, /) -> None:
        """Add one row."""
        if text is not None:
            self._sum = EXACT.add(self._sum, Decimal(text))

    def finalize(self) -> str:
        """The sum."""
        return format(plain(self._sum), "f")


def exact_sum_of_list(texts: str) -> str:
    """SQLite's `exact_sum_of_list`: amounts as decimal text with commas between them, their sum as such text."""
    with localcontext(EXACT):
        return format(plain(sum(map(Decimal, texts.split(",")), Decimal())), "f")


def plus(one: str, other: str) -> str:
    """The function `exact_plus` of SQLite: the sum of two amounts, both decimal text."""
    return format(plain(EXACT.add(Decimal(one), Decimal(other))), "f")


def group_key(*texts: str) -> bytes:
    """The function `group_key` of SQLite: a digest of `texts` that no other texts have."""
    # With lengths: ("a", "bc") and ("ab", "c") are not the same.
    return hashlib.sha256("".join(f"{len(text)}:{text}" for text in texts).encode()).digest()
