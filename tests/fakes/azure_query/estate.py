"""The made-up charges behind the fake: deterministic, exact, with the habits of real ones."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal, Inexact
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

SERVICES = (
    "Virtual Machines", "Storage", "Azure App Service", "SQL Database", "Bandwidth", "Azure Monitor", "Key Vault",
    "Load Balancer", "Azure Kubernetes Service", "Azure Cosmos DB", "Event Hubs", "Container Registry",
)  # fmt: skip
GROUPS = ("rg-web", "RG-Data")
CURRENCIES = ("EUR", "USD")
ZERO = Decimal(0)
EXACT = Context(prec=100, traps=[Inexact])


class Charge(NamedTuple):
    """One line of a day's bill, as both kinds of cost have it; None: it is not in that kind at all."""

    subscription: str
    group: str
    service: str
    charge_type: str
    currency: str
    actual: Decimal | None
    amortized: Decimal | None


@dataclass(frozen=True)
class Estate:
    """So many subscriptions, spread over so many tenants; `services` of them each."""

    subscriptions: int = 3
    tenants: int = 1
    services: int = 5
    seed: int = 1
    first_day: date = date(2020, 1, 1)
    last_day: date = date(2099, 12, 31)
    # How often a day has been restated, by subscription and day.
    versions: dict[tuple[str, date], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> list[str]:
        return [_id(f"{self.seed}/subscription/{number}") for number in range(self.subscriptions)]

    @property
    def tenant_ids(self) -> list[str]:
        return [_id(f"{self.seed}/tenant/{number}") for number in range(self.tenants)]

    def tenant_of(self, subscription: str) -> str | None:
        """Whose it is, None for one that nobody has."""
        ids = self.ids
        wanted = subscription.lower()
        return self.tenant_ids[ids.index(wanted) % self.tenants] if wanted in ids else None

    def of_tenant(self, tenant: str) -> list[str]:
        return [found for found in self.ids if self.tenant_of(found) == tenant]

    def restate(self, day: date, subscription: str | None = None) -> None:
        """What the day cost is another sum from now on."""
        with self._lock:
            for found in [subscription.lower()] if subscription else self.ids:
                self.versions[found, day] = self.versions.get((found, day), 0) + 1

    def charges(self, subscription: str, day: date) -> Iterator[Charge]:
        """The day's bill of one subscription."""
        if not self.first_day <= day <= self.last_day:
            return
        version = self.versions.get((subscription, day), 0)
        yield from _charges(self.seed, self.services, self.ids.index(subscription), subscription, day, version)

    def totals(self, start: date, end: date) -> dict[str, dict[str, dict[str, str]]]:
        """By subscription and day: currency, billed and effective, exact."""
        return {
            found: {str(day): self.total(found, day) for day in _days(start, end) if any(self.charges(found, day))}
            for found in self.ids
        }

    def total(self, subscription: str, day: date) -> dict[str, str]:
        """The sums of one day."""
        bill = list(self.charges(subscription, day))
        return {
            "currency": bill[0].currency,
            "billed": f"{exact_sum(line.actual or ZERO for line in bill):f}",
            "effective": f"{exact_sum(line.amortized or ZERO for line in bill):f}",
        }


@lru_cache(maxsize=50_000)
def _charges(seed: int, services: int, number: int, subscription: str, day: date, version: int) -> tuple[Charge, ...]:
    currency = CURRENCIES[number % len(CURRENCIES)]
    found = []
    for place in range(services):
        service = SERVICES[place] if place < len(SERVICES) else f"Service {place:04}"
        amount = _amount(f"{seed}/{subscription}/{service}/{day}/{version}")
        group = GROUPS[place % len(GROUPS)]
        if place:
            found.append(Charge(subscription, group, service, "Usage", currency, amount, amount))
            continue
        # Covered by a reservation: paid for on the first of the month, used or not on every day.
        found.append(Charge(subscription, group, service, "Usage", currency, ZERO, amount))
        found.append(Charge(subscription, group, service, "UnusedReservation", currency, None, EXACT.divide(amount, 8)))
        if day.day == 1:
            found.append(Charge(subscription, group, service, "Purchase", currency, EXACT.multiply(amount, 31), None))
    if day.weekday() == 6:
        refund = -_amount(f"{seed}/{subscription}/refund/{day}/{version}")
        found.append(Charge(subscription, GROUPS[0], SERVICES[1], "Refund", currency, refund, refund))
    return tuple(found)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, no digit lost."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def _amount(text: str) -> Decimal:
    """Up to seventeen digits, as doubles have, and from thousands down to millionths of a cent."""
    number = int.from_bytes(sha256(text.encode()).digest()[:8], "big")
    scale = (14, 15, 16, 17, 21)[number % 5]
    return Decimal(number % 10**17).scaleb(-scale)


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"fake-azure/{name}"))


def _days(start: date, end: date) -> Iterator[date]:
    return (date.fromordinal(number) for number in range(start.toordinal(), end.toordinal() + 1))
