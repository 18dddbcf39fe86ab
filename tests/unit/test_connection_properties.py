"""Whatever happens in whatever order, these hold."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.core import connection
from shared.core.classify import Failure
from shared.core.codes import Code, ErrorClass
from shared.core.connection import Instant, LinkState, Memory, Policy, Step

DAY = datetime(2026, 1, 1, tzinfo=UTC)
FAILURES = st.sampled_from([Failure(code) for code in Code])
SPANS_S = st.floats(0, 100)
CHANCES = st.floats(0, 1, exclude_max=True)


class Life(RuleBasedStateMachine):
    """A link's life: time passes, attempts fail or succeed, connections are lost, the owner starts and closes."""

    @initialize(attempts=st.integers(1, 6))
    def begin(self, attempts: int) -> None:
        self.policy = Policy(startup_attempts=attempts)
        self.memory = Memory()
        self.now_s = 0.0
        self.said_refused: set[Code] = set()

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
        self.memory = step.memory

    @rule(span_s=SPANS_S)
    def time_passes(self, span_s: float) -> None:
        self.now_s += span_s

    @precondition(lambda self: self.memory.state is LinkState.DISCONNECTED)
    @rule()
    def start(self) -> None:
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
        wait_s = (step.memory.next_attempt_at_s or 0) - self.now_s
        assert -1e-6 <= wait_s <= self.policy.backoff.cap_s + 1e-6
        self.take(step)

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
    def a_limit_is_known_only_while_connected(self) -> None:
        assert self.memory.degraded is None or self.memory.state is LinkState.CONNECTED


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
