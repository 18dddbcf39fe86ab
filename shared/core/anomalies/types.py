"""What the search for anomalies is given, what it finds, and the numbers it goes by."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

# Currencies without a smaller unit (ISO 4217): one of theirs is worth about what a cent is elsewhere.
WHOLE_CURRENCIES: Final = frozenset(
    "BIF CLP DJF GNF IDR ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()  # noqa: SIM905 - reads better
)
WHOLE_FACTOR: Final = 100


class AnomalyKind(StrEnum):
    """`new`: a service that had cost nothing; `vanished`: one that had its rhythm, and costs nothing."""

    SPIKE = "spike"
    DROP = "drop"
    NEW = "new"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a day is far enough from what was likely. Shares are of what was likely, amounts in the row's currency.

    `window_days` must hold two turns of a month, for what comes once in each.
    """

    window_days: int = 63
    least_days: int = 21
    level_days: int = 14
    recent_days: int = 3
    # A service that began within the window is judged after so many days.
    young_days: int = 21
    # Usual deviations, of which one is taken for at least so much. What comes monthly is known from two months only.
    score: float = 4.0
    least_noise: float = 0.05
    least_noise_at_turn: float = 0.12
    least_share: float = 0.3
    # A service without a rhythm is far off when it costs so many times what it ever did in the window.
    record: float = 3.0
    # What does not matter: less than this share of the account's day, less than this amount.
    least_of_account: float = 0.01
    least_amount: float = 1.0

    def floor(self, currency: str, account_day: float) -> float:
        """The least deviation that matters, for an account that costs `account_day` on a usual day."""
        least = self.least_amount * (WHOLE_FACTOR if currency in WHOLE_CURRENCIES else 1)
        return max(least, self.least_of_account * account_day)


RULES: Final = Rules()


@dataclass(frozen=True, slots=True)
class History:
    """An account's costs: by service and currency, day by day. A day of `known` without an amount cost nothing.

    `known` are the days whose costs are final; amounts of other days are not looked at.
    """

    known: frozenset[date]
    amounts: Mapping[tuple[str, str], Mapping[date, Decimal]]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One service's day that was not to be expected. `score` counts its usual deviations."""

    day: date
    service: str
    currency: str
    kind: AnomalyKind
    expected: Decimal
    actual: Decimal
    score: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The days that could be judged, having history enough, and what is unusual about them, by day."""

    judged: frozenset[date]
    anomalies: tuple[Anomaly, ...]
