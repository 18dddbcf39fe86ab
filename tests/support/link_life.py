"""A link's life on a clock of its own: the rules and the log's limits at work, without a thread or a socket."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.core import connection
from shared.core.classify import Failure
from shared.core.codes import Code, ErrorClass, Wake
from shared.core.connection import Instant, LinkState, Memory, Policy, Step
from shared.observability.flood import Away, FloodControl, Kind, kind_of
from shared.redis_link.registrar import EVENTS

DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
TICK_S: Final = 0.25
RETRY_S: Final = 1.0
MINUTE_S: Final = 60.0
CALM_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What Redis does for a while; `code` None: it serves."""

    code: Code | None
    ticks: int


@dataclass(slots=True)
class Outage:
    """From its first loss until the link is connected for good; `ended_s` None while it lasts.

    What is said of its end comes after it. So does what was said at its first end: that it flaps was not known yet.
    """

    began_s: float
    ended_s: float | None = None
    first_end_s: float | None = None
    flaps: bool = False

    def takes_in(self, lost_s: float, before_s: float) -> bool:
        """Whether a loss belongs to it: soon after the one before, or before there was calm, a minute if it flaps."""
        calm_s = MINUTE_S if self.flaps else CALM_S
        return lost_s - before_s < MINUTE_S or (self.ended_s is not None and lost_s - self.ended_s <= calm_s)

    def has(self, at_s: float) -> bool:
        """Whether what was said at this moment counts."""
        return self.began_s <= at_s != self.first_end_s and (self.ended_s is None or at_s < self.ended_s)


@dataclass(frozen=True, slots=True)
class Written:
    """A line that was written, and when."""

    at_s: float
    kind: Kind


@dataclass
class LinkLife:
    """Lives through `phases`; while Redis is away, libraries log `noise` lines at every tick."""

    policy: Policy
    phases: Sequence[Phase]
    noise: int = 0
    now_s: float = 1000.0
    memory: Memory = field(default_factory=Memory)
    written: list[Written] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    most_losses: int = 0
    _lost_s: float = 0.0

    def live(self) -> None:
        """From start to the last phase's end."""
        self.control = FloodControl(self._away, clock=lambda: self.now_s)
        self._retry_at_s = self.now_s
        self._was_away = False
        self._take(connection.start(self.memory, self._now()))
        for phase in self.phases:
            for _ in range(phase.ticks):
                self._tick(Failure(phase.code) if phase.code else None)

    def minutes(self) -> list[tuple[int, list[Kind]]]:
        """What each minute of each outage has: (its number, its lines)."""
        found: dict[tuple[float, int], list[Kind]] = {}
        for outage in self.outages:
            for line in self.written:
                if outage.has(line.at_s):
                    minute = int((line.at_s - outage.began_s) // MINUTE_S)
                    found.setdefault((outage.began_s, minute), []).append(line.kind)
        return [(minute, kinds) for (_, minute), kinds in found.items()]

    def _tick(self, fault: Failure | None) -> None:
        if self.memory.state is LinkState.CONNECTED:
            self._beat(fault)
        elif self.now_s >= (self.memory.next_attempt_at_s or 0.0):
            self._attempt(fault, scheduled=True)
        elif self._looks(fault):
            self._attempt(fault, scheduled=False)
        self._note_outage()
        for _ in range(self.noise if any(self._away()) else 0):
            self._admit(Kind.ORDINARY)
        if self.control.turn():
            self.written.append(Written(self.now_s, Kind.ORDINARY))
        self.now_s += TICK_S

    def _beat(self, fault: Failure | None) -> None:
        if fault is None or _only_limits(fault):
            self._take(connection.beaten(self.policy, self.memory, self._now(), amiss=fault))
        else:
            self._take(connection.lost(self.policy, self.memory, self._now(), failure=fault))

    def _attempt(self, fault: Failure | None, *, scheduled: bool) -> None:
        self._retry_at_s = self.now_s + RETRY_S
        if fault is None or _only_limits(fault):
            self._take(connection.attempt_succeeded(self.policy, self.memory, self._now()))
        elif scheduled:
            self._take(connection.attempt_failed(self.policy, self.memory, self._now(), failure=fault))
        else:
            self._take(connection.extra_attempt_failed(self.policy, self.memory, self._now(), failure=fault))

    def _looks(self, fault: Failure | None) -> bool:
        """Whether a look in between leads to an attempt, by the table in docs/connection.md."""
        known = self.memory.failure
        if known is None or self.memory.failed_attempts == 0:
            return False
        now_other = fault is None or fault.code is not known.code
        accepts = fault is None or fault.wake is not Wake.CONNECT
        leads: dict[Wake, Callable[[], bool]] = {
            Wake.NONE: lambda: False,
            Wake.CONNECT: lambda: accepts,
            Wake.AWAIT: lambda: now_other,
            Wake.RETRY: lambda: self.now_s >= self._retry_at_s,
        }
        return leads[known.wake]()

    def _take(self, step: Step) -> None:
        self.memory = step.memory
        self.most_losses = max(self.most_losses, len(self.memory.losses_s))
        for line in step.lines:
            self._admit(kind_of({"event": EVENTS[line.said]}))

    def _admit(self, kind: Kind) -> None:
        decision = self.control.admit(kind)
        if decision.report:
            self.written.append(Written(self.now_s, Kind.ORDINARY))
        if decision.write:
            self.written.append(Written(self.now_s, kind))

    def _note_outage(self) -> None:
        away = any(self._away())
        if away and not self._was_away:
            if self.outages and self.outages[-1].takes_in(self.now_s, self._lost_s):
                self.outages[-1].ended_s, self.outages[-1].flaps = None, True
            else:
                self.outages.append(Outage(self.now_s))
            self._lost_s = self.now_s
        if self._was_away and not away:
            outage = self.outages[-1]
            outage.ended_s = self.now_s
            outage.first_end_s = outage.first_end_s or self.now_s
        self._was_away = away

    def _away(self) -> Away:
        trying = self.memory.state in {LinkState.CONNECTING, LinkState.FAILED}
        return Away(redis=trying and self.memory.failure is not None)

    def _now(self) -> Instant:
        return Instant(self.now_s, DAY + timedelta(seconds=self.now_s))


def _only_limits(fault: Failure) -> bool:
    """A server without room for the small write is connected; one without room for a client is not."""
    return fault.error_class is ErrorClass.CAPACITY and fault.code is not Code.MAXCLIENTS
