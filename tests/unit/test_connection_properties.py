"""Whatever happens in whatever order, these hold."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.core import connection
from shared.core.backoff import Backoff, delay_s
from shared.core.classify import Failure
from shared.core.codes import Code, ErrorClass
from shared.core.connection import Instant, LinkState, Memory, Policy, Step
from shared.core.connection_lines import Said
from shared.core.connection_types import TRANSITIONS_KEPT
from tests.unit.test_connection_docs import drawn

DAY = datetime(2026, 1, 1, tzinfo=UTC)
FAILURES = st.sampled_from([Failure(code) for code in Code])
SPANS_S = st.floats(0, 100)
CHANCES = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(
    lambda first_s, multiplier, more_s, jitter: Backoff(first_s, multiplier, first_s + more_s, jitter),
    st.floats(0.001, 10),
    st.floats(1, 5),
    st.floats(0, 60),
    st.floats(0, 1),
)
DRAWN = drawn()


class Life(RuleBasedStateMachine):
    """A link's life: time passes, attempts fail or succeed, connections are lost, the owner starts and closes."""

    @initialize(attempts=st.integers(1, 6), backoff=st.just(Backoff()) | BACKOFFS)
    def begin(self, attempts: int, backoff: Backoff) -> None:
        self.policy = Policy(startup_attempts=attempts, backoff=backoff)
        self.memory = Memory()
        self.now_s = 0.0
        # Since the owner started it: scheduled attempts that failed before it was ever connected, and lines about that.
        self.spent = 0
        self.said: Counter[Said] = Counter()

    def now(self) -> Instant:
        return Instant(self.now_s, DAY + timedelta(seconds=self.now_s))

    def take(self, step: Step) -> None:
        before = self.memory
        if step.change is None:
            assert step.memory.state is before.state
        else:
            assert (step.change.previous, step.change.current) == (before.state, step.memory.state)
            assert step.change.previous is not step.change.current
            assert step.memory.transitions[-1].reason == step.change.reason_code
            assert (str(step.change.previous), str(step.change.current)) in DRAWN
        self.said.update(line.said for line in step.lines)
        assert all("\n" not in line.text for line in step.lines)
        self.memory = step.memory

    @rule(span_s=SPANS_S)
    def time_passes(self, span_s: float) -> None:
        self.now_s += span_s

    @precondition(lambda self: self.memory.state is LinkState.DISCONNECTED)
    @rule()
    def start(self) -> None:
        self.spent = 0
        self.said.clear()
        self.take(connection.start(self.memory, self.now()))

    @rule()
    def close(self) -> None:
        self.take(connection.close(self.memory, self.now()))

    @precondition(lambda self: self.memory.state in {LinkState.CONNECTING, LinkState.FAILED})
    @rule(failure=FAILURES, chance=CHANCES)
    def scheduled_attempt_fails(self, failure: Failure, chance: float) -> None:
        before = self.memory
        step = connection.attempt_failed(self.policy, before, self.now(), failure=failure, chance=chance)
        assert step.memory.attempt == before.attempt + 1
        assert step.memory.failed_attempts == before.failed_attempts + 1
        self.spent += not before.ever_connected
        self.check_wait(before, step, failure)
        self.take(step)
        self.check_budget(failure)

    def check_wait(self, before: Memory, step: Step, failure: Failure) -> None:
        """The longest delay where only time or a person helps, else the one whose turn it is, shortened by chance."""
        wait_s = (step.memory.next_attempt_at_s or 0) - self.now_s
        backoff, retry = self.policy.backoff, before.attempt + before.ever_connected
        spent = not before.ever_connected and self.spent >= self.policy.startup_attempts
        if spent or failure.error_class is ErrorClass.REFUSED:
            assert abs(wait_s - backoff.cap_s) < 1e-6
        else:
            assert delay_s(backoff, retry, 1) - 1e-6 <= wait_s <= delay_s(backoff, retry) + 1e-6
        assert -1e-6 <= wait_s <= backoff.cap_s + 1e-6

    def check_budget(self, failure: Failure) -> None:
        """That it is spent is said once, after exactly as many scheduled attempts as there may be."""
        if not self.memory.ever_connected:
            spent = self.spent >= self.policy.startup_attempts
            assert self.said[Said.BUDGET_SPENT] == spent
            assert self.said[Said.ATTEMPT_FAILED] < self.policy.startup_attempts
            assert (self.memory.state is LinkState.FAILED) is (spent or failure.error_class is ErrorClass.REFUSED)

    @precondition(lambda self: self.memory.state in {LinkState.CONNECTING, LinkState.FAILED})
    @rule(failure=FAILURES)
    def extra_attempt_fails(self, failure: Failure) -> None:
        before = self.memory
        step = connection.extra_attempt_failed(self.policy, before, self.now(), failure=failure)
        assert step.memory.next_attempt_at_s == before.next_attempt_at_s
        assert step.memory.attempt == before.attempt
        assert len(step.lines) <= (failure.code not in before.causes)
        self.take(step)

    @precondition(lambda self: self.memory.state in {LinkState.CONNECTING, LinkState.FAILED})
    @rule()
    def attempt_succeeds(self) -> None:
        self.take(connection.attempt_succeeded(self.policy, self.memory, self.now()))
        assert self.memory.state is LinkState.CONNECTED

    @precondition(lambda self: self.memory.state is LinkState.CONNECTED)
    @rule(failure=FAILURES)
    def connection_is_lost(self, failure: Failure) -> None:
        self.take(connection.lost(self.policy, self.memory, self.now(), failure=failure))
        assert self.memory.attempt == 0
        assert self.memory.state is LinkState.CONNECTING

    @precondition(lambda self: self.memory.state is LinkState.CONNECTED)
    @rule(amiss=st.none() | FAILURES)
    def beat_is_answered(self, amiss: Failure | None) -> None:
        self.take(connection.beaten(self.policy, self.memory, self.now(), amiss=amiss))
        assert self.memory.degraded == amiss or (amiss and self.memory.degraded and amiss.code)
        assert self.memory.state is LinkState.CONNECTED

    @invariant()
    def an_attempt_is_scheduled_exactly_while_one_is_wanted(self) -> None:
        wanted = self.memory.state in {LinkState.CONNECTING, LinkState.FAILED}
        assert (self.memory.next_attempt_at_s is not None) is wanted

    @invariant()
    def connected_means_no_failure_and_a_known_beginning(self) -> None:
        connected = self.memory.state is LinkState.CONNECTED
        assert (self.memory.connected_at_s is not None) is connected
        assert not (connected and self.memory.failure)

    @invariant()
    def failed_is_final_for_nobody_and_has_its_reasons(self) -> None:
        if self.memory.state is LinkState.FAILED:
            spent = not self.memory.ever_connected and self.memory.attempt > self.policy.startup_attempts
            refused = self.memory.failure is not None and self.memory.failure.error_class is ErrorClass.REFUSED
            assert spent or refused

    @invariant()
    def time_only_goes_on(self) -> None:
        told = [seen.at for seen in self.memory.transitions]
        assert told == sorted(told)
        assert all(at <= self.now().at for at in (*told, self.memory.failure_at, self.memory.degraded_at) if at)
        past_s = (self.memory.began_at_s, self.memory.connected_at_s, self.memory.unstable_at_s)
        assert all(at_s <= self.now_s for at_s in past_s if at_s is not None)
        assert list(self.memory.losses_s) == sorted(self.memory.losses_s)

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.memory.transitions) <= TRANSITIONS_KEPT
        assert self.memory.causes <= set(Code)
        last_s = max(self.memory.losses_s, default=0.0)
        assert all(last_s - at_s < self.policy.flap_window_s for at_s in self.memory.losses_s)

    @invariant()
    def a_limit_is_known_only_while_connected(self) -> None:
        assert self.memory.degraded is None or self.memory.state is LinkState.CONNECTED


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
