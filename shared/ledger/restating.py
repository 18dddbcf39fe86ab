"""What a store changes of days that were collected before, kept as revisions. Within the store's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, insert, select

from shared.core.days import contiguous
from shared.core.revisions import Amounts, Change, Service
from shared.ledger.columns import exact_sum_of_few
from shared.ledger.tables import costs, revisions

COLUMNS: Final = (
    "account_id",
    "day",
    "service",
    "currency",
    "billed_before",
    "billed_after",
    "effective_before",
    "effective_after",
    "changed_at",
    "run_id",
)
COPY: Final = f"COPY revisions ({', '.join(COLUMNS)}) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Cause:
    """Which run of which account changed figures, and when."""

    account_id: int
    run_id: int
    at: datetime


def sums_stored(connection: Connection, account: int, days: Iterable[date]) -> dict[Service, Amounts]:
    """What the ledger has of these days of the account."""
    group = (costs.c.day, costs.c.service, costs.c.currency)
    sums = select(*group, exact_sum_of_few(costs.c.billed), exact_sum_of_few(costs.c.effective)).group_by(*group)
    found: dict[Service, Amounts] = {}
    for stretch in contiguous(days):
        within = sums.where(costs.c.account_id == account, costs.c.day.between(stretch.start, stretch.end))
        found.update({Service(*row[:3]): Amounts(*row[3:]) for row in connection.execute(within)})
    return found


def record(connection: Connection, cause: Cause, changed: Sequence[Change]) -> None:
    """Keep `changed` as revisions, in their order."""
    if not changed:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(revisions), [_values(cause, change) for change in changed])
    else:
        _copy(connection, cause, changed)


def _values(cause: Cause, change: Change) -> Mapping[str, Any]:
    before, after = change.before, change.after
    return {
        "account_id": cause.account_id,
        "day": change.of.day,
        "service": change.of.service,
        "currency": change.of.currency,
        "billed_before": before and before.billed,
        "billed_after": after and after.billed,
        "effective_before": before and before.effective,
        "effective_after": after and after.effective,
        "changed_at": cause.at,
        "run_id": cause.run_id,
    }


def _copy(connection: Connection, cause: Cause, changed: Iterable[Change]) -> None:
    # A provider that renames everything changes as many services as there are.
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # the only driver that `Database` uses
    with driver.cursor() as cursor, cursor.copy(COPY) as copy:
        for change in changed:
            values = _values(cause, change)
            copy.write_row([values[name] for name in COLUMNS])
