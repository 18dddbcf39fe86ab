"""What the scheduler tells of: the deadline, anomalies, budgets. Looking and posting on threads of their own."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from scheduler.deadline import DeadMansSwitch, deadlines, document
from scheduler.delivery import Delivery
from scheduler.rounds import Rounds
from scheduler.watch import Watch, notice_document
from scheduler.webhook import Webhook
from shared.bootstrap.container import Container
from shared.core.budgets import Budget
from shared.costs.accounts import budgets_of
from shared.ledger import alerts, anomalies
from shared.ledger.alerts import Alert, Look
from shared.ledger.anomalies import Changed
from shared.ledger.budgets import Reached, raise_budgets
from shared.ledger.clock import now
from shared.ledger.database import Database
from shared.ledger.migrate import MigratorState
from shared.ledger.notices import Notice, notice_sent, take_notice
from shared.ledger.queries import data_version

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


class NoticeOutbox:
    """The notices that wait. Each method raises DatabaseUnavailableError."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def take_alert(self) -> Notice | None:
        """Take the notice that is to be sent now."""
        return take_notice(self._db)

    def mark_sent(self, alert_id: int) -> None:
        """Note that it has arrived."""
        notice_sent(self._db, alert_id)


class WatchLedger:
    """The ledger as the watch asks it. Each method raises DatabaseUnavailableError."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def data_version(self) -> int:
        """Give a number that is higher whenever any account's data has changed."""
        return data_version(self._db)

    def changed_accounts(self, *, limit: int) -> list[Changed]:
        """Name some of the accounts to look at."""
        return anomalies.changed_accounts(self._db, limit=limit)

    def look_at(self, account: Changed, *, post: bool) -> anomalies.Look:
        """Look for anomalies in one, and note that it was done."""
        return anomalies.look_at(self._db, account, post=post)

    def raise_budgets(self, budgets: Sequence[Budget], *, post: bool) -> tuple[Reached, ...]:
        """Note the thresholds that budgets have reached, and tell which are new."""
        return raise_budgets(self._db, budgets, post=post)


class Alerting:
    """No dead man's switch without COST_DEADLINE; no posting without ALERT_WEBHOOK_URL."""

    def __init__(self, container: Container) -> None:
        self._migrator = container.migrator
        self._stopping = threading.Event()
        self._deliveries: list[Delivery[Any]] = []
        settings = container.settings
        posting: Rounds | None = None
        if settings.alert_webhook_url is not None:
            posting = Rounds(self._deliver, name="alerts", interval_s=SEND_S)
            self._deliveries.append(
                Delivery(NoticeOutbox(container.db), Webhook(settings.alert_webhook_url), words=notice_document)
            )
        raised = posting.hurry if posting else None
        self._watch = Watch(
            WatchLedger(container.db),
            lambda: budgets_of(container.accounts.current()),
            clock=time.monotonic,
            rest=self._stopping.wait,
            raised=raised,
        )
        rounds = [Rounds(self._look_around, name="watch", interval_s=LOOK_S)]
        if settings.cost_deadline is not None:
            self._switch = self._dead_mans_switch(container, settings.cost_deadline, raised)
            rounds.append(Rounds(self._look, name="deadline", interval_s=LOOK_S))
        self.rounds: tuple[Rounds, ...] = (*rounds, posting) if posting else tuple(rounds)

    def stop(self) -> None:
        """Begin no further post, and no further look."""
        self._stopping.set()

    def _dead_mans_switch(
        self, container: Container, deadline: str, raised: Callable[[], object] | None
    ) -> DeadMansSwitch:
        settings = container.settings
        ledger = AlertLedger(container.db)
        if settings.alert_webhook_url is not None:
            words = partial(document, deadline=deadline, zone=settings.cost_timezone)
            self._deliveries.append(Delivery(ledger, Webhook(settings.alert_webhook_url), words=words))
        timetable = deadlines(deadline, settings.cost_timezone)
        return DeadMansSwitch(ledger, timetable, clock=time.monotonic, raised=raised)

    def _look(self) -> None:
        if self._migrator.state is MigratorState.READY:
            self._switch.turn()

    def _look_around(self) -> None:
        if self._migrator.state is MigratorState.READY:
            self._watch.turn(going_on=self._goes_on)

    def _deliver(self) -> None:
        if self._migrator.state is MigratorState.READY:
            for delivery in self._deliveries:
                delivery.turn(going_on=self._goes_on)

    def _goes_on(self) -> bool:
        return not self._stopping.is_set()
