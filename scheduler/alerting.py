"""The dead man's switch as the scheduler runs it: looking and posting on threads of their own."""

import threading
import time
from datetime import date, datetime
from functools import partial
from typing import Final

from scheduler.deadline import DeadMansSwitch, Delivery, deadlines, document
from scheduler.rounds import Rounds
from scheduler.webhook import Webhook
from shared.bootstrap.container import Container
from shared.ledger import alerts
from shared.ledger.alerts import Alert, Look
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.migrate import MigratorState

LOOK_S: Final = 5.0
SEND_S: Final = 5.0


class AlertLedger:
    """The ledger bound to its database. Each method raises DatabaseUnavailableError."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def now(self) -> datetime:
        """Give the database's time."""
        with self._db.read() as connection:
            return now(connection)

    def look_for_overdue(self, day: date, *, post: bool) -> Look:
        """Raise an alert for each account that lacks `day`."""
        return alerts.look_for_overdue(self._db, day=day, post=post)

    def take_alert(self) -> Alert | None:
        """Take the alert that is to be sent now."""
        return alerts.take_alert(self._db)

    def mark_sent(self, alert_id: int) -> None:
        """Note that it has arrived."""
        alerts.mark_sent(self._db, alert_id)


class Alerting:
    """Nothing without COST_DEADLINE; no posting without ALERT_WEBHOOK_URL."""

    def __init__(self, container: Container) -> None:
        self.rounds: tuple[Rounds, ...] = ()
        self._migrator = container.migrator
        self._stopping = threading.Event()
        settings = container.settings
        if settings.cost_deadline is None:
            return
        ledger = AlertLedger(container.db)
        posting: Rounds | None = None
        if settings.alert_webhook_url is not None:
            words = partial(document, deadline=settings.cost_deadline, zone=settings.cost_timezone)
            self._delivery = Delivery(ledger, Webhook(settings.alert_webhook_url), words=words)
            posting = Rounds(self._deliver, name="alerts", interval_s=SEND_S)
        timetable = deadlines(settings.cost_deadline, settings.cost_timezone)
        raised = posting.hurry if posting else None
        self._switch = DeadMansSwitch(ledger, timetable, clock=time.monotonic, raised=raised)
        looking = Rounds(self._look, name="deadline", interval_s=LOOK_S)
        self.rounds = (looking, posting) if posting else (looking,)

    def stop(self) -> None:
        """Begin no further post."""
        self._stopping.set()

    def _look(self) -> None:
        if self._migrator.state is MigratorState.READY:
            self._switch.turn()

    def _deliver(self) -> None:
        if self._migrator.state is MigratorState.READY:
            self._delivery.turn(going_on=lambda: not self._stopping.is_set())
