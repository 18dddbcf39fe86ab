from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core import connection
from shared.core.backoff import Backoff
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection import Instant, LinkState, Memory, Policy, Step

POLICY = Policy()
REFUSED_CONNECTION = Failure(Code.CONNECTION_REFUSED)
CLOSED = Failure(Code.CONNECTION_CLOSED)
LOADING = Failure(Code.LOADING)
WRONGPASS = Failure(Code.WRONGPASS)
OOM = Failure(Code.OOM)
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def at(mono_s: float) -> Instant:
    return Instant(mono_s, DAY + timedelta(seconds=mono_s))


def texts(step: Step) -> list[str]:
    return [line.text for line in step.lines]


def started() -> Memory:
    return connection.start(Memory(), at(0)).memory


def connected(now_s: float = 0.0, memory: Memory | None = None) -> Memory:
    return connection.attempt_succeeded(POLICY, memory or started(), at(now_s)).memory


def failing(memory: Memory, failure: Failure = REFUSED_CONNECTION, policy: Policy = POLICY) -> Step:
    """The scheduled attempt that is due fails the moment it is made."""
    assert memory.next_attempt_at_s is not None
    return connection.attempt_failed(policy, memory, at(memory.next_attempt_at_s), failure=failure)


def test_starting_makes_the_first_attempt_due_at_once():
    step = connection.start(Memory(), at(5))
    assert texts(step) == ["Redis: Initializing client", "Redis: Connection initiated"]
    assert (step.memory.state, step.memory.attempt, step.memory.next_attempt_at_s) == (LinkState.CONNECTING, 1, 5)
    assert step.change is not None
    assert (step.change.previous, step.change.current, step.change.reason_code) == (
        LinkState.DISCONNECTED,
        LinkState.CONNECTING,
        "STARTED",
    )


def test_start_up_makes_20_attempts_with_19_waits_and_then_goes_on_without_redis():
    memory, said = started(), []
    for _ in range(20):
        step = failing(memory)
        memory = step.memory
        said += texts(step)
    waits = [1000, 2000, 4000, 8000] + [15000] * 15
    assert said == [
        *(f"Redis: Connection attempt {n}/20 failed, retrying in {ms}ms" for n, ms in enumerate(waits, 1)),
        "Redis: Max startup retries reached, continuing without Redis",
    ]
    assert (memory.state, memory.failed_attempts, memory.attempt) == (LinkState.FAILED, 20, 21)


def test_after_the_budget_it_tries_on_at_the_capped_delay_and_says_no_more_of_the_same():
    memory = started()
    for _ in range(20):
        memory = failing(memory).memory
    due_s = memory.next_attempt_at_s or 0.0
    step = failing(memory)
    assert texts(step) == []
    assert step.change is None
    assert step.memory.next_attempt_at_s == due_s + 15


def test_after_the_budget_a_new_cause_is_said_once():
    memory = started()
    for _ in range(20):
        memory = failing(memory).memory
    step = failing(memory, LOADING)
    assert texts(step) == ["Redis: Still not connected, the cause is now LOADING: Redis is loading its data from disk"]
    assert texts(failing(step.memory, LOADING)) == []


def test_a_link_that_failed_heals():
    memory = started()
    for _ in range(25):
        memory = failing(memory).memory
    step = connection.attempt_succeeded(POLICY, memory, at(400))
    assert step.memory.state is LinkState.CONNECTED
    assert texts(step) == [
        "Redis: Ready to accept commands",
        "Redis: Connected successfully (retryCount: 25, totalAttemptTime: 400000ms)",
    ]


def test_connecting_reports_how_often_and_how_long_it_tried():
    memory = started()
    for _ in range(5):
        memory = failing(memory).memory
    step = connection.attempt_succeeded(POLICY, memory, at(31.234))
    assert texts(step)[-1] == "Redis: Connected successfully (retryCount: 5, totalAttemptTime: 31234ms)"
    assert (step.memory.failed_attempts, step.memory.failure, step.memory.next_attempt_at_s) == (0, None, None)


def test_a_loss_is_followed_by_attempt_0_at_once_and_then_the_same_waits_without_end():
    step = connection.lost(POLICY, connected(), at(100), failure=CLOSED)
    memory, said = step.memory, texts(step)
    assert (memory.state, memory.attempt, memory.next_attempt_at_s) == (LinkState.CONNECTING, 0, 100)
    for _ in range(30):
        step = failing(memory)
        memory = step.memory
        said += texts(step)
    waits = [1000, 2000, 4000, 8000] + [15000] * 26
    assert said == [
        "Redis: Reconnecting after connection loss",
        *(f"Redis: Runtime reconnecting in {ms}ms (attempt {n})" for n, ms in enumerate(waits)),
    ]
    assert memory.state is LinkState.CONNECTING


def test_a_refusal_at_start_up_fails_at_once_is_said_once_and_waits_the_longest_delay():
    first = failing(started(), WRONGPASS)
    assert first.memory.state is LinkState.FAILED
    assert [line.level for line in first.lines] == ["error"]
    assert texts(first)[0].startswith("Redis: Refused by server (WRONGPASS)")
    assert WRONGPASS.hint in texts(first)[0]
    assert first.memory.next_attempt_at_s == 15
    assert texts(failing(first.memory, WRONGPASS)) == []


def test_a_refusal_that_turns_into_an_outage_is_connecting_again():
    memory = failing(failing(started(), WRONGPASS).memory, REFUSED_CONNECTION).memory
    assert memory.state is LinkState.CONNECTING


def test_a_refusal_that_lasts_spends_the_budget_and_says_so():
    memory, said = started(), []
    for _ in range(22):
        step = failing(memory, WRONGPASS)
        memory = step.memory
        said += texts(step)
    assert len(said) == 2
    assert said[1] == "Redis: Max startup retries reached, continuing without Redis"
    assert failing(memory, REFUSED_CONNECTION).memory.state is LinkState.FAILED


def test_a_refusal_at_run_time_is_said_although_the_loss_had_the_same_cause():
    lost = connection.lost(POLICY, connected(), at(10), failure=WRONGPASS)
    step = failing(lost.memory, WRONGPASS)
    assert step.memory.state is LinkState.FAILED
    assert texts(step)[0].startswith("Redis: Refused by server (WRONGPASS)")


def test_an_extra_attempt_costs_no_budget_and_moves_no_schedule():
    memory = failing(started()).memory
    step = connection.extra_attempt_failed(POLICY, memory, at(0.3), failure=REFUSED_CONNECTION)
    assert texts(step) == []
    assert (step.memory.attempt, step.memory.failed_attempts, step.memory.next_attempt_at_s) == (2, 1, 1)


def test_an_extra_attempt_that_finds_another_cause_says_so_once():
    memory = failing(started()).memory
    first = connection.extra_attempt_failed(POLICY, memory, at(0.3), failure=LOADING)
    again = connection.extra_attempt_failed(POLICY, first.memory, at(0.6), failure=REFUSED_CONNECTION)
    back = connection.extra_attempt_failed(POLICY, again.memory, at(0.9), failure=LOADING)
    assert [len(step.lines) for step in (first, again, back)] == [1, 0, 0]
    assert back.memory.failure == LOADING


def test_an_extra_attempt_that_is_refused_fails_and_gives_the_hint():
    memory = failing(started()).memory
    step = connection.extra_attempt_failed(POLICY, memory, at(0.3), failure=WRONGPASS)
    assert step.memory.state is LinkState.FAILED
    assert texts(step)[0].startswith("Redis: Refused by server (WRONGPASS)")


def test_the_same_failure_keeps_the_time_it_was_first_seen():
    first = failing(started()).memory
    second = failing(first).memory
    assert second.failure_at == first.failure_at == DAY
    assert failing(second, LOADING).memory.failure_at == DAY + timedelta(seconds=3)


def flap(times: int, every_s: float = 1.0) -> tuple[Memory, list[str]]:
    memory, said, now_s = connected(), [], 0.0
    for _ in range(times):
        now_s += every_s
        step = connection.lost(POLICY, memory, at(now_s), failure=CLOSED)
        said += texts(step)
        step = connection.attempt_succeeded(POLICY, step.memory, at(now_s + 0.5))
        said += texts(step)
        memory = step.memory
    return memory, said


def test_the_fourth_loss_within_a_minute_is_called_unstable_in_place_of_further_lines():
    _, said = flap(8)
    assert said == [
        "Redis: Reconnecting after connection loss",
        "Redis: Ready to accept commands",
        "Redis: Connected successfully (retryCount: 0, totalAttemptTime: 500ms)",
        "Redis: Reconnecting after connection loss",
        "Redis: Connected successfully (retryCount: 0, totalAttemptTime: 500ms)",
        "Redis: Reconnecting after connection loss",
        "Redis: Connected successfully (retryCount: 0, totalAttemptTime: 500ms)",
        "Redis: Unstable (4 losses in 60s)",
    ]


def test_a_link_that_keeps_flapping_is_called_unstable_once_a_minute():
    _, said = flap(130)
    assert [text for text in said if "Unstable" in text] == [
        "Redis: Unstable (4 losses in 60s)",
        "Redis: Unstable (60 losses in 60s)",
        "Redis: Unstable (60 losses in 60s)",
    ]


def test_failed_attempts_are_not_told_one_by_one_while_it_flaps():
    memory, _ = flap(4)
    step = connection.lost(POLICY, memory, at(5), failure=CLOSED)
    assert texts(failing(step.memory)) == []


def test_losses_that_are_far_apart_are_each_told():
    _, said = flap(6, every_s=30)
    assert not any("Unstable" in text for text in said)


def test_a_flapping_link_is_given_a_pause_before_attempt_0():
    memory, now_s = connected(), 0.0
    pauses = []
    for _ in range(12):
        now_s += 0.1
        memory = connection.lost(POLICY, memory, at(now_s), failure=CLOSED).memory
        pauses.append(round((memory.next_attempt_at_s or 0) - now_s, 3))
        memory = connected(now_s, memory)
    assert pauses == [0, 0, 0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5]


def test_a_flapping_link_that_holds_is_called_stable_again():
    memory, _ = flap(4)
    assert connection.beaten(POLICY, memory, at(60), amiss=None).lines == ()
    step = connection.beaten(POLICY, memory, at(64), amiss=None)
    assert texts(step) == ["Redis: Stable again (connected for 60s)"]
    assert connection.beaten(POLICY, step.memory, at(65), amiss=None).lines == ()


def test_a_limit_is_told_once_when_it_comes_and_once_when_it_goes():
    memory = connected()
    first = connection.beaten(POLICY, memory, at(1), amiss=OOM)
    second = connection.beaten(POLICY, first.memory, at(2), amiss=OOM)
    third = connection.beaten(POLICY, second.memory, at(3), amiss=None)
    assert [line.level for line in first.lines] == ["warning"]
    assert texts(first)[0].startswith("Redis: Connected but limited (OOM)")
    assert second.lines == ()
    assert texts(third) == ["Redis: Fully usable again"]
    assert first.memory.state is second.memory.state is LinkState.CONNECTED
    assert (second.memory.degraded_at, third.memory.degraded) == (at(1).at, None)


def test_a_limit_that_comes_and_goes_has_its_lines_once_a_minute():
    step = connection.beaten(POLICY, connected(), at(1), amiss=OOM)
    said = texts(step)
    for second in range(2, 62, 2):
        step = connection.beaten(POLICY, step.memory, at(second), amiss=None)
        assert step.memory.degraded is None
        said += texts(step)
        step = connection.beaten(POLICY, step.memory, at(second + 1), amiss=OOM)
        assert step.memory.degraded == OOM
        said += texts(step)
    assert [text.split(" (")[0] for text in said] == [
        "Redis: Connected but limited",
        "Redis: Fully usable again",
        "Redis: Connected but limited",
    ]


def test_a_limit_that_was_not_told_when_it_came_back_is_told_when_it_stays():
    step = connection.beaten(POLICY, connected(), at(1), amiss=OOM)
    step = connection.beaten(POLICY, step.memory, at(2), amiss=None)
    came_back = connection.beaten(POLICY, step.memory, at(3), amiss=OOM)
    assert texts(came_back) == []
    stays = connection.beaten(POLICY, came_back.memory, at(62), amiss=OOM)
    assert texts(stays)[0].startswith("Redis: Connected but limited (OOM)")
    assert stays.memory.degraded_at == came_back.memory.degraded_at
    assert texts(connection.beaten(POLICY, stays.memory, at(63), amiss=OOM)) == []


def test_another_limit_than_the_one_just_told_is_told():
    step = connection.beaten(POLICY, connected(), at(1), amiss=OOM)
    step = connection.beaten(POLICY, step.memory, at(2), amiss=Failure(Code.POOL_EXHAUSTED))
    assert texts(step)[0].startswith("Redis: Connected but limited (POOL_EXHAUSTED)")
    assert texts(connection.beaten(POLICY, step.memory, at(3), amiss=None)) == ["Redis: Fully usable again"]


def test_closing_forgets_the_failure_and_schedules_nothing():
    step = connection.close(failing(started()).memory, at(1))
    assert texts(step) == ["Redis: Connection closed"]
    assert (step.memory.state, step.memory.failure, step.memory.next_attempt_at_s) == (
        LinkState.DISCONNECTED,
        None,
        None,
    )
    assert step.change is not None
    assert step.change.reason_code == "CLOSED"


def test_closing_what_is_closed_changes_and_says_nothing():
    step = connection.close(Memory(), at(1))
    assert (step.lines, step.change) == ((), None)


def test_a_link_that_is_started_again_has_a_whole_budget_again():
    closed = connection.close(connected(), at(1)).memory
    memory = connection.start(closed, at(2)).memory
    assert (memory.attempt, memory.ever_connected) == (1, False)
    assert [seen.current for seen in memory.transitions] == ["connecting", "connected", "disconnected", "connecting"]


def test_only_the_newest_transitions_are_kept():
    memory, _ = flap(50)
    assert len(memory.transitions) == 20
    assert memory.transitions[-1].current == "connected"


def test_jitter_shortens_the_waits():
    policy = replace(POLICY, backoff=Backoff(jitter=0.5))
    step = connection.attempt_failed(policy, started(), at(0), failure=REFUSED_CONNECTION, chance=0.5)
    assert step.memory.next_attempt_at_s == 0.75


@pytest.mark.parametrize("budget", [1, 3])
def test_the_budget_may_be_smaller(budget):
    policy, memory, said = Policy(startup_attempts=budget), started(), []
    for _ in range(budget):
        step = failing(memory, policy=policy)
        memory = step.memory
        said += texts(step)
    assert len(said) == budget
    assert said[-1] == "Redis: Max startup retries reached, continuing without Redis"
    assert memory.state is LinkState.FAILED
