"""When the daily job is registered: not before Redis was connected once, and then for good."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from loguru import logger

from shared.core.health import RedisHealth
from shared.observability import events

# How long a start waits for the first word of Redis before it says that the job has to wait.
PATIENCE_S: Final = 3.0
CONNECTED: Final = "connected"


class Step(Enum):
    """What to do about the job now."""

    NOTHING = auto()
    TELL_DEFERRED = auto()
    REGISTER = auto()


def next_step(*, registered: bool, told: bool, health: RedisHealth, waited_s: float) -> Step:
    """Decide by the connection's state. A start that merely is not connected yet is not worth a warning."""
    if registered:
        return Step.NOTHING
    if health.status == CONNECTED:
        return Step.REGISTER
    no_word_yet = health.status == "connecting" and health.details.error is None and waited_s < PATIENCE_S
    return Step.NOTHING if told or no_word_yet else Step.TELL_DEFERRED


class Link(Protocol):
    """What registration needs of the Redis link."""

    def health(self) -> RedisHealth:
        """Its state, without I/O."""
        ...


class Registration:
    """Calls `register` once, at the first turn that finds Redis connected."""

    def __init__(self, link: Link, register: Callable[[], object], *, clock: Callable[[], float]) -> None:
        self._link = link
        self._register = register
        self._clock = clock
        self._began_s = clock()
        self._told = False
        self.registered = False

    def turn(self) -> None:
        """Look once. An error of `register` is raised, and the next turn tries again."""
        waited_s = self._clock() - self._began_s
        step = next_step(registered=self.registered, told=self._told, health=self._link.health(), waited_s=waited_s)
        if step is Step.TELL_DEFERRED:
            self._told = True
            bound = logger.bind(event=events.SCHEDULE_DEFERRED)
            bound.warning("Could not schedule Daily Cost Collection Job - Redis may not be ready yet")
        elif step is Step.REGISTER:
            self._register()
            self.registered = True
            bound = logger.bind(event=events.SCHEDULE_REGISTERED)
            bound.info("Daily Cost Collection Job scheduled successfully")
