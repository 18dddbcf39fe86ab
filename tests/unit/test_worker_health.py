from dataclasses import replace

import pytest

from shared.core.health import CheckResult, CheckStatus, Verdict, overall
from workers.facts import ChildFacts, Intake, Phase, decode, encode
from workers.health import CrewFacts, Sighting, checks, consumers_check, dependencies, stuck_reasons

UP = CheckResult(CheckStatus.UP, 0.4, "Connected for 9s")
FACTS = ChildFacts(
    pid=11,
    master_pid=10,
    phase=Phase.WORKING,
    intake=Intake.QUEUE,
    beats={"consumer of collect": 0.1, "renewals": 0.2},
    threads=8,
    expected_threads=8,
    runs=1,
    checks={
        "database": CheckResult(CheckStatus.UP, 1.0, vital=True),
        "redis": UP,
        "azureCredentials": CheckResult(CheckStatus.UNUSED, message="Not configured"),
        "awsCredentials": CheckResult(CheckStatus.UNUSED, message="Not configured"),
    },
    dependencies={"redis": {"status": "connected"}, "from": 11},
)
OTHER = replace(FACTS, pid=12, dependencies={"redis": {"status": "disconnected"}, "from": 12})


def crew(*sightings, **changes):
    given = {"expected": len(sightings), "since_start_s": 100.0, **changes}
    return CrewFacts(sightings=sightings, **given)


def test_facts_survive_the_journey_to_the_launcher():
    assert decode(encode(FACTS)) == FACTS


@pytest.mark.parametrize("datagram", [b"", b"{}", b"[]", b"null", b'{"phase":"nothing"}', b"\xff"])
def test_what_is_no_facts_is_refused(datagram):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        decode(datagram)


@pytest.mark.parametrize(
    ("facts", "age_s", "reason"),
    [
        (FACTS, 0.5, None),
        (FACTS, 14.5, None),
        (FACTS, 16.0, "worker process 11: silent for 16 s"),
        (replace(FACTS, beats={"renewals": None}), 0.5, "worker process 11: renewals has ended"),
        (replace(FACTS, beats={"renewals": 14.9}), 0.5, None),
        (replace(FACTS, beats={"renewals": 15.1}), 0.5, "worker process 11: renewals has not moved for 15 s"),
        (replace(FACTS, threads=6), 0.5, "worker process 11: 2 of 8 worker threads have ended"),
        (replace(FACTS, intake=Intake.WAITING), 0.5, None),
        (replace(FACTS, intake=Intake.DIRECT), 0.5, None),
        (replace(FACTS, phase=Phase.DRAINING, beats={"renewals": None}, threads=0), 0.5, None),
        (replace(FACTS, checks={"database": CheckResult(CheckStatus.DOWN, vital=True)}), 0.5, None),
        (replace(FACTS, checks={"redis": CheckResult(CheckStatus.DOWN)}), 0.5, None),
    ],
)
def test_a_process_is_stuck_when_a_part_of_it_stands_still_and_never_for_an_outage(facts, age_s, reason):
    assert stuck_reasons(crew(Sighting(facts, age_s))) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"since_start_s": 3.0}, []),
        ({"since_start_s": 16.0}, ["1 of 2 worker processes missing"]),
        ({"since_start_s": 3.0, "restarting": True}, ["1 of 2 worker processes missing"]),
        ({"since_start_s": 16.0, "draining": True}, []),
    ],
)
def test_a_missing_process_is_a_reason_once_it_had_time_to_start(changes, reasons):
    assert stuck_reasons(crew(Sighting(FACTS, 0.1), expected=2, **changes)) == reasons


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (crew(expected=1, since_start_s=1.0), CheckStatus.DOWN, "Worker processes are starting"),
        (crew(expected=1), CheckStatus.DOWN, "1 of 1 worker processes missing"),
        (crew(Sighting(FACTS, 0.1)), CheckStatus.UP, "8 threads in 1 process"),
        (crew(Sighting(FACTS, 0.1), Sighting(OTHER, 0.1)), CheckStatus.UP, "16 threads in 2 processes"),
        (
            crew(Sighting(FACTS, 0.1), Sighting(OTHER, 20.0)),
            CheckStatus.DEGRADED,
            "1 of 2 worker processes are working",
        ),
        (crew(Sighting(FACTS, 20.0)), CheckStatus.DOWN, "worker process 11: silent for 20 s"),
        (crew(Sighting(FACTS, 0.1), draining=True), CheckStatus.DEGRADED, "Draining, 1 run at work"),
        (crew(expected=1, draining=True), CheckStatus.DEGRADED, "Draining, 0 runs at work"),
        (crew(Sighting(replace(FACTS, intake=Intake.WAITING), 0.1)), CheckStatus.UP, "Waiting for Redis"),
        (
            crew(Sighting(replace(FACTS, intake=Intake.DIRECT), 0.1)),
            CheckStatus.UP,
            "Taking due runs from the database, without Redis",
        ),
    ],
)
def test_the_consumers_check_says_who_can_take_a_run(given, status, message):
    result = consumers_check(given)
    assert (result.status, result.message) == (status, message)


def test_nobody_able_to_take_a_run_makes_the_whole_unhealthy():
    assert overall(checks(crew(Sighting(FACTS, 20.0))).values()) is Verdict.UNHEALTHY


def test_of_several_processes_the_worst_result_counts():
    down = replace(OTHER, checks={**FACTS.checks, "redis": CheckResult(CheckStatus.DEGRADED, message="Connecting")})
    found = checks(crew(Sighting(FACTS, 0.1), Sighting(down, 0.1)))
    assert found["redis"] == CheckResult(CheckStatus.DEGRADED, message="Connecting")
    assert found["database"].status is CheckStatus.UP


def test_an_old_up_is_not_shown_as_up():
    found = checks(crew(Sighting(FACTS, 5.0)))
    assert found["redis"].status is CheckStatus.DEGRADED
    assert found["redis"].message == "Stale: not refreshed for 5 s"
    assert found["awsCredentials"].status is CheckStatus.UNUSED
    assert found["database"].status is CheckStatus.DEGRADED
    assert checks(crew(Sighting(FACTS, 15.0)))["database"].status is CheckStatus.DOWN


def test_a_silent_process_does_not_hide_what_another_says_now():
    found = checks(crew(Sighting(FACTS, 20.0), Sighting(OTHER, 0.1)))
    assert found["redis"] == UP


def test_before_anybody_reported_every_check_is_there():
    found = checks(crew(expected=1, since_start_s=0.5))
    assert (found["database"].status, found["redis"].status) == (CheckStatus.DOWN, CheckStatus.DEGRADED)
    assert list(found) == ["database", "redis", "azureCredentials", "awsCredentials", "consumers"]


def test_dependencies_are_those_of_a_process_without_redis_if_there_is_one():
    both = crew(Sighting(FACTS, 0.1), Sighting(OTHER, 0.1))
    assert dependencies(both) == OTHER.dependencies
    assert dependencies(crew(Sighting(FACTS, 0.1))) == FACTS.dependencies
    assert dependencies(crew(expected=1)) is None
