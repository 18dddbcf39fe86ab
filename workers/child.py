"""A worker process put together: what Dramatiq runs, and what watches over it."""

import os
import signal
import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final

from dramatiq import Broker, Middleware, Worker
from dramatiq.common import iter_queue
from dramatiq.middleware import TimeLimit
from loguru import logger

from shared.bootstrap.container import Container
from shared.bootstrap.dispatching import marker_key, read_marker
from shared.core.errors import DatabaseUnavailableError
from shared.ledger.migrate import MigratorState
from shared.messaging.broker import LinkBroker, build_broker
from shared.observability import events
from workers.actors import register
from workers.board import BoardClient
from workers.collect import Collector
from workers.credentials import CredentialChecks, DatabaseCredentials
from workers.direct import DirectMode
from workers.ending import Ending
from workers.env import BOARD, LIFELINE
from workers.facts import ChildFacts, Intake, Phase
from workers.health import STALE_S
from workers.hints import HintsWatch
from workers.holdings import Held, Holdings, Renewals
from workers.ledger import DatabaseLedger, Fetcher
from workers.lifeline import Lifeline
from workers.reporter import Reporter

# Dramatiq hands these on to its own shutdown, which takes up to a second to begin; ours begins at once.
END_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
# Half of what all last words may take.
BREAK_OFF_S: Final = 0.3


class Child:
    """One worker process. Building it starts nothing."""

    def __init__(self, container: Container, environment: Mapping[str, str] = os.environ) -> None:
        settings = container.settings
        self._container = container
        self._grace_s = settings.shutdown_grace_s
        self._threads = settings.worker_threads
        self._worker: Worker | None = None
        self._stopped = threading.Event()
        self.broker: LinkBroker = build_broker(
            container.link, namespace=settings.redis_namespace, middleware=[TimeLimit(), _Adoption(self)]
        )
        self._holdings = Holdings()
        self._ledger = DatabaseLedger(container.db, container.process_id)
        self._renewals = Renewals(
            self._holdings, self._ledger.renew, interval_s=settings.run_renew_s, max_s=settings.run_max_s
        )
        self._board = BoardClient(Path(environment[BOARD]))
        self._reporter = Reporter(self._board, self.facts, self._gist)
        ending = threading.Event()
        self._credentials = CredentialChecks(
            DatabaseCredentials(container.db),
            container.accounts,
            may_check=lambda: container.migrator.state is MigratorState.READY and not ending.is_set(),
        )
        self._collector = Collector(
            self._ledger,
            fetch=Fetcher(container.accounts),
            policy=container.retry_policy,
            holdings=self._holdings,
            draining=ending,
            suspect=self._credentials.suspect,
        )
        self._ending = Ending(
            self._holdings,
            requested=ending,
            stop_intake=self._stop_intake,
            hand_back=self._hand_back,
            closers=(self._give_back_hints, container.stop),
            leave=self._leave,
        )
        self._hints = HintsWatch(self.broker, health=container.link.health, is_foreign=self._is_foreign)
        self._direct = DirectMode(
            usable=self._hints.usable,
            take_next=self._take_next,
            work=self._collector.work,
            has_room=lambda: len(self._holdings) < self._threads,
            after_s=settings.direct_after_s,
        )
        self._lifeline = Lifeline(int(environment[LIFELINE]), lambda: self._ending.begin(0.0))
        register(self.broker, self._collector.on_hint, run_max_s=settings.run_max_s)

    def start(self) -> None:
        """Start everything but Dramatiq's threads, which its command line starts next."""
        for number in END_SIGNALS:
            signal.signal(number, lambda *_: self._ending.begin(self._grace_s))
        self._ending.start()
        self._lifeline.start()
        self._container.draining_by(self._ending.requested.is_set)
        self._container.link.on_change(self._hints.changed)
        self._container.link.on_change(self._reporter.changed)
        self._container.checks.on_change(self._reporter.changed)
        self._container.migrator.on_ready(self._miss_hints)
        self._container.start()
        self._renewals.start()
        self._hints.start()
        self._direct.start()
        self._credentials.start()

    def adopt(self, worker: Worker) -> None:
        """Dramatiq's threads are there: report them from now on."""
        self._worker = worker
        self._reporter.start()

    def facts(self) -> ChildFacts:
        """This process as it is now, from memory."""
        return ChildFacts(
            pid=os.getpid(),
            master_pid=os.getppid(),
            phase=self._phase(),
            intake=Intake.QUEUE if self._hints.usable() else self._direct.intake,
            beats=self._beats(),
            threads=sum(thread.is_alive() for thread in self._worker.workers) if self._worker else 0,
            expected_threads=self._threads,
            runs=len(self._holdings),
            checks=self._container.health.checks(),
            dependencies=self._container.health.dependencies(),
        )

    def _gist(self) -> Hashable:
        redis = self._container.link.health()
        details = redis.details
        database = self._container.checks.results()["database"].status
        told = (redis.status, details.attempt, details.retry_count, details.error, details.degraded)
        return *told, database, self._direct.intake

    def _phase(self) -> Phase:
        if self._stopped.is_set():
            return Phase.STOPPED
        return Phase.DRAINING if self._ending.requested.is_set() else Phase.WORKING

    def _beats(self) -> dict[str, float | None]:
        consumers = self._worker.consumers if self._worker else {}
        pulses = self.broker.pulses
        return {
            **{
                f"consumer of {queue}": pulses[queue].age_s() if thread.is_alive() and queue in pulses else None
                for queue, thread in consumers.items()
            },
            **{
                part.thread.name: part.pulse.age_s() if part.thread.is_alive() else None
                for part in (self._renewals, self._hints, self._direct)
            },
            "redis supervisor": 0.0 if self._container.link.supervisor_alive(STALE_S) else None,
        }

    def _miss_hints(self) -> None:
        """Not wait out the minute after which hints are sent again: those that a killed process had taken are gone."""
        try:
            self._ledger.hints_gone()
        except DatabaseUnavailableError as error:
            logger.bind(event=events.DATABASE_LOST, error=error.summary).debug("Hints are sent again in their time")

    def _is_foreign(self) -> bool:
        marker = read_marker(self._container.link.client, marker_key(self._container.settings.redis_namespace))
        return marker is not None and marker != str(self._ledger.ledger_id())

    def _take_next(self) -> Held | None:
        if self._ending.requested.is_set():
            return None
        claim = self._ledger.claim_next()
        return None if claim is None else self._collector.hold(claim, Intake.DIRECT)

    def _stop_intake(self) -> None:
        self.broker.pause("draining")
        self._direct.stop()
        self._credentials.stop()
        for thread in self._worker.workers if self._worker else ():
            thread.stop()
        self._reporter.changed()

    def _hand_back(self, held: Held) -> None:
        # A store under way holds the very rows that handing back needs.
        self._container.db.break_off_writes(BREAK_OFF_S)
        self._collector.hand_back(held)

    def _give_back_hints(self) -> None:
        """Hints that no thread has begun go back to the queue, for other workers."""
        if self._worker:
            for item in iter_queue(self._worker.work_queue):  # type: ignore[no-untyped-call] # Dramatiq's
                self._worker.consumers[item.message.queue_name].requeue_messages([item.message])

    def _leave(self) -> None:
        self._stopped.set()
        self._reporter.stop()
        # Threads may still be at work that was handed back; nothing of theirs is worth waiting for.
        os._exit(0)


class _Adoption(Middleware):
    """Tells the child when Dramatiq has started its threads."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 - Dramatiq's signature
        """All threads exist now."""
        self._child.adopt(worker)
