"""The real processes of the Procfile, each on free ports, with its log in a file: what the e2e tests drive."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil

from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("status_api", "scheduler", "worker")
STOP_S = 30.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def procfile_command(name: str, procfile: str = "Procfile") -> str:
    """The command of a Procfile's line."""
    for line in (ROOT / procfile).read_text().splitlines():
        process, _, command = line.partition(":")
        if process.strip() == name:
            return command.strip()
    raise LookupError(f"{procfile} has no line for {name}")


def power_off(pid: int) -> None:
    """kill -9 of a process and of all below it, as a power cut does: none of them can react to another's end."""
    top = psutil.Process(pid)
    top.suspend()
    family = [top, *top.children(recursive=True)]
    for one in family:
        one.suspend()
    for one in family:
        one.kill()


@dataclass(frozen=True)
class Answer:
    """A response, its body decoded when it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


def request(
    port: int,
    path: str,
    *,
    method: str = "GET",
    payload: object | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 15.0,
) -> Answer:
    """One request to loopback on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    sent = dict(headers or {})
    body = None
    if payload is not None:
        body = json.dumps(payload)
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        raw = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    decoded: Any = raw
    if raw and found.get("content-type", "").startswith("application/json"):
        decoded = json.loads(raw)
    return Answer(response.status, found, decoded)


@dataclass
class Running:
    """One started process."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    probe_port: int
    log: Path

    def lines(self) -> list[str]:
        """What it has written so far."""
        return self.log.read_text(errors="replace").splitlines()

    def said(self, text: str) -> bool:
        """Whether a line holds `text`."""
        return any(text in line for line in self.lines())

    def probe(self, path: str) -> Answer:
        """Ask its probe listener."""
        return request(self.probe_port, path)

    def redis(self) -> Any:
        """What its /health/dependencies says of Redis."""
        return self.probe("/health/dependencies").body["redis"]

    def serving(self) -> bool:
        """Whether /health/live answers 200; raises when the process has ended instead."""
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n" + "\n".join(self.lines()[-30:]))
        with contextlib.suppress(OSError, HTTPException):
            return self.probe("/health/live").status == 200
        return False


@dataclass
class System:
    """A set of processes that share a folder, a database and a Redis; use `running_system` to have it end by itself."""

    folder: Path
    redis_url: str
    database_url: str
    environment: dict[str, str] = field(default_factory=dict)
    # By a process's name, the module of the tests that runs it with something of its own.
    modules: dict[str, str] = field(default_factory=dict)
    started: dict[str, Running] = field(default_factory=dict)

    def start(self, *names: str) -> "System":
        """Start these processes (all three by default), without waiting for them; "worker-2" is a second worker."""
        for name in names or NAMES:
            self.started[name] = self._start(name)
        return self

    def _start(self, name: str) -> Running:
        port, probe_port = free_port(), free_port()
        kind = name.partition("-")[0]
        log = self.folder / f"{name}.log"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HONCHO_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "PORT": str(port),
            "SHUTDOWN_GRACE_S": "10",
            **self.environment,
        }
        if kind == "status_api":
            environment["PROBE_PORT"] = str(probe_port)
        else:
            probe_port = port
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._command(kind)],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        return Running(name, process, port, probe_port, log)

    def _command(self, kind: str) -> str:
        command = procfile_command(kind)
        return re.sub(r"-m \S+", f"-m {self.modules[kind]}", command) if kind in self.modules else command

    def __getitem__(self, name: str) -> Running:
        return self.started[name]

    def wait_serving(self, timeout_s: float = 30.0) -> None:
        """Wait until every process answers its liveness probe."""
        self.wait_each(Running.serving, timeout_s, "serve")

    def api(self, path: str, **arguments: Any) -> Answer:
        """Ask the API's main listener."""
        return request(self["status_api"].port, path, **arguments)

    def ready(self, name: str) -> Any:
        """The body of a process's /health/ready."""
        return self[name].probe("/health/ready").body

    def wait_status(self, status: str, timeout_s: float = 30.0) -> None:
        """Wait until every process's readiness says `status`."""
        self.wait_each(lambda running: self.ready(running.name)["status"] == status, timeout_s, f"be {status}")

    def wait_each(self, condition: Callable[[Running], object], timeout_s: float, what: str) -> None:
        """Wait until `condition` holds for every process."""
        for running in self.started.values():
            wait_for(partial(condition, running), timeout_s, f"{running.name} to {what}")

    def wait_said(self, text: str, timeout_s: float = 10.0, *, name: str | None = None) -> None:
        """Wait until the named process, or every one, has logged `text`."""
        for running in [self[name]] if name else self.started.values():
            wait_for(partial(running.said, text), timeout_s, f"{running.name} to say {text!r}")

    def wait_runs(self, state: str, *, at_least: int = 1, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Wait until the API lists that many runs in `state`, and none that is still open; return them."""

        def settled() -> list[dict[str, Any]] | None:
            answer = self.api("/api/v1/runs?limit=500")
            if answer.status != 200:
                return None
            runs = answer.body["runs"]
            open_runs = [run for run in runs if run["state"] in {"pending", "queued", "running"}]
            found = [run for run in runs if run["state"] == state]
            return found if len(found) >= at_least and not open_runs else None

        return wait_for(settled, timeout_s, f"{at_least} runs {state}, none open") or []

    def stop(self) -> dict[str, int]:
        """SIGTERM to each, then their exit codes; what does not end is killed and counts as -9."""
        for running in self.started.values():
            if running.process.poll() is None:
                running.process.send_signal(signal.SIGTERM)
        codes = {}
        for name, running in self.started.items():
            try:
                codes[name] = running.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                running.process.kill()
                codes[name] = running.process.wait(STOP_S)
        return codes

    def tail(self) -> str:
        """The end of every log, for a failure's message."""
        return "\n".join(f"--- {name}\n" + "\n".join(running.lines()[-25:]) for name, running in self.started.items())


@contextlib.contextmanager
def running_system(
    folder: Path, *, redis_url: str, database_url: str | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[System]:
    """A System whose processes are ended by their ids, whatever happens in between."""
    system = System(folder, redis_url, database_url or f"sqlite:///{folder}/holdfast.db", dict(environment or {}))
    try:
        yield system
    except BaseException:
        sys.stderr.write(system.tail() + "\n")
        raise
    finally:
        system.stop()
