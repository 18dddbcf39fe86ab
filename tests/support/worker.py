"""A real worker for tests: the launcher and its processes on a free port, with a ledger on SQLite."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from shared.core.days import DayRange, last_complete_days
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.migrate import upgrade
from shared.ledger.queries import get_run
from shared.ledger.requests import request_runs
from shared.messaging.sender import DramatiqSender
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.exports import focus_account, write_exports
from tests.support.system import ROOT, Answer, free_port, request
from tests.support.waiting import wait_for

ACCOUNTS = ("one", "two", "three")


class WorkerRig:
    """Start it with `start`; everything it started is ended by `close`."""

    def __init__(self, folder: Path, redis_url: str, **environment: str) -> None:
        self.folder = folder
        self.days = last_complete_days(datetime.now(UTC), 3)
        self.total = write_exports(folder / "exports", self.days)
        accounts = "".join(focus_account(name, f"{folder}/exports/*.csv") for name in ACCOUNTS)
        (folder / "accounts.toml").write_text(accounts)
        self.redis_url = redis_url
        self.database_url = f"sqlite:///{folder}/holdfast.db"
        self.port = free_port()
        self.environment = environment
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._db: Database | None = None
        self._link: RedisLink | None = None
        self._family: dict[int, psutil.Process] = {}

    def start(self, module: str = "workers", *arguments: str) -> "WorkerRig":
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HONCHO_")},
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "PORT": str(self.port),
            "SHUTDOWN_GRACE_S": "2",
            "WORKER_THREADS": "2",
            "SLOW_BEGUN": str(self.folder / "begun"),
            "SLOW_RELEASE": str(self.folder / "release"),
            **self.environment,
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
            )
        return self

    @property
    def db(self) -> Database:
        if self._db is None:
            self._db = Database(self.database_url)
            upgrade(self._db)
            sync_accounts(self._db, [(name, "focus", False) for name in ACCOUNTS])
        return self._db

    @property
    def link(self) -> RedisLink:
        if self._link is None:
            self._link = RedisLink(LinkConfig(url=self.redis_url))
            self._link.start()
        return self._link

    def request(self, *accounts: str, days: DayRange | None = None) -> list[Run]:
        """Runs that are pending now."""
        return request_runs(self.db, accounts=accounts or ACCOUNTS, days=days or self.days, kind=RunKind.MANUAL)

    def dispatch(self) -> Sequence[int]:
        """Send every due run; those that were certainly sent."""
        assert self.link.wait_connected(20)
        return dispatch_due(self.db, DramatiqSender(self.link, namespace="holdfast"), window=1000).sent

    def state(self, run: Run) -> RunState:
        return get_run(self.db, run.id).state

    def wait_state(self, state: RunState, *runs: Run, timeout_s: float = 20.0) -> None:
        wait_for(lambda: all(self.state(run) is state for run in runs), timeout_s, f"runs to be {state}")

    def wait_begun(self) -> None:
        wait_for((self.folder / "begun").exists, 20, "a fetch to begin")

    def release(self) -> None:
        (self.folder / "release").touch()

    def probe(self, path: str) -> Answer | None:
        """The answer, None while nobody listens."""
        with contextlib.suppress(OSError, HTTPException):
            return request(self.port, path)
        return None

    def ready(self) -> Any:
        answer = self.probe("/health/ready")
        return answer.body if answer else {}

    def wait_live(self, status: int = 200, timeout_s: float = 20.0) -> Any:
        answer = wait_for(
            lambda: found if (found := self.probe("/health/live")) and found.status == status else None,
            timeout_s,
            f"/health/live to answer {status}",
        )
        return answer.body if answer else None

    def wait_ready(self, status: str = "healthy", timeout_s: float = 20.0) -> None:
        wait_for(lambda: self.ready().get("status") == status, timeout_s, f"readiness to be {status}")

    def wait_consumers(self, message: str, timeout_s: float = 20.0) -> None:
        def found() -> bool:
            return message in self.ready().get("checks", {}).get("consumers", {}).get("message", "")

        wait_for(found, timeout_s, f"consumers to say '{message}'")

    def family(self) -> list[psutil.Process]:
        """Dramatiq's process and the worker processes, those of former times too, that are alive."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            for found in psutil.Process(self.process.pid).children(recursive=True):
                self._family[found.pid] = found
        return [found for found in self._family.values() if _alive(found)]

    def master(self) -> psutil.Process:
        assert self.process is not None
        return psutil.Process(self.process.pid).children()[0]

    def children(self) -> list[psutil.Process]:
        return self.master().children()

    def wait_gone(self, timeout_s: float = 20.0) -> None:
        wait_for(lambda: not self.family(), timeout_s, "every process below the launcher to end")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.family()
        self.process.send_signal(number)

    def wait_exit(self, timeout_s: float = 20.0) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def close(self) -> None:
        if self.process is not None:
            family = self.family()
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            for found in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.send_signal(signal.SIGKILL)
        if self._link is not None:
            self._link.close()
        if self._db is not None:
            self._db.dispose()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
