"""What looking for anomalies costs the ledger: an idle minute, and a look at an account, on both databases.

    python -m benchmarks.anomaly_looks [--accounts 10000] [--looked 100] [--services 12]

Every account is in the ledger; `--looked` of them have 110 days of costs, and are looked at for the first time (45 days
are judged) and after the daily collection (7 days). The idle minute is the one question that is asked while nothing
changes, with every account there and looked at. Figures are processor time of the asking process: a busy machine
changes them little.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy import insert, select, update

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine
from shared.core.days import last_complete_day
from shared.ledger.accounts import sync_accounts
from shared.ledger.anomalies import changed_accounts, look_at
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.queries import data_version
from shared.ledger.tables import accounts, costs, coverage, notices

HISTORY_DAYS: Final = 110
WINDOW_DAYS: Final = 7
ROUNDS: Final = 20


def fill(db: Database, ids: list[int], services: int) -> None:
    """Give the accounts a history, as it was collected long ago."""
    chance = random.Random(1)
    newest = last_complete_day(datetime.now(UTC))
    days = [newest - timedelta(days=number) for number in range(HISTORY_DAYS)]
    for account in ids:
        with db.write() as connection:
            at = now(connection) - timedelta(days=1)
            facts = {"account_id": account, "state": "complete", "rows": services, "fetch_seq": 1, "run_id": 1}
            connection.execute(
                insert(coverage), [{**facts, "day": day, "collected_at": at, "checked_at": at} for day in days]
            )
            rows = [
                {
                    "account_id": account,
                    "day": day,
                    "sub_account": "sub",
                    "provider_name": "AWS",
                    "service": f"service-{service}",
                    "charge_category": "Usage",
                    "currency": "USD",
                    "billed": amount,
                    "effective": amount,
                }
                for day in days
                for service in range(services)
                for amount in [Decimal(f"{10 * (service + 1) * chance.lognormvariate(0, 0.08):.6f}")]
            ]
            connection.execute(insert(costs), rows)


def changed_now(db: Database, ids: list[int]) -> None:
    """The daily collection has stored the window again."""
    since = last_complete_day(datetime.now(UTC)) - timedelta(days=WINDOW_DAYS - 1)
    with db.write() as connection:
        ours = coverage.c.account_id.in_(ids), coverage.c.day >= since
        connection.execute(update(coverage).where(*ours).values(collected_at=now(connection) + timedelta(hours=2)))
        raised = accounts.c.data_version + 1
        connection.execute(update(accounts).where(accounts.c.id.in_(ids)).values(data_version=raised))


def looks_ms(db: Database) -> list[float]:
    """Look at every account that has changed; the processor time of this process that each look took."""
    found = []
    while changed := changed_accounts(db, limit=500):
        for account in changed:
            began_s = time.process_time()
            look_at(db, account, post=True)
            found.append((time.process_time() - began_s) * 1000)
    return found


def mark_all(db: Database, ids: list[int]) -> None:
    """Every other account has been looked at long ago."""
    with db.write() as connection:
        facts = {"kind": "looked", "subject": "anomalies", "document": "1", "day": datetime.now(UTC).date()}
        at = now(connection)
        connection.execute(insert(notices), [{**facts, "account_id": number, "created_at": at} for number in ids])
        connection.execute(update(accounts).where(accounts.c.id.in_(ids)).values(data_version=1))


def median_ms(function: Callable[[], object]) -> float:
    """Processor time of this process, of some repetitions."""
    times = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        function()
        times.append((time.process_time() - began_s) * 1000)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--looked", type=int, default=100)
    parser.add_argument("--services", type=int, default=12)
    options = parser.parse_args()
    print(machine())
    print(f"{options.accounts} accounts, {options.services} services each\n")
    columns = ("processor ms", "idle minute", "which have changed", "first look", "after a collection, median, p95")
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|")
    with durable_postgres() as server:
        for dialect in DIALECTS:
            with fresh_url(dialect, server) as url, ledger(url) as db:
                sync_accounts(db, [(f"account-{number}", "focus", False) for number in range(options.accounts)])
                with db.read() as connection:
                    ids = list(connection.scalars(select(accounts.c.id).order_by(accounts.c.id)))
                some = ids[: options.looked]
                fill(db, some, options.services)
                step = 1000
                for first in range(options.looked, len(ids), step):
                    mark_all(db, ids[first : first + step])
                changed_now(db, some)
                first_ms = looks_ms(db)
                changed_now(db, some)
                daily_ms = sorted(looks_ms(db))
                idle = median_ms(partial(data_version, db))
                asked = median_ms(partial(changed_accounts, db, limit=500))
                p95 = daily_ms[int(len(daily_ms) * 0.95)]
                daily = f"{statistics.median(daily_ms):.1f}, {p95:.1f}"
                print(f"| {dialect} | {idle:.2f} | {asked:.2f} | {statistics.median(first_ms):.1f} | {daily} |")


if __name__ == "__main__":
    main()
