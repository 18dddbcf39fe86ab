"""Costs, grouped and summed exactly. Currencies are never summed together."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from shared.core.costs import Metric
from shared.core.days import DayRange
from shared.core.errors import RequestError
from shared.ledger.accounts import account_id
from shared.ledger.columns import exact_sum
from shared.ledger.database import Database
from shared.ledger.money import total
from shared.ledger.tables import accounts, coverage
from shared.ledger.tables import costs as cost_table

# What costs may be grouped by, as answers name it.
GROUPS: Final[Mapping[str, ColumnElement[Any]]] = MappingProxyType(
    {
        "day": cost_table.c.day,
        "account": accounts.c.name,
        "subAccount": cost_table.c.sub_account,
        "service": cost_table.c.service,
        "provider": cost_table.c.provider_name,
        "chargeCategory": cost_table.c.charge_category,
    }
)
AMOUNTS: Final[Mapping[Metric, ColumnElement[Decimal]]] = MappingProxyType(
    {Metric.BILLED: cost_table.c.billed, Metric.EFFECTIVE: cost_table.c.effective}
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

    Each of `rows` has the groups asked for (`day` a date, the others text), `currency` and `amount` (Decimal); each of
    `totals` has `currency` and `amount`. `as_of` is when the newest of these costs was collected, None without any.
    """

    rows: list[dict[str, date | str | Decimal]]
    totals: list[dict[str, str | Decimal]]
    as_of: datetime | None


def costs(db: Database, query: CostQuery) -> CostReport:
    """The report. Raises UnknownAccountError."""
    with db.read() as connection:
        account = None if query.account is None else account_id(connection, query.account)
        sums = _sums(connection, query, account)
        as_of = _as_of(connection, query.days, account)
    rows = [dict(zip((*query.group_by, "currency", "amount"), values, strict=True)) for values in sums]
    return CostReport(rows, _totals(sums), as_of)


def _sums(connection: Connection, query: CostQuery, account: int | None) -> list[tuple[Any, ...]]:
    groups = [*(GROUPS[name] for name in query.group_by), cost_table.c.currency]
    statement = select(*groups, exact_sum(AMOUNTS[query.metric])).where(
        cost_table.c.day.between(query.days.start, query.days.end)
    )
    if "account" in query.group_by:
        statement = statement.join_from(cost_table, accounts, accounts.c.id == cost_table.c.account_id)
    if account is not None:
        statement = statement.where(cost_table.c.account_id == account)
    found = [tuple(row) for row in connection.execute(statement.group_by(*groups))]
    # Here rather than in the database: collations differ, answers must not.
    return sorted(found, key=lambda values: values[:-1])


def _as_of(connection: Connection, days: DayRange, account: int | None) -> datetime | None:
    newest = select(func.max(coverage.c.collected_at)).where(coverage.c.day.between(days.start, days.end))
    if account is not None:
        newest = newest.where(coverage.c.account_id == account)
    at: datetime | None = connection.execute(newest).scalar_one()
    return at


def _totals(sums: list[tuple[Any, ...]]) -> list[dict[str, str | Decimal]]:
    amounts: defaultdict[str, list[Decimal]] = defaultdict(list)
    for *_, currency, amount in sums:
        amounts[currency].append(amount)
    return [{"currency": currency, "amount": total(amounts[currency])} for currency in sorted(amounts)]
