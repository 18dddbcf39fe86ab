"""Where the costs that a question asks for are read: from the sums as far as they go, else row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, Text, and_, cast, exists, func, or_, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared.core.costs import EXACT
from shared.core.days import DayRange
from shared.ledger.columns import exact_sum
from shared.ledger.money import plain, total
from shared.ledger.sums import DIMENSIONS, Kind, Stretch, kind_for, stretches
from shared.ledger.tables import accounts, cost_journal, cost_sums, costs


@dataclass(frozen=True, slots=True)
class Asked:
    """Sums of the column `amount` by `columns` of `costs` and by currency, over `days`, of one account or all."""

    columns: tuple[str, ...]
    days: DayRange
    amount: str
    account_id: int | None = None

    @property
    def kind(self) -> Kind | None:
        """The sums that have the answer."""
        return kind_for(self.columns if self.account_id is None else (*self.columns, "account_id"))


def one_state(connection: Connection) -> None:
    """Have every statement of a transaction that has just begun see the same state of the database."""
    # On SQLite they do anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def groups(connection: Connection, asked: Asked) -> list[tuple[Any, ...]]:
    """Of each group that has cost rows its values, currency and exact sum (plain decimal text), in no order.

    The transaction must see one state of the database (`one_state`).
    """
    kind = asked.kind
    if kind is None:
        return _fetched(connection, _summed(costs, asked, _rows_of(costs, asked)))
    unjournaled = select(accounts.c.id).where(~accounts.c.journaled)
    entries = _rows_of(cost_journal, asked)
    apart = and_(_rows_of(costs, asked), costs.c.account_id.in_(unjournaled))
    has_entries, has_apart = connection.execute(select(exists().where(entries), exists(unjournaled))).one()
    if not (has_entries or has_apart):
        return _fetched(connection, _from_sums(asked, kind))
    parts = [_summed(cost_sums, asked, _sums_of(asked, kind), func.sum(cost_sums.c.rows))]
    if has_entries:
        parts.append(_summed(cost_journal, asked, entries, func.sum(cost_journal.c.rows)))
    if has_apart:
        parts.append(_summed(costs, asked, apart, func.count()))
    return _together(row for part in parts for row in _fetched(connection, part))


def _together(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Groups from several sources, a row of each with its number of cost rows, added up."""
    found: dict[tuple[Any, ...], tuple[int, Decimal]] = {}
    for *values, count, amount in rows:
        count_before, amount_before = found.get(tuple(values), (0, Decimal(0)))
        found[tuple(values)] = (count_before + count, EXACT.add(amount_before, Decimal(amount)))
    return [(*group, format(plain(amount), "f")) for group, (count, amount) in found.items() if count]


def _from_sums(asked: Asked, kind: Kind) -> Select[Any]:
    where = _sums_of(asked, kind)
    if set(asked.columns) != {"day", *DIMENSIONS[kind]}:
        return _summed(cost_sums, asked, where).having(func.sum(cost_sums.c.rows) > 0)
    # Each group is one row: nothing is left to add up.
    wanted = [cost_sums.c[name] for name in (*asked.columns, "currency")]
    return select(*wanted, cast(cost_sums.c[asked.amount], Text)).where(where, cost_sums.c.rows > 0)


def _sums_of(asked: Asked, kind: Kind) -> ColumnElement[bool]:
    found = stretches(asked.days, by_day="day" in asked.columns)
    if asked.account_id is None:
        ranges = [_span(stretch, cost_sums.c.day.between(stretch.firsts[0], stretch.firsts[-1])) for stretch in found]
        return and_(cost_sums.c.kind == kind.value, or_(*ranges))
    # Of each day, by the primary key: a range would be read with all its accounts.
    places = [_span(stretch, cost_sums.c.day.in_(stretch.firsts)) for stretch in found]
    return and_(cost_sums.c.kind == kind.value, cost_sums.c.account_id == asked.account_id, or_(*places))


def _span(stretch: Stretch, where: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(cost_sums.c.span == stretch.span.value, where)


def _rows_of(table: Table, asked: Asked) -> ColumnElement[bool]:
    where = table.c.day.between(asked.days.start, asked.days.end)
    return where if asked.account_id is None else and_(where, table.c.account_id == asked.account_id)


def _summed(table: Table, asked: Asked, where: ColumnElement[bool], *counted: ColumnElement[Any]) -> Select[Any]:
    wanted = [table.c[name] for name in (*asked.columns, "currency")]
    amount = cast(AmountText(table.c[asked.amount]) if table is cost_sums else exact_sum(table.c[asked.amount]), Text)
    return select(*wanted, *counted, amount).where(where).group_by(*wanted)


def _fetched(connection: Connection, statement: Select[Any]) -> list[tuple[Any, ...]]:
    found = connection.execute(statement).all()
    if not found:
        return []
    # By column: an answer may have tens of thousands of rows.
    *values, amounts = zip(*found, strict=True)
    return list(zip(*values, map(_plain, amounts), strict=True))


def _plain(amount: str) -> str:
    if "," in amount:
        return format(total(map(Decimal, amount.split(","))), "f")
    # PostgreSQL writes every place that it keeps.
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


class AmountText(FunctionElement[str]):
    """The sum of a Total column as text; on SQLite all its amounts with commas between them.

    Adding up a list takes half the time of an aggregate that is called for each row. Only for sums, of which there are
    a few for each group: the text is as long as they are many.
    """

    type = Text()
    inherit_cache = True


@compiles(AmountText, "postgresql")
def _amount_on_postgresql(element: AmountText, compiler: SQLCompiler, **options: Any) -> str:
    return f"sum({compiler.process(element.clauses, **options)})"


@compiles(AmountText, "sqlite")
def _amount_on_sqlite(element: AmountText, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)})"
