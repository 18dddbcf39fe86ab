"""Any interleaving of everything that happens to a ledger, beside a model that says what must have come of it.

`LEDGER_EXAMPLES=1000` searches at random and for long; without it a short, repeatable search is made.
"""

import os
import shutil
import tempfile
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from shared.core.costs import CostRow, CoverageState, FetchedCosts
from shared.core.days import DayRange
from shared.core.errors import IdempotencyConflictError, ProviderError, RunFinishedError, UnknownAccountError
from shared.core.runs import RetryPolicy, Run, RunKind, RunReady, RunState
from shared.ledger import claims
from shared.ledger.accounts import AccountFacts, list_accounts, sync_accounts
from shared.ledger.checking import _ask, check
from shared.ledger.clock import now
from shared.ledger.columns import exact_sum
from shared.ledger.cost_queries import CostQuery
from shared.ledger.cost_queries import costs as query_costs
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due, resend_queued
from shared.ledger.holds import hold_account, release_account
from shared.ledger.invariants import SUMS
from shared.ledger.lease import Claim
from shared.ledger.meta import ledger_id
from shared.ledger.migrate import upgrade
from shared.ledger.planning import plan_catchup, plan_scheduled, request_runs
from shared.ledger.store import store
from shared.ledger.summing import carry_over
from shared.ledger.tables import accounts, attempts, costs, coverage, revisions, runs
from tests.support.ledger import FakeSender, cost_row
from tests.support.ledger_model import Model, ModelAccount, ModelClaim, ModelRun

pytestmark = pytest.mark.integration

NAMES = ("corp", "lab")
FIRST = date(2026, 1, 1)
ALL_DAYS = DayRange(FIRST, FIRST + timedelta(days=2))
ROOM = 1000
POLICY = RetryPolicy(delays_s=(3600.0,), max_failures=3)
EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES") or 0)

names = st.sampled_from(NAMES)
lanes = st.sampled_from([None, "tenant", "tenant", "another"])
picks = st.integers(0, 40)
slots = st.integers(1, 9).map(lambda day: f"2026-01-{day:02}T02:00")
ranges = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(
    lambda ends: DayRange(FIRST + timedelta(days=min(ends)), FIRST + timedelta(days=max(ends)))
)
requests = st.sampled_from([RunKind.MANUAL, RunKind.BACKFILL])
answers = st.dictionaries(st.sampled_from(["disk", "net", "cpu"]), st.integers(-3, 9), max_size=2)


class LedgerMachine(RuleBasedStateMachine):
    """Everything that planners, dispatchers, workers, watchers and people do, in any order."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="holdfast-machine-")
        shutil.copy(self.template, f"{self.folder}/ledger.db")
        self.db = Database(f"sqlite:///{self.folder}/ledger.db")
        self.ledger = ledger_id(self.db)
        self.model = Model()
        self.hints: list[RunReady] = []
        self.claims: list[ModelClaim] = []

    @initialize()
    def configure(self) -> None:
        self.model.accounts = {name: ModelAccount() for name in NAMES}
        self.sync()

    def sync(self) -> None:
        known = self.model.accounts.items()
        listed = [(name, account) for name, account in known if not account.removed]
        sync_accounts(self.db, [AccountFacts(name, "focus", account.paused, account.lane) for name, account in listed])

    # Accounts.

    @rule(name=names, paused=st.booleans(), removed=st.sampled_from([False, False, False, True]), lane=lanes)
    def edit_accounts_file(self, name: str, *, paused: bool, removed: bool, lane: str | None = None) -> None:
        account = self.model.accounts[name]
        # An account that is not in the file keeps what the file last said of it.
        account.removed = removed
        if not removed:
            account.paused, account.lane = paused, lane
        self.sync()

    @rule(lane=lanes)
    def move_all_to_a_lane(self, lane: str | None) -> None:
        for account in self.model.accounts.values():
            account.lane = account.lane if account.removed else lane
        self.sync()

    @rule(name=names, held=st.booleans())
    def hold_or_resume(self, name: str, *, held: bool) -> None:
        self.model.accounts[name].held = held
        (hold_account if held else release_account)(self.db, name)
        for run in self.model.runs.values():
            if held and run.account == name and run.state is RunState.QUEUED:
                run.state = RunState.PENDING

    # Planning.

    @rule(slot=slots, days=ranges)
    def plan_fire(self, slot: str, days: DayRange) -> None:
        expected = [(name, days) for name in self.model.unplanned(slot)]
        self.model.hear_of(slot)
        self.made(plan_scheduled(self.db, slot=slot, days=days), expected)

    @rule(slot=st.none() | slots, days=ranges)
    def catch_up(self, slot: str | None, days: DayRange) -> None:
        if slot is not None:
            self.model.hear_of(slot)
        expected = self.model.gaps(days)
        self.made(plan_catchup(self.db, days=days, fire=slot), expected)

    @rule(name=names, days=ranges, kind=requests, key=st.sampled_from([None, None, "k1", "k2"]))
    def request(self, name: str, days: DayRange, kind: RunKind, key: str | None) -> None:
        known = self.model.keys.get((name, kind, key)) if key else None
        try:
            (run,) = request_runs(self.db, accounts=[name], days=days, kind=kind, key=key)
        except UnknownAccountError:
            assert self.model.accounts[name].removed
            return
        except IdempotencyConflictError:
            assert known is not None
            assert known[1] != days
            return
        asked = (name, kind, days)
        twins = [
            twin.id for twin in self.model.runs.values() if twin.open and (twin.account, twin.kind, twin.days) == asked
        ]
        before = [known[0]] if known else twins
        assert [run.id] == before if before else run.id not in self.model.runs
        self.made([] if before else [run], [] if before else [(name, days)])
        if key:
            self.model.keys[name, kind, key] = (run.id, days)

    def made(self, found: list[Run], expected: list[tuple[str, DayRange]]) -> None:
        assert [(run.account, run.days) for run in found] == expected
        for run in found:
            self.model.runs[run.id] = ModelRun(run.id, run.account, run.kind, run.slot, run.days)

    # Hints.

    @rule(window=st.sampled_from([1, 3, ROOM]), reach=st.none() | st.integers(0, 2), arrives=st.booleans())
    def dispatch(self, window: int, reach: int | None, *, arrives: bool) -> None:
        """`reach` hints get through; what comes next is refused, or its answer lost, in which case it may arrive."""
        sender, expected = FakeSender(), self.model.to_dispatch(window)
        refused = reach is not None and not arrives
        sender.refuse_after, sender.stall_after = (reach, None) if refused else (None, reach)
        outcome = dispatch_due(self.db, sender, window=window)
        assert [*outcome.sent, *outcome.uncertain, *outcome.put_back] == expected
        for run_id in (*outcome.sent, *outcome.uncertain):
            self.model.runs[run_id].state, self.model.runs[run_id].resend = RunState.QUEUED, False
        self.hints += sender.sent
        self.hints += [RunReady(self.ledger, run_id, self.model.runs[run_id].attempt) for run_id in outcome.uncertain]

    @rule(everything=st.booleans())
    def resend(self, *, everything: bool) -> None:
        sender = FakeSender()
        queued = [run for run in self.model.runs.values() if run.state is RunState.QUEUED]
        due = [run for run in queued if everything or run.resend]
        assert resend_queued(self.db, sender, everything=everything) == len(due)
        assert {(hint.run_id, hint.attempt) for hint in sender.sent} == {(run.id, run.attempt) for run in due}
        for run in due:
            run.resend = False
        self.hints += sender.sent

    @rule()
    def redis_is_wiped(self) -> None:
        self.hints.clear()

    @precondition(lambda self: self.hints)
    @rule(pick=picks)
    def lose_a_hint(self, pick: int) -> None:
        del self.hints[pick % len(self.hints)]

    # Workers.

    @precondition(lambda self: self.hints)
    @rule(pick=picks, again=st.booleans(), foreign=st.sampled_from([False, False, False, True]))
    def deliver(self, pick: int, *, again: bool, foreign: bool) -> None:
        """A worker takes a hint; `again`: it is delivered twice; `foreign`: there is another ledger's of that run."""
        place = pick % len(self.hints)
        hint = self.hints[place] if again else self.hints.pop(place)
        if foreign:
            assert claims.claim(self.db, RunReady(uuid4(), hint.run_id, hint.attempt), holder="w") is None
        run = self.model.runs[hint.run_id]
        fits = (run.state, run.attempt) == (RunState.QUEUED, hint.attempt)
        account = self.model.accounts[run.account]
        blocked = self.model.busy(run.account) or account.removed or account.held or self.model.gives_way(run)
        claim = claims.claim(self.db, hint, holder="w")
        assert (claim is not None) == (fits and not blocked)
        if claim is not None:
            self.begun(claim)
        elif fits:
            run.state = RunState.PENDING

    @rule(served=st.frozensets(names))
    def claim_without_redis(self, served: frozenset[str]) -> None:
        expected = self.model.most_urgent(served)
        claim = claims.claim_next_due(self.db, holder="w", served=served)
        assert (claim and claim.run.id) == expected
        if claim is not None:
            self.begun(claim)

    def begun(self, claim: Claim) -> None:
        run = self.model.runs[claim.run.id]
        run.state, run.lane = RunState.RUNNING, self.model.accounts[run.account].lane
        self.model.served[run.account] = claim.fetch_seq
        self.claims.append(ModelClaim(claim))

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def fetch(self, pick: int) -> None:
        held = self.claims[pick % len(self.claims)]
        held.answer = self.model.answer(held.claim.run.account, held.claim.run.days)

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def store(self, pick: int) -> None:
        """Whoever holds a claim, or once held it, stores what it fetched; it may try again later."""
        held = self.claims[pick % len(self.claims)]
        run = held.claim.run
        answer = held.answer if held.answer is not None else self.model.answer(run.account, run.days)
        stored = store(self.db, held.claim, FetchedCosts(answer))
        assert (stored is not None) == self.model.holds(held.claim)
        if stored is not None:
            self.model.store(held.claim, answer)

    @precondition(lambda self: self.claims)
    @rule(pick=picks, permanent=st.booleans(), at_once=st.booleans(), throttled=st.booleans())
    def fail(self, pick: int, *, permanent: bool, at_once: bool, throttled: bool) -> None:
        claim = self.claims[pick % len(self.claims)].claim
        retry_after_s = 0.0 if at_once else None
        error = ProviderError(
            code="C", summary="s", hint="h", permanent=permanent, retry_after_s=retry_after_s, throttled=throttled
        )
        found = claims.fail_attempt(self.db, claim, error, POLICY)
        assert (found is not None) == self.model.holds(claim)
        if found is None:
            return
        run = self.model.runs[claim.run.id]
        postponed = throttled and not permanent
        run.failures += not postponed
        if permanent or (run.failures == POLICY.max_failures and not postponed):
            self.model.end(run, RunState.FAILED)
        else:
            self.model.give_back(run, due=at_once)
            if postponed and run.lane is not None:
                self.model.postpone(run.lane, due=at_once)
        assert (found.state, found.failures, found.attempt) == (run.state, run.failures, run.attempt)

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def hand_back(self, pick: int) -> None:
        claim = self.claims[pick % len(self.claims)].claim
        assert claims.hand_back(self.db, claim) == self.model.holds(claim)
        if self.model.holds(claim):
            self.model.give_back(self.model.runs[claim.run.id])

    @rule(renewed=st.booleans())
    def take_back(self, *, renewed: bool) -> None:
        """A watcher thinks every holder dead; one that was `renewed` since it looked is left alone."""
        beats = claims.running_beats(self.db)
        running = [run for run in self.model.runs.values() if run.state is RunState.RUNNING]
        assert {(beat.run_id, beat.attempt) for beat in beats} == {(run.id, run.attempt) for run in running}
        if renewed:
            held = [item.claim for item in self.claims]
            assert claims.renew(self.db, held) == {run.id for run in running}
        for beat in beats:
            assert claims.take_back(self.db, beat) is not renewed
            if not renewed:
                self.model.give_back(self.model.runs[beat.run_id])

    # Sums.

    @rule(step=st.sampled_from([1, 3, ROOM]))
    def carry_over(self, step: int) -> None:
        carry_over(self.db, step=step)

    # People, providers, time.

    @precondition(lambda self: self.model.runs)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        run = list(self.model.runs.values())[pick % len(self.model.runs)]
        try:
            claims.cancel_run(self.db, run.id)
        except RunFinishedError:
            assert not run.open
        else:
            assert run.open
            self.model.end(run, RunState.CANCELLED)

    @rule(name=names, offset=st.integers(0, 2), answer=answers)
    def restate(self, name: str, offset: int, answer: dict[str, int]) -> None:
        day = FIRST + timedelta(days=offset)
        rows = tuple(cost_row(day, billed=str(amount), service=service) for service, amount in answer.items())
        self.model.source[name, day] = rows

    @rule(name=names, answer=answers)
    def restate_everything(self, name: str, answer: dict[str, int]) -> None:
        for offset in range(len(ALL_DAYS)):
            self.restate(name, offset, answer)

    @rule()
    def an_undisturbed_hour(self) -> None:
        """Everything that is due is sent, claimed and stored, as on nearly every day; but each hint comes twice."""
        self.dispatch(ROOM, None, arrives=True)
        while self.hints:
            claimed = len(self.claims)
            self.deliver(0, again=True, foreign=False)
            self.deliver(0, again=False, foreign=False)
            if len(self.claims) > claimed:
                self.store(claimed)

    @precondition(lambda self: any(self.model.holds(held.claim) for held in self.claims))
    @rule(fetched=st.booleans())
    def a_holder_comes_back_late(self, *, fetched: bool) -> None:
        """It is thought dead, another works on its run, and then it stores after all."""
        late = next(place for place, held in enumerate(self.claims) if self.model.holds(held.claim))
        if fetched:
            self.fetch(late)
        self.take_back(renewed=False)
        self.dispatch(ROOM, None, arrives=True)
        while self.hints:
            self.deliver(0, again=False, foreign=False)
        self.store(late)

    @rule()
    def time_passes(self) -> None:
        with self.db.write() as connection:
            past = now(connection) - timedelta(seconds=1)
            connection.execute(update(runs).where(runs.c.not_before.is_not(None)).values(not_before=past))
            connection.execute(update(runs).where(runs.c.next_send_at.is_not(None)).values(next_send_at=past))
        for run in self.model.runs.values():
            run.due, run.resend = True, run.state is RunState.QUEUED

    # What must hold after each step.

    @invariant()
    def every_run_is_where_the_model_has_it(self) -> None:
        with self.db.read() as connection:
            query = select(runs.c.id, runs.c.state, runs.c.attempt, runs.c.failures)
            found = {row.id: tuple(row)[1:] for row in connection.execute(query)}
            under_way = select(attempts.c.run_id, attempts.c.attempt).where(attempts.c.ended_at.is_(None))
            working = {tuple(row) for row in connection.execute(under_way)}
        known = self.model.runs.values()
        assert found == {run.id: (run.state, run.attempt, run.failures) for run in known}
        running = [run for run in known if run.state is RunState.RUNNING]
        assert working == {(run.id, run.attempt) for run in running}
        assert len({run.account for run in running}) == len(running)
        in_lanes = [run.lane for run in running if run.lane is not None]
        assert len(set(in_lanes)) == len(in_lanes)

    @invariant()
    def every_day_is_stored_once_and_as_it_was_last_fetched(self) -> None:
        with self.db.read() as connection:
            summed = select(accounts.c.name, costs.c.day, func.count(), exact_sum(costs.c.billed))
            grouped = summed.join_from(costs, accounts, costs.c.account_id == accounts.c.id)
            sums = {
                tuple(row)[:2]: tuple(row)[2:]
                for row in connection.execute(grouped.group_by(costs.c.account_id, costs.c.day))
            }
            covered = select(accounts.c.name, coverage.c.day, coverage.c.state, coverage.c.rows, coverage.c.fetch_seq)
            rows = connection.execute(
                covered.join_from(coverage, accounts, coverage.c.account_id == accounts.c.id)
            ).all()
        days = self.model.days
        expected = self.model.sums()
        assert sums == {key: (len(days[key].rows), amount) for key, amount in expected.items()}
        assert len(rows) == len(days)
        for name, day, state, count, fetch_seq in rows:
            known = days[name, day]
            suspect = CoverageState.SUSPECT if known.suspect else CoverageState.COMPLETE
            assert (state, count, fetch_seq) == (suspect, len(known.rows), known.fetch_seq)

    @invariant()
    def every_change_of_a_stored_day_is_kept_and_nothing_else(self) -> None:
        changed = (revisions.c.day, revisions.c.service, revisions.c.billed_before, revisions.c.billed_after)
        query = select(accounts.c.name, *changed).join_from(revisions, accounts).order_by(revisions.c.id)
        with self.db.read() as connection:
            assert [tuple(row) for row in connection.execute(query)] == self.model.revisions

    @invariant()
    def questions_are_answered_as_the_model_has_it(self) -> None:
        expected = self.model.sums()
        by_day: dict[date, Decimal] = defaultdict(Decimal)
        by_account: dict[str, Decimal] = defaultdict(Decimal)
        for (name, day), amount in expected.items():
            by_day[day] += amount
            by_account[name] += amount
        for group, sums in (("day", by_day), ("account", by_account)):
            report = query_costs(self.db, CostQuery(ALL_DAYS, (group,)))
            assert {row[group]: row["amount"] for row in report.rows} == sums
        assert not [found.name for found in map(partial(_ask, self.db), SUMS) if found.broken]

    @invariant()
    def caches_can_tell_when_an_account_changed(self) -> None:
        found = {account.name: account.data_version for account in list_accounts(self.db)}
        assert found == {name: account.version for name, account in self.model.accounts.items()}

    def teardown(self) -> None:
        try:
            if self.model.accounts:
                self.settle()
        finally:
            self.db.dispose()
            shutil.rmtree(self.folder)

    def settle(self) -> None:
        """Whatever has happened: once the accounts collect and a fire has come, everything is as the source has it."""
        for name in NAMES:
            self.edit_accounts_file(name, paused=False, removed=False)
            self.hold_or_resume(name, held=False)
        self.take_back(renewed=False)
        self.time_passes()
        self.plan_fire("2026-02-01T02:00", ALL_DAYS)
        self.hints.clear()
        self.resend(everything=True)
        while any(run.open for run in self.model.runs.values()):
            self.an_undisturbed_hour()
        self.every_run_is_where_the_model_has_it()
        self.every_day_is_stored_once_and_as_it_was_last_fetched()
        assert [finding for finding in check(self.db, grace_s=0, at_rest=True) if finding.broken] == []
        sums = self.model.sums()
        for name in NAMES:
            for day in ALL_DAYS:
                there: tuple[CostRow, ...] = self.model.source.get((name, day), ())
                stored = self.model.days[name, day]
                assert stored.suspect or stored.rows == there
                assert stored.suspect or sums.get((name, day), 0) == sum((row.billed for row in there), Decimal())


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_no_interleaving_loses_a_day_or_stores_one_twice(tmp_path: Path) -> None:
    LedgerMachine.template = tmp_path / "template.db"
    db = Database(f"sqlite:///{LedgerMachine.template}")
    upgrade(db)
    db.dispose()
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES or 40,
            stateful_step_count=50,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
