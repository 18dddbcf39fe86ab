"""GET /api/v1/costs over millions of rows, from a real status_api with a real Redis: first answers and cached ones.

    python -m benchmarks.cost_queries [--rows 1000000 3000000 10000000] [--only postgresql] [--asks 15]
        [--plot docs/cost-queries.svg]

A ledger of 1,000 accounts with 27 rows a day each, over as many days as make the rows, is written straight into the
tables as an earlier release would have left it, then gone through as the scheduler does after an upgrade. Each question
is asked over HTTP, first of a cache that was emptied, then of one that has the answer. Aims: under 200 ms, and under
10 ms from the cache.
"""

import argparse
import gzip
import itertools
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import psutil
import psycopg
from loguru import logger
from sqlalchemy import Connection, text

from benchmarks.charts import line_chart
from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine, timed
from shared.core.days import last_complete_day
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.store import COPY, INSERT
from shared.ledger.summing import carry_over, journal_next_account
from tests.support.exports import focus_account
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.system import System, running_system

ROWS: Final = (1_000_000, 3_000_000, 10_000_000)
ACCOUNTS: Final = 1000
ACCOUNTS_AT_ONCE: Final = 20
SUB_ACCOUNTS: Final = 3
ROWS_A_DAY: Final = 27
SERVICES: Final = 100
AIM_MS: Final = 200
TITLES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
READY_S: Final = 120

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
    """As the scheduler does it: some accounts into the journal, then the journal into the sums."""
    left = True
    while left:
        for _ in range(ACCOUNTS_AT_ONCE):
            left = journal_next_account(db) is not None
        while carry_over(db):
            pass


def tidy(url: str) -> None:
    """What PostgreSQL does by itself some minutes later."""
    if not url.startswith("sqlite"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def questions(end: date) -> dict[str, str]:
    """What is asked, by how it is called in the tables; the two that have an aim come first."""
    year = f"start={end - timedelta(days=364)}&end={end}"
    month = f"start={end - timedelta(days=30)}&end={end}"
    one = "account=account-0501"
    return {
        "a year by service": f"{year}&groupBy=service",
        "a month by day and account": f"{month}&groupBy=day,account",
        "a year by day": f"{year}&groupBy=day",
        "a year by account": f"{year}&groupBy=account",
        "a year by sub-account": f"{year}&groupBy=subAccount",
        "a year by provider": f"{year}&groupBy=provider",
        "a year by charge category": f"{year}&groupBy=chargeCategory",
        "a month by day and service": f"{month}&groupBy=day,service",
        "a year by service, one account": f"{year}&groupBy=service&{one}",
        "a year by day, one account": f"{year}&groupBy=day&{one}",
        "a year by day and service, one account": f"{year}&groupBy=day,service&{one}",
        "a month by account and service": f"{month}&groupBy=account,service",
    }


# The last of them has no sums: it is read row by row, at a length that tells how long.
AIMED: Final = ("a year by service", "a month by day and account")


@dataclass(frozen=True)
class Figures:
    """Milliseconds of each ask, of first answers and of cached ones, and the answer's size."""

    first: list[float]
    cached: list[float]
    rows: int
    kb: float


def ask(client: httpx.Client, query: str, outcome: str) -> tuple[float, bytes]:
    """Milliseconds until the whole answer was there, and its JSON."""
    began_s = time.perf_counter()
    # Read as it comes, as a proxy does: decompressing is the reader's work.
    with client.stream("GET", f"/api/v1/costs?{query}") as answer:
        body = b"".join(answer.iter_raw())
    took_ms = (time.perf_counter() - began_s) * 1000
    assert answer.status_code == 200, body
    assert answer.headers["x-cache"] == outcome, (query, answer.headers)
    return took_ms, gzip.decompress(body) if answer.headers.get("content-encoding") == "gzip" else body


def measure(client: httpx.Client, server: RedisServer, query: str, asks: int) -> Figures:
    first, cached = [], []
    redis, body = server.admin(), b""
    for _ in range(asks):
        for key in redis.scan_iter("holdfast:costs:*"):
            redis.delete(key)
        took_ms, body = ask(client, query, "miss")
        first.append(took_ms)
        cached.append(ask(client, query, "hit")[0])
    return Figures(first, cached, len(json.loads(body)["rows"]), len(body) / 1024)


def p95(figures: Sequence[float]) -> float:
    return sorted(figures)[math.ceil(len(figures) * 0.95) - 1]


def api(url: str, days: Sequence[date], asks: int) -> dict[str, Figures]:
    """The figures of every question, printed as they come."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as temporary, RedisServer() as server:
        folder = Path(temporary)
        names = [f"account-{number:04}" for number in range(1, ACCOUNTS + 1)]
        (folder / "accounts.toml").write_text("".join(focus_account(name, "none/*.csv") for name in names))
        with running_system(folder, redis_url=server.url, database_url=url) as system:
            system.start("status_api")
            system.wait_serving(READY_S)
            system.wait_each(lambda one: one.probe("/health/ready").body["status"] == "healthy", READY_S, "be ready")
            before_mb = resident_mb_of(system)
            with httpx.Client(base_url=f"http://127.0.0.1:{system['status_api'].port}", timeout=60) as client:
                for name, query in questions(days[0]).items():
                    found[name] = figures = measure(client, server, query, asks)
                    print(
                        f"  {name:<40}{statistics.median(figures.first):>8.1f}{p95(figures.first):>8.1f}"
                        f"{statistics.median(figures.cached):>8.1f}{p95(figures.cached):>8.1f}{figures.rows:>8}"
                        f"{figures.kb:>8.0f}   load {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )
            print(f"  memory of status_api: {before_mb:.0f} MB before, {resident_mb_of(system):.0f} MB after")
    return found


def resident_mb_of(system: System) -> float:
    process = psutil.Process(system["status_api"].process.pid)
    return float(sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])) / 1024 / 1024


def one_size(dialect: str, server: PostgresServer, rows: int, asks: int) -> dict[str, Figures]:
    end = last_complete_day(datetime.now(UTC))
    days = [end - timedelta(days=number) for number in range(math.ceil(rows / ACCOUNTS / ROWS_A_DAY))]
    with fresh_url(dialect, server) as url, ledger(url) as db:
        fill_s, found = timed(lambda: fill(db, days))
        sum_s, _ = timed(lambda: sum_up(db))
        tidy(url)
        print(
            f"{dialect}: {found} rows over {len(days)} days, written in {fill_s:.0f} s,"
            f" into the sums in {sum_s:.0f} s\n"
            f"  {'ms; first answer, then from the cache':<40}{'median':>8}{'p95':>8}{'median':>8}{'p95':>8}"
            f"{'rows':>8}{'kB':>8}",
            flush=True,
        )
        return api(url, days, asks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--asks", type=int, default=15)
    parser.add_argument("--only", choices=DIALECTS)
    parser.add_argument("--plot", type=Path, help="write the growth of the two named questions there, as SVG")
    given = parser.parse_args()
    logger.remove()
    print(machine(), flush=True)
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with durable_postgres() as server:
        for dialect in [given.only] if given.only else DIALECTS:
            for rows in given.rows:
                found = one_size(dialect, server, rows, given.asks)
                for name in AIMED:
                    lines[f"{name}, {TITLES[dialect]}"].append((rows / 1e6, statistics.median(found[name].first)))
                    lines[f"{name}, {TITLES[dialect]}, cached"].append(
                        (rows / 1e6, statistics.median(found[name].cached))
                    )
    if given.plot:
        given.plot.write_text(line_chart(lines, x="million rows", y="ms, median", aim=AIM_MS))


if __name__ == "__main__":
    main()
