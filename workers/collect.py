"""Collecting one run: claim it, fetch its costs, store them or say why not."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from loguru import logger

from shared.core.costs import FetchedCosts
from shared.core.credentials import is_about_credentials
from shared.core.errors import DatabaseUnavailableError, ProviderError
from shared.core.revisions import Restatement
from shared.core.runs import RetryPolicy, Run, RunReady, RunState
from shared.ledger.claims import Claim
from shared.ledger.documents import amount
from shared.ledger.store import Stored
from shared.observability import events, failpoints, metrics
from shared.observability.failpoints import Point
from workers.facts import Intake
from workers.holdings import Held, Holdings
from workers.room import room_to_open

T = TypeVar("T")

DATABASE_RETRY_S: Final = 0.5
ROOM_RETRY_S: Final = 0.5


class Ledger(Protocol):
    """What collecting needs of the ledger. Every method raises DatabaseUnavailableError while it is away."""

    def claim(self, ready: RunReady) -> Claim | None:
        """Make the run ours; None when the hint is stale, or of another ledger."""

    def store(self, claim: Claim, fetched: FetchedCosts) -> Stored | None:
        """Store the costs and end the run; what became of them, None when the run is no longer ours."""

    def fail(self, claim: Claim, error: ProviderError, policy: RetryPolicy) -> Run | None:
        """End the attempt; the run as it stands then, None when it is no longer ours."""

    def hand_back(self, claim: Claim) -> bool:
        """Give the run back, to be tried again at once."""


@dataclass(frozen=True)
class Collector:
    """The use case. `fetch` raises ProviderError and needs `room`; `draining` ends every wait for the database.

    `suspect` is called with an account whose credentials may be what a run of it failed by; it must not block.
    """

    ledger: Ledger
    fetch: Callable[[Run], FetchedCosts]
    policy: RetryPolicy
    holdings: Holdings
    draining: threading.Event
    room: Callable[[], bool] = room_to_open
    suspect: Callable[[str], object] = lambda _account: None

    def on_hint(self, ready: RunReady) -> None:
        """Collect the run that a hint names, if it is ours to take. Waits out a database that is away."""
        claim = self._claim(ready)
        if claim is not None:
            self.work(self.hold(claim, Intake.QUEUE))

    def hold(self, claim: Claim, intake: Intake) -> Held:
        """Have a claim just made renewed from now on; `work` must follow."""
        metrics.CLAIMS.labels(outcome="claimed", mode=intake.value).inc()
        return self.holdings.add(claim)

    def work(self, held: Held) -> None:
        """Work on a held run until it is stored, has failed, or is no longer ours."""
        run = held.claim.run
        facts = {"run_id": run.id, "account": run.account, "attempt": run.attempt}
        with logger.contextualize(scope=events.SCOPE_RUN, **facts):
            logger.bind(event=events.RUN_CLAIMED, start=str(run.days.start), end=str(run.days.end)).info("Run claimed")
            try:
                self._attempt(held)
            finally:
                self.holdings.release(held)
                metrics.RUN_DURATION.labels(provider=run.provider).observe(time.monotonic() - held.since_s)

    def hand_back(self, held: Held) -> None:
        """Give a run back that cannot be finished here. Raises DatabaseUnavailableError."""
        held.lost.set()
        if self.ledger.hand_back(held.claim):
            _count(held, "handed_back")
            logger.bind(event=events.RUN_HANDED_BACK, scope=events.SCOPE_RUN, run_id=held.claim.run.id).info(
                "Run handed back"
            )

    def _claim(self, ready: RunReady) -> Claim | None:
        try:
            claim = self._persist(lambda: self.ledger.claim(ready), self.draining.is_set)
        except DatabaseUnavailableError:
            return None
        if claim is None:
            metrics.CLAIMS.labels(outcome="stale", mode=Intake.QUEUE.value).inc()
            logger.bind(event=events.RUN_STALE, scope=events.SCOPE_RUN, run_id=ready.run_id).debug("Hint was stale")
        return claim

    def _attempt(self, held: Held) -> None:
        def given_up() -> bool:
            return self.draining.is_set() or held.lost.is_set()

        if not self._await_room(given_up):
            _lost(held)
            return
        try:
            failpoints.reached(Point.FETCH_BEGUN)
            fetched = self.fetch(held.claim.run)
            failpoints.reached(Point.FETCHED)
            logger.bind(event=events.RUN_FETCHED, rows=len(fetched.rows)).debug("Costs fetched")
            stored = self._persist(lambda: self.ledger.store(held.claim, fetched), given_up)
        except DatabaseUnavailableError:
            _lost(held)
        except ProviderError as error:
            if is_about_credentials(error):
                self.suspect(held.claim.run.account)
            self._fail(held, error, given_up)
        except Exception as error:  # noqa: BLE001 - a fault of ours fails the attempt; the run is not lost with it
            metrics.UNEXPECTED_ERRORS.labels(where="collect").inc()
            logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=error).error("Unexpected error in a run")
            self._fail(held, unexpected(error), given_up)
        else:
            _stored(held, stored)

    def _await_room(self, given_up: Callable[[], bool]) -> bool:
        """Wait until this process can open files; False once `given_up`."""
        told = False
        while not self.room():
            if given_up():
                return False
            if not told:
                told = True
                logger.bind(event=events.RUN_WAITS).warning("Run waits: this process can open no more files now")
            self.draining.wait(ROOM_RETRY_S)
        return True

    def _fail(self, held: Held, error: ProviderError, given_up: Callable[[], bool]) -> None:
        try:
            run = self._persist(lambda: self.ledger.fail(held.claim, error, self.policy), given_up)
        except DatabaseUnavailableError:
            run = None
        if run is None:
            _lost(held)
            return
        line = logger.bind(code=error.code, summary=error.summary, hint=error.hint)
        if run.state is RunState.PENDING:
            _count(held, "retried")
            line.bind(event=events.RUN_RETRIED, not_before=str(run.not_before)).warning(
                "Run's attempt failed, it will be tried again"
            )
        else:
            _count(held, "failed")
            line.bind(event=events.RUN_FAILED).error("Run failed")

    def _persist(self, operation: Callable[[], T], given_up: Callable[[], bool]) -> T:
        """Do it as soon as the database answers: what was fetched costs money, and is not thrown away for an outage.

        Raises DatabaseUnavailableError once `given_up`.
        """
        while True:
            try:
                return operation()
            except DatabaseUnavailableError as error:
                if given_up():
                    raise
                # The database's own check tells operators, once for all runs.
                logger.bind(event=events.DATABASE_LOST, error=error.summary).debug("A run waits for the database")
            self.draining.wait(DATABASE_RETRY_S)


def unexpected(error: Exception) -> ProviderError:
    """What the ledger keeps of an error nobody foresaw: its kind alone, since its text may hold anything."""
    return ProviderError(
        code="UNEXPECTED",
        summary=f"Unexpected {type(error).__name__} while collecting",
        hint="The worker's log holds the details; please report it if it comes again",
    )


def _stored(held: Held, stored: Stored | None) -> None:
    if stored is None:
        _lost(held)
        return
    _count(held, "succeeded")
    metrics.ROWS_STORED.labels(provider=held.claim.run.provider).inc(stored.rows)
    took_s = round(time.monotonic() - held.since_s, 3)
    logger.bind(event=events.RUN_SUCCEEDED, rows=stored.rows, took_s=took_s).info("Run succeeded")
    if stored.changed:
        _restated(held.claim.run.provider, Restatement.of(stored.changed))


def _restated(provider: str, told: Restatement) -> None:
    metrics.RESTATEMENTS.labels(provider=provider).inc(len(told.days))
    difference = ", ".join(f"{amount(risen, signed=True)} {currency}" for currency, risen in told.difference.items())
    line = logger.bind(event=events.DAYS_RESTATED, days=len(told.days), services=told.services, difference=difference)
    line.bind(first=str(told.days[0]), last=str(told.days[-1])).info("Days restated")


def _lost(held: Held) -> None:
    _count(held, "lost")
    logger.bind(event=events.RUN_LOST).warning("Run is no longer held here, its result is left out")


def _count(held: Held, outcome: str) -> None:
    metrics.RUN_OUTCOMES.labels(provider=held.claim.run.provider, outcome=outcome).inc()
