"""What the ledger must be after each step, in the simplest words: dictionaries, no database, no clock."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from shared.core.costs import CostRow
from shared.core.days import DayRange, contiguous
from shared.core.runs import PRIORITY, RunKind, RunState
from shared.ledger.claims import Claim
from shared.ledger.courtesy import BACKFILL, QUEUED_AT_ONCE, room_for_backfills
from shared.ledger.dispatch import account_share

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass
class ModelAccount:
    """What the accounts file and the operator say of it."""

    paused: bool = False
    removed: bool = False
    held: bool = False
    version: int = 0
    lane: str | None = None

    @property
    def collects(self) -> bool:
        return not (self.paused or self.removed or self.held)


@dataclass
class ModelRun:
    """`fires` is how many fires had been heard of when it ended."""

    id: int
    account: str
    kind: RunKind
    slot: str
    days: DayRange
    state: RunState = RunState.PENDING
    attempt: int = 1
    failures: int = 0
    due: bool = True
    resend: bool = False
    fires: int = 0
    lane: str | None = None

    @property
    def open(self) -> bool:
        return self.state not in ENDED

    @property
    def priority(self) -> int:
        return PRIORITY[self.kind]


@dataclass
class ModelDay:
    """What is stored of one account-day. `fires` is how many had been heard of at the provider's last answer."""

    suspect: bool
    rows: tuple[CostRow, ...]
    fetch_seq: int
    fires: int


@dataclass
class ModelClaim:
    """A worker's claim, perhaps long lost, with what it fetched."""

    claim: Claim
    answer: tuple[CostRow, ...] | None = None


@dataclass
class Model:
    """The whole: accounts, runs by id, stored days, fires heard of, and what providers would answer."""

    accounts: dict[str, ModelAccount] = field(default_factory=dict)
    runs: dict[int, ModelRun] = field(default_factory=dict)
    days: dict[tuple[str, date], ModelDay] = field(default_factory=dict)
    fires: list[str] = field(default_factory=list)
    source: dict[tuple[str, date], tuple[CostRow, ...]] = field(default_factory=dict)
    keys: dict[tuple[str, RunKind, str], tuple[int, DayRange]] = field(default_factory=dict)
    # By account, the number of its newest attempt.
    served: dict[str, int] = field(default_factory=dict)
    # Account, day, service, what it cost before and since.
    revisions: list[tuple[str, date, str, Decimal | None, Decimal | None]] = field(default_factory=list)

    def hear_of(self, fire: str) -> None:
        if fire not in self.fires:
            self.fires.append(fire)

    def collecting(self) -> list[str]:
        """In the order in which the ledger came to know them."""
        return [name for name, account in self.accounts.items() if account.collects]

    def busy(self, account: str) -> bool:
        lane = self.accounts[account].lane
        running = [run for run in self.runs.values() if run.state is RunState.RUNNING]
        return any(run.account == account or (lane is not None and run.lane == lane) for run in running)

    def unplanned(self, slot: str) -> list[str]:
        planned = {run.account for run in self.runs.values() if (run.kind, run.slot) == (RunKind.SCHEDULED, slot)}
        return [name for name in self.collecting() if name not in planned]

    def gaps(self, days: DayRange) -> list[tuple[str, DayRange]]:
        return [
            (name, gap)
            for name in self.collecting()
            for gap in contiguous(day for day in days if not self._covered(name, day))
        ]

    def _covered(self, account: str, day: date) -> bool:
        stored = self.days.get((account, day))
        if stored is not None and not (stored.suspect and stored.fires < len(self.fires)):
            return True
        holding = [run for run in self.runs.values() if run.account == account and day in run.days]
        given_up = (RunState.FAILED, RunState.CANCELLED)
        return any(run.open or (run.state in given_up and run.fires == len(self.fires)) for run in holding)

    def ready(self) -> list[ModelRun]:
        """Runs that may begin as far as time and account go, oldest first."""
        waiting = (RunState.PENDING, RunState.QUEUED)
        return [
            run
            for run in self.runs.values()
            if run.state in waiting and run.due and self.accounts[run.account].collects and not self.busy(run.account)
        ]

    def to_dispatch(self, window: int) -> list[int]:
        """Ids in their order: by priority, then in turn by account, then age."""
        queued = [run for run in self.runs.values() if run.state is RunState.QUEUED]
        turns = Counter((run.account, run.priority) for run in queued)
        order = self._next_of_lanes(queued)
        for run in self.ready():
            if run.state is RunState.PENDING and self.accounts[run.account].lane is None:
                turns[run.account, run.priority] += 1
                order.append((run.priority, turns[run.account, run.priority], run.id))
        order.sort()
        mine = [run_id for priority, turn, run_id in order if turn <= account_share(window) and priority != BACKFILL]
        backfills = [run_id for priority, turn, run_id in order if turn <= QUEUED_AT_ONCE and priority == BACKFILL]
        mine += backfills[: room_for_backfills(window, sum(run.priority == BACKFILL for run in queued))]
        return mine[: max(window - len(queued), 0)]

    def _next_of_lanes(self, queued: Iterable[ModelRun]) -> list[tuple[int, int, int]]:
        """One of each lane and priority that has none queued: of whoever has waited longest."""
        taken = {(self.accounts[run.account].lane, run.priority) for run in queued}
        found = []
        for run in sorted(self.ready(), key=lambda run: (self.served.get(run.account, 0), run.id)):
            place = (self.accounts[run.account].lane, run.priority)
            if place[0] is not None and run.state is RunState.PENDING and place not in taken:
                taken.add(place)
                found.append((run.priority, 1, run.id))
        return found

    def postpone(self, lane: str, *, due: bool) -> None:
        """A provider has had enough of the lane."""
        for run in self.runs.values():
            if run.state in {RunState.PENDING, RunState.QUEUED} and self.accounts[run.account].lane == lane:
                run.state, run.due = RunState.PENDING, run.due and due

    def gives_way(self, run: ModelRun) -> bool:
        """A backfill's run, while something more urgent is queued that may begin."""

        def may_begin(other: ModelRun) -> bool:
            account = self.accounts[other.account]
            return not (account.removed or account.held or self.busy(other.account))

        urgent = [other for other in self.runs.values() if other.state is RunState.QUEUED and other.priority < BACKFILL]
        return run.kind is RunKind.BACKFILL and any(map(may_begin, urgent))

    def most_urgent(self, served: Iterable[str] = ()) -> int | None:
        """What a worker without hints takes."""
        order = [(run.priority, run.account in set(served), run.id) for run in self.ready()]
        return min(order)[2] if order else None

    def holds(self, claim: Claim) -> bool:
        run = self.runs[claim.run.id]
        return (run.state, run.attempt) == (RunState.RUNNING, claim.run.attempt)

    def end(self, run: ModelRun, state: RunState) -> None:
        run.state, run.fires = state, len(self.fires)

    def give_back(self, run: ModelRun, *, due: bool = True) -> None:
        run.state, run.due, run.attempt = RunState.PENDING, due, run.attempt + 1

    def answer(self, account: str, days: DayRange) -> tuple[CostRow, ...]:
        return tuple(row for day in days for row in self.source.get((account, day), ()))

    def store(self, claim: Claim, answer: Sequence[CostRow]) -> None:
        run = self.runs[claim.run.id]
        for day in run.days:
            rows = tuple(row for row in answer if row.day == day)
            was = self.days.get((run.account, day))
            if was is not None and was.fetch_seq > claim.fetch_seq:
                continue
            suspect = not rows and was is not None and bool(was.rows)
            kept = was.rows if suspect and was is not None else rows
            if was is not None:
                self._revise(run.account, day, was.rows, kept)
            self.days[run.account, day] = ModelDay(suspect, kept, claim.fetch_seq, len(self.fires))
        self.accounts[run.account].version += 1
        self.end(run, RunState.SUCCEEDED)

    def _revise(self, account: str, day: date, before: Iterable[CostRow], after: Iterable[CostRow]) -> None:
        old, new = ({row.service: row.billed for row in rows} for rows in (before, after))
        for service in sorted({*old, *new}):
            if old.get(service) != new.get(service):
                self.revisions.append((account, day, service, old.get(service), new.get(service)))

    def sums(self) -> dict[tuple[str, date], Decimal]:
        """What each account-day that has rows costs."""
        return {key: sum((row.billed for row in day.rows), Decimal()) for key, day in self.days.items() if day.rows}
