"""What each event leaves behind: the reason of its change of state, the instants, and nothing of what came before."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.core import connection
from shared.core.backoff import Backoff
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection import LinkState, Memory, Policy, Step
from shared.core.health import Transition
from tests.unit.test_connection import CLOSED, LOADING, OOM, POLICY, WRONGPASS, at, connected, failing, started, texts


def lost(memory: Memory, now_s: float, failure: Failure = CLOSED, policy: Policy = POLICY) -> Step:
    return connection.lost(policy, memory, at(now_s), failure=failure)


def flapped() -> Memory:
    """Connected, after four losses in four seconds."""
    memory = connected()
    for now_s in (1, 2, 3, 4):
        memory = connected(now_s + 0.5, lost(memory, now_s).memory)
    return memory


@pytest.mark.parametrize(
    ("happens", "previous", "current", "reason"),
    [
        (lambda: connection.start(Memory(), at(9)), "disconnected", "connecting", "STARTED"),
        (lambda: connection.close(started(), at(9)), "connecting", "disconnected", "CLOSED"),
        (lambda: connection.attempt_succeeded(POLICY, started(), at(9)), "connecting", "connected", "CONNECTED"),
        (
            lambda: connection.attempt_failed(POLICY, started(), at(9), failure=WRONGPASS),
            "connecting",
            "failed",
            "WRONGPASS",
        ),
        (
            lambda: connection.extra_attempt_failed(POLICY, started(), at(9), failure=WRONGPASS),
            "connecting",
            "failed",
            "WRONGPASS",
        ),
        (lambda: lost(connected(), 9), "connected", "connecting", "CONNECTION_CLOSED"),
        # While it flaps: when that is said, and when it has been said already.
        (lambda: lost(replace(flapped(), unstable_at_s=None), 9), "connected", "connecting", "CONNECTION_CLOSED"),
        (lambda: lost(flapped(), 9), "connected", "connecting", "CONNECTION_CLOSED"),
        (
            lambda: connection.attempt_succeeded(POLICY, lost(flapped(), 9).memory, at(9)),
            "connecting",
            "connected",
            "CONNECTED",
        ),
    ],
)
def test_a_change_of_state_says_from_where_to_where_why_and_when(
    happens: Callable[[], Step], previous: str, current: str, reason: str
) -> None:
    step = happens()
    assert step.change == connection.StateChange(LinkState(previous), LinkState(current), reason, at(9).at)
    newest = step.memory.transitions[-1]
    assert newest == Transition(at=at(9).at, previous=previous, current=current, reason=reason)
    assert {type(text) for text in (newest.previous, newest.current, newest.reason)} == {str}


def test_starting_what_is_started_changes_no_state():
    step = connection.start(started(), at(5))
    assert (step.change, step.memory.state) == (None, LinkState.CONNECTING)


def test_the_time_it_took_to_connect_counts_from_the_start():
    memory = connection.start(Memory(), at(5)).memory
    step = connection.attempt_succeeded(POLICY, memory, at(7))
    assert texts(step)[-1].endswith("totalAttemptTime: 2000ms)")


def test_being_connected_forgets_the_attempts_the_failure_and_the_causes():
    memory = connected(20, failing(failing(started()).memory, LOADING).memory)
    assert (memory.attempt, memory.failed_attempts, memory.failure, memory.failure_at) == (0, 0, None, None)
    assert (memory.causes, memory.connected_at_s, memory.next_attempt_at_s) == (frozenset(), 20, None)


def test_a_loss_begins_to_count_anew_whatever_was_remembered():
    before = replace(connected(), attempt=7, failed_attempts=6, degraded=OOM, degraded_at=at(1).at)
    memory = lost(before, 100).memory
    assert (memory.attempt, memory.failed_attempts, memory.began_at_s) == (0, 0, 100)
    assert (memory.degraded, memory.degraded_at, memory.connected_at_s) == (None, None, None)


@pytest.mark.parametrize(("since_s", "for_s"), [(40.0, 60.0), (None, 0.0)])
def test_a_loss_says_how_long_the_link_had_been_connected(since_s, for_s):
    step = lost(replace(connected(), connected_at_s=since_s), 100)
    assert step.lines[0].facts["connected_for_s"] == for_s


def test_the_cause_of_a_loss_is_not_told_again_by_the_looks_that_follow():
    memory = failing(lost(connected(), 100).memory, LOADING).memory
    step = connection.extra_attempt_failed(POLICY, memory, at(101), failure=CLOSED)
    assert step.lines == ()


def test_a_look_that_finds_another_cause_names_it():
    step = connection.extra_attempt_failed(POLICY, failing(started()).memory, at(0.3), failure=LOADING)
    assert texts(step) == ["Redis: Still not connected, the cause is now LOADING: Redis is loading its data from disk"]


def test_that_the_budget_is_spent_is_told_with_the_number_of_the_last_attempt():
    memory = started()
    for _ in range(20):
        step = failing(memory)
        memory = step.memory
    assert step.lines[-1].facts["attempt"] == 20


def test_the_last_attempt_of_the_budget_is_still_one_of_it():
    memory = started()
    for _ in range(19):
        memory = failing(memory).memory
    assert (memory.attempt, memory.state) == (20, LinkState.CONNECTING)
    extra = connection.extra_attempt_failed(POLICY, memory, at(1), failure=LOADING).memory
    assert extra.state is LinkState.CONNECTING
    assert failing(extra).memory.state is LinkState.FAILED


@pytest.mark.parametrize(("budget", "waits"), [(1, [15, 15]), (2, [1, 15, 15]), (3, [1, 2, 15])])
def test_once_the_budget_is_spent_the_longest_delay_comes_at_once(budget, waits):
    policy, memory, found = Policy(startup_attempts=budget), started(), []
    for _ in waits:
        due_s = memory.next_attempt_at_s or 0.0
        memory = failing(memory, policy=policy).memory
        found.append((memory.next_attempt_at_s or 0.0) - due_s)
    assert found == waits


def test_chance_shortens_a_wait_only_where_it_is_drawn():
    policy = replace(POLICY, backoff=Backoff(jitter=0.5))
    assert connection.attempt_failed(policy, started(), at(0), failure=CLOSED).memory.next_attempt_at_s == 1


@pytest.mark.parametrize("flap_losses", [4, 10, 20])
def test_attempt_0_is_due_at_once_until_the_link_flaps(flap_losses):
    assert lost(connected(), 100, policy=Policy(flap_losses=flap_losses)).memory.next_attempt_at_s == 100


@pytest.mark.parametrize(("after_s", "said"), [(59.9, []), (60.0, ["Redis: Unstable (4 losses in 60s)"])])
def test_that_it_is_unstable_is_said_again_after_a_whole_window(after_s, said):
    first = lost(replace(connected(), losses_s=(98.0, 99.0, 99.5)), 100)
    assert texts(first) == ["Redis: Unstable (4 losses in 60s)"]
    later_s = 100 + after_s
    flapping = replace(first.memory, losses_s=(later_s - 3, later_s - 2, later_s - 1))
    assert texts(lost(flapping, later_s)) == said


def test_connecting_after_the_losses_have_grown_old_ends_the_talk_of_being_unstable():
    memory = replace(lost(flapped(), 9).memory, next_attempt_at_s=200)
    assert memory.unstable_at_s is not None
    step = connection.attempt_succeeded(POLICY, memory, at(200))
    assert step.memory.unstable_at_s is None
    assert texts(step)[0] == "Redis: Ready to accept commands"


def test_a_limit_that_has_gone_leaves_no_instant_behind():
    limited = connection.beaten(POLICY, connected(), at(1), amiss=OOM).memory
    assert limited.degraded_at == at(1).at
    free = connection.beaten(POLICY, limited, at(2), amiss=None).memory
    assert (free.degraded, free.degraded_at) == (None, None)
    assert connection.beaten(POLICY, limited, at(2), amiss=Failure(Code.MISCONF)).memory.degraded_at == at(2).at
