"""Any number of each real process on one ledger and one Redis, killed and started again at will."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from shared.core.days import last_complete_days
from shared.observability.failpoints import FOLDER_VARIABLE, POINTS_VARIABLE
from tests.support.exports import SERVICES, amount_of, focus_account, write_exports
from tests.support.system import ROOT, Answer, free_port, request
from tests.support.waiting import wait_for

MODULES = {"status_api": "status_api", "scheduler": "scheduler", "worker": "tests.support.paced_worker"}
GONE_S = 20.0
KILLED = -signal.SIGKILL
# Leases short enough for a test, delays that are no delays.
PACE = {
    "PACED_FETCH_S": "0.3",
    "RUN_RENEW_S": "0.5",
    "RUN_LEASE_S": "3",
    "RUN_RETRY_DELAYS_S": "0.5",
    "DIRECT_AFTER_S": "1",
    "SHUTDOWN_GRACE_S": "2",
    "WORKER_THREADS": "3",
    "COST_WINDOW_DAYS": "3",
    "LOG_LEVEL": "info",
}


@dataclass
class Member:
    """One place in the fleet, taken by one process after another."""

    name: str
    number: int
    port: int = field(default_factory=free_port)
    probe_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    family: dict[int, psutil.Process] = field(default_factory=dict)
    lives: int = 0

    def __str__(self) -> str:
        return f"{self.name}-{self.number}"

    def ended(self) -> bool:
        """Whether there was a process, and it has ended."""
        return self.process is not None and self.process.poll() is not None

    def know_family(self) -> list[psutil.Process]:
        """The processes below it, remembered so that they can be waited for when it is dead."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                below = psutil.Process(self.process.pid).children(recursive=True)
                self.family |= {process.pid: process for process in below}
        return [process for process in self.family.values() if _lives(process)]

    def workers(self) -> list[psutil.Process]:
        """A launcher's worker processes, by pid."""
        return sorted(
            (process for process in self.know_family() if process.ppid() in self.family),
            key=lambda process: process.pid,
        )

    def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer does it. What is below it has to end by itself."""
        if self.process is not None:
            self.know_family()
            self.process.kill()
            self.process.wait()

    def serving(self) -> bool:
        """Whether /health/live answers 200."""
        return self._says_yes("/health/live")

    def ready(self) -> bool:
        """Whether /health/ready answers 200."""
        return self._says_yes("/health/ready")

    def _says_yes(self, path: str) -> bool:
        with contextlib.suppress(OSError, HTTPException):
            return request(self.probe_port, path, timeout_s=2).status == 200
        return False


class Fleet:
    """`points` arms failpoints, by member: each process dies of each of its points once, and is to be started again."""

    def __init__(
        self,
        folder: Path,
        *,
        redis_url: str,
        database_url: str,
        environment: Mapping[str, str],
        points: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.folder = folder
        self._environment = {**PACE, "REDIS_URL": redis_url, "DATABASE_URL": database_url, **environment}
        self._points = {name: ",".join(points) for name, points in (points or {}).items()}
        self.members: list[Member] = []

    def add(self, name: str, copies: int = 1) -> None:
        """Start so many processes of one kind."""
        taken = len(self.all(name))
        for number in range(taken + 1, taken + copies + 1):
            member = Member(name, number)
            self.members.append(member)
            self.start(member)

    def all(self, name: str) -> list[Member]:
        """The members of one kind."""
        return [member for member in self.members if member.name == name]

    def start(self, member: Member) -> None:
        """Start a member's process."""
        marks = self.folder / "marks" / str(member)
        marks.mkdir(parents=True, exist_ok=True)
        ports = {"PORT": str(member.port), "PROBE_PORT": str(member.probe_port)}
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HONCHO_")},
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **self._environment,
            **ports,
            POINTS_VARIABLE: self._points.get(str(member), ""),
            FOLDER_VARIABLE: str(marks),
        }
        with (self.folder / f"{member}.log").open("ab") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", MODULES[member.name]],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        member.lives += 1

    def marks(self, member: Member) -> set[str]:
        """The points it has died of."""
        return {mark.name for mark in (self.folder / "marks" / str(member)).iterdir()}

    def mend(self) -> list[str]:
        """Start again whoever has ended; who did so otherwise than killed or drained is told."""
        told = []
        for member in self.members:
            if member.ended():
                assert member.process is not None
                code = member.process.returncode
                if code not in {KILLED, 0}:
                    told.append(f"{member} ended with {code}")
                self.start(member)
        return told

    def ask(self, path: str, **arguments: Any) -> Answer | None:
        """Ask the first API that answers; None when none does."""
        for member in self.all("status_api"):
            with contextlib.suppress(OSError, HTTPException):
                return request(member.port, path, timeout_s=5, **arguments)
        return None

    def stop(self) -> dict[str, int]:
        """SIGTERM to each, then the exit codes; who does not end is killed and counts as -9."""
        for member in self.members:
            member.know_family()
            if member.process is not None and member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)
        return {str(member): _code(member) for member in self.members}

    def close(self) -> None:
        """End whatever is left, by its id, and wait for it."""
        for member in self.members:
            member.kill()
        for member in self.members:
            with contextlib.suppress(AssertionError):
                wait_for(partial(_alone, member), 6, f"what is below {member} to end")
            for process in member.know_family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def tail(self) -> str:
        """The end of every log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n" + "\n".join(_lines(log)[-15:]) for log in logs)

    def tracebacks(self) -> list[str]:
        """Each traceback in the logs, with the line before it: errors that nobody foresaw."""
        found = []
        for log in sorted(self.folder.glob("*.log")):
            lines = _lines(log)
            starts = [index for index, line in enumerate(lines) if "Traceback" in line]
            found += ["\n".join([f"{log.name}: {lines[start - 1]}", *_traceback(lines[start:])]) for start in starts]
        return found


@contextlib.contextmanager
def running_fleet(fleet: Fleet) -> Iterator[Fleet]:
    """End its processes in any case, and show their logs when the block fails."""
    try:
        yield fleet
    except BaseException:
        sys.stderr.write(fleet.tail() + "\n")
        raise
    finally:
        fleet.close()


def source(
    folder: Path, names: Iterable[str], days: int, services: Sequence[str] = SERVICES
) -> dict[tuple[str, date], Decimal]:
    """Exports of the last so many days for each account, and accounts.toml; returns what each account-day costs."""
    wanted = last_complete_days(datetime.now(UTC), days)
    write_exports(folder / "exports", wanted, services)
    (folder / "accounts.toml").write_text("".join(focus_account(name, f"{folder}/exports/*.csv") for name in names))
    cost = {day: sum((amount_of(day, service) for service in services), Decimal(0)) for day in wanted}
    return {(name, day): cost[day] for name in names for day in wanted}


def _traceback(lines: Sequence[str]) -> list[str]:
    """From its first line to the one that names the error."""
    end = next((index for index, line in enumerate(lines[1:], 1) if line[:1].strip()), len(lines) - 1)
    return list(lines[: end + 1])


def _alone(member: Member) -> bool:
    return not member.know_family()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _code(member: Member) -> int:
    assert member.process is not None
    try:
        return member.process.wait(GONE_S)
    except subprocess.TimeoutExpired:
        member.process.kill()
        return member.process.wait(GONE_S)


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()
