from datetime import UTC, date, datetime, timedelta

import pytest

from scheduler.deadline import MOST_NAMES, SETTLE_S, DeadMansSwitch, deadlines, document
from scheduler.delivery import Delivery
from scheduler.webhook import NotPostedError
from shared.core.costs import CoverageState
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunError
from shared.ledger.alerts import Alert, AlertKind, Look
from shared.observability.metrics import REGISTRY
from tests.support.logs import captured

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def an_alert(number=1, **facts):
    return Alert(
        **{
            "id": number,
            "key": f"ledger-{number}",
            "kind": AlertKind.DEADLINE,
            "account": "corp",
            "provider": "focus",
            "day": date(2026, 3, 9),
            "state": CoverageState.MISSING,
            "raised_at": NOON,
            "error": None,
            "attempt": 1,
            "last": False,
            **facts,
        }
    )


class FakeLedger:
    def __init__(self, *due):
        self.time = NOON
        self.looks = [Look(0, ())]
        self.days = []
        self.due = list(due)
        self.sent = []
        self.away = False

    def now(self):
        return self.time

    def look_for_overdue(self, day, *, post):
        self.days.append((day, post))
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def take_alert(self):
        return self.due.pop(0) if self.due else None

    def mark_sent(self, alert_id):
        if self.away:
            raise DatabaseUnavailableError(summary="away")
        self.sent.append(alert_id)


class FakePoster:
    def __init__(self, *problems):
        self.problems = list(problems)
        self.posted = []

    def post(self, posted, *, key):
        self.posted.append(key)
        problem = self.problems.pop(0) if self.problems else None
        if problem:
            raise NotPostedError(summary=problem)


def settled(ledger, *, line="10:00", zone="UTC", raised=lambda: None):
    """A switch that has waited long enough after its start."""
    clock = iter([0.0, 0.0, *[SETTLE_S] * 1000])
    switch = DeadMansSwitch(ledger, deadlines(line, zone), clock=lambda: next(clock), raised=raised)
    switch.turn()
    assert ledger.days == []
    return switch


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("now", "line", "zone", "day"),
    [
        ("2026-03-10T09:59:59Z", "10:00", "UTC", "2026-03-08"),
        ("2026-03-10T10:00:00Z", "10:00", "UTC", "2026-03-09"),
        ("2026-03-11T09:59:59Z", "10:00", "UTC", "2026-03-09"),
        ("2026-03-10T09:00:00Z", "10:00", "Europe/Berlin", "2026-03-09"),
        # Days of cost are UTC days: the morning of Tokyo is still the day before.
        ("2026-03-10T00:00:00Z", "08:00", "Asia/Tokyo", "2026-03-08"),
        ("2026-03-10T01:00:00Z", "10:00", "Asia/Tokyo", "2026-03-09"),
        # The clock skips 02:30 in this night, and the deadline is not skipped with it.
        ("2026-03-29T00:59:59Z", "02:30", "Europe/Berlin", "2026-03-27"),
        ("2026-03-29T01:00:00Z", "02:30", "Europe/Berlin", "2026-03-28"),
        # And shows 02:30 twice in this one: the first counts.
        ("2026-10-25T00:30:00Z", "02:30", "Europe/Berlin", "2026-10-24"),
        ("2026-10-25T01:30:00Z", "02:30", "Europe/Berlin", "2026-10-24"),
    ],
)
def test_the_day_looked_at_is_the_last_that_had_ended_at_the_newest_deadline(now, line, zone, day):
    ledger = FakeLedger()
    ledger.time = datetime.fromisoformat(now)
    settled(ledger, line=line, zone=zone).turn()
    assert ledger.days == [(date.fromisoformat(day), True)]


def test_nothing_is_looked_at_before_the_first_catch_up_has_had_its_moment():
    ledger = FakeLedger()
    now_s = 100.0
    switch = DeadMansSwitch(ledger, deadlines("10:00", "UTC"), clock=lambda: now_s, raised=None)
    switch.turn()
    now_s += SETTLE_S - 0.1
    switch.turn()
    assert ledger.days == []
    now_s += 0.1
    switch.turn()
    assert ledger.days == [(date(2026, 3, 9), False)]


def test_what_is_raised_is_one_line_a_metric_and_a_call():
    ledger, calls = FakeLedger(), []
    ledger.looks = [Look(2, ("corp", "lab")), Look(2, ()), Look(0, ())]
    switch = settled(ledger, raised=lambda: calls.append(1))
    raised = counted("holdfast_alerts_total", outcome="raised")
    with captured(fmt="json") as log:
        switch.turn()
        switch.turn()
    (line,) = log.json
    assert (line["event"], line["level"]) == ("alert.raised", "error")
    assert (line["day"], line["accounts"]) == ("2026-03-09", ["corp", "lab"])
    assert line["deadline"] == "2026-03-10T10:00:00.000Z"
    assert counted("holdfast_alerts_total", outcome="raised") == raised + 2
    assert counted("holdfast_accounts_overdue") == 2
    assert calls == [1]
    switch.turn()
    assert counted("holdfast_accounts_overdue") == 0


def test_a_line_names_so_many_accounts_and_counts_the_rest():
    ledger = FakeLedger()
    names = tuple(f"account-{number:03d}" for number in range(300))
    ledger.looks = [Look(300, names)]
    with captured(fmt="json") as log:
        settled(ledger).turn()
    assert log.json[0]["accounts"] == [*names[:MOST_NAMES], "and 280 more"]
    assert log.json[0]["message"].endswith(": 300")


def test_every_alert_that_is_due_is_posted_and_marked():
    ledger, poster = FakeLedger(*map(an_alert, (1, 2, 3))), FakePoster()
    Delivery(ledger, poster, words=lambda alert: {}).turn()
    assert poster.posted == ["ledger-1", "ledger-2", "ledger-3"]
    assert ledger.sent == [1, 2, 3]


def test_after_a_failure_the_others_wait_for_the_next_turn():
    ledger, poster = FakeLedger(*map(an_alert, (1, 2))), FakePoster("no answer within 10 s")
    delivery = Delivery(ledger, poster, words=lambda alert: {})
    with captured() as log:
        delivery.turn()
    assert (poster.posted, ledger.sent) == (["ledger-1"], [])
    assert "no answer within 10 s" in log.text
    delivery.turn()
    assert ledger.sent == [2]


def test_a_cause_that_stays_is_told_once_and_again_after_a_success():
    ledger = FakeLedger(*(an_alert(1, attempt=attempt) for attempt in (1, 2, 3, 4)), an_alert(2))
    delivery = Delivery(ledger, FakePoster("down", "down", "refused", None, "refused"), words=lambda alert: {})
    with captured(fmt="json") as log:
        for _ in range(4):
            delivery.turn()
    assert [(line["event"], line.get("problem")) for line in log.json] == [
        ("alert.not_sent", "down"),
        ("alert.not_sent", "refused"),
        ("alert.sent", None),
        ("alert.not_sent", "refused"),
    ]


def test_an_alert_given_up_is_an_error_of_its_own():
    delivery = Delivery(FakeLedger(an_alert(1, last=True)), FakePoster("down"), words=lambda alert: {})
    with captured(fmt="json") as log:
        delivery.turn()
    assert [(line["event"], line["level"]) for line in log.json] == [("alert.given_up", "error")]


def test_an_alert_that_arrived_while_the_database_went_is_noted_later_and_not_posted_again():
    ledger, poster = FakeLedger(an_alert(1)), FakePoster()
    delivery = Delivery(ledger, poster, words=lambda alert: {})
    ledger.away = True
    with pytest.raises(DatabaseUnavailableError):
        delivery.turn()
    ledger.away = False
    delivery.turn()
    delivery.turn()
    assert (poster.posted, ledger.sent) == (["ledger-1"], [1])


def test_a_process_that_ends_begins_no_further_post():
    ledger, poster = FakeLedger(*map(an_alert, (1, 2))), FakePoster()
    Delivery(ledger, poster, words=lambda alert: {}).turn(going_on=lambda: not poster.posted)
    assert poster.posted == ["ledger-1"]


def test_a_document_tells_everything():
    error = RunError("DENIED", "Not allowed to read costs.", "Grant it.")
    assert document(an_alert(7, error=error, attempt=2), deadline="10:00", zone="Europe/Berlin") == {
        "id": "ledger-7",
        "kind": "deadline",
        "account": "corp",
        "provider": "focus",
        "day": "2026-03-09",
        "state": "missing",
        "deadline": "10:00",
        "timezone": "Europe/Berlin",
        "raisedAt": "2026-03-10T12:00:00.000Z",
        "attempt": 2,
        "error": {"code": "DENIED", "summary": "Not allowed to read costs.", "hint": "Grant it."},
        "text": "Holdfast: corp had no complete costs of 2026-03-09 by 10:00 Europe/Berlin: Not allowed to read costs.",
    }


@pytest.mark.parametrize(
    ("state", "end"),
    [
        (CoverageState.MISSING, "by 10:00 UTC."),
        (CoverageState.SUSPECT, "by 10:00 UTC."),
        (CoverageState.COMPLETE, "by 10:00 UTC. They are there now."),
        (CoverageState.ESTIMATED, "by 10:00 UTC. They are there now."),
    ],
)
def test_the_sentence_says_how_it_is_now(state, end):
    assert document(an_alert(state=state), deadline="10:00", zone="UTC")["text"].endswith(end)


def test_deadlines_come_once_a_day():
    timetable = deadlines("10:30", "Europe/Berlin")
    fires = timetable.between(NOON, NOON + timedelta(days=200))
    assert len(fires) == 200
    assert {fire.slot[-5:] for fire in fires} == {"10:30"}
