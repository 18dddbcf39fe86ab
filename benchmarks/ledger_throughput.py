"""Runs a second through plan, dispatch, claim and store, beside a bare loop of the same inserts in the same run.

    python -m benchmarks.ledger_throughput [--runs 1000] [--rounds 3] [--processes 1 2 4] [--journal]

The real worker collects from a provider that answers 100 rows at once; planning and dispatch are the scheduler's own
code. Counted is the time from planning to the last run succeeded. The bare loop stores the same rows by the same means
(COPY, executemany), one transaction for each run and nothing else, in as many processes.
With `--journal` each round also measures Holdfast on a ledger without the triggers that journal what is stored: what
the sums of costs take from storing.
"""

import argparse
import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final

import psycopg
from loguru import logger

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine, without_journal
from shared.bootstrap.dispatching import Dispatch
from shared.core.costs import CostRow, FetchedCosts
from shared.core.days import last_complete_days
from shared.core.runs import Run, RunState
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.planning import plan_scheduled
from shared.ledger.queries import run_counts
from shared.ledger.sqlite import PRAGMAS
from shared.ledger.store import COPY, INSERT
from shared.messaging.sender import DramatiqSender
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.exports import focus_account
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, free_port, request
from tests.support.waiting import wait_for
from tests.support.worker_main import real_setup, run

ROWS: Final = 100
WINDOW: Final = 1000
# The scheduler's dispatcher looks every half second, and at once after planning.
TICK_S: Final = 0.5
LOOK_S: Final = 0.05
READY_S: Final = 60
LONGEST_S: Final = 300
PROCESSES: Final = (1, 2, 4)


def rows_of(run: Run) -> list[CostRow]:
    """100 rows of the run's first day."""
    amount = Decimal("1.234567890123")
    texts = ("51738928782", "AWS")
    return [
        CostRow(run.days.start, *texts, f"Service {number}", "Usage", "USD", amount + number, amount)
        for number in range(ROWS)
    ]


class RowsFetcher:
    """Stands in for every provider."""

    def __init__(self, accounts: object) -> None: ...

    def __call__(self, run: Run) -> FetchedCosts:
        """The rows, at once."""
        return FetchedCosts(rows_of(run))


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    real_setup(Fetcher=RowsFetcher)


def through_the_ledger(db: Database, redis_url: str, runs: int) -> float:
    """Runs a second: planned, dispatched as the scheduler does, and awaited."""
    link = RedisLink(LinkConfig(url=redis_url))
    link.start()
    try:
        assert link.wait_connected(10)
        dispatch = Dispatch(db, link, DramatiqSender(link, namespace="holdfast"), "holdfast", WINDOW)
        dispatch.tick()
        began_s = time.perf_counter()
        plan_scheduled(db, slot="bench", days=last_complete_days(datetime.now(UTC), 1))
        tick_s = 0.0
        while run_counts(db)[RunState.SUCCEEDED] < runs:
            if time.perf_counter() - began_s > LONGEST_S:
                raise SystemExit(f"not done after {LONGEST_S} s: {run_counts(db)}")
            if time.perf_counter() - tick_s >= TICK_S:
                dispatch.tick()
                tick_s = time.perf_counter()
            time.sleep(LOOK_S)
        return runs / (time.perf_counter() - began_s)
    finally:
        link.close()


@contextlib.contextmanager
def running_worker(folder: Path, url: str, redis_url: str, processes: int) -> Iterator[None]:
    """The worker with that many worker processes, ready."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "WORKER_PROCESSES": str(processes),
    }
    log = folder / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ledger_throughput", "--worker"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(partial(ready, process, port), READY_S, "the worker to be ready")
        yield
    except BaseException:
        sys.stderr.write(log.read_text()[-3000:])
        raise
    finally:
        process.terminate()
        process.wait(60)


def ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"the worker ended with {process.returncode}")
    with contextlib.suppress(OSError, HTTPException):
        return bool(request(port, "/health/ready").body["status"] == "healthy")
    return False


def ours(url: str, processes: int, runs: int) -> float:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as temporary, ledger(url) as db, RedisServer() as server:
        folder = Path(temporary)
        names = [f"account-{number:05}" for number in range(runs)]
        (folder / "accounts.toml").write_text("".join(focus_account(name, "none.csv") for name in names))
        sync_accounts(db, [(name, "focus", False) for name in names])
        with running_worker(folder, url, server.url, processes):
            return through_the_ledger(db, server.url, runs)


def bare_loop(url: str, runs: int, first: int) -> None:
    """Store each run's rows and commit, on the driver alone."""
    day = last_complete_days(datetime.now(UTC), 1)
    amount = Decimal("1.234567890123")
    rows = [(day.start, "51738928782", "AWS", f"Service {n}", "Usage", "USD", amount + n, amount) for n in range(ROWS)]
    print("ready", flush=True)
    sys.stdin.readline()
    accounts = range(first, first + runs)
    bare_sqlite(url, rows, accounts) if url.startswith("sqlite") else bare_postgresql(url, rows, accounts)


def bare_sqlite(url: str, rows: Sequence[tuple[object, ...]], accounts: range) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    for account in accounts:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, ((account, str(day), *rest[:5], *map(str, rest[5:])) for day, *rest in rows))
        connection.execute("COMMIT")
    connection.close()


def bare_postgresql(url: str, rows: Sequence[tuple[object, ...]], accounts: range) -> None:
    with psycopg.connect(url) as connection:
        for account in accounts:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for row in rows:
                    copy.write_row((account, *row))
            connection.commit()


def unjournaled(url: str, processes: int, runs: int) -> float:
    with ledger(url) as db:
        without_journal(db)
    return ours(url, processes, runs)


def bare(url: str, processes: int, runs: int) -> float:
    with ledger(url) as db:
        without_journal(db)
        share = runs // processes
        command = [sys.executable, "-m", "benchmarks.ledger_throughput", "--bare", url, "--runs", str(share)]
        started = [
            subprocess.Popen(
                [*command, "--first", str(1 + number * share)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(processes)
        ]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        began_s = time.perf_counter()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in started] == [0] * processes
        return share * processes / (time.perf_counter() - began_s)


def kinds(
    dialect: str, processes: int, given: argparse.Namespace, server: PostgresServer
) -> Iterator[tuple[str, float]]:
    for measure in (ours, unjournaled, bare) if given.journal else (ours, bare):
        with fresh_url(dialect, server) as url:
            yield measure.__name__, measure(url, processes, given.runs)


def compare(server: PostgresServer, given: argparse.Namespace) -> None:
    print(f"{machine()}; {given.runs} runs of {ROWS} rows, {given.rounds} rounds; runs a second, medians")
    print(f"{'database':<12}{'processes':>10}{'Holdfast':>10}{'bare':>10}{'ratio':>8}   from to", flush=True)
    for dialect in [given.only] if given.only else DIALECTS:
        for processes in given.processes:
            found = [dict(kinds(dialect, processes, given, server)) for _ in range(given.rounds)]
            rates, bares = ([one[kind] for one in found] for kind in ("ours", "bare"))
            ratio = statistics.median(mine / its for mine, its in zip(rates, bares, strict=True))
            print(
                f"{dialect:<12}{processes:>10}{statistics.median(rates):>10.0f}{statistics.median(bares):>10.0f}"
                f"{ratio:>8.2f}   {min(rates):.0f} to {max(rates):.0f}, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if given.journal:
                shares = [one["ours"] / one["unjournaled"] for one in found]
                print(
                    f"  of the rate without a journal: {statistics.median(shares):.2f}"
                    f" ({min(shares):.2f} to {max(shares):.2f})",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES)
    parser.add_argument("--only", choices=DIALECTS)
    parser.add_argument("--journal", action="store_true", help="also without the triggers that journal what is stored")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        run("benchmarks.ledger_throughput:setup")
    if given.bare:
        bare_loop(given.bare, given.runs, given.first)
        return
    logger.remove()
    with durable_postgres() as server:
        compare(server, given)


if __name__ == "__main__":
    main()
