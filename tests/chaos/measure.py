"""Who keeps asking while a fault stands: each asker on a thread of its own, keeping what it was told and when."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from tests.support.system import Answer, Running, request

ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One question: when it was asked, how long the answer took, its status (0: there was none), what it said."""

    at_s: float
    took_s: float
    status: int
    said: Any = None

    @property
    def end_s(self) -> float:
        """When the answer was there."""
        return self.at_s + self.took_s


class Asker(threading.Thread):
    """Asks `path` of `port` every `every_s` until stopped; `keep` says what of an answer is worth keeping."""

    def __init__(
        self, port: int, path: str, *, every_s: float, keep: Callable[[Answer], Any] = lambda _answer: None
    ) -> None:
        super().__init__(name=f"ask {port}{path}", daemon=True)
        self.samples: list[Sample] = []
        self._where = (port, path)
        self._every_s = every_s
        self._keep = keep
        self._stop_asking = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def run(self) -> None:
        """Ask, at the pace given, however long an answer takes."""
        due_s = time.monotonic()
        while not self._stop_asking.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + self._every_s, time.monotonic())
            if self.go.is_set():
                self.samples.append(self._ask())

    def stop(self) -> None:
        """End the thread."""
        self._stop_asking.set()
        self.join(ANSWER_WITHIN_S + 1)

    def between(self, from_s: float, to_s: float) -> list[Sample]:
        """The questions of that time."""
        return [sample for sample in list(self.samples) if from_s <= sample.at_s <= to_s]

    def latest(self, since_s: float) -> Sample | None:
        """The newest, unless it was asked before `since_s`."""
        newest = self.samples[-1] if self.samples else None
        return newest if newest and newest.at_s >= since_s else None

    def _ask(self) -> Sample:
        began_s = time.monotonic()
        try:
            answer = request(*self._where, timeout_s=ANSWER_WITHIN_S)
        except (OSError, HTTPException) as error:
            return Sample(began_s, time.monotonic() - began_s, 0, repr(error))
        took_s = time.monotonic() - began_s
        return Sample(began_s, took_s, answer.status, self._keep(answer))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for runs: when, the runs promised (202), and whether they were sent."""

    at_s: float
    status: int
    runs: tuple[int, ...] = ()
    dispatch: str = ""


class Requester(threading.Thread):
    """Asks for runs of one account after another."""

    def __init__(self, port: int, accounts: tuple[str, ...], *, every_s: float) -> None:
        super().__init__(name="requester", daemon=True)
        self.asked: list[Asked] = []
        self._port = port
        self._accounts = accounts
        self._every_s = every_s
        self._stop_asking = threading.Event()
        self._asking = threading.Lock()
        self.go = threading.Event()

    def run(self) -> None:
        """Ask whenever `go` is set."""
        number = 0
        while not self._stop_asking.wait(self._every_s):
            with self._asking:
                if self.go.is_set():
                    self.ask(self._accounts[number % len(self._accounts)])
                    number += 1

    def wait_idle(self) -> None:
        """Once `go` is cleared: wait for the answer to whatever was asked before."""
        with self._asking:
            pass

    def stop(self) -> None:
        """End the thread."""
        self._stop_asking.set()
        self.join(ANSWER_WITHIN_S + 1)

    def ask(self, account: str | None = None, **days: str) -> Asked:
        """Ask for one account, or for all."""
        payload = {**({"account": account} if account else {}), **days}
        began_s = time.monotonic()
        try:
            answer = request(self._port, "/api/v1/runs", method="POST", payload=payload, timeout_s=ANSWER_WITHIN_S)
        except (OSError, HTTPException):
            asked = Asked(began_s, 0)
        else:
            asked = Asked(began_s, answer.status, *_promise(answer))
        self.asked.append(asked)
        return asked

    def promised(self, from_s: float = 0.0, to_s: float = float("inf")) -> list[int]:
        """The runs that were promised in that time, in the order of asking."""
        return [run for asked in list(self.asked) if from_s <= asked.at_s <= to_s for run in asked.runs]


def _promise(answer: Answer) -> tuple[tuple[int, ...], str]:
    if answer.status != 202:
        return (), ""
    return tuple(int(run["id"]) for run in answer.body["runs"]), str(answer.body["dispatch"])


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a process's log that belongs to no run and no request, and when it was seen."""

    at_s: float
    pid: int
    text: str


class LogTail(threading.Thread):
    """Reads along what a process writes. Arrival counts, since the clock of a line may be the fault."""

    def __init__(self, running: Running) -> None:
        super().__init__(name=f"tail {running.name}", daemon=True)
        self.lines: list[LogLine] = []
        # Whoever's lines they are: an error that nobody foresaw.
        self.tracebacks: list[str] = []
        self._log = running.log
        self._position = running.log.stat().st_size
        self._rest = b""
        self._stop_reading = threading.Event()

    def run(self) -> None:
        """Read until stopped."""
        while not self._stop_reading.wait(0.05):
            self._read()
        self._read()

    def stop(self) -> None:
        """End the thread once everything has been read."""
        self._stop_reading.set()
        self.join(5)

    def _read(self) -> None:
        with self._log.open("rb") as log:
            log.seek(self._position)
            new = log.read()
        self._position += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        self.lines += [line for raw in whole for line in _counted(raw, time.monotonic())]
        self.tracebacks += [_shown(raw) for raw in whole if b"Traceback (most recent" in raw or b'"exception":' in raw]


def _counted(raw: bytes, at_s: float) -> Iterator[LogLine]:
    text = raw.decode(errors="replace")
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        # Nothing of ours writes like this: it counts, whoever it was.
        yield LogLine(at_s, 0, text)
    elif "scope" not in line:
        yield LogLine(at_s, int(line["pid"]), f"{line['level']} {line['message']}")


def _shown(raw: bytes) -> str:
    """A line with a traceback, in short."""
    text = raw.decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        line = json.loads(text)
        return f"traceback: {line['message']}: {line['exception'].splitlines()[-1]}"
    return f"traceback: {text}"


def now() -> tuple[float, datetime]:
    """This instant, on the monotonic clock and as UTC."""
    return time.monotonic(), datetime.now(UTC)
