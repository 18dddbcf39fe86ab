"""Runs that a person asks for: recorded first, so that nothing is lost, then sent if Redis takes them in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import redis
from loguru import logger

from shared.core.errors import HoldfastError
from shared.core.runs import Run, RunState
from shared.observability import events
from status_api.collaborators import Ledger, Link
from status_api.params import RunsAsked

Send = Callable[[Sequence[int]], frozenset[int]]


class Dispatch(StrEnum):
    """`queued`: a worker can take every run now. `deferred`: the scheduler sends what was not, when it can."""

    QUEUED = "queued"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The runs of a request, new or still open from an earlier one, and whether all were really sent."""

    runs: Sequence[Run]
    dispatch: Dispatch


class ManualRuns:
    """The use case behind POST /api/v1/runs; backfills are handed over in the same way."""

    def __init__(self, *, ledger: Ledger, link: Link, send: Send) -> None:
        self._ledger = ledger
        self._link = link
        self._send = send

    def request(self, asked: RunsAsked) -> Recorded:
        """Record and send. Once recorded, no trouble with sending fails the request."""
        runs = self._ledger.request_runs(asked)
        logger.bind(
            event=events.RUN_REQUESTED,
            scope=events.SCOPE_REQUEST,
            run_ids=[run.id for run in runs],
            days=len(asked.days),
        ).info("Runs requested")
        return self.hand_over(runs)

    def hand_over(self, runs: Sequence[Run]) -> Recorded:
        """Send what is recorded, if it can be done in time."""
        if not self._link.is_available():
            return Recorded(runs, dispatch_of(runs, frozenset()))
        pending = [run.id for run in runs if run.state is RunState.PENDING]
        try:
            sent = self._send(pending) if pending else frozenset()
            fresh = [self._ledger.run(run.id) for run in runs] if pending else runs
        except (redis.RedisError, HoldfastError, TimeoutError) as error:
            logger.bind(event=events.DISPATCH_FAILED, scope=events.SCOPE_REQUEST, reason=type(error).__name__).warning(
                "Requested runs were recorded but not sent; the scheduler sends them"
            )
            return Recorded(runs, Dispatch.DEFERRED)
        # An identical run that was open already and is queued has been sent before.
        before = frozenset(run.id for run in runs if run.state is RunState.QUEUED)
        return Recorded(fresh, dispatch_of(fresh, sent | before))


def dispatch_of(runs: Sequence[Run], sent: frozenset[int]) -> Dispatch:
    """Whether every run was sent, or is past needing it."""
    waiting = {RunState.PENDING, RunState.QUEUED}
    return Dispatch.QUEUED if all(run.id in sent or run.state not in waiting for run in runs) else Dispatch.DEFERRED
