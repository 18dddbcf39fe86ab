"""What a worker process says of itself, and how it travels to the launcher."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from shared.core.health import CheckResult
from shared.probes.facts import check_from_json


class Phase(StrEnum):
    """Where a worker process is in its life. `stopped` is its last word: nothing of it is worth waiting for."""

    WORKING = "working"
    DRAINING = "draining"
    STOPPED = "stopped"


class Intake(StrEnum):
    """Where a worker process takes runs from."""

    QUEUE = "queue"
    WAITING = "waiting"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class ChildFacts:
    """One worker process, as it saw itself when it sent this.

    `beats` gives, for each thread that must never stop, the seconds since its last turn, None when it has ended.
    `threads` counts the worker threads alive, `expected_threads` those that should be.
    """

    pid: int
    master_pid: int
    phase: Phase
    intake: Intake
    beats: Mapping[str, float | None]
    threads: int
    expected_threads: int
    runs: int
    checks: Mapping[str, CheckResult] = field(default_factory=dict)
    dependencies: Mapping[str, Any] = field(default_factory=dict)


def encode(facts: ChildFacts) -> bytes:
    """One datagram."""
    # Not asdict() of the whole, which copies every part of it: this is done once a second by processes that do nothing.
    said = {part.name: getattr(facts, part.name) for part in fields(facts)}
    said["checks"] = {name: asdict(check) for name, check in facts.checks.items()}
    return json.dumps(said, separators=(",", ":")).encode()


def decode(datagram: bytes) -> ChildFacts:
    """What a datagram says. Raises ValueError when it was not written by `encode`."""
    try:
        facts = json.loads(datagram)
        facts["phase"] = Phase(facts["phase"])
        facts["intake"] = Intake(facts["intake"])
        facts["checks"] = {name: check_from_json(found) for name, found in facts["checks"].items()}
        return ChildFacts(**facts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not the facts of a worker process: {error}") from error
