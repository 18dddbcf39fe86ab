"""What the link says in the log, word for word: operators and their alerts search for these lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from shared.core.classify import Failure

Level = Literal["info", "warning", "error"]


class Said(StrEnum):
    """Which line it is, whatever its wording."""

    INITIALIZING = "initializing"
    INITIATED = "initiated"
    ATTEMPT_FAILED = "attempt_failed"
    BUDGET_SPENT = "budget_spent"
    READY = "ready"
    CONNECTED = "connected"
    LOST = "lost"
    RECONNECTING = "reconnecting"
    REFUSED = "refused"
    CAUSE = "cause"
    UNSTABLE = "unstable"
    STABLE = "stable"
    DEGRADED = "degraded"
    RESTORED = "restored"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log and the facts bound to it."""

    said: Said
    level: Level
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)


def start_lines() -> tuple[Line, ...]:
    """Said when the link starts."""
    return (
        Line(Said.INITIALIZING, "info", "Redis: Initializing client"),
        Line(Said.INITIATED, "info", "Redis: Connection initiated"),
    )


def stop_line() -> Line:
    """Said when the owner closes the link."""
    return Line(Said.CLOSED, "info", "Redis: Connection closed")


def retrying_line(*, number: int, budget: int, wait_s: float, failure: Failure) -> Line:
    """Said when attempt `number` of the start-up budget failed and another one follows."""
    wait_ms = _ms(wait_s)
    text = f"Redis: Connection attempt {number}/{budget} failed, retrying in {wait_ms}ms"
    facts = {"attempt": number, "budget": budget, "delay_ms": wait_ms, **_facts(failure)}
    return Line(Said.ATTEMPT_FAILED, "warning", text, facts)


def budget_spent_line(*, number: int, failure: Failure) -> Line:
    """Said in place of the last start-up attempt's line."""
    text = "Redis: Max startup retries reached, continuing without Redis"
    return Line(Said.BUDGET_SPENT, "warning", text, {"attempt": number, **_facts(failure), "hint": failure.hint})


def connected_lines(*, retries: int, took_s: float, brief: bool) -> tuple[Line, ...]:
    """Said when the link is usable; `brief` leaves the first line out, since the link was lost a moment ago."""
    took_ms = _ms(took_s)
    text = f"Redis: Connected successfully (retryCount: {retries}, totalAttemptTime: {took_ms}ms)"
    connected = Line(Said.CONNECTED, "info", text, {"retry_count": retries, "total_attempt_time_ms": took_ms})
    return (connected,) if brief else (Line(Said.READY, "info", "Redis: Ready to accept commands"), connected)


def lost_line(failure: Failure, connected_s: float) -> Line:
    """Said when a connection is lost."""
    facts = {**_facts(failure), "connected_for_s": round(connected_s, 3)}
    return Line(Said.LOST, "warning", "Redis: Reconnecting after connection loss", facts)


def reconnecting_line(*, number: int, wait_s: float, failure: Failure) -> Line:
    """Said when attempt `number` after a loss failed."""
    wait_ms = _ms(wait_s)
    text = f"Redis: Runtime reconnecting in {wait_ms}ms (attempt {number})"
    return Line(Said.RECONNECTING, "warning", text, {"attempt": number, "delay_ms": wait_ms, **_facts(failure)})


def refused_line(failure: Failure) -> Line:
    """Said once per cause when the server refuses us: a person has to act."""
    text = f"Redis: Refused by server ({failure.code}): {failure.summary}. {failure.hint}"
    return Line(Said.REFUSED, "error", text, {**_facts(failure), "hint": failure.hint})


def cause_line(failure: Failure) -> Line:
    """Said when an attempt between the scheduled ones finds another cause than before."""
    text = f"Redis: Still not connected, the cause is now {failure.code}: {failure.summary}"
    return Line(Said.CAUSE, "warning", text, {**_facts(failure), "hint": failure.hint})


def unstable_line(*, losses: int, window_s: float, failure: Failure) -> Line:
    """Said in place of further lines while the link is lost again and again."""
    text = f"Redis: Unstable ({losses} losses in {round(window_s)}s)"
    return Line(Said.UNSTABLE, "warning", text, {"losses": losses, "window_s": window_s, **_facts(failure)})


def stable_line(connected_s: float) -> Line:
    """Said when a link that was unstable has held for a while."""
    text = f"Redis: Stable again (connected for {round(connected_s)}s)"
    return Line(Said.STABLE, "info", text, {"connected_for_s": round(connected_s, 3)})


def degraded_line(failure: Failure) -> Line:
    """Said once when the link is connected but cannot be used in full."""
    text = f"Redis: Connected but limited ({failure.code}): {failure.summary}. {failure.hint}"
    return Line(Said.DEGRADED, "warning", text, {**_facts(failure), "hint": failure.hint})


def restored_line() -> Line:
    """Said when a limit has gone."""
    return Line(Said.RESTORED, "info", "Redis: Fully usable again")


def _facts(failure: Failure) -> dict[str, object]:
    return {"code": str(failure.code), "summary": failure.summary, "detail": failure.detail}


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)
