"""One queue under one fault: what was promised, done and written, how soon it was well, whether it lives."""

import contextlib
import os
import re
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.peers.faults import PeerFault
from tests.chaos.peers.jobs import COMMON, SENDER, Peer
from tests.support.redis_server import RedisServer
from tests.support.waiting import pass_time, wait_for

START_S = 60.0
CALM_S = 2.0
SEND_EVERY_S = 0.2
# Beyond what any of them needs to come back by itself.
HEAL_S = 60.0
SETTLE_S = 45.0
GONE_S = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. `healed_s`: from the lift until a job that was sent after it was done; None: never."""

    promised: int
    undone: int
    doubled: int
    healed_s: float | None
    lines_a_minute: float
    exit_code: int | None


@dataclass
class Sender(threading.Thread):
    """Sends one number after another through the queue's own client, in a process of its own."""

    process: "subprocess.Popen[str]"
    sent: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(name="sender", daemon=True)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._next = 0

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Send, at a pace, until stopped."""
        while not self._stopped.wait(SEND_EVERY_S):
            with contextlib.suppress(OSError):
                self.send()

    def send(self) -> bool:
        """Send one more; whether it was taken."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
            began_s = time.monotonic()
            taken = self.process.stdout.readline().startswith("ok")
            if taken:
                self.sent[number] = began_s
            return taken

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self.join(GONE_S)


class Trial:
    """A Redis, a worker and a sender of one queue; ended when the block ends."""

    def __init__(self, peer: Peer, binaries: Path, folder: Path) -> None:
        self._peer = peer
        self._binaries = binaries
        self._folder = folder
        self._log = folder / "log"
        self._done = folder / "done"
        self._stack = contextlib.ExitStack()

    def run(self, fault: PeerFault) -> Outcome:
        """Plant it, watch, lift it, watch."""
        with self._stack:
            self._begin(fault)
            self._sender.start()
            pass_time(CALM_S)
            before = self._lines()
            with contextlib.contextmanager(fault.plant)(self.redis, self._sender.send):
                began_s = time.monotonic()
                pass_time(fault.lasts_s)
                lines, lasted_s = self._lines() - before, time.monotonic() - began_s
            lifted_s = time.monotonic()
            healed_s = self._heal(lifted_s)
            self._sender.stop()
            self._settle()
            return self._outcome(healed_s, lines / lasted_s * 60)

    def _begin(self, fault: PeerFault) -> None:
        self._job_s = fault.job_s
        (self._folder / "jobs.py").write_text(COMMON + self._peer.job)
        (self._folder / "sender.py").write_text(SENDER)
        self._done.touch()
        self.redis = self._stack.enter_context(RedisServer(args=fault.redis_args))
        log = self._stack.enter_context(self._log.open("wb"))
        worker = [part.format(url=self.redis.url) for part in self._peer.worker]
        self._worker = self._start([str(self._binaries / worker[0]), *worker[1:]], stdout=log, stderr=log)
        sending = [str(self._binaries / "python"), "sender.py"]
        process = self._start(sending, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self._sender = Sender(process)
        assert self._sender.send(), f"{self._peer.name} takes no job"
        wait_for(self._numbers, START_S, f"{self._peer.name} to do its first job")

    def _start(self, command: list[str], **streams: object) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "PATH": f"{self._binaries}:{os.environ['PATH']}",
            "PYTHONPATH": str(self._folder),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": self.redis.url,
            "DONE": str(self._done),
            "JOB_S": str(self._job_s),
        }
        process = subprocess.Popen(command, cwd=self._folder, env=environment, start_new_session=True, **streams)  # type: ignore[call-overload] # streams
        self._stack.callback(_end, process)
        return process  # type: ignore[no-any-return] # of the overload

    def _heal(self, lifted_s: float) -> float | None:
        def new_one_done() -> bool:
            done = self._numbers()
            return any(number in done for number, at_s in list(self._sender.sent.items()) if at_s >= lifted_s)

        with contextlib.suppress(AssertionError):
            wait_for(new_one_done, HEAL_S, "a job sent after the lift")
            return time.monotonic() - lifted_s
        return None

    def _settle(self) -> None:
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self._sender.sent.keys() <= self._numbers().keys(), SETTLE_S, "every job")
        # Whoever does a job twice does so soon after.
        pass_time(CALM_S)

    def _outcome(self, healed_s: float | None, lines_a_minute: float) -> Outcome:
        done = self._numbers()
        return Outcome(
            promised=len(self._sender.sent),
            undone=len(self._sender.sent.keys() - done.keys()),
            doubled=sum(times > 1 for times in done.values()),
            healed_s=healed_s,
            lines_a_minute=lines_a_minute,
            exit_code=self._worker.poll(),
        )

    def _numbers(self) -> Counter[int]:
        return Counter(int(line) for line in self._done.read_text().split())

    def _lines(self) -> int:
        """Those that tell of no job."""
        return sum(not re.search(self._peer.job_lines, line) for line in self._log.read_text().splitlines())


def _end(process: "subprocess.Popen[str]") -> None:
    """The group that was started here, and nothing else."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GONE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(GONE_S)
