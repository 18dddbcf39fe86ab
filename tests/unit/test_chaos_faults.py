"""The fault matrix: its names stand in the docs, what it expects is what the contract promises, its verdicts fail."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.core.codes import CODES, Code, ErrorClass
from tests.chaos import fault as contract
from tests.chaos.faults import every_fault
from tests.chaos.measure import Sample
from tests.chaos.play import Observation, Told
from tests.chaos.report import BEGIN, END, PAGE, SEEN
from tests.chaos.rig import Rig
from tests.chaos.verdict import judged

FAULTS = every_fault()
ONE = next(fault for fault in FAULTS if fault.name == "dropped-in-command")
LONG = next(fault for fault in FAULTS if fault.name == "refused")


def answers(status=200, took_s=0.002, said="degraded"):
    return [Sample(number * 0.05, took_s, status, said) for number in range(100)]


GOOD = Observation(
    told=dict.fromkeys(contract.NAMES, Told("connecting TIMEOUT", 2.1)),
    noticed=dict.fromkeys(contract.NAMES, Told("connecting TIMEOUT", 2.1)),
    lasted_s=5.0,
    ready={"worker": answers()},
    live={"worker": answers(said="alive")},
    strict=answers(503),
    soft=answers(),
    bare=answers(),
    healed_s=0.2,
    run_done_s=0.5,
    ended=(),
    lost=0,
    doubled=0,
    twice=0,
    other=(),
    lines={"worker 1": [(0.1, "lost")]},
    promised=8,
)


@pytest.mark.parametrize("part", [0, 1])
def test_the_docs_list_every_fault_and_a_result_of_it_and_no_other(part):
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0].split(SEEN)[part]
    assert re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE) == [fault.name for fault in FAULTS]


def test_the_thresholds_are_those_of_the_contract():
    assert (contract.CLOSED_S, contract.HANG_S, contract.HEALTH_P99_S) == (0.1, 3.0, 0.02)
    assert (contract.HEALED_S, contract.HEALED_REFUSED_S) == (2.0, 15.5)
    assert (contract.FIRST_MINUTE_LINES, contract.LATER_MINUTE_LINES) == (12, 6)


def test_a_row_whose_every_cell_holds_passes():
    assert judged(ONE, GOOD).ok


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("up", {"ended": ("worker",)}),
        ("up", {"live": {"worker": answers(503)}}),
        ("told", {"told": {**GOOD.told, "worker": Told(None, None)}}),
        ("told", {"told": {**GOOD.told, "worker": Told("connecting TIMEOUT", 3.1)}}),
        ("health", {"ready": {"worker": answers(503)}}),
        ("health", {"ready": {"worker": answers(took_s=0.03)}}),
        ("strict", {"strict": answers(500)}),
        ("strict", {"strict": []}),
        ("soft", {"soft": answers(0)}),
        ("healed", {"healed_s": 2.1}),
        ("healed", {"healed_s": None}),
        ("run done", {"run_done_s": None}),
        ("ledger", {"lost": 1}),
        ("ledger", {"doubled": 1}),
        ("ledger", {"twice": 1}),
        ("ledger", {"other": ("an invariant",)}),
        ("log lines", {"lines": {"worker 1": [(1.0, "x")] * 13}}),
    ],
)
def test_each_cell_fails_by_what_it_guards_and_the_row_with_it(column, wrong):
    row = judged(ONE, replace(GOOD, **wrong))
    assert [name for name, cell in row.cells.items() if not cell.ok] == [column]
    assert not row.ok


@pytest.mark.parametrize(("counts", "ok"), [((12, 6), True), ((13, 1), False), ((1, 7), False)])
def test_a_fault_of_two_minutes_has_its_lines_judged_minute_by_minute(counts, ok):
    lines = [(number * 60.0 + 1, "x") for number, count in enumerate(counts) for _ in range(count)]
    row = judged(LONG, replace(GOOD, lasted_s=121.0, lines={"worker 1": lines}))
    assert row.cells["log lines"].ok == ok


def test_a_closed_connection_is_told_before_its_cause_is():
    cause = dict.fromkeys(contract.NAMES, Told("connecting CONNECTION_REFUSED", 0.5))
    at_once = dict.fromkeys(contract.NAMES, Told("connecting CONNECTION_CLOSED", 0.05))
    late = {**at_once, "worker": Told("connecting CONNECTION_CLOSED", 0.11)}
    seen = replace(GOOD, lasted_s=121.0, told=cause)
    assert judged(LONG, replace(seen, noticed=at_once)).cells["told"].ok
    assert not judged(LONG, replace(seen, noticed=late)).cells["told"].ok


def test_a_fault_that_nobody_is_to_notice_fails_when_somebody_does():
    quiet = next(fault for fault in FAULTS if fault.name == "idle-closed")
    silent = dict.fromkeys(contract.NAMES, Told(None, None))
    assert judged(quiet, replace(GOOD, strict=answers(), told=silent)).cells["told"].ok
    assert not judged(quiet, replace(GOOD, strict=answers())).cells["told"].ok


def says(code):
    return {"redis": {"connectionState": "failed", "lastError": {"code": code}, "transitions": []}}


def told_codes(fault):
    return [code for code in Code if fault.expect.sign and fault.expect.sign(says(code), {})]


REDIS_FAULTS = [fault for fault in FAULTS if told_codes(fault)]


@pytest.mark.parametrize("fault", REDIS_FAULTS, ids=lambda fault: fault.name)
def test_only_a_server_that_refuses_us_may_take_longer_than_two_seconds_to_heal(fault):
    refused = all(CODES[code].error_class is ErrorClass.REFUSED for code in told_codes(fault))
    assert fault.expect.heal_s <= (contract.HEALED_REFUSED_S if refused else contract.HEALED_S)


@pytest.mark.parametrize("fault", REDIS_FAULTS, ids=lambda fault: fault.name)
def test_what_is_told_of_a_fault_of_redis_has_a_hint(fault):
    assert all(CODES[code].summary and CODES[code].hint for code in told_codes(fault))


def test_a_change_that_is_over_before_anybody_asked_is_still_found():
    change = {"at": "2026-01-01T00:00:00.000Z", "from": "connected", "to": "connecting", "reason": "TIMEOUT"}
    before: dict[str, Any] = {"redis": {"connectionState": "connected", "lastError": None, "transitions": []}}
    after = {"redis": {"connectionState": "connected", "lastError": None, "transitions": [change]}}
    assert contract.redis_says("TIMEOUT")(after, before) == "connecting TIMEOUT"
    assert contract.redis_says("TIMEOUT")(after, after) is None
    assert contract.redis_noticed(after, before) == "connecting TIMEOUT"
    assert contract.redis_noticed(after, after) is None


def test_a_fault_that_a_machine_cannot_do_says_why():
    lacking = replace(ONE, needs=(lambda: None, lambda: "no such tool"))
    assert lacking.missing() == ["no such tool"]


def test_a_fault_is_planted_before_the_block_and_lifted_after_it():
    deeds = []

    def plant(_rig):
        deeds.append("planted")
        yield
        deeds.append("lifted")

    with replace(ONE, plant=plant).planted(cast("Rig", SimpleNamespace())):
        deeds.append("stands")
    assert deeds == ["planted", "stands", "lifted"]
