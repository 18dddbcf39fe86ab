"""SIGTERM in the middle of a store that does not end: the run is back in the ledger, not left to its lease."""

import contextlib
import signal
import sqlite3
import sys
import time

import psycopg
import pytest
from sqlalchemy import select

from shared.core.runs import RunState
from shared.ledger.tables import attempts
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker import WorkerRig

pytestmark = pytest.mark.integration

# Each row inserted counts 10^10 others: longer than any test waits, and to be interrupted as any statement is.
STALL = """
CREATE TABLE many (n);
INSERT INTO many WITH RECURSIVE r(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM r LIMIT 100000) SELECT n FROM r;
CREATE TRIGGER stall BEFORE INSERT ON costs BEGIN SELECT count(*) FROM many a, many b WHERE a.n > b.n; END;
"""


@pytest.fixture
def rig(tmp_path, database_url):
    with RedisServer() as redis:
        rig = WorkerRig(tmp_path, redis.url, RUN_LEASE_S="600", RUN_RENEW_S="300")
        if not database_url.startswith("sqlite"):
            rig.database_url = database_url
        yield rig
        rig.close()
        sys.stderr.write("\n".join(rig.lines()[-40:]) + "\n")


@contextlib.contextmanager
def stores_stall(rig):
    """While it lasts no store ends; gives what tells that one is under way, holding its locks."""
    if rig.db.dialect == "sqlite":
        with contextlib.closing(sqlite3.connect(f"{rig.folder}/holdfast.db", timeout=0, isolation_level=None)) as file:
            file.executescript(STALL)

            def under_way():
                with contextlib.suppress(sqlite3.OperationalError):
                    file.execute("BEGIN IMMEDIATE").close()
                    file.execute("ROLLBACK").close()
                    return False
                return True

            yield under_way
    else:
        with psycopg.connect(rig.database_url) as other, psycopg.connect(rig.database_url, autocommit=True) as watch:
            other.execute("LOCK TABLE costs IN SHARE MODE")
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'costs'::regclass"
            yield lambda: watch.execute(waiting).fetchone()


def test_a_store_that_outlasts_the_grace_is_undone_and_its_run_handed_back(rig):
    (run,) = rig.request("one")
    with stores_stall(rig) as under_way:
        rig.start()
        rig.dispatch()
        wait_for(lambda: rig.state(run) is RunState.RUNNING and under_way(), 20, "a store to be under way")
        began_s = time.monotonic()
        rig.signal(signal.SIGTERM)
        assert rig.wait_exit() == 0
        took_s = time.monotonic() - began_s
        rig.wait_gone()
        assert rig.state(run) is RunState.PENDING
        assert 1.5 < took_s < 6, took_s
    with rig.db.read() as connection:
        assert connection.scalars(select(attempts.c.outcome)).all() == ["handed_back"]
