"""What the launcher answers for its worker processes, decided from what they last said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.core.health import CheckResult, CheckStatus
from shared.probes.facts import worst_check
from workers.facts import ChildFacts, Intake, Phase

# After this long without a sign of life a thread or a process counts as stuck.
STALE_S: Final = 15.0
# Facts come every second: after three of these intervals a check's result is old.
OUTDATED_S: Final = 3.0
# What a worker process may take to import its code and start its threads.
BOOT_S: Final = 15.0
CHECKS: Final = ("database", "redis", "azureCredentials", "awsCredentials")


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last facts of one worker process, and how long ago they came."""

    facts: ChildFacts
    age_s: float


@dataclass(frozen=True, slots=True)
class CrewFacts:
    """All that the launcher knows: who reported, how many should, and for how long the processes are being started.

    `restarting` is set from an unexpected end until all have reported again.
    """

    sightings: Sequence[Sighting]
    expected: int
    since_start_s: float
    restarting: bool = False
    draining: bool = False


def stuck_reasons(crew: CrewFacts) -> list[str]:
    """Why the worker is broken in a way only a restart cures; empty while it is alive. No outage is a reason."""
    if crew.draining:
        return []
    reasons = [reason for sighting in crew.sightings for reason in child_reasons(sighting)]
    missing = crew.expected - len(crew.sightings)
    if missing > 0 and (crew.restarting or crew.since_start_s >= BOOT_S):
        reasons.append(f"{missing} of {crew.expected} worker processes missing")
    return reasons


def child_reasons(sighting: Sighting) -> list[str]:
    """What is wrong with one worker process."""
    facts, name = sighting.facts, f"worker process {sighting.facts.pid}"
    if sighting.age_s >= STALE_S:
        return [f"{name}: silent for {sighting.age_s:.0f} s"]
    if facts.phase is not Phase.WORKING:
        return []
    ended = [f"{name}: {thread} has ended" for thread, beat_s in facts.beats.items() if beat_s is None]
    stale = [
        f"{name}: {thread} has not moved for {beat_s:.0f} s"
        for thread, beat_s in facts.beats.items()
        if beat_s is not None and beat_s >= STALE_S
    ]
    lost = facts.expected_threads - facts.threads
    few = [f"{name}: {lost} of {facts.expected_threads} worker threads have ended"] if lost > 0 else []
    return [*ended, *stale, *few]


def consumers_check(crew: CrewFacts) -> CheckResult:
    """The worker's own check: down (and the whole with it) when nobody can take a run, degraded when some cannot."""
    if crew.draining:
        runs = sum(sighting.facts.runs for sighting in crew.sightings)
        return CheckResult(CheckStatus.DEGRADED, message=f"Draining, {runs} run{'' if runs == 1 else 's'} at work")
    fit = [sighting for sighting in crew.sightings if sighting.facts.phase is Phase.WORKING]
    fit = [sighting for sighting in fit if not child_reasons(sighting)]
    if not fit:
        reasons = stuck_reasons(crew)
        return CheckResult(
            CheckStatus.DOWN, message=reasons[0] if reasons else "Worker processes are starting", vital=True
        )
    if len(fit) < crew.expected:
        return CheckResult(CheckStatus.DEGRADED, message=f"{len(fit)} of {crew.expected} worker processes are working")
    return CheckResult(CheckStatus.UP, message=_intake_message(fit))


def _intake_message(fit: Sequence[Sighting]) -> str:
    intakes = {sighting.facts.intake for sighting in fit}
    if Intake.DIRECT in intakes:
        return "Taking due runs from the database, without Redis"
    if Intake.WAITING in intakes:
        return "Waiting for Redis"
    threads = sum(sighting.facts.threads for sighting in fit)
    return f"{threads} threads in {len(fit)} process{'es' if len(fit) > 1 else ''}"


def checks(crew: CrewFacts) -> dict[str, CheckResult]:
    """Every check of /health/ready: of each the worst that a worker process reports, and the worker's own."""
    found = {name: _worst(name, crew.sightings) for name in CHECKS}
    return {**found, "consumers": consumers_check(crew)}


def _worst(name: str, sightings: Sequence[Sighting]) -> CheckResult:
    told = [sighting for sighting in sightings if name in sighting.facts.checks]
    # A process that went silent says nothing of today while another still does.
    fresh = [sighting for sighting in told if sighting.age_s < OUTDATED_S] or told
    results = [_aged(sighting.facts.checks[name], sighting.age_s) for sighting in fresh]
    if not results:
        vital = name == "database"
        status = CheckStatus.DOWN if vital else CheckStatus.DEGRADED
        return CheckResult(status, message="Not checked yet", vital=vital)
    return worst_check(results)


def _aged(result: CheckResult, age_s: float) -> CheckResult:
    """Never an old "up": what a silent process last said is no news."""
    if age_s < OUTDATED_S or result.status is CheckStatus.UNUSED:
        return result
    gone = result.vital and age_s >= STALE_S
    status = CheckStatus.DOWN if gone or result.status is CheckStatus.DOWN else CheckStatus.DEGRADED
    return replace(result, status=status, response_ms=None, message=f"Stale: not refreshed for {age_s:.0f} s")


def dependencies(crew: CrewFacts) -> Mapping[str, Any] | None:
    """/health/dependencies as the first worker process without Redis reports it, else as any does; None before."""
    told = [sighting.facts.dependencies for sighting in crew.sightings if sighting.facts.dependencies]
    return min(told, key=lambda body: body["redis"]["status"] == "connected", default=None)
