"""The link's log lines, word for word: operators and their alerts search for them, programs for the facts bound."""

import pytest

from shared.core import connection_lines as lines
from shared.core.classify import Failure
from shared.core.codes import Code
from shared.core.connection_lines import Line, Said

LOADING = Failure(Code.LOADING, "the error's own text")
FACTS = {"code": "LOADING", "summary": "Redis is loading its data from disk", "detail": "the error's own text"}
HINT = "Wait: it serves when it has read its data. A large file takes minutes."
CONNECTED = Line(
    Said.CONNECTED,
    "info",
    "Redis: Connected successfully (retryCount: 5, totalAttemptTime: 31234ms)",
    {"retry_count": 5, "total_attempt_time_ms": 31234},
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lines.stop_line, Line(Said.CLOSED, "info", "Redis: Connection closed")),
        (lines.restored_line, Line(Said.RESTORED, "info", "Redis: Fully usable again")),
        (
            lambda: lines.retrying_line(number=1, budget=20, wait_s=1.0004, failure=LOADING),
            Line(
                Said.ATTEMPT_FAILED,
                "warning",
                "Redis: Connection attempt 1/20 failed, retrying in 1000ms",
                {"attempt": 1, "budget": 20, "delay_ms": 1000, **FACTS},
            ),
        ),
        (
            lambda: lines.budget_spent_line(number=20, failure=LOADING),
            Line(
                Said.BUDGET_SPENT,
                "warning",
                "Redis: Max startup retries reached, continuing without Redis",
                {"attempt": 20, **FACTS, "hint": HINT},
            ),
        ),
        (
            lambda: lines.lost_line(LOADING, 12.34567),
            Line(
                Said.LOST,
                "warning",
                "Redis: Reconnecting after connection loss",
                {**FACTS, "connected_for_s": 12.346},
            ),
        ),
        (
            lambda: lines.reconnecting_line(number=1, wait_s=2, failure=LOADING),
            Line(
                Said.RECONNECTING,
                "warning",
                "Redis: Runtime reconnecting in 2000ms (attempt 1)",
                {"attempt": 1, "delay_ms": 2000, **FACTS},
            ),
        ),
        (
            lambda: lines.refused_line(LOADING),
            Line(
                Said.REFUSED,
                "error",
                f"Redis: Refused by server (LOADING): Redis is loading its data from disk. {HINT}",
                {**FACTS, "hint": HINT},
            ),
        ),
        (
            lambda: lines.cause_line(LOADING),
            Line(
                Said.CAUSE,
                "warning",
                "Redis: Still not connected, the cause is now LOADING: Redis is loading its data from disk",
                {**FACTS, "hint": HINT},
            ),
        ),
        (
            lambda: lines.unstable_line(losses=4, window_s=60.4, failure=LOADING),
            Line(
                Said.UNSTABLE,
                "warning",
                "Redis: Unstable (4 losses in 60s)",
                {"losses": 4, "window_s": 60.4, **FACTS},
            ),
        ),
        (
            lambda: lines.stable_line(61.23456),
            Line(
                Said.STABLE,
                "info",
                "Redis: Stable again (connected for 61s)",
                {"connected_for_s": 61.235},
            ),
        ),
        (
            lambda: lines.degraded_line(LOADING),
            Line(
                Said.DEGRADED,
                "warning",
                f"Redis: Connected but limited (LOADING): Redis is loading its data from disk. {HINT}",
                {**FACTS, "hint": HINT},
            ),
        ),
    ],
)
def test_a_line_has_its_level_its_words_and_its_facts(made, expected):
    line = made()
    assert line == expected
    assert type(line.facts.get("code", "")) is str


def test_starting_is_said_in_two_lines():
    assert lines.start_lines() == (
        Line(Said.INITIALIZING, "info", "Redis: Initializing client"),
        Line(Said.INITIATED, "info", "Redis: Connection initiated"),
    )


@pytest.mark.parametrize(
    ("brief", "expected"),
    [(False, (Line(Said.READY, "info", "Redis: Ready to accept commands"), CONNECTED)), (True, (CONNECTED,))],
)
def test_being_connected_is_said_in_one_line_when_it_was_lost_a_moment_ago(brief, expected):
    assert lines.connected_lines(retries=5, took_s=31.2344, brief=brief) == expected
