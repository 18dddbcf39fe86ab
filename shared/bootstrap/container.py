"""The composition root: builds a process's parts, starts them in order and stops them in reverse."""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from loguru import logger

from shared.bootstrap.accounts import accounts_file
from shared.bootstrap.announce import announce
from shared.bootstrap.checks import CHECK_DEADLINE_S, CHECK_INTERVAL_S, DatabaseCheck, DatabaseSentry
from shared.bootstrap.credentials import CredentialsUpkeep
from shared.bootstrap.health import STUCK_AFTER_S, HealthSources, ProcessHealth
from shared.bootstrap.periodic import Periodic, stop_all
from shared.bootstrap.secrets import known_secrets
from shared.bootstrap.upkeep import AccountsUpkeep, FleetUpkeep, RunsUpkeep
from shared.core.runs import RetryPolicy
from shared.core.version import VERSION
from shared.costs.accounts_file import AccountsFile
from shared.ledger.database import Database
from shared.ledger.fleet import ProcessBeat
from shared.ledger.migrate import Migrator
from shared.observability import events
from shared.observability.flood import Away
from shared.observability.logs import configure_logging, flood_control, report_held_back
from shared.observability.metrics import identify, render
from shared.probes.app import probe_app
from shared.probes.checks import CheckRunner
from shared.probes.server import ProbeServer
from shared.redis_link import LinkConfig, RedisLink, set_default_link
from shared.settings import Process, Settings, load_settings

ACCOUNTS_INTERVAL_S: Final = 2.0
RUNS_INTERVAL_S: Final = 10.0
HELD_BACK_INTERVAL_S: Final = 5.0
# What hangs at the stop is left to end with the process; whoever started it kills it soon after the grace.
STOP_S: Final = 0.5
# A worker's threads, its renewals and its own upkeep, each may hold a connection at once.
POOL_SIZE: Final = 5


@dataclass(frozen=True)
class Identity:
    """Who this process is in the fleet."""

    process: Process
    process_id: str
    host: str
    pid: int
    started_at: datetime
    version: str = VERSION


class Container:
    """Everything a process is made of. `start` waits for nothing; `stop` may be called twice, and before `start`."""

    def __init__(self, settings: Settings, accounts: AccountsFile, identity: Identity) -> None:
        self.settings = settings
        self.accounts = accounts
        self.identity = identity
        self.link = RedisLink(LinkConfig.from_settings(settings), name=f"holdfast-{identity.process}")
        self.db = Database(settings.database_url, pool_size=POOL_SIZE + _threads(settings, identity.process))
        self.migrator = Migrator(self.db)
        self.retry_policy = RetryPolicy(settings.run_retry_delays_s)
        self._stopped = threading.Event()
        self._draining: Callable[[], bool] = self._stopped.is_set
        self.fleet = FleetUpkeep(self.db, self.migrator, self._beat)
        self._accounts = AccountsUpkeep(self.db, self.migrator, accounts)
        self.credentials = CredentialsUpkeep(self.db, self.migrator, lambda: self._accounts.known)
        self._fleet_turns = Periodic(self._fleet_turn, name="fleet", interval_s=self.fleet.interval_s)
        self._database = DatabaseCheck(self.db, self.migrator, try_again=self._fleet_turns.hurry)
        self.checks = CheckRunner(
            {"database": self._database},
            interval_s=CHECK_INTERVAL_S,
            deadline_s=CHECK_DEADLINE_S,
            vital=frozenset({"database"}),
        )
        self._sentry = DatabaseSentry(self.db, self.checks.hurry)
        self.health = ProcessHealth(self._health_sources())
        if identity.process != "status_api":
            # The API answers from the database and from memory without this thread: it is alive as long as it answers.
            self.health.add_liveness(self._supervisor_stuck)
        self._periodics = self._upkeep()
        self._probes: ProbeServer | None = None

    @property
    def started_at(self) -> datetime:
        """When the process was built, aware UTC."""
        return self.identity.started_at

    @property
    def process_id(self) -> str:
        """This process's name in the fleet and as a holder of runs; never used by another one."""
        return self.identity.process_id

    @property
    def version(self) -> str:
        """The release."""
        return self.identity.version

    def start(self) -> None:
        """Start everything that runs in the background."""
        set_default_link(self.link)
        identify(self.identity.process)
        flood_control().tell_by(self._away)
        self.link.start()
        self.migrator.start()
        self.checks.start()
        self._sentry.start()
        for periodic in self._periodics:
            periodic.start()

    def serve_probes(self) -> ProbeServer:
        """Listen for probes and metrics; the process goes on when the port is taken."""
        app = probe_app(self.health, render)
        port = self.settings.probe_port_of(self.identity.process)
        self._probes = ProbeServer(app, self.settings.host, port)
        self._probes.start()
        return self._probes

    def draining_by(self, draining: Callable[[], bool]) -> None:
        """Readiness says that the process is draining while `draining()`."""
        self._draining = draining

    def announce_started(self) -> None:
        """Log that the process serves, once the first word of Redis and of the database is there (3 s at most)."""
        announce(self.health.checks, settled=self._settled, stopped=self._stopped)

    def stop(self) -> None:
        """Stop in reverse; probes are answered until the end."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        until_s = time.monotonic() + STOP_S

        def left_s() -> float:
            return max(0.0, until_s - time.monotonic())

        # Its thread looks up once a second: not worth the time that the others have.
        self._sentry.end()
        stop_all(reversed(self._periodics), left_s())
        self.checks.stop(left_s())
        self.fleet.leave(left_s())
        self.migrator.stop(left_s())
        self.link.close()
        self.db.dispose()
        if self._probes:
            self._probes.stop()

    def _health_sources(self) -> HealthSources:
        return HealthSources(
            redis=self.link.health,
            database=lambda: self.checks.results()["database"],
            database_facts=lambda: {
                "dialect": self.db.dialect,
                "url": self.db.url_redacted,
                "schema": str(self.migrator.state),
            },
            credentials=self.credentials.answers,
            fleet=lambda: self.fleet.members,
            draining=self._is_draining,
            production=self.settings.app_env == "production",
        )

    def _is_draining(self) -> bool:
        return self._draining()

    def _upkeep(self) -> list[Periodic]:
        runs = RunsUpkeep(self.db, self.migrator)
        periodics = [
            Periodic(_report_held_back, name="held-back-lines", interval_s=HELD_BACK_INTERVAL_S),
            Periodic(self._accounts.turn, name="accounts", interval_s=ACCOUNTS_INTERVAL_S),
            self._fleet_turns,
            Periodic(runs.turn, name="run-counts", interval_s=RUNS_INTERVAL_S),
        ]
        for periodic in periodics:
            self.migrator.on_ready(periodic.hurry)
        self.migrator.on_ready(self.checks.hurry)
        return periodics

    def _fleet_turn(self) -> None:
        self.fleet.turn()
        # On the same thread, so that an idle process wakes no oftener for it.
        self.credentials.turn()

    def _beat(self) -> ProcessBeat:
        return ProcessBeat(
            id=self.process_id,
            name=self.identity.process,
            host=self.identity.host,
            pid=self.identity.pid,
            version=self.version,
            started_at=self.started_at,
            redis=self.link.health().status,
        )

    def _away(self) -> Away:
        redis = self.link.health()
        lost = redis.status in {"connecting", "failed"} and redis.details.error is not None
        return Away(redis=lost, database=self._database.away or self._database.troubled)

    def _supervisor_stuck(self) -> str | None:
        if self._stopped.is_set() or self.link.supervisor_alive(STUCK_AFTER_S):
            return None
        return "The thread that keeps the connection to Redis has stopped"

    def _settled(self) -> bool:
        redis = self.link.health()
        word_of_redis = redis.status == "connected" or redis.details.error is not None
        return word_of_redis and self._database.settled


def build(process: Process, settings: Settings | None = None) -> Container:
    """Put a process together; nothing is started. Raises SettingsError, AccountsFileError."""
    settings = settings or load_settings()
    accounts = accounts_file(settings)
    configured = accounts.load()
    configure_logging(
        level=settings.log_level,
        fmt=settings.log_format,
        process=process,
        secrets=known_secrets(settings, configured),
    )
    container = Container(settings, accounts, _identity(process))
    if not configured:
        logger.bind(event=events.ACCOUNTS_LOADED, file=str(accounts.path), accounts=0).warning(
            "No accounts: nothing is collected until the accounts file names some"
        )
    if settings.app_env == "production" and container.db.dialect == "sqlite":
        bound = logger.bind(event=events.PROCESS_INSECURE, setting="DATABASE_URL")
        bound.warning("SQLite in production: fine for one machine and one worker process; otherwise use PostgreSQL")
    return container


def _identity(process: Process) -> Identity:
    host, pid = socket.gethostname(), os.getpid()
    return Identity(process, f"{process}-{host}-{pid}-{uuid4().hex[:8]}", host, pid, datetime.now(UTC))


def _threads(settings: Settings, process: Process) -> int:
    return settings.worker_threads if process == "worker" else 0


def _report_held_back() -> None:
    count = flood_control().turn()
    if count:
        report_held_back(count)
