"""The database behind the ledger: SQLite or PostgreSQL, by its URL."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Literal, cast

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, RootTransaction, create_engine, exc, make_url, text

from shared.core.errors import DatabaseUnavailableError, SettingsError
from shared.core.redact import redact_url
from shared.ledger import postgresql, sqlite
from shared.ledger.failures import NOT_MIGRATED, summary_of
from shared.ledger.progress import TROUBLE_AFTER_S, Progress
from shared.ledger.under_way import UnderWay
from shared.observability import failpoints
from shared.observability.failpoints import Write
from shared.observability.redactor import without_secrets

POOL_TIMEOUT_S: Final = 10
# Connections beyond the pool's size, for moments when everything asks at once.
POOL_OVERFLOW: Final = 5
# Older connections are replaced, so that a failover behind a name is followed even when nothing broke.
RECYCLE_S: Final = 1800
# A database that hangs is told within 3 s, the wait until the next ping included.
PING_LIMIT_S: Final = 2.0
LOST_LOOK_S: Final = 1.0
# How long a lock is waited for before that is told. Who holds a file nobody knows: it may be one of our own threads.
LOCK_AFTER_S: Final = {"postgresql": TROUBLE_AFTER_S, "sqlite": 2.0}
# Somebody waits for what is read; a write may take as long as its statements may.
READ_LIMIT_S: Final = 15.0


class Database:
    """Connections, pooled and made on demand. The constructor connects to nothing.

    Raises SettingsError for a URL that can be no ledger. Not for use across a fork: build one in the child.
    """

    dialect: Literal["sqlite", "postgresql"]

    def __init__(self, url: str, *, pool_size: int = 5, name: str = "holdfast") -> None:
        parsed = _parse(url)
        self.url_redacted = redact_url(url)
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": POOL_OVERFLOW,
            "pool_timeout": POOL_TIMEOUT_S,
        }
        if parsed.get_backend_name() == "sqlite":
            self.dialect = "sqlite"
            self._file: Path | None = Path(str(parsed.database))
            self._engine = create_engine(parsed, **options)
            sqlite.prepare(self._engine)
            self._under_way = UnderWay(sqlite.interrupt)
        else:
            self.dialect = "postgresql"
            self._file = None
            arguments = {**postgresql.CONNECT_ARGUMENTS, "application_name": name}
            for given in parsed.query:
                arguments.pop(given, None)
            self._engine = create_engine(
                parsed, **options, connect_args=arguments, pool_pre_ping=True, pool_recycle=RECYCLE_S
            )
            self._connections = postgresql.prepare(self._engine)
            self._under_way = UnderWay(postgresql.interrupt)
        self._barred: str | None = None
        self._progress = Progress()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises DatabaseUnavailableError when the database is away."""
        with postgresql.within(READ_LIMIT_S), self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A transaction that reads one and the same state from first to last, for as long as the reader takes.

        Each single answer is waited for as long as a statement may take; PostgreSQL ends a transaction in which the
        reader asks for nothing for a minute. Raises DatabaseUnavailableError when the database is away or goes away.
        """
        with self._transaction(writes=False) as connection:
            if self.dialect == "postgresql":
                connection.exec_driver_sql(postgresql.ONE_STATE)
            yield connection

    @contextmanager
    def write(self, what: Write | None = None) -> Iterator[Connection]:
        """A transaction, committed at the end of the block, rolled back when the block raises.

        Raises DatabaseUnavailableError when the database is away; with `uncertain` set when it was lost during the
        commit, so that nobody knows what became of it. `what` names the transaction's failpoints.
        """
        try:
            with self._transaction(writes=True) as connection:
                yield connection
                if what is not None:
                    failpoints.reached(failpoints.before_commit(what))
        except DatabaseUnavailableError as error:
            if error.summary not in {NOT_MIGRATED, postgresql.KNOWN_AWAY, self._barred}:
                self._progress.write_failed(error.summary)
            raise
        self._progress.write_succeeded()
        if what is not None:
            failpoints.reached(failpoints.after_commit(what))

    def ping(self) -> float:
        """Seconds that an answer took, at most about 2 of them. Raises DatabaseUnavailableError otherwise."""
        started_s = time.monotonic()
        if self.dialect == "sqlite":
            self._read_header()
        else:
            with postgresql.within(PING_LIMIT_S), self._asking() as connection:
                connection.execute(text("SELECT 1"))
        return time.monotonic() - started_s

    def _read_header(self) -> None:
        """Have SQLite read the file. On the driver alone: this is done more often than all else."""
        with _translated():
            self._make_folder()
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA schema_version").fetchone()
            finally:
                connection.close()

    def bar(self, summary: str) -> None:
        """The database is known to be away: have every transaction fail at once, until `admit`; pings go on.

        Those that wait for an answer to what they read are freed. What is being written goes on: of a server that is
        merely slow it may be hours of work, and of one that is not, nobody knows whether it was done.
        """
        self._barred = summary
        if self.dialect == "postgresql":
            self._connections.barred = True
            self._connections.cut(but=self._under_way.all())

    def admit(self) -> None:
        """The database answers."""
        if self._barred is None:
            return
        if self.dialect == "postgresql":
            self._connections.barred = False
        # Whatever failed meanwhile failed because of that.
        self._progress.write_succeeded()
        self._barred = None

    def trouble(self) -> str | None:
        """Why writing does not work though pings are answered; None when it does, as far as anybody has tried.

        Raises DatabaseUnavailableError.
        """
        failing = self._progress.failing()
        if failing is not None:
            return f"Writes fail: {failing}"
        if self._progress.longest_wait_s() < LOCK_AFTER_S[self.dialect] or not self._waits_for_lock():
            return None
        return "Writes wait for a lock that somebody else holds"

    def wait_lost(self, stopped: threading.Event) -> bool:
        """Hold a connection that asks for nothing until the server ends it; False when `stopped` first.

        For PostgreSQL alone: a file has nobody who could. Raises DatabaseUnavailableError when there is none to hold.
        """
        with _translated(), self._engine.connect() as connection:
            held = connection.connection.driver_connection
            lost = False
            while not (lost or stopped.is_set()):
                lost = postgresql.closed_by_server(cast("postgresql.BoundedConnection", held), LOST_LOOK_S)
            connection.invalidate()
            return lost

    def break_off_writes(self, within_s: float) -> bool:
        """Have each transaction that writes now fail with DatabaseUnavailableError; False when one outlasts `within_s`.

        For the end of a process, whose unfinished work is then undone at once and not only when its connections die.
        """
        if not self._under_way.any():
            return True
        done = self._under_way.break_off(within_s)
        # An interruption may arrive late, and must not hit whoever uses the same connection next.
        self.dispose()
        return done

    def dispose(self) -> None:
        """Close every pooled connection. The database stays usable: new ones are made on demand."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool, barred_too: bool = False) -> Iterator[Connection]:
        barred = self._barred
        if barred is not None and not barred_too:
            raise DatabaseUnavailableError(summary=barred)
        with _translated():
            self._make_folder()
            with (
                self._engine.connect().execution_options(**{sqlite.WRITES: writes}) as connection,
                self._in_hand(connection, writes=writes) as transaction,
            ):
                try:
                    yield connection
                except BaseException:
                    _roll_back(connection)
                    raise
                with _translated(uncertain=writes):
                    transaction.commit()

    @contextmanager
    def _in_hand(self, connection: Connection, *, writes: bool) -> Iterator[RootTransaction]:
        """A transaction that was begun, known to whoever asks how transactions get on."""
        with ExitStack() as stack:
            # On SQLite the lock is waited for when a transaction begins, on PostgreSQL by its statements.
            if self.dialect == "postgresql":
                stack.enter_context(self._progress.waiting())
            with self._progress.waiting() if writes else nullcontext():
                transaction = connection.begin()
            if writes:
                stack.enter_context(self._noted(connection))
            yield transaction

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        with postgresql.asking(), self._transaction(writes=False, barred_too=True) as connection:
            yield connection

    def _waits_for_lock(self) -> bool:
        if self.dialect == "sqlite":
            return True
        pids = self._connections.backend_pids()
        with postgresql.within(PING_LIMIT_S), self._asking() as connection:
            return bool(connection.execute(postgresql.LOCK_WAITS, {"pids": pids, "for_s": TROUBLE_AFTER_S}).scalar())

    def _noted(self, connection: Connection) -> AbstractContextManager[None]:
        return self._under_way.writing(connection.connection.driver_connection)

    def _make_folder(self) -> None:
        if self._file is None or self._file.parent.is_dir():
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailableError(
                summary=f"cannot make the folder of the database: {error.strerror}"
            ) from error


@contextmanager
def _translated(*, uncertain: bool = False) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        summary = summary_of(error)
        if summary is None:
            raise
        raise DatabaseUnavailableError(summary=without_secrets(summary), uncertain=uncertain) from error


def _roll_back(connection: Connection) -> None:
    # A lost connection cannot be rolled back and need not be; the error that is under way tells of it.
    try:
        connection.rollback()
    except exc.DBAPIError:
        connection.invalidate()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingsError(problems=["DATABASE_URL: cannot be read; as in postgresql://user@host:5432/name"]) from None
    if parsed.drivername in {"postgres", "postgresql"}:
        _check_options(parsed)
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise SettingsError(problems=["DATABASE_URL: must begin with sqlite:/// or postgresql://"])
    if parsed.database in {None, "", ":memory:"}:
        raise SettingsError(problems=["DATABASE_URL: needs a file, as in sqlite:///var/holdfast.db"])
    return parsed


def _check_options(parsed: URL) -> None:
    """Each connection would fail by one that the driver does not know, as by a mistake of ours."""
    for name in parsed.query:
        try:
            make_conninfo("", **{name: ""})
        except psycopg.ProgrammingError:
            # Its name may be the rest of a password with a raw ? in it.
            shown = f" '{name}'" if name.isalpha() and name.islower() else ""
            raise SettingsError(problems=[f"DATABASE_URL: PostgreSQL knows no option{shown} in a URL"]) from None
