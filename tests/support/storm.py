"""Many processes with a real link each, forked from one small parent, that write down when they connect."""

import contextlib
import gc
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from loguru import logger

from shared.redis_link import LinkConfig, RedisLink
from tests.support.proxy import TcpProxy
from tests.support.waiting import wait_for

BUCKET_S = 0.1
BUCKETS = 3000
# Of each process: when it was last connected and last lost, and its connects in each bucket of time.
SLOT_BYTES = 16
ROW_BYTES = SLOT_BYTES + 2 * BUCKETS


class Storm:
    """`count` links to one URL, each in a process of its own. They end with `close`, or with this process."""

    def __init__(self, url: str, count: int, **options: Any) -> None:
        self.count = count
        self.began_s = time.monotonic()
        self.pids: list[int] = []
        self._config = LinkConfig(url=url, **options)
        self._memory = mmap.mmap(-1, count * ROW_BYTES)
        self._lifeline = os.pipe()

    def __enter__(self) -> Self:
        sys.stdout.flush()
        # Collected objects would be written to, and each process would get a copy of its own of their pages.
        gc.collect()
        gc.freeze()
        for number in range(self.count):
            pid = os.fork()
            if pid == 0:
                self._be_a_process(number)
            self.pids.append(pid)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in self._lifeline:
            os.close(descriptor)
        self._memory.close()
        gc.unfreeze()

    def connected(self) -> int:
        """How many are connected now."""
        return sum(up > down for up, down in self._moments())

    def wait_connected(self, timeout_s: float = 60.0) -> None:
        """Wait until all are."""
        wait_for(lambda: self.connected() == self.count, timeout_s, f"all {self.count} to be connected")

    def wait_lost(self, timeout_s: float = 60.0) -> None:
        """Wait until none is."""
        wait_for(lambda: self.connected() == 0, timeout_s, "all to notice the loss")

    def connected_at_s(self) -> list[float]:
        """When each was last connected, on the monotonic clock, the first one first."""
        return sorted(up for up, _ in self._moments())

    def connects(self, from_s: float, until_s: float) -> list[int]:
        """How many connects all of them began in each tenth of a second of that time."""
        first, last = self._bucket(from_s), self._bucket(until_s)
        rows = [self._row(number) for number in range(self.count)]
        return [sum(row[bucket] for row in rows) for bucket in range(first, last)]

    def cpu_s(self) -> float:
        """Processor time that all of them have used so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """What all of them take together, shared pages counted once."""
        kilobytes = 0
        for pid in self.pids:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1024

    def _bucket(self, at_s: float) -> int:
        return min(int((at_s - self.began_s) / BUCKET_S), BUCKETS - 1)

    def _moments(self) -> list[Sequence[float]]:
        views = [memoryview(self._memory)[number * ROW_BYTES :][:SLOT_BYTES].cast("d") for number in range(self.count)]
        return [tuple(view) for view in views]

    def _row(self, number: int) -> Sequence[int]:
        begin = number * ROW_BYTES
        return list(memoryview(self._memory)[begin + SLOT_BYTES : begin + ROW_BYTES].cast("H"))

    def _be_a_process(self, number: int) -> NoReturn:
        """Until the parent is gone. Nothing of the parent's is cleaned up here."""
        try:
            os.close(self._lifeline[1])
            logger.remove()
            row = memoryview(self._memory)[number * ROW_BYTES : (number + 1) * ROW_BYTES]
            moments, buckets = row[:SLOT_BYTES].cast("d"), row[SLOT_BYTES:].cast("H")

            def count(event: str, _: object) -> None:
                if event == "socket.connect":
                    buckets[self._bucket(time.monotonic())] += 1

            def note(change: Any) -> None:
                moments[0 if change.current == "connected" else 1] = time.monotonic()

            sys.addaudithook(count)
            link = RedisLink(self._config, name="storm")
            link.on_change(note)
            link.start()
            os.read(self._lifeline[0], 1)
        finally:
            os._exit(0)


class ForkedProxy:
    """The accepting proxy in a process of its own, so that it does not share a processor lock with who measures."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._memory = mmap.mmap(-1, 16)
        self._numbers = memoryview(self._memory).cast("q")
        self._pid = 0

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return int(self._numbers[1])

    def __enter__(self) -> Self:
        self._pid = os.fork()
        if self._pid == 0:
            self._serve()
        wait_for(lambda: self._numbers[0], 10, "the proxy to listen")
        self.url = f"redis://127.0.0.1:{self._numbers[0]}/0"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _serve(self) -> NoReturn:
        parent = os.getppid()
        # Two threads for each connection: with the usual stacks hundreds of them would reserve gigabytes.
        threading.stack_size(256 * 1024)
        with TcpProxy(self._target_port) as proxy:
            self._numbers[0] = proxy.port
            pace = threading.Event()
            while os.getppid() == parent:
                self._numbers[1] = proxy.accepted
                pace.wait(0.02)
        os._exit(0)
