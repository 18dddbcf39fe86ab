"""Collecting a run with a ledger in memory: each way it can end."""

import errno
import os
import threading
from datetime import date
from decimal import Decimal

import pytest

from shared.core.costs import FetchedCosts
from shared.core.errors import DatabaseUnavailableError, ProviderError
from shared.core.revisions import Amounts, Change, Service
from shared.core.runs import RetryPolicy, RunState
from shared.ledger.store import Stored
from shared.observability import events, metrics
from tests.support.logs import captured
from tests.support.runs import claim, hint, run
from tests.support.waiting import wait_for
from workers import collect
from workers.collect import Collector
from workers.facts import Intake
from workers.holdings import Holdings
from workers.room import room_to_open

AWAY = DatabaseUnavailableError(summary="away")
BROKEN = ProviderError(code="HTTP_500", summary="it failed", hint="wait")


class MemoryLedger:
    """Answers what a test planned; remembers what it was told. An exception in `answers` is raised, once each."""

    def __init__(self, **answers):
        self.answers = answers
        self.told = []

    def _do(self, name, default):
        self.told.append(name)
        given = self.answers.get(name, default)
        if isinstance(given, list):
            given = given.pop(0) if given else default
        if isinstance(given, Exception):
            raise given
        return given

    def claim(self, ready):
        return self._do("claim", claim(ready.run_id))

    def store(self, held, fetched):
        return self._do("store", Stored(len(fetched.rows), (), (), ()))

    def fail(self, held, error, policy):
        self.error = error
        return self._do("fail", run(state=RunState.PENDING))

    def hand_back(self, held):
        return self._do("hand_back", True)


def collector(ledger, fetch=lambda run: FetchedCosts(rows=()), **more):
    draining = threading.Event()
    return Collector(ledger, fetch=fetch, policy=RetryPolicy(), holdings=Holdings(), draining=draining, **more)


def raising(error):
    def fetch(run):
        raise error

    return fetch


def changed(day, currency, before, after):
    sides = (None if one is None else Amounts(Decimal(one), Decimal(one)) for one in (before, after))
    return Change(Service(date(2026, 1, day), "compute", currency), *sides)


def test_days_whose_costs_changed_are_told_in_one_line_and_counted():
    changes = (changed(5, "EUR", "2.50", "2"), changed(5, "USD", None, "1E+3"), changed(7, "USD", "1.0", "1.25"))
    before = metrics.RESTATEMENTS.labels(provider="focus")._value.get()
    with captured(fmt="json") as lines:
        collector(MemoryLedger(store=[Stored(3, (), (), (), changes)])).on_hint(hint())
    (line,) = [one for one in lines.json if one["event"] == events.DAYS_RESTATED]
    assert line["message"] == "Days restated"
    facts = ("days", "first", "last", "services", "difference", "run_id", "scope")
    assert [line[name] for name in facts] == [
        2,
        "2026-01-05",
        "2026-01-07",
        1,
        "-0.5 EUR, +1000.25 USD",
        1,
        events.SCOPE_RUN,
    ]
    assert metrics.RESTATEMENTS.labels(provider="focus")._value.get() == before + 2


def test_a_store_that_changed_nothing_says_nothing_of_it():
    with captured(fmt="json") as lines:
        collector(MemoryLedger()).on_hint(hint())
    assert [one["event"] for one in lines.json] == [events.RUN_CLAIMED, events.RUN_SUCCEEDED]


@pytest.mark.parametrize(
    ("answers", "fetch", "told"),
    [
        ({}, None, ["claim", "store"]),
        ({"claim": [None]}, None, ["claim"]),
        ({"store": [None]}, None, ["claim", "store"]),
        ({}, raising(BROKEN), ["claim", "fail"]),
        ({"fail": [run(state=RunState.FAILED)]}, raising(BROKEN), ["claim", "fail"]),
        ({"fail": [None]}, raising(BROKEN), ["claim", "fail"]),
        ({}, raising(ZeroDivisionError()), ["claim", "fail"]),
        ({"store": [ValueError("a row nobody foresaw")]}, None, ["claim", "store", "fail"]),
    ],
    ids=["stored", "stale", "taken-meanwhile", "retried", "given-up", "taken-before-failing", "bug", "bug-in-storing"],
)
def test_a_hint_ends_in_what_the_ledger_is_told(answers, fetch, told):
    ledger = MemoryLedger(**answers)
    made = collector(ledger, fetch) if fetch else collector(ledger)
    made.on_hint(hint())
    assert ledger.told == told
    assert len(made.holdings) == 0


def test_an_error_nobody_foresaw_is_kept_without_its_text():
    ledger = MemoryLedger()
    collector(ledger, raising(RuntimeError("password=planted"))).on_hint(hint())
    assert (ledger.error.code, ledger.error.permanent) == ("UNEXPECTED", False)
    assert "planted" not in ledger.error.summary


@pytest.mark.parametrize(
    ("error", "suspects"),
    [
        (ProviderError(code="AWS_EXPIRED", summary="s", hint="h"), 1),
        (ProviderError(code="AWS_NO_ACCESS", summary="s", hint="h", permanent=True), 1),
        (ProviderError(code="AWS_THROTTLED", summary="s", hint="h", throttled=True), 0),
        (BROKEN, 0),
    ],
    ids=["by its code", "for good", "throttled", "for a while"],
)
def test_a_run_that_was_refused_has_its_account_suspected(error, suspects):
    suspected: list[str] = []
    collector(MemoryLedger(), raising(error), suspect=suspected.append).on_hint(hint())
    assert suspected == [claim(1).run.account] * suspects


def test_a_run_is_held_while_it_is_fetched():
    held = []

    def fetch(run):
        held.append(len(made.holdings))
        return FetchedCosts(rows=())

    made: Collector = collector(MemoryLedger(), fetch)
    made.on_hint(hint())
    assert held == [1]


def test_what_was_fetched_is_stored_once_the_database_is_back():
    ledger = MemoryLedger(claim=[AWAY], store=[AWAY])
    made = collector(ledger)
    made.draining.wait = lambda timeout_s: False
    made.on_hint(hint())
    assert ledger.told == ["claim", "claim", "store", "store"]


def test_a_drain_ends_the_wait_for_the_database():
    ledger = MemoryLedger(store=[AWAY] * 1000)
    made = collector(ledger)
    thread = threading.Thread(target=made.on_hint, args=(hint(),))
    thread.start()
    wait_for(lambda: "store" in ledger.told, what="the first try to store")
    made.draining.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(made.holdings) == 0


def test_a_run_taken_away_is_not_waited_for_either():
    ledger = MemoryLedger(store=[AWAY] * 1000)
    made = collector(ledger)
    made.draining.wait = lambda timeout_s: [held.lost.set() for held in made.holdings.all()]
    made.on_hint(hint())
    assert ledger.told.count("store") == 2


def test_a_direct_claim_is_worked_on_like_any_other():
    ledger = MemoryLedger()
    made = collector(ledger)
    made.work(made.hold(claim(), Intake.DIRECT))
    assert ledger.told == ["store"]


def test_handing_back_marks_the_run_as_lost_here():
    ledger = MemoryLedger()
    made = collector(ledger)
    held = made.hold(claim(), Intake.QUEUE)
    made.hand_back(held)
    assert ledger.told == ["hand_back"]
    assert held.lost.is_set()


def test_a_run_waits_until_its_process_can_open_files(monkeypatch):
    monkeypatch.setattr(collect, "ROOM_RETRY_S", 0.01)
    ledger, looks = MemoryLedger(), [False, False, True]
    collector(ledger, room=lambda: looks.pop(0)).on_hint(hint())
    assert (ledger.told, looks) == (["claim", "store"], [])


def test_a_run_that_waits_for_files_fetches_nothing_when_its_process_ends():
    ledger = MemoryLedger()
    one = collector(ledger, raising(AssertionError("fetched")), room=lambda: False)
    one.draining.set()
    held = one.hold(claim(1), Intake.DIRECT)
    one.work(held)
    assert ledger.told == []
    assert len(one.holdings) == 0


def test_room_is_found_where_there_is_some_and_none_where_there_is_none(monkeypatch):
    assert room_to_open()
    real, left = os.open, [True] * 3

    def few(*given):
        if not left:
            raise OSError(errno.EMFILE, "Too many open files")
        left.pop()
        return real(*given)

    monkeypatch.setattr(os, "open", few)
    assert not room_to_open()
