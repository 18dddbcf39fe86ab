"""The values that the life of the connection is made of; `shared.core.connection` holds its rules."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.core.backoff import Backoff
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection_lines import Line
from shared.core.health import Transition

TRANSITIONS_KEPT: Final = 20
# Reasons of changes that are no failure.
STARTED: Final = "STARTED"
CONNECTED: Final = "CONNECTED"


class LinkState(StrEnum):
    """States of the link."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of the state. `reason_code` is the failure's code, or STARTED, CONNECTED, CLOSED; `at` is UTC."""

    previous: LinkState
    current: LinkState
    reason_code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, on the monotonic clock for spans and as UTC for people."""

    mono_s: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may choose. A link that is lost `flap_losses` times in `flap_window_s` is unstable."""

    startup_attempts: int = 20
    backoff: Backoff = field(default_factory=Backoff)
    flap_losses: int = 4
    flap_window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """All that the link remembers. Frozen, so that any thread may read a snapshot without a lock.

    `attempt` is the scheduled attempt under way or next, `failed_attempts` those that failed since the last connection,
    `causes` the codes already spoken of since then, `failure` the latest and when it was first seen, `degraded` what
    is amiss while connected; `limit_told` is the last such code that got a line, and when, `limit_ends_told` whether
    the present one is to get another at its end.
    """

    state: LinkState = LinkState.DISCONNECTED
    ever_connected: bool = False
    attempt: int = 1
    failed_attempts: int = 0
    began_at_s: float = 0.0
    connected_at_s: float | None = None
    next_attempt_at_s: float | None = None
    failure: Failure | None = None
    failure_at: datetime | None = None
    degraded: Failure | None = None
    degraded_at: datetime | None = None
    limit_told: tuple[Code, float] | None = None
    limit_ends_told: bool = False
    causes: frozenset[Code] = frozenset()
    losses_s: tuple[float, ...] = ()
    unstable_at_s: float | None = None
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from an event: the new memory, the lines to log, the change of state if there was one."""

    memory: Memory
    lines: tuple[Line, ...] = ()
    change: StateChange | None = None

    def entering(self, state: LinkState, reason: str, now: Instant) -> "Step":
        """This step, with `state` entered for `reason`; nothing changes when that is the state already."""
        before = self.memory
        if state is before.state:
            return self
        change = StateChange(previous=before.state, current=state, reason_code=str(reason), at=now.at)
        seen = Transition(at=now.at, previous=str(before.state), current=str(state), reason=str(reason))
        kept = (*before.transitions, seen)[-TRANSITIONS_KEPT:]
        return replace(self, memory=replace(before, state=state, transitions=kept), change=change)
