"""The database: refusing, hanging, restarted, locked, without a place for us; alone, and together with Redis."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from http.client import HTTPException

import psycopg

from shared.ledger.database import Database
from tests.chaos.fault import CLOSED_S, HANG_S, Expect, Fault, Way, database_says
from tests.chaos.rig import Rig
from tests.support.postgres import OPTIONS, PostgresServer, postgres_folder, start_postgres
from tests.support.system import request

CONNECTIONS = 40
OWN_OPTIONS = (
    *(one for one in OPTIONS if not one.startswith("max_connections")),
    f"max_connections={CONNECTIONS}",
    # Our processes are superusers here and would be given what is kept for those.
    "superuser_reserved_connections=0",
)
LASTS_S = 20.0
AWAY = frozenset({200, 503})
RETRY_AFTER = "5"
# A route that asks the database for everything, and Redis for nothing.
DATA_ROUTE = "/api/v1/coverage"
ASK_EVERY_S = 0.25
END_OURS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'"


def server(rig: Rig) -> PostgresServer:
    """The database server of this rig alone."""
    assert rig.database is not None
    return rig.database


def _own_server(rig: Rig) -> str:
    rig.database = rig.keep(start_postgres(OWN_OPTIONS))
    use_database(rig, rig.database.create_database())
    return rig.redis.url


def _own_file(rig: Rig) -> str:
    use_database(rig, f"sqlite:///{rig.folder}/var/holdfast.db")
    return rig.redis.url


def use_database(rig: Rig, url: str) -> None:
    """Have the ledger there."""
    rig.database_url = url
    rig.db = Database(url)
    rig.keep(contextlib.closing(_Disposed(rig.db)))


class _Disposed:
    def __init__(self, db: Database) -> None:
        self.close = db.dispose


def no_postgres() -> str | None:
    """Why there is no server to break."""
    return None if postgres_folder() else "no PostgreSQL: neither the system's nor the wheel's"


OWN_SERVER = Way("own database", "straight to both servers, the database one of its own", _own_server)
OWN_FILE = Way("own file", "straight to the server, the ledger in a SQLite file", _own_file)


@contextlib.contextmanager
def refusals_asked_for(rig: Rig) -> Iterator[None]:
    """Meanwhile ask for what needs the database. Every refusal must be a 503 that says to come back in 5 s."""
    wrong: list[str] = []
    refused: list[float] = []

    def ask(stop: threading.Event) -> None:
        while not stop.wait(ASK_EVERY_S):
            with contextlib.suppress(OSError, HTTPException):
                answer = request(rig.system["status_api"].port, DATA_ROUTE)
                if answer.status == 503 and answer.headers.get("retry-after") == RETRY_AFTER:
                    refused.append(0)
                elif answer.status != 200:
                    wrong.append(f"{answer.status} {answer.headers.get('retry-after')} {answer.body}")

    with rig.meanwhile("a reader of the database", ask):
        yield
    assert not wrong, wrong[0]
    assert refused, f"{DATA_ROUTE} was never refused"


def refused(rig: Rig) -> Iterator[None]:
    rig.happens_now()
    server(rig).stop()
    with refusals_asked_for(rig):
        yield
    server(rig).start()


def hangs(rig: Rig) -> Iterator[None]:
    server(rig).freeze()
    with refusals_asked_for(rig):
        yield
    server(rig).thaw()


def restarted(rig: Rig) -> Iterator[None]:
    rig.happens_now()
    server(rig).stop()
    server(rig).start()
    yield


def crashes(rig: Rig) -> Iterator[None]:
    rig.happens_now()
    server(rig).kill()
    server(rig).start()
    yield


def connections_spent(rig: Rig) -> Iterator[None]:
    """Others take every connection, and whatever one of ours leaves free."""
    with contextlib.ExitStack() as taken:
        first = taken.enter_context(_connection(rig))
        spent = threading.Event()

        def spend(stop: threading.Event) -> None:
            while not stop.is_set():
                try:
                    taken.enter_context(_connection(rig))
                except psycopg.OperationalError:
                    ended = first.execute(END_OURS).fetchone()
                    if ended == (0,):
                        spent.set()
                        stop.wait(0.05)

        rig.db.dispose()
        with rig.meanwhile("others", spend):
            assert spent.wait(20), "the connections could not be spent"
            rig.happens_now()
            yield


def _connection(rig: Rig) -> psycopg.Connection[tuple[int]]:
    return psycopg.connect(rig.database_url, autocommit=True, application_name="others", connect_timeout=5)


def table_locked(rig: Rig) -> Iterator[None]:
    with psycopg.connect(rig.database_url) as other:
        other.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        rig.happens_now()
        yield
        other.rollback()


def file_locked(rig: Rig) -> Iterator[None]:
    file = rig.folder / "var/holdfast.db"
    file.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN EXCLUSIVE")
        rig.happens_now()
        yield
        other.execute("ROLLBACK")


def away(told_s: float | None = HANG_S) -> Expect:
    """The database does not serve: readiness says so, routes that need it refuse, Redis' go on."""
    return Expect(database_says("down"), told_s, ready=AWAY, soft=AWAY, strict=frozenset({200}))


# Reading goes on. A process finds out by its own writes: at once where there are any, else by its beat, every 5 s.
WRITERS_TELL = Expect(database_says("degraded"), HANG_S, strict=frozenset({200}), tellers=("status_api",))
POSTGRES = (no_postgres,)
FAULTS = (
    Fault("database-refuses", "PostgreSQL is stopped", refused, away(CLOSED_S), OWN_SERVER, LASTS_S, needs=POSTGRES),
    Fault(
        "database-hangs",
        "every process of PostgreSQL is stopped where it stands (SIGSTOP)",
        hangs,
        away(),
        OWN_SERVER,
        LASTS_S,
        needs=POSTGRES,
    ),
    Fault(
        "database-restarts",
        "PostgreSQL is stopped and started again",
        restarted,
        away(CLOSED_S),
        OWN_SERVER,
        needs=POSTGRES,
        momentary=True,
    ),
    Fault(
        "database-crashes",
        "PostgreSQL is ended in the middle of everything, and recovers",
        crashes,
        away(CLOSED_S),
        OWN_SERVER,
        needs=POSTGRES,
        momentary=True,
    ),
    Fault(
        "database-full",
        f"others take all {CONNECTIONS} connections of PostgreSQL, those of ours that are cut as well",
        connections_spent,
        away(),
        OWN_SERVER,
        needs=POSTGRES,
    ),
    Fault(
        "database-refuses-at-start",
        "PostgreSQL is not there when the processes start",
        refused,
        away(None),
        OWN_SERVER,
        needs=POSTGRES,
        at_start=True,
    ),
    Fault(
        "database-hangs-at-start",
        "PostgreSQL accepts and is silent when the processes start",
        hangs,
        away(None),
        OWN_SERVER,
        needs=POSTGRES,
        at_start=True,
    ),
    Fault(
        "database-table-locked",
        "another program holds an ACCESS EXCLUSIVE lock on the table of runs",
        table_locked,
        WRITERS_TELL,
        OWN_SERVER,
        LASTS_S,
        needs=POSTGRES,
    ),
    Fault(
        "database-file-locked",
        "another program holds the SQLite file (BEGIN EXCLUSIVE)",
        file_locked,
        WRITERS_TELL,
        OWN_FILE,
        LASTS_S,
    ),
    Fault(
        "database-full-at-start",
        "others have all connections of PostgreSQL when the processes start",
        connections_spent,
        away(None),
        OWN_SERVER,
        needs=POSTGRES,
        at_start=True,
    ),
    Fault(
        "database-file-locked-at-start",
        "another program holds the SQLite file when the processes start",
        file_locked,
        away(None),
        OWN_FILE,
        at_start=True,
    ),
)
