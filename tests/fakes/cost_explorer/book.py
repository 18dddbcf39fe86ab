"""What the fake's payers are charged: the same for the same seed, until a test restates, empties or renames."""

import hashlib
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

SERVICES = (
    "Amazon Elastic Compute Cloud - Compute",
    "EC2 - Other",
    "Amazon Simple Storage Service",
    "Amazon Relational Database Service",
    "AWS Lambda",
    "AmazonCloudWatch",
    "Amazon DynamoDB",
    "AWS Key Management Service",
    "Amazon Simple Queue Service",
    "Savings Plans for AWS Compute usage",
    "AWS Support (Business)",
    "Tax",
)
COMMITTED = "Amazon Relational Database Service"
FEE = "Savings Plans for AWS Compute usage"
FIRST_PAYER = 100_000_000_001
MEMBER_STEP = 1_000_000
PLACES = Decimal("0.0000000001")


class Charge(NamedTuple):
    """One group of one day."""

    member: str
    service: str
    currency: str
    unblended: Decimal
    amortized: Decimal


class Sum(NamedTuple):
    """What a day cost in one currency."""

    unblended: Decimal
    amortized: Decimal


@dataclass
class Book:
    """`charges` of any payer and day; every change is counted in `version`. Safe to use from any thread."""

    payers: Sequence[str]
    members: int = 3
    services: Sequence[str] = SERVICES
    currency: str = "USD"
    seed: int = 1
    _versions: dict[tuple[str, date], int] = field(default_factory=dict)
    _given: dict[tuple[str, date], tuple[Charge, ...]] = field(default_factory=dict)
    _renamed: dict[tuple[str, str], str] = field(default_factory=dict)
    _made: dict[tuple[str, date, int], tuple[Charge, ...]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def members_of(self, payer: str) -> list[str]:
        """The payer itself first: it has costs of its own, as payers do."""
        return [payer, *(f"{int(payer) + MEMBER_STEP * number:012d}" for number in range(1, self.members))]

    def payer_of(self, account: str) -> str | None:
        """The payer of a payer or member."""
        return next((payer for payer in self.payers if account in self.members_of(payer)), None)

    def charges(self, account: str, day: date) -> tuple[Charge, ...]:
        """All of a payer's members, or a member's own."""
        payer = self.payer_of(account)
        if payer is None:
            return ()
        found = self._of_payer(payer, day)
        return found if account == payer else tuple(charge for charge in found if charge.member == account)

    def restate(self, payer: str, day: date) -> None:
        """Other figures from now on."""
        with self._lock:
            self._given.pop((payer, day), None)
            self._versions[payer, day] = self._versions.get((payer, day), 0) + 1

    def put(self, payer: str, day: date, charges: Sequence[Charge]) -> None:
        """Exactly these from now on; none empties the day."""
        with self._lock:
            self._given[payer, day] = tuple(charges)

    def rename(self, payer: str, service: str, new: str) -> None:
        """Another name of a service, for all days."""
        with self._lock:
            self._renamed[payer, service] = new

    def totals(self, account: str, start: date, end: date) -> dict[date, dict[str, Sum]]:
        """Exact sums by day and currency, both days inclusive."""
        return {day: sums(self.charges(account, day)) for day in _days(start, end)}

    def _of_payer(self, payer: str, day: date) -> tuple[Charge, ...]:
        with self._lock:
            given = self._given.get((payer, day))
            version = self._versions.get((payer, day), 0)
            renamed = {old: new for (owner, old), new in self._renamed.items() if owner == payer}
            made = self._made.get((payer, day, version))
        if given is None and made is None:
            made = tuple(self._make(payer, day, version))
            with self._lock:
                self._made[payer, day, version] = made
        found = made if given is None else given
        assert found is not None
        return tuple(charge._replace(service=renamed.get(charge.service, charge.service)) for charge in found)

    def _make(self, payer: str, day: date, version: int) -> Iterator[Charge]:
        chance = random.Random(f"{self.seed}/{payer}/{day}/{version}")
        for member in self.members_of(payer):
            for service in self.services:
                if service == "Tax" and day.day != 1:
                    continue
                unblended = _amount(chance, weekend=day.weekday() > 4)
                amortized = unblended
                if service == COMMITTED:
                    unblended, amortized = Decimal(0), unblended
                elif service == FEE:
                    unblended, amortized = (unblended * 30, Decimal(0)) if day.day == 1 else (Decimal(0), unblended)
                yield Charge(member, service, self.currency, unblended, amortized)


def payers_of(count: int) -> list[str]:
    """The accounts of that many payers."""
    return [f"{FIRST_PAYER + number:012d}" for number in range(count)]


def sums(charges: Sequence[Charge]) -> dict[str, Sum]:
    """Exact, by currency."""
    found: dict[str, Sum] = {}
    for charge in charges:
        sofar = found.get(charge.currency, Sum(Decimal(0), Decimal(0)))
        found[charge.currency] = Sum(sofar.unblended + charge.unblended, sofar.amortized + charge.amortized)
    return found


def digest(*parts: object) -> str:
    """A name that is the same for the same parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _amount(chance: random.Random, *, weekend: bool) -> Decimal:
    """Ten places, as AWS gives; now and then nothing, a credit, or next to nothing (4E-10)."""
    kind = chance.random()
    if kind < 0.08:
        return Decimal(0)
    if kind < 0.12:
        return Decimal(chance.randrange(1, 999)) * PLACES
    amount = Decimal(chance.randrange(1, 10**13)) * PLACES
    if weekend:
        amount = (amount / 2).quantize(PLACES)
    return -amount if kind > 0.97 else amount


def _days(start: date, end: date) -> Iterator[date]:
    return (start + timedelta(days=offset) for offset in range((end - start).days + 1))
