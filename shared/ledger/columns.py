"""Column types and SQL functions that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, DateTime, Dialect, Integer, Numeric, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT
from shared.ledger.money import exact_text, plain

# SQLite counts up by itself only in an INTEGER column.
SerialKey = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant. SQLite keeps it as text that sorts by time, with six digits of fraction."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive instant: nobody could say when it is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the instant {value} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount: NUMERIC on PostgreSQL, plain decimal text on SQLite, which has no decimal type."""

    impl = Numeric(DIGITS_BEFORE_POINT + DIGITS_AFTER_POINT, DIGITS_AFTER_POINT)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite: its NUMERIC would be a float."""
        return (
            dialect.type_descriptor(Text()) if dialect.name == "sqlite" else dialect.type_descriptor(self.impl_instance)
        )

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Refuse what cannot be kept exactly (ValueError)."""
        if value is None:
            return None
        text = exact_text(value)
        return text if dialect.name == "sqlite" else Decimal(text)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """As it was, without trailing zeros. Of any size, since a sum of amounts may be larger than each may be."""
        return None if value is None else plain(Decimal(value))


class Total(TypeDecorator[Decimal]):
    """An exact sum of amounts, of any size: kept as Money is."""

    impl = Numeric()
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite: its NUMERIC would be a float."""
        return (
            dialect.type_descriptor(Text()) if dialect.name == "sqlite" else dialect.type_descriptor(self.impl_instance)
        )

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """As plain text where there is no decimal type."""
        return format(plain(value), "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """As it was, without trailing zeros."""
        return None if value is None else plain(Decimal(value))


class DatabaseNow(FunctionElement[datetime]):
    """The database's clock, the only one whose instants are ever compared."""

    type = Instant()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _now_on_postgresql(_element: DatabaseNow, _compiler: SQLCompiler, **_options: Any) -> str:
    # Not now(): that is when the transaction began, before it waited for a lock.
    return "clock_timestamp()"


@compiles(DatabaseNow, "sqlite")
def _now_on_sqlite(_element: DatabaseNow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "now_utc()"


class ExactSum(FunctionElement[Decimal]):
    """The exact sum of a Money column."""

    type = Money()
    inherit_cache = True


def exact_sum(amount: ColumnElement[Decimal]) -> ExactSum:
    """The exact sum of `amount` over a group."""
    return ExactSum(amount)


@compiles(ExactSum, "postgresql")
def _sum_on_postgresql(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    return f"sum({compiler.process(element.clauses, **options)})"


@compiles(ExactSum, "sqlite")
def _sum_on_sqlite(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"
