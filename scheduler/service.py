"""The scheduler's parts, put together: each works in rounds of its own, and none waits for another."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Final

from scheduler.alerting import Alerting
from scheduler.catchup import Clocks, Planner, Span
from scheduler.clock import DailyClock
from scheduler.dispatcher import Dispatcher
from scheduler.housekeeping import DeadHints, OurRedis, Retention
from scheduler.lease import LeaseKeeper, look_interval_s
from scheduler.ledger import SchedulerLedger
from scheduler.registration import CONNECTED, Registration
from scheduler.rounds import Rounds
from scheduler.sums import Sums
from scheduler.timetable import Timetable
from shared.bootstrap.container import Container
from shared.bootstrap.dispatching import Dispatch
from shared.bootstrap.health import STUCK_AFTER_S
from shared.bootstrap.periodic import stop_all
from shared.core.connection import StateChange
from shared.core.health import CheckResult, CheckStatus
from shared.ledger.lease import LeaseWatch
from shared.ledger.migrate import MigratorState
from shared.ledger.retention import forget_old
from shared.messaging.sender import DramatiqSender
from shared.observability.pulse import Pulse

PLANNING_S: Final = 1.0
DISPATCH_S: Final = 0.5
REGISTRATION_S: Final = 0.5
HOUSEKEEPING_S: Final = 1.0
SUMS_S: Final = 1.0


def stopped(name: str, pulse: Pulse) -> str | None:
    """What /health/live says of a thread whose signs of life have stopped, None while they come."""
    return f"The scheduler's {name} thread has stopped" if pulse.age_s() > STUCK_AFTER_S else None


class Scheduler:
    """Built on a container that has not been started. `stop` is safe to call twice, and before `start`."""

    def __init__(self, container: Container) -> None:
        self._container = container
        settings = container.settings
        self._timetable = Timetable.of(settings.cost_schedule, settings.cost_timezone)
        ledger = SchedulerLedger(container.db, container.accounts)
        self._dispatch = Dispatch(
            container.db,
            container.link,
            DramatiqSender(container.link, namespace=settings.redis_namespace),
            settings.redis_namespace,
            settings.dispatch_window,
        )
        self._dispatcher = Dispatcher(self._dispatch, clock=time.monotonic)
        self._dispatching = Rounds(self._dispatcher.turn, name="dispatch", interval_s=DISPATCH_S)
        self._planner = Planner(
            ledger,
            self._timetable,
            Span(settings.cost_window_days, settings.cost_lookback_days, settings.cost_restate_days),
            clocks=Clocks(lambda: datetime.now(UTC), time.monotonic),
            planned=self._dispatching.hurry,
        )
        self._planning = Rounds(self._planner.turn, name="planning", interval_s=PLANNING_S)
        keeper = LeaseKeeper(
            ledger, LeaseWatch(settings.run_lease_s), clock=time.monotonic, taken_back=self._dispatching.hurry
        )
        self._leases = Rounds(keeper.turn, name="leases", interval_s=look_interval_s(settings.run_lease_s))
        self._retention = Retention(
            lambda after: forget_old(container.db, keep_days=settings.run_retention_days, after=after),
            clock=time.monotonic,
        )
        self._dead = DeadHints(
            OurRedis(container.db, container.link, namespace=settings.redis_namespace), clock=time.monotonic
        )
        self._housekeeping = Rounds(self._keep_house, name="housekeeping", interval_s=HOUSEKEEPING_S)
        self._sums = Sums(ledger, clock=time.monotonic)
        # On a thread of its own: after an upgrade it works for minutes.
        self._summing = Rounds(self._sum_up, name="sums", interval_s=SUMS_S)
        self._alerting = Alerting(container)
        self._clock = DailyClock(self._timetable, self._fired)
        self._registration = Registration(container.link, self._register, clock=time.monotonic)
        self._registering = Rounds(
            self._registration.turn, name="registration", interval_s=REGISTRATION_S, outside=False
        )

    def start(self) -> None:
        """Start every part; waits for nothing."""
        self._container.health.add_check("scheduler", self.check)
        for name, pulse in self._pulses():
            self._container.health.add_liveness(partial(stopped, name, pulse))
        self._container.migrator.on_ready(self._planning.hurry)
        self._container.link.on_change(self._link_changed)
        self._clock.start()
        for rounds in self._rounds():
            rounds.start()

    def stop(self) -> None:
        """Plan and send nothing more."""
        self._container.link.off_change(self._link_changed)
        self._clock.stop()
        self._alerting.stop()
        stop_all(self._rounds())

    def check(self) -> CheckResult:
        """Readiness: when the next fire is due, or why none is. From memory."""
        stuck = self.stuck()
        if stuck is not None:
            return CheckResult(CheckStatus.DOWN, message=stuck, vital=True)
        if not self._registration.registered:
            return CheckResult(CheckStatus.DEGRADED, message="Daily job not scheduled yet: waiting for Redis")
        if self._dispatch.foreign is not None:
            return CheckResult(CheckStatus.DEGRADED, message="Nothing is sent: this Redis is another installation's")
        fire = self._timetable.next(datetime.now(UTC))
        return CheckResult(CheckStatus.UP, message=f"Next fire at {fire.at:%Y-%m-%dT%H:%M:%SZ}")

    def stuck(self) -> str | None:
        """Which thread has stopped, the first one of several. Waiting for Redis or the database is not stopping."""
        reasons = (stopped(name, pulse) for name, pulse in self._pulses())
        return next((reason for reason in reasons if reason), None)

    def _link_changed(self, change: StateChange) -> None:
        self._dispatch.changed(change)
        self._registering.hurry()
        if change.current == CONNECTED:
            self._dispatcher.connected()
            self._dispatching.hurry()
            self._planner.catch_up()
            self._planning.hurry()

    def _register(self) -> None:
        self._clock.register()
        self._planner.registered()
        self._planning.hurry()

    def _fired(self) -> None:
        self._planner.fire()
        self._planning.hurry()

    def _keep_house(self) -> None:
        # A newer release's schema is that release's to tidy.
        if self._container.migrator.state is not MigratorState.READY:
            return
        if self._container.settings.run_retention_days:
            self._retention.turn()
        self._dead.turn()

    def _sum_up(self) -> None:
        if self._container.migrator.state is MigratorState.READY:
            self._sums.turn()

    def _rounds(self) -> tuple[Rounds, ...]:
        work = (self._registering, self._planning, self._dispatching, self._leases, self._housekeeping, self._summing)
        return (*work, *self._alerting.rounds)

    def _pulses(self) -> Iterator[tuple[str, Pulse]]:
        yield "clock", self._clock.pulse
        for rounds in self._rounds():
            yield rounds.name, rounds.pulse
