"""The life of the connection to Redis as a pure state machine: what happened in, what to remember and to say out.

No clock, thread or socket: instants and chance come in as arguments. docs/connection.md draws it.

Attempts are numbered as the log counts them: from 1 at start-up, where there is a budget, from 0 after a loss. Only
scheduled attempts count. Those that a wake-up starts are extra: silent unless they connect or find another cause.
"""

from dataclasses import replace

from shared.core.backoff import delay_s
from shared.core.classify import Failure
from shared.core.codes import Code, ErrorClass
from shared.core.connection_lines import (
    Line,
    budget_spent_line,
    cause_line,
    connected_lines,
    degraded_line,
    lost_line,
    reconnecting_line,
    refused_line,
    restored_line,
    retrying_line,
    stable_line,
    start_lines,
    stop_line,
    unstable_line,
)
from shared.core.connection_types import (
    CONNECTED,
    STARTED,
    Instant,
    LinkState,
    Memory,
    Policy,
    StateChange,
    Step,
)

__all__ = [
    "CONNECTED",
    "STARTED",
    "Instant",
    "LinkState",
    "Memory",
    "Policy",
    "StateChange",
    "Step",
    "attempt_failed",
    "attempt_succeeded",
    "beaten",
    "close",
    "extra_attempt_failed",
    "flapping",
    "lost",
    "start",
]


def start(memory: Memory, now: Instant) -> Step:
    """The first attempt is due at once. Nothing of an earlier life counts, except the list of transitions."""
    fresh = Memory(
        began_at_s=now.mono_s, next_attempt_at_s=now.mono_s, state=memory.state, transitions=memory.transitions
    )
    return Step(fresh, start_lines()).entering(LinkState.CONNECTING, STARTED, now)


def close(memory: Memory, now: Instant) -> Step:
    """The owner wants no link any more."""
    ended = Memory(state=memory.state, transitions=memory.transitions)
    lines = () if memory.state is LinkState.DISCONNECTED else (stop_line(),)
    return Step(ended, lines).entering(LinkState.DISCONNECTED, Code.CLOSED, now)


def attempt_failed(policy: Policy, memory: Memory, now: Instant, *, failure: Failure, chance: float = 0.0) -> Step:
    """A scheduled attempt failed: count it, say so, and set the next one."""
    number = memory.attempt
    wait_s = _wait_s(policy, memory, failure, chance)
    after = replace(
        _remember(memory, failure, now),
        attempt=number + 1,
        failed_attempts=memory.failed_attempts + 1,
        next_attempt_at_s=now.mono_s + wait_s,
    )
    state = _state_after(policy, after, failure)
    return Step(after, _failure_lines(policy, memory, failure, wait_s=wait_s, now=now)).entering(
        state, failure.code, now
    )


def extra_attempt_failed(policy: Policy, memory: Memory, now: Instant, *, failure: Failure) -> Step:
    """An attempt that a wake-up started failed: the schedule stands, only a new cause is worth a line."""
    after = _remember(memory, failure, now)
    lines = () if failure.code in memory.causes else (_cause_line(failure),)
    return Step(after, lines).entering(_state_after(policy, after, failure), failure.code, now)


def attempt_succeeded(policy: Policy, memory: Memory, now: Instant) -> Step:
    """PING and the small write succeeded: callers may use the link."""
    after = replace(
        memory,
        ever_connected=True,
        attempt=0,
        failed_attempts=0,
        connected_at_s=now.mono_s,
        next_attempt_at_s=None,
        failure=None,
        failure_at=None,
        causes=frozenset(),
    )
    if flapping(policy, memory, now):
        return Step(after).entering(LinkState.CONNECTED, CONNECTED, now)
    brief = len(_recent(policy, memory.losses_s, now)) > 1
    lines = connected_lines(retries=memory.failed_attempts, took_s=now.mono_s - memory.began_at_s, brief=brief)
    return Step(replace(after, unstable_at_s=None), lines).entering(LinkState.CONNECTED, CONNECTED, now)


def lost(policy: Policy, memory: Memory, now: Instant, *, failure: Failure) -> Step:
    """The connection is gone: one attempt at once, or after a short pause while it flaps."""
    losses_s = (*_recent(policy, memory.losses_s, now), now.mono_s)
    connected_s = now.mono_s - (memory.connected_at_s or now.mono_s)
    # A refusal has a line of its own, which the attempt that follows says.
    spoken = frozenset[Code]() if failure.error_class is ErrorClass.REFUSED else frozenset({failure.code})
    after = replace(
        _remember(memory, failure, now),
        causes=spoken,
        attempt=0,
        failed_attempts=0,
        began_at_s=now.mono_s,
        connected_at_s=None,
        next_attempt_at_s=now.mono_s + _pause_s(policy, len(losses_s)),
        degraded=None,
        degraded_at=None,
        losses_s=losses_s,
    )
    if len(losses_s) < policy.flap_losses:
        return Step(after, (lost_line(failure, connected_s),)).entering(LinkState.CONNECTING, failure.code, now)
    said_s = memory.unstable_at_s
    if said_s is not None and now.mono_s - said_s < policy.flap_window_s:
        return Step(after).entering(LinkState.CONNECTING, failure.code, now)
    line = unstable_line(losses=len(losses_s), window_s=policy.flap_window_s, failure=failure)
    return Step(replace(after, unstable_at_s=now.mono_s), (line,)).entering(LinkState.CONNECTING, failure.code, now)


def beaten(policy: Policy, memory: Memory, now: Instant, *, amiss: Failure | None) -> Step:
    """A beat was answered while connected. `amiss` is what stands in the way of full use (no memory, no disk …)."""
    lines: tuple[Line, ...] = ()
    after = memory
    if (amiss and amiss.code) != (memory.degraded and memory.degraded.code) or (amiss and not memory.limit_ends_told):
        after, lines = _limited(policy, memory, now, amiss=amiss)
    if memory.unstable_at_s is not None and not flapping(policy, memory, now):
        after = replace(after, unstable_at_s=None)
        lines = (*lines, stable_line(now.mono_s - (memory.connected_at_s or now.mono_s)))
    return Step(after, lines)


def _limited(policy: Policy, memory: Memory, now: Instant, *, amiss: Failure | None) -> tuple[Memory, tuple[Line, ...]]:
    """Another limit, or none any more. One that comes and goes gets its two lines once in a while."""
    if amiss is None:
        after = replace(memory, degraded=None, degraded_at=None)
        return after, (restored_line(),) if memory.limit_ends_told else ()
    same = memory.degraded is not None and memory.degraded.code is amiss.code
    told = memory.limit_told
    again = told is not None and told[0] is amiss.code and now.mono_s - told[1] < policy.flap_window_s
    after = replace(
        memory, degraded=amiss, degraded_at=memory.degraded_at if same else now.at, limit_ends_told=not again
    )
    return (after, ()) if again else (replace(after, limit_told=(amiss.code, now.mono_s)), (degraded_line(amiss),))


def flapping(policy: Policy, memory: Memory, now: Instant) -> bool:
    """Whether the link was lost so often lately that each loss is not worth lines of its own."""
    return len(_recent(policy, memory.losses_s, now)) >= policy.flap_losses


def _recent(policy: Policy, losses_s: tuple[float, ...], now: Instant) -> tuple[float, ...]:
    return tuple(at_s for at_s in losses_s if now.mono_s - at_s < policy.flap_window_s)


def _pause_s(policy: Policy, losses: int) -> float:
    # A server that accepts, answers and drops at once would otherwise be reconnected to thousands of times a second.
    excess = losses - policy.flap_losses
    return 0.0 if excess < 0 else min(0.25 * (1 + excess // 5), policy.backoff.cap_s)


def _wait_s(policy: Policy, memory: Memory, failure: Failure, chance: float) -> float:
    spent = not memory.ever_connected and memory.attempt >= policy.startup_attempts
    if spent or failure.error_class is ErrorClass.REFUSED:
        return policy.backoff.cap_s
    retry = memory.attempt + 1 if memory.ever_connected else memory.attempt
    return delay_s(policy.backoff, retry, chance)


def _state_after(policy: Policy, after: Memory, failure: Failure) -> LinkState:
    spent = not after.ever_connected and after.attempt > policy.startup_attempts
    refused = failure.error_class is ErrorClass.REFUSED
    return LinkState.FAILED if spent or refused else LinkState.CONNECTING


def _remember(memory: Memory, failure: Failure, now: Instant) -> Memory:
    same = memory.failure is not None and memory.failure.code is failure.code
    return replace(
        memory,
        failure=failure,
        failure_at=memory.failure_at if same else now.at,
        causes=memory.causes | {failure.code},
    )


def _failure_lines(
    policy: Policy, memory: Memory, failure: Failure, *, wait_s: float, now: Instant
) -> tuple[Line, ...]:
    number, new = memory.attempt, failure.code not in memory.causes
    lines: list[Line] = []
    if failure.error_class is ErrorClass.REFUSED:
        lines = [refused_line(failure)] if new else []
    elif memory.ever_connected:
        quiet = flapping(policy, memory, now)
        lines = [] if quiet else [reconnecting_line(number=number, wait_s=wait_s, failure=failure)]
    elif number < policy.startup_attempts:
        lines = [retrying_line(number=number, budget=policy.startup_attempts, wait_s=wait_s, failure=failure)]
    elif number > policy.startup_attempts:
        lines = [cause_line(failure)] if new else []
    if number == policy.startup_attempts and not memory.ever_connected:
        lines.append(budget_spent_line(number=number, failure=failure))
    return tuple(lines)


def _cause_line(failure: Failure) -> Line:
    return refused_line(failure) if failure.error_class is ErrorClass.REFUSED else cause_line(failure)
