"""`make run`, without the installation: from nothing to complete coverage, and how it ends."""

import csv
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from holdfast_cli.devrun import Ports, port_is_free
from tests.support.system import free_port, request
from tests.support.waiting import wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("status_api", "scheduler", "worker", "redis")
COMPLETE_S = 60.0


@dataclass
class DevRun:
    """A started `make run` in a folder of its own."""

    process: subprocess.Popen[bytes]
    place: Path
    port: int

    @property
    def log(self) -> str:
        return (self.place / "log").read_text()

    def complete(self) -> bool:
        """Whether every day of every account is there."""
        try:
            answer = request(self.port, "/api/v1/coverage")
        except OSError:
            assert self.process.poll() is None, self.log
            return False
        if answer.status != 200:
            return False
        states = [day["state"] for account in answer.body["accounts"] for day in account["days"]]
        return len(states) >= 30 and set(states) == {"complete"}

    def started(self, name: str) -> bool:
        """Whether a process says that it serves."""
        return re.search(rf" {name}\.1 +\| .*(Server started|Embedded Redis: Ready)", self.log) is not None

    def alive(self) -> list[str]:
        """What runs in this run's folder."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd", "status"]):
            facts = process.info
            if facts["cwd"] == str(self.place) and facts["status"] != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(facts['cmdline'] or [])}")
        return found

    def sums(self) -> dict[str, Decimal]:
        """What the exports hold, by currency, read with nothing of ours."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for path in self.place.glob("var/exports/*/*.csv"):
            with path.open(newline="") as rows:
                for row in csv.DictReader(rows):
                    sums[row["BillingCurrency"]] += Decimal(row["BilledCost"])
        return dict(sums)


def free_base() -> int:
    """A base port from which all that the processes need are free."""
    for _ in range(200):
        base = free_port()
        if base < 65_000 and all(port_is_free(port) for port in Ports(base).all()):
            return base
    raise AssertionError("no free base port")


def bare_path(tmp_path: Path) -> str:
    """A PATH with a shell and nothing else: no Redis, no PostgreSQL."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name in ("sh", "kill", "sleep"):
        target = next(Path(base, name) for base in ("/bin", "/usr/bin") if Path(base, name).exists())
        if not (folder / name).exists():
            (folder / name).symlink_to(target)
    return str(folder)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], DevRun]]:
    place = tmp_path / "place"
    place.mkdir()
    (place / "Procfile.dev").symlink_to(ROOT / "Procfile.dev")
    port, redis_port = free_base(), free_port()
    runs: list[DevRun] = []

    def begin() -> DevRun:
        environment = {
            "PATH": bare_path(tmp_path),
            "HOME": str(tmp_path),
            "PORT": str(port),
            "REDIS_URL": f"redis://localhost:{redis_port}/0",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "holdfast_cli.devrun"]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        runs.append(DevRun(process, place, port))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(15)
        wait_for(lambda run=run: not run.alive(), 20, "an end of every process")  # type: ignore[misc] # bound per run


def test_it_collects_the_samples_by_itself_and_ctrl_c_ends_every_process_with_0(start) -> None:
    run = start()
    wait_for(run.complete, COMPLETE_S, "coverage of every day")
    totals = request(run.port, "/api/v1/costs").body["totals"]
    assert {total["currency"]: Decimal(total["amount"]) for total in totals} == run.sums()

    run.process.send_signal(signal.SIGINT)
    run.process.wait(20)
    wait_for(lambda: not run.alive(), 20, "an end of every process")
    ends = dict(re.findall(r"(\w+)\.1 stopped \(rc=(-?\d+)\)", run.log))
    assert ends == dict.fromkeys(PROCESSES, "0"), run.log


def test_it_can_be_run_again_and_a_killed_honcho_leaves_nothing_behind(start) -> None:
    first = start()
    wait_for(first.complete, COMPLETE_S, "coverage of every day")
    first.process.send_signal(signal.SIGINT)
    first.process.wait(20)

    second = start()
    wait_for(second.complete, COMPLETE_S, "coverage of every day")
    # Whoever starts after its manager has died cannot know of one: each must be past its start.
    wait_for(lambda: all(second.started(name) for name in PROCESSES), COMPLETE_S, "a start of every process")
    os.kill(second.process.pid, signal.SIGKILL)
    second.process.wait(20)
    wait_for(lambda: not second.alive(), 20, "an end of every process")


def test_a_taken_port_is_told_before_anything_starts(start) -> None:
    running = start()
    wait_for(lambda: running.process.poll() is not None or "API listens" in running.log, 30, "the API")
    other = subprocess.run(
        [sys.executable, "-m", "holdfast_cli.devrun"],
        cwd=running.place,
        env={"PATH": os.environ["PATH"], "PORT": str(running.port), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert other.returncode == 2
    assert f"Port {running.port} is taken, status_api needs it" in other.stderr
    assert "started" not in other.stdout
