"""GET /api/v1/costs over millions of rows, through a real status_api and a real Redis: first answers and cached ones.

    python -m benchmarks.cost_queries [--rows 1000000 3000000 10000000] [--only postgresql] [--asks 15]

A ledger of 1,000 accounts with 27 rows a day each, from as many days as make the rows, is written straight into the
tables as an earlier release would have left it, then gone through as the scheduler does after an upgrade. Aims: the two
named questions under 200 ms, under 10 ms from the cache.
"""

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import psycopg
from loguru import logger
from sqlalchemy import Connection, text

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine, timed
from shared.core.days import last_complete_day
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.store import COPY, INSERT
from shared.ledger.summing import STEP, carry_over, journal_next_account
from tests.support.exports import focus_account
from tests.support.redis_server import RedisServer
from tests.support.system import System, running_system

ACCOUNTS: Final = 1000
SUB_ACCOUNTS: Final = 3
ROWS_A_DAY: Final = 27
SERVICES: Final = 100
AIM_MS: Final = 200
CACHED_AIM_MS: Final = 10

Row = tuple[int, str, str, str, str, str, str, str, str]


def amounts() -> Iterator[str]:
    """Amounts as bills have them: up to ten digits after the point, some of them credits."""
    chance = random.Random(7)
    some = [f"{chance.choice([1, 1, 1, 1, -1]) * chance.uniform(0, 900):.10f}" for _ in range(9973)]
    return itertools.cycle([amount.rstrip("0").rstrip(".") for amount in some])


def rows_of_day(account: int, day: str, amount: Iterator[str]) -> Iterator[Row]:
    """27 rows: three sub-accounts with nine services each, of a hundred that there are."""
    provider = ("AWS", "Microsoft")[account % 2]
    currency = "EUR" if account % 10 == 0 else "USD"
    for number in range(ROWS_A_DAY):
        service = f"{provider} Service {(account * 7 + number // SUB_ACCOUNTS * 11) % SERVICES:03}"
        category = ("Usage", "Usage", "Usage", "Tax", "Credit")[number % 5]
        sub_account = f"{account:06}{number % SUB_ACCOUNTS:06}"
        yield account, day, sub_account, provider, service, category, currency, next(amount), next(amount)


def fill(db: Database, days: Sequence[date]) -> int:
    """Write the rows of every account's `days` and their coverage; returns how many rows."""
    sync_accounts(db, [(f"account-{number:04}", "focus", False) for number in range(1, ACCOUNTS + 1)])
    amount, found = amounts(), 0
    for first in range(1, ACCOUNTS + 1, 50):
        wanted = itertools.product(range(first, first + 50), [day.isoformat() for day in days])
        rows = [row for account, day in wanted for row in rows_of_day(account, day, amount)]
        with db.write() as connection:
            if first == 1:
                # As the migration finds an earlier release's ledger.
                connection.execute(text("UPDATE accounts SET journaled = false"))
            insert(connection, rows)
        found += len(rows)
    with db.write() as connection:
        connection.execute(
            text(
                "INSERT INTO coverage SELECT account_id, day, 'complete', count(*), :at, :at, 1, 1"
                " FROM costs GROUP BY account_id, day"
            ),
            {"at": datetime.now(UTC).replace(tzinfo=None) if db.dialect == "sqlite" else datetime.now(UTC)},
        )
    return found


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(INSERT, list(rows))
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row(row)


def sum_up(db: Database) -> None:
    """As the scheduler's housekeeping does it."""
    while journal_next_account(db) is not None:
        while carry_over(db) == STEP[db.dialect]:
            pass
    while carry_over(db):
        pass


def tidy(db: Database) -> None:
    """What a database does by itself after a while."""
    if db.dialect == "postgresql":
        with psycopg.connect(
            db._engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), autocommit=True
        ) as connection:
            connection.execute("VACUUM ANALYZE")
