"""Posting what was raised, one after the other, until it has arrived or is given up."""

from collections.abc import Callable
from datetime import date
from typing import Any, Generic, Protocol, TypeVar

from loguru import logger

from scheduler.webhook import NotPostedError, Poster
from shared.observability import events
from shared.observability.metrics import ALERTS


class Outgoing(Protocol):
    """Something to be posted by whoever took it; `key` is its own for ever, no try follows the `last`."""

    @property
    def id(self) -> int: ...  # noqa: D102 - as above, and below
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def account(self) -> str: ...  # noqa: D102
    @property
    def day(self) -> date: ...  # noqa: D102
    @property
    def attempt(self) -> int: ...  # noqa: D102
    @property
    def last(self) -> bool: ...  # noqa: D102


Message = TypeVar("Message", bound=Outgoing)
Given_co = TypeVar("Given_co", bound=Outgoing, covariant=True)


class Outbox(Protocol[Given_co]):
    """Where they wait. Each raises DatabaseUnavailableError."""

    def take_alert(self) -> Given_co | None:
        """Take the one that is to be sent now."""
        ...

    def mark_sent(self, alert_id: int) -> None:
        """Note that it has arrived."""
        ...


class Delivery(Generic[Message]):
    """One thread calls `turn` every few seconds, and when something was raised. It may take as long as a post may."""

    def __init__(self, outbox: Outbox[Message], poster: Poster, *, words: Callable[[Message], dict[str, Any]]) -> None:
        self._outbox = outbox
        self._poster = poster
        self._words = words
        self._told: str | None = None
        # Arrived, and the database was away when that was to be noted.
        self._arrived: set[int] = set()

    def turn(self, *, going_on: Callable[[], bool] = lambda: True) -> None:
        """Send what is due, until a try fails. Raises DatabaseUnavailableError."""
        for alert_id in tuple(self._arrived):
            self._note(alert_id)
        while going_on():
            alert = self._outbox.take_alert()
            if alert is None or not self._send(alert):
                return

    def _send(self, alert: Message) -> bool:
        bound = logger.bind(account=alert.account, day=str(alert.day), attempt=alert.attempt)
        try:
            self._poster.post(self._words(alert), key=alert.key)
        except NotPostedError as error:
            ALERTS.labels(outcome="not_sent").inc()
            self._failed(alert, error.summary)
            return False
        self._told = None
        self._arrived.add(alert.id)
        self._note(alert.id)
        ALERTS.labels(outcome="sent").inc()
        bound.bind(event=events.ALERT_SENT).info("Alert: Posted")
        return True

    def _note(self, alert_id: int) -> None:
        self._outbox.mark_sent(alert_id)
        self._arrived.discard(alert_id)

    def _failed(self, alert: Message, problem: str) -> None:
        bound = logger.bind(account=alert.account, day=str(alert.day), attempt=alert.attempt, problem=problem)
        if alert.last:
            ALERTS.labels(outcome="given_up").inc()
            bound.bind(event=events.ALERT_GIVEN_UP).error("Alert: Could not be posted for a day, it is given up")
        elif problem != self._told:
            self._told = problem
            bound.bind(event=events.ALERT_NOT_SENT).warning("Alert: Could not be posted, it is tried again")
