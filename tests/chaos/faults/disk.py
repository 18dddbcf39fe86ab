"""The disk is full: that of the logs, the SQLite file and everything else here, or that of PostgreSQL's tables."""

from collections.abc import Iterator

import psycopg

from tests.chaos.fault import HANG_S, Expect, Fault, Way, database_says
from tests.chaos.faults.database import OWN_OPTIONS, away, no_postgres, use_database
from tests.chaos.rig import ACCOUNTS, DAYS, Rig
from tests.support.fleet import source
from tests.support.postgres import start_postgres
from tests.support.small_disk import cannot_mount, filled, small_disk

DISK_MB = 32
# Of a day: a run's costs need more room than the last pages of the tables may have left.
SERVICES = [f"Service {number}" for number in range(100)]
LASTS_S = 20.0
SERVES = frozenset({200})


def _own_disk(rig: Rig) -> str:
    rig.keep(small_disk(rig.folder, DISK_MB))
    rig.expected = source(rig.folder, ACCOUNTS, DAYS)
    use_database(rig, f"sqlite:///{rig.folder}/var/holdfast.db")
    return rig.redis.url


def _own_tablespace(rig: Rig) -> str:
    rig.expected = source(rig.folder, ACCOUNTS, DAYS, SERVICES)
    rig.database = rig.keep(start_postgres(OWN_OPTIONS))
    place = rig.folder / "tables"
    place.mkdir()
    rig.keep(small_disk(place, DISK_MB))
    # Whoever runs the server must reach it and own it.
    rig.folder.chmod(0o755)
    tables = place / "space"
    tables.mkdir()
    rig.database.give(tables)
    with psycopg.connect(rig.database.url(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
        connection.execute("CREATE DATABASE small TABLESPACE small")
    use_database(rig, rig.database.url("small"))
    return rig.redis.url


OWN_DISK = Way("own disk", "straight to the server; logs, ledger (SQLite) and all else on a small disk", _own_disk)
OWN_TABLESPACE = Way("own tablespace", "straight to the server; PostgreSQL's tables on a small disk", _own_tablespace)


def disk_full(rig: Rig) -> Iterator[None]:
    with filled(rig.folder):
        rig.happens_now()
        yield


def tables_full(rig: Rig) -> Iterator[None]:
    # Room that was left in the tables would do for many small writes.
    with psycopg.connect(rig.database_url, autocommit=True) as connection:
        connection.execute("VACUUM FULL")
    with filled(rig.folder / "tables"):
        rig.happens_now()
        yield


FAULTS = (
    Fault(
        "disk-full",
        "the disk of the logs and of the SQLite file is full",
        disk_full,
        # What is told is told by the writers; their log cannot say a word.
        Expect(database_says("degraded"), HANG_S, strict=SERVES, tellers=("worker",)),
        OWN_DISK,
        LASTS_S,
        needs=(cannot_mount,),
    ),
    Fault(
        "database-disk-full",
        "the disk of PostgreSQL's tables is full",
        tables_full,
        # Until no page has room left, small writes go on: the worker's are the large ones.
        Expect(database_says("degraded"), None, strict=SERVES, tellers=("worker",)),
        OWN_TABLESPACE,
        LASTS_S,
        needs=(cannot_mount, no_postgres),
    ),
    Fault(
        "disk-full-at-start",
        "the disk of the logs and of the SQLite file is full when the processes start",
        disk_full,
        away(None),
        OWN_DISK,
        needs=(cannot_mount,),
        at_start=True,
    ),
)
