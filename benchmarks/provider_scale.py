"""1,000 accounts x 30 days from a provider that answers at once, through scheduler, Redis and workers into PostgreSQL.

    python -m benchmarks.provider_scale [--accounts 1000] [--days 30] [--rows 27] [--processes 1]

The real scheduler plans the gap of each account at start (one run of 30 days each), dispatches through a real Redis, a
real worker (8 threads a process) claims, fetches and stores; only the provider is replaced, by one whose rows are made
at once. Counted is the time from starting the processes on an empty ledger to the last run succeeded and, beside it,
to the last row being in the sums.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from loguru import logger
from sqlalchemy import func, select

from benchmarks.ledgers import durable_postgres, fresh_url, ledger, machine
from shared.core.costs import CostRow, FetchedCosts
from shared.core.days import last_complete_days
from shared.core.runs import Run, RunState
from shared.ledger.checking import check
from shared.ledger.cost_queries import CostQuery, costs
from shared.ledger.database import Database
from shared.ledger.queries import run_counts
from shared.ledger.summing import waiting
from shared.ledger.tables import costs as cost_table
from tests.support.exports import focus_account
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.system import running_system
from tests.support.worker_main import real_setup, run

ROWS_VARIABLE: Final = "BENCH_ROWS"
LOOK_S: Final = 0.1
LONGEST_S: Final = 1800
AMOUNT: Final = Decimal("1.2345678901")


def rows_of(asked: Run, rows: int) -> list[CostRow]:
    """`rows` of each day: three sub-accounts with the services that they share."""
    return [
        CostRow(
            day,
            f"{asked.account}-{number % 3}",
            "AWS",
            f"Service {number // 3}",
            "Usage",
            "USD",
            AMOUNT + number,
            AMOUNT,
        )
        for day in asked.days
        for number in range(rows)
    ]


class AtOnce:
    """Stands in for every provider."""

    def __init__(self, accounts: object) -> None: ...

    def __call__(self, asked: Run) -> FetchedCosts:
        """The rows, at once."""
        return FetchedCosts(rows_of(asked, int(os.environ[ROWS_VARIABLE])))


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    real_setup(Fetcher=AtOnce)


def wait_succeeded(db: Database, runs: int, began_s: float) -> float:
    while run_counts(db)[RunState.SUCCEEDED] < runs:
        if time.perf_counter() - began_s > LONGEST_S:
            raise SystemExit(f"not done after {LONGEST_S} s: {run_counts(db)}")
        time.sleep(LOOK_S)
    return time.perf_counter() - began_s


def wait_summed(db: Database, began_s: float) -> float:
    while waiting(db).entries:
        if time.perf_counter() - began_s > LONGEST_S:
            raise SystemExit(f"not in the sums after {LONGEST_S} s")
        time.sleep(LOOK_S)
    return time.perf_counter() - began_s


def prove(db: Database, given: argparse.Namespace) -> None:
    """Every row is there once, and every sum is the rows'."""
    days = last_complete_days(datetime.now(UTC), given.days)
    each = sum((AMOUNT + number for number in range(given.rows)), Decimal(0))
    (total,) = costs(db, CostQuery(days, ("day",))).totals
    assert total["amount"] == each * len(days) * given.accounts, total
    with db.read() as connection:
        found = connection.execute(select(func.count()).select_from(cost_table)).scalar_one()
    assert found == given.rows * len(days) * given.accounts, found
    assert not any(finding.broken for finding in check(db, grace_s=0, at_rest=True))


def measure(given: argparse.Namespace, server: PostgresServer) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as temporary,
        fresh_url("postgresql", server) as url,
        ledger(url) as db,
        RedisServer() as redis,
    ):
        folder = Path(temporary)
        names = [f"account-{number:04}" for number in range(given.accounts)]
        (folder / "accounts.toml").write_text("".join(focus_account(name, "none/*.csv") for name in names))
        environment = {
            "COST_LOOKBACK_DAYS": str(given.days),
            "WORKER_PROCESSES": str(given.processes),
            ROWS_VARIABLE: str(given.rows),
        }
        with running_system(
            folder,
            redis_url=redis.url,
            database_url=url,
            environment=environment,
            modules={"worker": "benchmarks.provider_scale --worker"},
        ) as system:
            began_s = time.perf_counter()
            system.start("scheduler", "worker")
            took_s = wait_succeeded(db, given.accounts, began_s)
            summed_s = wait_summed(db, began_s)
        rows = given.accounts * given.days * given.rows
        print(
            f"{given.accounts} accounts x {given.days} days x {given.rows} rows, {given.processes} worker process(es):"
            f" {took_s:.1f} s, {given.accounts / took_s:.1f} runs/s, {rows / took_s:.0f} rows/s;"
            f" in the sums after {summed_s:.1f} s, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        prove(db, given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rows", type=int, default=27, help="rows of each account and day")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        run("benchmarks.provider_scale:setup")
    logger.remove()
    print(machine(), flush=True)
    with durable_postgres() as server:
        measure(given, server)


if __name__ == "__main__":
    main()
