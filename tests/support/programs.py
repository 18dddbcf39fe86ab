"""Small programs around `run_process`, each in a process and a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import sys, threading, time
from shared.bootstrap.lifecycle import run_process
def main(container, drain):
    container.serve_probes()
    container.announce_started()
{body}
sys.exit(run_process("scheduler", main))
"""
ACCOUNTS = '[[account]]\nname = "exports"\nprovider = "focus"\npath = "var/exports/*.csv"\n'


@dataclass
class Program:
    """A started program, its lines in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """All it has written."""
        return self.log.read_text(errors="replace")

    def wait_for_line(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until it has written `text`."""
        wait_for(lambda: text in self.text or self._ended(), timeout_s, f"{text!r} in the log")
        assert text in self.text, self.text

    def _ended(self) -> bool:
        return self.process.poll() is not None


def program(body: str) -> str:
    """Source of a program whose main does `body`."""
    return HEAD.format(body="\n".join(f"    {line}" for line in body.splitlines()))


def environment_of(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a program that runs in `folder`, with Redis nowhere."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ACCOUNTS_FILE": str(folder / "accounts.toml"),
        "DATABASE_URL": f"sqlite:///{folder}/holdfast.db",
        "REDIS_URL": "redis://:planted-password@127.0.0.1:1/0",
        "SHUTDOWN_GRACE_S": "4",
        **more,
    }


@contextmanager
def running(source: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Program]:
    """Run `source`; killed in the end if it still runs."""
    (folder / "accounts.toml").write_text(ACCOUNTS)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", source], cwd=folder, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Program(process, log)
    finally:
        process.kill()
        process.wait()
