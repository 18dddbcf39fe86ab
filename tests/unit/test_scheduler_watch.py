"""The watch: when it looks, what it says, and that an idle minute costs one question."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from scheduler.watch import LOOK_S, Watch, notice_document
from shared.core.anomalies import Anomaly, AnomalyKind
from shared.core.budgets import Budget, BudgetStatus
from shared.core.errors import DatabaseUnavailableError
from shared.ledger.anomalies import Changed, Look
from shared.ledger.budgets import Reached
from shared.ledger.notices import Notice, NoticeKind
from shared.observability.metrics import REGISTRY
from tests.support.logs import captured

DAY = date(2026, 3, 9)
SPIKE = Anomaly(DAY, "Compute", "USD", AnomalyKind.SPIKE, Decimal(100), Decimal("495.50"), 31.1)
OLDER = replace(SPIKE, day=date(2026, 2, 1), kind=AnomalyKind.DROP)
BUDGET = Budget("corp", Decimal(1000), "USD")
REACHED = Reached(BudgetStatus(BUDGET, date(2026, 3, 1), {DAY: Decimal(850)}), 80)


class FakeLedger:
    def __init__(self):
        self.version = 1
        self.changed = []
        self.looks = {}
        self.reached: tuple[Reached, ...] = ()
        self.away = False
        self.asked = []

    def data_version(self):
        self.asked.append("version")
        return self.version

    def changed_accounts(self, *, limit):
        self.asked.append("changed")
        found, self.changed = self.changed[:limit], self.changed[limit:]
        return found

    def look_at(self, account, *, post):
        if self.away:
            raise DatabaseUnavailableError(summary="away")
        self.asked.append((account.name, post))
        return self.looks.get(account.name, Look(account.name))

    def raise_budgets(self, budgets, *, post):
        self.asked.append(("budgets", len(budgets), post))
        reached, self.reached = self.reached, ()
        return reached


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Given:
    def __init__(self, *, post=True):
        self.ledger, self.clock = FakeLedger(), Clock()
        self.budgets: tuple[Budget, ...] = (BUDGET,)
        self.raised: list[bool] = []
        self.rests: list[float] = []
        self.watch = Watch(
            self.ledger,
            lambda: self.budgets,
            clock=self.clock,
            rest=self.rests.append,
            raised=(lambda: self.raised.append(True)) if post else None,
        )

    def turn(self, after_s=0.0, **options):
        self.clock.now_s += after_s
        self.ledger.asked.clear()
        self.watch.turn(**options)
        return list(self.ledger.asked)


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def changed(*names):
    return [Changed(number, name, "focus") for number, name in enumerate(names)]


def test_an_idle_minute_costs_one_question():
    given = Given()
    assert given.turn() == ["version", "changed", ("budgets", 1, True)]
    assert given.turn(LOOK_S - 1) == []
    assert given.turn(1) == ["version"]
    given.ledger.version = 2
    assert given.turn(LOOK_S) == ["version", "changed", ("budgets", 1, True)]


def test_a_budget_that_was_changed_in_the_file_is_looked_at():
    given = Given()
    given.turn()
    given.budgets = ()
    assert given.turn(LOOK_S) == ["version", "changed"]


def test_every_account_that_changed_is_looked_at_however_many():
    given = Given()
    given.ledger.changed = changed(*(f"account-{number}" for number in range(250)))
    asked = given.turn()
    assert len({each for each in asked if each[0] != "budgets" and isinstance(each, tuple)}) == 250
    assert len(given.rests) == 250


def test_a_database_that_goes_away_is_asked_again_at_once():
    given = Given()
    given.ledger.changed = changed("corp")
    given.ledger.away = True
    with pytest.raises(DatabaseUnavailableError):
        given.turn()
    given.ledger.away = False
    given.ledger.changed = changed("corp")
    assert ("corp", True) in given.turn()


def test_who_stops_begins_no_further_look_and_has_not_finished():
    given = Given()
    given.ledger.changed = changed("one", "two", "three")
    going = iter([True, True, True, False, False, False])
    looked = [each for each in given.turn(going_on=lambda: next(going)) if isinstance(each, tuple) and each[1] is True]
    assert len(looked) == 2
    assert given.turn()[:2] == ["version", "changed"]


def test_what_is_news_is_a_warning_and_what_is_old_is_one_line():
    given = Given()
    given.ledger.changed = changed("corp")
    given.ledger.looks["corp"] = Look("corp", (OLDER, SPIKE), (SPIKE,), cleared=2)
    before = counted("holdfast_anomalies_total", kind="spike"), counted("holdfast_anomalies_total", kind="drop")
    with captured(fmt="json") as log:
        given.turn()
    found, stored, cleared = log.json
    assert (found["event"], found["level"]) == ("anomaly.found", "warning")
    facts = {name: found[name] for name in ("account", "service", "day", "kind", "currency", "expected", "actual")}
    assert facts == {
        "account": "corp",
        "service": "Compute",
        "day": "2026-03-09",
        "kind": "spike",
        "currency": "USD",
        "expected": "100",
        "actual": "495.5",
    }
    assert (stored["event"], stored["level"], stored["anomalies"]) == ("anomaly.stored", "info", 1)
    assert (cleared["event"], cleared["level"], cleared["anomalies"]) == ("anomaly.cleared", "info", 2)
    after = counted("holdfast_anomalies_total", kind="spike"), counted("holdfast_anomalies_total", kind="drop")
    assert [now - was for now, was in zip(after, before, strict=True)] == [1, 1]
    assert given.raised == [True]


def test_a_threshold_is_a_warning():
    given = Given()
    given.ledger.reached = (REACHED,)
    with captured(fmt="json") as log:
        given.turn()
    (line,) = log.json
    assert (line["event"], line["level"]) == ("budget.reached", "warning")
    assert (line["account"], line["month"], line["threshold"]) == ("corp", "2026-03", 80)
    assert (line["spent"], line["budget"], line["currency"]) == ("850", "1000", "USD")
    assert given.raised == [True]


def test_without_an_address_it_is_told_in_the_log_alone():
    given = Given(post=False)
    given.ledger.changed = changed("corp")
    given.ledger.looks["corp"] = Look("corp", (SPIKE,), (SPIKE,))
    with captured(fmt="json") as log:
        asked = given.turn()
    assert ("corp", False) in asked
    assert [line["event"] for line in log.json] == ["anomaly.found"]


def test_a_notice_is_posted_with_its_key():
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    document = {"kind": "anomaly", "account": "corp", "text": "Holdfast: …"}
    notice = Notice(7, "ledger-notice-7", NoticeKind.ANOMALY, "corp", DAY, document, at, attempt=2, last=False)
    sent = {"raisedAt": "2026-03-10T12:00:00.000Z", "attempt": 2}
    assert notice_document(notice) == {"id": "ledger-notice-7", **document, **sent}
