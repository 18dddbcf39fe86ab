"""A ledger of 10,000 accounts and 100,000 pending runs: planning, dispatch, claims, memory, and the API's pages.

    python -m benchmarks.ledger_scale [--accounts 10000] [--fires 10] [--only postgresql]

Hints go to a real redis-server through the scheduler's own sender; pages come from a real status_api over HTTP. Aims
(PostgreSQL): planning under 5 s, dispatch at least 2,000 runs a second in a window of 100,000, memory flat, pages
under 50 ms.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger
from sqlalchemy import Date, delete, insert, literal, select, update

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine, resident_mb, timed
from shared.core.costs import CostRow, FetchedCosts
from shared.core.days import last_complete_days
from shared.core.runs import RunReady
from shared.ledger.accounts import sync_accounts
from shared.ledger.claims import claim, claim_next_due
from shared.ledger.columns import DatabaseNow, Money
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due, resend_queued
from shared.ledger.planning import plan_catchup, plan_scheduled
from shared.ledger.rows import UNQUEUED
from shared.ledger.store import store
from shared.ledger.tables import accounts, costs, coverage, runs
from shared.messaging.sender import DramatiqSender
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.exports import focus_account
from tests.support.ledger import FakeSender
from tests.support.redis_server import RedisServer
from tests.support.system import System, running_system

WINDOW: Final = 100_000
LOOKBACK: Final = 30
ASKS: Final = 40
CLAIMS: Final = 200
ROUNDS: Final = 60


def line(what: str, figure: str, aim: str = "") -> None:
    print(f"  {what:<58} {figure:>22}  {aim}", flush=True)


def median_ms(seconds_each: Sequence[float]) -> float:
    return statistics.median(seconds_each) * 1000


def seconds(what: str, work: Callable[[], object], aim: str = "") -> None:
    took_s, _ = timed(work)
    line(what, f"{took_s:.2f} s", aim)


def pending(db: Database) -> int:
    with db.read() as connection:
        return len(connection.scalars(select(runs.c.id).where(runs.c.state == "pending")).all())


def unqueue(db: Database) -> None:
    """Everything queued is pending again."""
    with db.write() as connection:
        connection.execute(update(runs).where(runs.c.state == "queued").values(UNQUEUED))


def plan(db: Database, names: Sequence[str], fires: int) -> None:
    """Every account planned again and again, until nothing more is wanted."""
    seconds(f"{len(names)} accounts taken over", lambda: sync_accounts(db, [(name, "focus", False) for name in names]))
    seconds("the same again, nothing new", lambda: sync_accounts(db, [(name, "focus", False) for name in names]))
    today = datetime.now(UTC)
    days = last_complete_days(today, LOOKBACK)
    seconds(f"catch-up: a gap of {LOOKBACK} days for each account", lambda: plan_catchup(db, days=days), "under 5 s")
    window = last_complete_days(today, 7)
    took = []
    for number in range(fires - 1):
        slot = f"{today - timedelta(hours=number):%Y-%m-%dT%H:00}"
        took.append(timed(partial(plan_scheduled, db, slot=slot, days=window))[0])
    line(
        f"a fire: a run for each account, {len(took)} times",
        f"{statistics.median(took):.2f} s, max {max(took):.2f} s",
        "under 5 s",
    )
    seconds(f"catch-up: no gap left, {pending(db)} runs pending", lambda: plan_catchup(db, days=days), "under 5 s")


def cover(db: Database) -> None:
    """Have every account's days of the look-back stored, one cost row each, as after a month of collecting."""
    days = last_complete_days(datetime.now(UTC), LOOKBACK)
    now = DatabaseNow()
    with db.write() as connection:
        connection.execute(delete(coverage))
        for day in days:
            known = select(
                accounts.c.id, literal(day, Date), literal("complete"), literal(1), now, now, literal(1), literal(1)
            )
            connection.execute(insert(coverage).from_select([column.name for column in coverage.columns], known))
            texts = [literal(text) for text in ("sub", "AWS", "compute", "Usage", "USD")]
            row = select(
                accounts.c.id, literal(day, Date), *texts, literal(Decimal("1.5"), Money), literal(Decimal(1), Money)
            )
            connection.execute(insert(costs).from_select([column.name for column in costs.columns], row))
    seconds(f"catch-up: {len(days)} days of each account stored", lambda: plan_catchup(db, days=days), "under 5 s")


@contextmanager
def redis_sender() -> Iterator[DramatiqSender]:
    with RedisServer() as server:
        link = RedisLink(LinkConfig(url=server.url))
        link.start()
        assert link.wait_connected(10)
        try:
            yield DramatiqSender(link, namespace="bench")
        finally:
            link.close()


def dispatch(db: Database, sender: DramatiqSender) -> list[RunReady]:
    """Everything at once, with and without Redis; then claims while all of it is queued."""
    fake = FakeSender()
    took_s, sent = timed(lambda: dispatch_due(db, fake, window=WINDOW))
    line("dispatch without sending, window 100,000", f"{len(sent.sent) / took_s:.0f} runs/s")
    unqueue(db)
    took_s, sent = timed(lambda: dispatch_due(db, sender, window=WINDOW))
    line(
        f"dispatch of {len(sent.sent)} runs through Redis, in {took_s:.1f} s",
        f"{len(sent.sent) / took_s:.0f} runs/s",
        "at least 2,000",
    )
    took_s, again = timed(lambda: resend_queued(db, sender, everything=True))
    line(f"all {again} sent again, as after FLUSHALL", f"{again / took_s:.0f} runs/s")
    return fake.sent


def claims(db: Database, hints: Sequence[RunReady]) -> None:
    """Claim and store with everything queued, then with everything pending."""
    took = []
    day = last_complete_days(datetime.now(UTC), 1).start
    for hint in hints[:CLAIMS]:
        began_s = time.perf_counter()
        held = claim(db, hint, holder="bench")
        assert held is not None
        rows = [CostRow(day, "a", "AWS", f"s{number}", "Usage", "USD", Decimal(1), Decimal(1)) for number in range(100)]
        assert store(db, held, FetchedCosts(rows)) is not None
        took.append(time.perf_counter() - began_s)
    line("a run claimed and stored, all others queued", f"median {median_ms(took):.1f} ms")
    unqueue(db)
    took = [timed(lambda: claim_next_due(db, holder="bench"))[0] for _ in range(CLAIMS)]
    line("a run claimed without a hint (direct mode), all pending", f"median {median_ms(took):.1f} ms")


def ticks(db: Database) -> None:
    """The scheduler's usual rounds: a window of 1,000 filled, full, and emptied again; memory from round to round."""
    took, full, resident = [], [], []
    for _ in range(ROUNDS):
        took_s, sent = timed(partial(dispatch_due, db, FakeSender(), window=1000))
        if not sent.sent:
            break
        took.append(took_s)
        full.append(timed(partial(dispatch_due, db, FakeSender(), window=1000))[0])
        with db.write() as connection:
            over = {"state": "cancelled", "finished_at": DatabaseNow()}
            connection.execute(update(runs).where(runs.c.state == "queued").values(over))
        resident.append(resident_mb())
    line("a round that fills the window of 1,000", f"{median_ms(took):.0f}, max {max(took) * 1000:.0f} ms")
    line("a round that finds it full", f"{median_ms(full):.1f}, max {max(full) * 1000:.0f} ms")
    early = min(9, len(resident) - 1)
    line(
        f"memory after round {early + 1} and after round {len(resident)}",
        f"{resident[early]:.0f}, {resident[-1]:.0f} MB",
        "flat",
    )


def pages(system: System, names: Sequence[str]) -> None:
    """The API's pages, each asked for again and again over HTTP."""
    days = last_complete_days(datetime.now(UTC), LOOKBACK)
    whole = f"start={days.start}&end={days.end}"
    middle = names[len(names) // 2]
    cursor = system.api("/api/v1/runs?limit=50").body["next"]
    for path in (
        "/api/v1/runs",
        "/api/v1/runs?state=pending",
        "/api/v1/runs?state=failed",
        "/api/v1/runs?kind=catchup",
        "/api/v1/runs?kind=backfill",
        f"/api/v1/runs?account={middle}",
        f"/api/v1/runs?account={middle}&state=pending&kind=scheduled",
        f"/api/v1/runs?cursor={cursor}",
        f"/api/v1/coverage?{whole}&account={middle}",
        f"/api/v1/costs?{whole}&groupBy=day&account={middle}",
        f"/api/v1/costs?{whole}&groupBy=day",
        f"/api/v1/coverage?start={days.end}&end={days.end}",
    ):
        took = []
        for _ in range(ASKS):
            took_s, found = timed(partial(system.api, path))
            assert found.status == 200, found
            took.append(took_s)
        name = path.replace(whole, "30 days").replace(str(cursor), "…")
        line(f"GET {name}"[:58], f"{median_ms(took):.1f}, max {max(took) * 1000:.0f} ms", "under 50 ms")


def api(url: str, names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as temporary:
        folder = Path(temporary)
        (folder / "accounts.toml").write_text("".join(focus_account(name, "none/*.csv") for name in names))
        with RedisServer() as server, running_system(folder, redis_url=server.url, database_url=url) as system:
            system.start("status_api")
            system.wait_serving()
            system.wait_each(lambda one: one.probe("/health/ready").status == 200, 60, "be ready")
            pages(system, names)


def measure(dialect: str, url: str, names: Sequence[str], fires: int) -> None:
    print(f"{dialect}: {machine()}", flush=True)
    with ledger(url) as db, redis_sender() as sender:
        plan(db, names, fires)
        hints = dispatch(db, sender)
        claims(db, hints)
        cover(db)
        api(url, names)
        ticks(db)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--fires", type=int, default=10)
    parser.add_argument("--only", choices=DIALECTS)
    given = parser.parse_args()
    logger.remove()
    names = [f"account-{number:05}" for number in range(given.accounts)]
    with durable_postgres() as server:
        for dialect in [given.only] if given.only else DIALECTS:
            with fresh_url(dialect, server) as url:
                measure(dialect, url, names, given.fires)


if __name__ == "__main__":
    main()
