"""Costs, grouped and summed exactly. Currencies are never summed together."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from shared.core.costs import Metric
from shared.core.days import DayRange
from shared.core.errors import RequestError
from shared.ledger.accounts import account_id
from shared.ledger.columns import Instant
from shared.ledger.cost_sources import Asked, groups, one_state
from shared.ledger.database import Database
from shared.ledger.money import total
from shared.ledger.tables import accounts, coverage

# What costs may be grouped by, as answers name it, and the column that says it.
GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "day": "day",
        "account": "account_id",
        "subAccount": "sub_account",
        "service": "service",
        "provider": "provider_name",
        "chargeCategory": "charge_category",
    }
)
# When the newest of all accounts was collected, asked day by day: that of one day is the last entry of an index, that
# of a range is found by reading all of it.
_NEWEST: Final[Mapping[str, str]] = MappingProxyType(
    {
        "postgresql": "SELECT max((SELECT max(collected_at) FROM coverage WHERE coverage.day = asked.day)) AS at FROM"
        " (SELECT CAST(day AS date) AS day FROM generate_series(CAST(:start AS date), CAST(:end AS date), '1 day')"
        " AS day) AS asked",
        "sqlite": "WITH RECURSIVE asked(day) AS"
        " (SELECT :start UNION ALL SELECT date(day, '+1 day') FROM asked WHERE day < :end)"
        " SELECT max((SELECT max(collected_at) FROM coverage WHERE coverage.day = asked.day)) AS at FROM asked",
    }
)


@dataclass(frozen=True, slots=True)
class CostQuery:
    """Which costs: `group_by` names keys of GROUPS in the order of the answer, `account` a configured name or None.

    Raises RequestError for a group that does not exist or stands there twice.
    """

    days: DayRange
    group_by: tuple[str, ...] = ("day",)
    metric: Metric = Metric.BILLED
    account: str | None = None

    def __post_init__(self) -> None:
        allowed = f"one or more of {', '.join(GROUPS)}, each once"
        for name in self.group_by:
            if name not in GROUPS:
                raise RequestError(field="groupBy", problem=f"'{name}' is not known", allowed=allowed)
        if len(set(self.group_by)) != len(self.group_by):
            raise RequestError(field="groupBy", problem="a group stands there twice", allowed=allowed)


@dataclass(frozen=True, slots=True)
class CostReport:
    """Sums by group and currency, in the order of the groups.

    `columns` are the groups asked for, `currency` and `amount`; each of `values` has them in this order: `day` a date,
    the others text, the amount in plain decimal notation without trailing zeros. Each of `totals` has `currency` and
    `amount` (Decimal). `as_of` is when the newest of these costs was collected, None without any.
    """

    columns: tuple[str, ...]
    values: list[tuple[date | str, ...]]
    totals: list[dict[str, str | Decimal]]
    as_of: datetime | None

    @property
    def rows(self) -> list[dict[str, date | str | Decimal]]:
        """Each of `values` by column, its amount a Decimal. Made anew each time."""
        return [
            {**dict(zip(self.columns, values, strict=True)), "amount": Decimal(str(values[-1]))}
            for values in self.values
        ]


def costs(db: Database, query: CostQuery) -> CostReport:
    """The report. Raises UnknownAccountError."""
    with db.read() as connection:
        one_state(connection)
        account = None if query.account is None else account_id(connection, query.account)
        values = _values(connection, query, account)
        as_of = _as_of(connection, query.days, account)
    return CostReport((*query.group_by, "currency", "amount"), values, _totals(values), as_of)


def _values(connection: Connection, query: CostQuery, account: int | None) -> list[tuple[Any, ...]]:
    asked = Asked(tuple(GROUPS[name] for name in query.group_by), query.days, query.metric, account)
    found = groups(connection, asked)
    if "account" in query.group_by:
        found = _with_names(connection, found, query.group_by.index("account"))
    # Here rather than in the database: collations differ, answers must not. No two rows have the same groups, so that
    # amounts are never compared.
    return sorted(found)


def _with_names(connection: Connection, found: list[tuple[Any, ...]], place: int) -> list[tuple[Any, ...]]:
    names = dict(connection.execute(select(accounts.c.id, accounts.c.name)).tuples().all())
    known = [values for values in found if values[place] in names]
    by_column = list(zip(*known, strict=True))
    if by_column:
        by_column[place] = tuple(map(names.__getitem__, by_column[place]))
    return list(zip(*by_column, strict=True))


def _as_of(connection: Connection, days: DayRange, account: int | None) -> datetime | None:
    if account is not None:
        where = (coverage.c.account_id == account, coverage.c.day.between(days.start, days.end))
        of_one: datetime | None = connection.execute(
            select(func.max(coverage.c.collected_at)).where(*where)
        ).scalar_one()
        return of_one
    statement = text(_NEWEST[connection.dialect.name]).columns(at=Instant)
    given = {"start": days.start.isoformat(), "end": days.end.isoformat()}
    of_all: datetime | None = connection.execute(statement, given).scalar_one()
    return of_all


def _totals(values: list[tuple[Any, ...]]) -> list[dict[str, str | Decimal]]:
    amounts: defaultdict[str, list[str]] = defaultdict(list)
    for row in values:
        amounts[row[-2]].append(row[-1])
    return [{"currency": currency, "amount": total(map(Decimal, amounts[currency]))} for currency in sorted(amounts)]
