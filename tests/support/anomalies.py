"""Made-up costs with a rhythm, for tests of what is unusual in them."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from shared.core.anomalies import History

MONDAY = date(2026, 3, 2)
WEEKEND = 0.4


def days_before(day: date, count: int) -> list[date]:
    """The `count` days before `day`, in order."""
    return [day - timedelta(days=number) for number in range(count, 0, -1)]


def jitter(day: date) -> float:
    """Within 3 % of 1, the same at each run, and with no rhythm of its own."""
    return 1 + ((day.toordinal() * 7919) % 61 - 30) / 1000


def weekly(size: float, weekend: float = WEEKEND) -> Callable[[date], float]:
    """Busy on working days, `weekend` of that on the others."""
    return lambda day: size * jitter(day) * (weekend if day.weekday() >= 5 else 1)


def series(days: list[date], amount_of: Callable[[date], float]) -> dict[date, Decimal]:
    return {day: Decimal(f"{amount:.4f}") for day in days if (amount := amount_of(day))}


def history(days: list[date], *, currency: str = "USD", **services: Callable[[date], float]) -> History:
    amounts: Mapping[tuple[str, str], Mapping[date, Decimal]] = {
        (name, currency): series(days, amount_of) for name, amount_of in services.items()
    }
    return History(frozenset(days), amounts)
