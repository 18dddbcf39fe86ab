"""One fault from planting to the ledger's last word: who asks what meanwhile, and what is kept of it."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from shared.core.runs import RunState
from shared.ledger.queries import get_run
from tests.chaos.fault import NAMES, Fault, Sign, redis_noticed
from tests.chaos.measure import Asker, Sample
from tests.chaos.outcome import Wrong, patiently
from tests.chaos.rig import START_S, Rig
from tests.chaos.watch import Watch
from tests.support.ledger_check import unfinished
from tests.support.waiting import ASK_S, pass_time, wait_for

FLOW_S = 1.5
# Runs that were requested this long before a fault that is over at once, and still wait, are those it met.
MET_S = 1.0
WAITING = frozenset({RunState.PENDING, RunState.QUEUED})
# Beyond every limit: what takes longer than this has not healed.
HEAL_S = 45.0
SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a process said of the fault first, and how long after the planting; `said` is None when it never did."""

    said: str | None
    after_s: float | None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen of one fault. Durations are seconds; None: it did not happen."""

    told: Mapping[str, Told]
    noticed: Mapping[str, Told]
    lasted_s: float
    ready: Mapping[str, list[Sample]]
    live: Mapping[str, list[Sample]]
    strict: list[Sample]
    soft: list[Sample]
    bare: list[Sample]
    healed_s: float | None
    run_done_s: float | None
    ended: tuple[str, ...]
    lost: int
    doubled: int
    twice: int
    other: tuple[str, ...]
    # By process id, as the log has it.
    lines: Mapping[str, list[tuple[float, str]]]
    promised: int


@dataclass
class Play:
    """One fault, planted once."""

    rig: Rig
    fault: Fault
    watch: Watch = field(init=False)

    def run(self) -> Observation:
        """Plant, watch, lift, watch, and ask the ledger."""
        try:
            if self.fault.at_start:
                self._stand_from_the_start()
            else:
                self._watch()
                self._flow()
                self._stand()
            self._heal()
            self._settle()
        finally:
            with contextlib.suppress(AttributeError):
                self.watch.stop()
            self.rig.quiet_since_s = time.monotonic()
        return self._observed()

    def _watch(self) -> None:
        self.watch = Watch(self.rig)
        self.rig.requester = self.watch.requester
        self.watch.start()

    def _flow(self) -> None:
        """Work is in flight, or for an idle fault was and is not any more."""
        self.watch.flow(on=not self.fault.idle)
        pass_time(FLOW_S)
        for name, asker in self.watch.truth.items():
            wait_for(partial(_has_asked, asker), 10, f"{name} to answer")
        self.before = {name: asker.samples[-1].said for name, asker in self.watch.truth.items()}
        if not self.fault.idle:
            self.watch.requester.ask()

    def _stand(self) -> None:
        self.rig.happens_now()
        with self.fault.planted(self.rig):
            self.planted_s = self.rig.planted_at_s
            if self.fault.momentary:
                self.left = self._undone(self.planted_s - MET_S, self.planted_s, WAITING)
            self.watch.flow(on=True)
            pass_time(max(0.0, self.planted_s + self.fault.lasts_s - time.monotonic()))
            self.lift_began_s = time.monotonic()
        self._lifted()

    def _stand_from_the_start(self) -> None:
        with self.fault.planted(self.rig):
            self.rig.start().system.wait_serving(START_S)
            if self.fault.expect.ready == {200}:
                # The schema is being made: not the fault's doing.
                self.rig.system.wait_each(lambda it: it.probe("/health/ready").status == 200, START_S, "be ready")
            self.before = {name: {} for name in NAMES}
            self.planted_s = time.monotonic()
            self._watch()
            self.watch.flow(on=True)
            pass_time(self.fault.lasts_s)
            self.lift_began_s = time.monotonic()
        self._lifted()

    def _lifted(self) -> None:
        if self.fault.momentary:
            self.lifted_s = self.planted_s
        else:
            self.lifted_s = time.monotonic()
            self.left = self._undone(self.planted_s, self.lift_began_s, frozenset(RunState) - {RunState.SUCCEEDED})
        # Whatever was requested is done already: nobody had to wait for the lift.
        self.run_done_s: float | None = None if self.left else self.lifted_s

    def _heal(self) -> None:
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.watch.well_since(self.lifted_s), HEAL_S, "everybody to be well")
        self.well_s = self.watch.well_since(self.lifted_s)
        with contextlib.suppress(AssertionError):
            wait_for(self._one_done, HEAL_S, "a run requested meanwhile to be done")

    def _undone(self, from_s: float, to_s: float, states: frozenset[RunState]) -> list[int]:
        """The runs requested in that time that are in one of these states."""
        runs = dict.fromkeys(self.watch.requester.promised(from_s, to_s))
        # The database may be what has only just come back.
        return [run for run in runs if patiently(partial(get_run, self.rig.db, run), HEAL_S).state in states]

    def _one_done(self) -> bool:
        """Whether one of those that waited is done; notes when."""
        now_s, wall_s = time.monotonic(), time.time()
        runs = [patiently(partial(get_run, self.rig.db, run), HEAL_S) for run in self.left]
        ends = [run.finished_at.timestamp() for run in runs if run.state is RunState.SUCCEEDED and run.finished_at]
        if ends:
            self.run_done_s = now_s - (wall_s - min(ends))
        return bool(ends) or not runs

    def _settle(self) -> None:
        self.watch.flow(on=False)
        self.watch.requester.wait_idle()
        deadline_s = time.monotonic() + SETTLE_S
        left = partial(unfinished, self.rig.db, self.rig.expected)
        while patiently(left, SETTLE_S) and time.monotonic() < deadline_s:
            threading.Event().wait(ASK_S)

    def _observed(self) -> Observation:
        watch, from_s, to_s = self.watch, self.planted_s, self.lift_began_s
        wrong = Wrong.of(self.rig, watch.requester.promised())
        return Observation(
            told={name: self._told(name, self.fault.expect.sign or redis_noticed) for name in NAMES},
            noticed={name: self._told(name, redis_noticed) for name in NAMES},
            lasted_s=to_s - from_s,
            ready={name: asker.between(from_s, to_s) for name, asker in watch.ready.items()},
            live={name: asker.between(from_s, to_s) for name, asker in watch.live.items()},
            strict=watch.strict.between(from_s, to_s),
            soft=watch.soft.between(from_s, to_s),
            bare=watch.bare.between(from_s, to_s),
            healed_s=None if self.well_s is None else max(0.0, self.well_s - self.lifted_s),
            run_done_s=None if self.run_done_s is None else max(0.0, self.run_done_s - self.lifted_s),
            ended=tuple(name for name in NAMES if self.rig.system[name].process.poll() is not None),
            lost=wrong.lost,
            doubled=wrong.doubled,
            twice=wrong.twice,
            other=(*wrong.other, *(line for tail in watch.logs.values() for line in tail.tracebacks)),
            lines=dict(self._lines(from_s, to_s)),
            promised=len(set(watch.requester.promised())),
        )

    def _told(self, name: str, sign: Sign) -> Told:
        for sample in self.watch.truth[name].samples:
            if sample.at_s < self.planted_s or sample.status != 200:
                continue
            if said := sign(sample.said, self.before[name]):
                return Told(said, sample.end_s - self.planted_s)
        return Told(None, None)

    def _lines(self, from_s: float, to_s: float) -> Iterator[tuple[str, list[tuple[float, str]]]]:
        for name, tail in self.watch.logs.items():
            lines = [line for line in tail.lines if from_s <= line.at_s <= to_s]
            for pid in sorted({line.pid for line in lines}):
                yield f"{name} {pid}", [(line.at_s - from_s, line.text) for line in lines if line.pid == pid]


def _has_asked(asker: Asker) -> bool:
    return bool(asker.samples)
