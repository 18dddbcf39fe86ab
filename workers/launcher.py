"""The launcher: keeps Dramatiq's processes running, answers probes for them, and ends them in order."""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from loguru import logger

from shared.core.health import CheckResult, CheckStatus, RedisDetails, RedisHealth
from shared.observability import events, metrics
from shared.probes.bodies import Live, Moment, Ready, dependencies_body, ready_answer
from workers.board import Board
from workers.crew import ORPHANS_S, Crew, command, restart_delay_s
from workers.env import BOARD, LAUNCHER_PID, LIFELINE, METRICS, PREFETCH
from workers.facts import Phase
from workers.health import BOOT_S, CrewFacts, checks, dependencies, stuck_reasons

LOOK_S: Final = 0.5
DRAIN_LOOK_S: Final = 0.1
# Beyond the grace: what worker processes need for their last words, and Dramatiq for nothing at all.
LAST_WORDS_S: Final = 0.75
# Dramatiq passes a signal on at once, unless it is itself stuck.
PASSED_ON_S: Final = 0.5
DRAMATIQ_EXIT_S: Final = 0.1


class Drain(Protocol):
    """The request to end, as the process's lifecycle gives it."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is requested."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the launcher starts and where."""

    processes: int
    threads: int
    grace_s: float
    version: str
    redis_url: str
    folder: Path


class Launcher:
    """The source of the worker's health answers, and the keeper of its processes."""

    def __init__(self, plan: Plan, environment: Mapping[str, str] = os.environ) -> None:
        self._plan = plan
        self._board = Board(plan.folder / "board")
        self._metrics_folder = plan.folder / "metrics"
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._crew = Crew(
            command(processes=plan.processes, threads=plan.threads, shutdown_timeout_s=plan.grace_s),
            environment={
                **environment,
                LAUNCHER_PID: str(os.getpid()),
                BOARD: str(self._board.path),
                LIFELINE: str(self._lifeline_read),
                METRICS: str(self._metrics_folder),
                PREFETCH: str(plan.threads),
            },
            inherited=self._lifeline_read,
        )
        self._started_s = time.monotonic()
        self._restarting = False
        self._unstarted: OSError | None = None
        self._draining = threading.Event()

    def moment(self) -> Moment:
        """The present, and how long the launcher has run."""
        return Moment(datetime.now(UTC), time.monotonic() - self._started_s)

    def live(self) -> Live:
        """Whether every worker process works."""
        return Live(tuple(stuck_reasons(self._facts())))

    def ready(self) -> Ready:
        """Whether runs can be collected."""
        return ready_answer(self.checks(), self.moment(), version=self._plan.version, draining=self._draining.is_set())

    def checks(self) -> dict[str, CheckResult]:
        """The checks of all worker processes as one."""
        return checks(self._facts())

    def dependencies(self) -> dict[str, Any]:
        """What the worker processes say of what they depend on."""
        facts = self._facts()
        told = dependencies(facts)
        nothing_yet = RedisHealth("disconnected", is_open=False, details=RedisDetails(url=self._plan.redis_url))
        return dict(told) if told else dependencies_body(nothing_yet, {}, checks(facts), ())

    def metrics_page(self) -> bytes:
        """The metrics of the launcher and of all worker processes."""
        return metrics.render(self._metrics_folder)

    def booted(self) -> bool:
        """Whether every worker process has reported, which on a busy machine takes seconds, or is overdue."""
        return self._complete() or self._facts().since_start_s >= BOOT_S

    def settled(self) -> bool:
        """Whether the first word of Redis and of the database is there."""
        redis = self.dependencies()["redis"]
        word_of_redis = redis["status"] == "connected" or redis["lastError"] is not None
        return word_of_redis and self.checks()["database"].status is CheckStatus.UP

    def start(self) -> None:
        """Start the worker processes. From the main thread, which Linux takes for the whole parent."""
        self._metrics_folder.mkdir()
        self._board.start()
        self._spawn()

    def keep_running(self, drain: Drain) -> None:
        """Start worker processes again whenever they end, until a drain is requested."""
        delay_s = 0.0
        while not drain.wait(LOOK_S):
            if self._unstarted is not None:
                # Nothing has run, so nothing is spared by waiting longer and longer.
                self._spawn()
                continue
            code = self._crew.exit_code()
            if code is None:
                self._restarting = self._restarting and not self._complete()
                continue
            delay_s = restart_delay_s(time.monotonic() - self._crew.started_s, delay_s)
            self._restarting = True
            logger.bind(event=events.PROCESS_CHILD_LOST, exit_code=code, delay_s=delay_s).error(
                "Worker processes ended unexpectedly, starting them again"
            )
            self._bury()
            if not drain.wait(delay_s):
                self._spawn()

    def drain(self, grace_s: float) -> None:
        """Let work in flight end within the grace, then end every process."""
        until_s = time.monotonic() + grace_s + LAST_WORDS_S
        self._draining.set()
        if self._crew.exit_code() is None and self._board.sightings():
            self._crew.terminate()
            self._insist()
            self._wait_stopped(until_s)
        self.stop_at_once()

    def stop_at_once(self) -> None:
        """End every process now. Safe to call twice."""
        self._crew.kill()
        self._board.close()

    def _insist(self) -> None:
        """Reach worker processes whom a stuck Dramatiq keeps the signal from."""
        if not self._board.wait_all_in({Phase.DRAINING, Phase.STOPPED}, PASSED_ON_S):
            self._crew.signal_children([sighting.facts.pid for sighting in self._board.sightings()])

    def _wait_stopped(self, until_s: float) -> None:
        while self._crew.exit_code() is None and time.monotonic() < until_s:
            if self._board.wait_all_in({Phase.STOPPED}, min(DRAIN_LOOK_S, until_s - time.monotonic())):
                # Dramatiq itself looks about once a second whether its children have ended: not worth waiting for.
                self._crew.wait_gone(DRAMATIQ_EXIT_S)
                return
        if self._crew.exit_code() is None:
            logger.bind(event=events.PROCESS_CHILD_LOST, grace_s=self._plan.grace_s).warning(
                "A worker process did not end within the grace and is killed; its runs are taken back by the ledger"
            )

    def _spawn(self) -> None:
        try:
            self._crew.start()
        except OSError as error:
            if self._unstarted is None:
                bound = logger.bind(event=events.PROCESS_CHILD_LOST, reason=error.strerror or str(error))
                bound.error("Worker processes cannot be started on this machine now, trying again")
            self._unstarted, self._restarting = error, True
            return
        self._unstarted = None
        self._board.expect(self._crew.pid)
        logger.bind(event=events.PROCESS_CHILD_STARTED, pid=self._crew.pid, processes=self._plan.processes).info(
            "Worker processes started"
        )

    def _bury(self) -> None:
        pids = [sighting.facts.pid for sighting in self._board.sightings()]
        self._crew.wait_gone(ORPHANS_S)
        self._crew.kill()
        for pid in pids:
            metrics.forget_child(pid, self._metrics_folder)

    def _complete(self) -> bool:
        return len(self._board.sightings()) >= self._plan.processes

    def _facts(self) -> CrewFacts:
        return CrewFacts(
            sightings=self._board.sightings(),
            expected=self._plan.processes,
            since_start_s=time.monotonic() - self._started_s,
            restarting=self._restarting,
            draining=self._draining.is_set(),
        )
