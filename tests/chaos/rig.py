"""What a fault is planted in: the three real processes, a real Redis, a real database, exports to collect."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Self, TypeVar

import redis as redis_py

from shared.ledger.database import Database
from tests.chaos.fault import Way
from tests.chaos.measure import Requester
from tests.support.certificates import Certificates
from tests.support.fleet import source
from tests.support.ledger_check import unfinished
from tests.support.names import Names
from tests.support.netns import Namespace
from tests.support.postgres import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.system import System
from tests.support.waiting import wait_for, wait_none
from tests.support.wall_clock import ShiftedClock

T = TypeVar("T")
Body = Callable[[threading.Event], object]

ACCOUNTS = ("five", "four", "one", "six", "three", "two")
DAYS = 8
# What changes nothing but how much there is to collect, and who reads the log.
SETTINGS = {"COST_LOOKBACK_DAYS": str(DAYS), "COST_WINDOW_DAYS": "3", "LOG_FORMAT": "json"}
START_S = 60.0


@dataclass
class Rig:
    """One set of processes. Everything is opened by `begin` and ended by `close`."""

    way: Way
    settings: Mapping[str, str]
    database: PostgresServer | None = None
    bare_port: int = 0
    folder: Path = field(init=False)
    redis: RedisServer = field(init=False)
    system: System = field(init=False)
    db: Database = field(init=False)
    database_url: str = field(init=False)
    # What a way to Redis has opened.
    proxy: TcpProxy = field(init=False)
    names: Names = field(init=False)
    certificates: Certificates = field(init=False)
    tls_port: int = field(init=False)
    clock: ShiftedClock = field(init=False)
    namespace: Namespace = field(init=False)
    # Whoever asks for runs while a fault is planted.
    requester: Requester = field(init=False)
    expected: Mapping[tuple[str, date], Decimal] = field(init=False)
    # When the last fault was lifted; how many were planted here.
    quiet_since_s: float = field(default_factory=time.monotonic)
    planted: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    # What runs in place of a process's Procfile line, by the process's name.
    commands: dict[str, str] = field(default_factory=dict)
    planted_at_s: float = 0.0

    def __post_init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._admin: redis_py.Redis | None = None

    def prepare(self) -> Self:
        """Everything but the processes."""
        enter = self._stack.enter_context
        self.folder = Path(enter(tempfile.TemporaryDirectory(prefix="holdfast-chaos-")))
        self.expected = source(self.folder, ACCOUNTS, DAYS)
        self.redis = enter(self.way.server(self))
        self.database_url = f"sqlite:///{self.folder}/holdfast.db"
        if self.database is not None:
            self.database_url = self.database.create_database()
            self._stack.callback(self.database.drop_database, self.database_url)
        self.db = Database(self.database_url)
        self._stack.callback(self.db.dispose)
        url = self.way.open(self)
        environment = {**SETTINGS, **self.environment, **self.settings}
        self.system = System(self.folder, url, self.database_url, environment, self.commands)
        self._stack.callback(self.system.stop)
        return self

    def start(self) -> Self:
        """The processes, without waiting for them."""
        self.system.start()
        return self

    def wait_well(self) -> Self:
        """Wait until every process is healthy and has nothing left to do."""
        self.system.wait_serving(START_S)
        self.system.wait_status("healthy", START_S)
        wait_none(lambda: unfinished(self.db, self.expected), START_S)
        return self

    def close(self) -> None:
        """End everything, each process by its id."""
        self._let_admin_go()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self, context: contextlib.AbstractContextManager[T]) -> T:
        """Enter `context`, to be left when the rig is closed."""
        return self._stack.enter_context(context)

    def happens_now(self) -> None:
        """Called by a fault whose planting needs time to prepare: it counts from here."""
        self.planted_at_s = time.monotonic()

    @property
    def admin(self) -> redis_py.Redis:
        """A connection to Redis of the harness's own that was made before the fault and stays."""
        if self._admin is None:
            self._admin = redis_py.Redis(
                host=self.redis.host,
                port=self.redis.port,
                single_connection_client=True,
                socket_timeout=30,
                client_name="chaos",
            )
            self._admin.ping()
        return self._admin

    def restart_redis(self, *, start: bool = True) -> None:
        """Kill it; start it again, unless that is for later."""
        self._let_admin_go()
        self.redis.kill()
        if start:
            self.redis.start()

    def kill_clients(self) -> None:
        """Have the server close every connection but the harness's."""
        self.admin.client_kill_filter(skipme=True)

    def set_tls(self, certificate: Path, tls_port: int) -> None:
        """Have the server speak TLS with `certificate` at `tls_port` (0: at none), and plainly at its own port."""
        # One after the other, since a port may change its language.
        self.admin.config_set("port", self.redis.port)
        pairs = {"tls-auth-clients": "no", "tls-cert-file": certificate, "tls-key-file": self.certificates.key}
        self.admin.execute_command("CONFIG", "SET", *(str(one) for pair in pairs.items() for one in pair))
        self.admin.config_set("tls-port", tls_port)

    @contextlib.contextmanager
    def meanwhile(self, name: str, body: Body) -> Iterator[None]:
        """Run `body(stop)` on a thread while the block lasts; what it raises is raised at the block's end."""
        stop, errors = threading.Event(), list[BaseException]()

        def run() -> None:
            try:
                body(stop)
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            wait_for(lambda: not thread.is_alive(), 30, f"{name} to end")
        if errors:
            raise errors[0]

    def _let_admin_go(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
